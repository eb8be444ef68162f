"""A live installation for the flow tests: a key, a deposit wallet, a strict venue, virtual time.

Everything on the way of an order is what trades for real: settings, keystore, doctor, gate, live
adapter, official client for redeeming. Only the hosts are this machine's, and the machine's clock
is the venue's: nobody waits fifteen minutes for a window.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from polybot.adapters import logs
from polybot.adapters.clock import SystemClock
from polybot.adapters.keystore import create_keystore
from polybot.adapters.polymarket.order_fields import SignatureType
from polybot.adapters.polymarket.wallets import wallets_of
from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.domain.alerts import Alert
from polybot.domain.decisions import Decision
from polybot.domain.markets import MarketSeries, MarketWindow
from polybot.domain.modes import Mode
from polybot.domain.orders import Fill
from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.exchange.accounts import Account
from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.exchange.ledger_watch import LedgerWatch
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.rules import VenueRules
from polybot.sandbox.venue import SandboxVenue
from tests.cli_steps import run
from tests.flows.conftest import START_S
from tests.live_home import KEY, PASSPHRASE
from tests.sandbox_server import serve_in_thread

CASH_USDC = 500
RELAYER_SECRET = "marked-relayer-7e57feed"


@dataclass(frozen=True)
class LiveDesk:
    """The installation and the venue that it trades on."""

    venue: SandboxVenue
    gateway: PrivateGateway
    watch: LedgerWatch
    account: Account
    url: str
    home: Path
    address: str

    # Time ---------------------------------------------------------------------------------------
    @property
    def now(self) -> datetime:
        return datetime.fromtimestamp(self.venue.clock.now_ms() / 1000, UTC)

    def set_clock(self, instant: datetime) -> None:
        clock = self.venue.clock
        assert isinstance(clock, SteppedClock)
        clock.move_to(max(clock.now_ms(), int(instant.timestamp() * 1000)))
        # The user socket tells what happens; at the venue it happens whoever looks.
        self.gateway.exchange.advance()

    def window(self, number: int = 0) -> MarketWindow:
        series = MarketSeries.parse("btc-15m")
        return MarketWindow(series=series, start_s=START_S + number * series.duration_s)

    # Runs ---------------------------------------------------------------------------------------
    def doctor(self) -> dict[str, dict[str, Any]]:
        """Run the doctor, which leaves the record that the gate asks for."""
        result = run("doctor", "--json")
        document = json.loads(result.stdout)
        return {check["name"]: check for check in document["checks"]}

    async def trend(self, number: int = 0, *, live: bool = True) -> None:
        """Run the trend flow for a window, with the clock where the run would find it."""
        from flows.trend import trend

        window = self.window(number)
        self.set_clock(window.start + timedelta(seconds=3))
        await trend(scheduled_at=window.start, live=live)

    async def settle(self, at: datetime, *, live: bool = True) -> None:
        """Run the settle flow at an instant."""
        from flows.settle import settle

        self.set_clock(at)
        await settle(scheduled_at=at, live=live)

    # What there is ------------------------------------------------------------------------------
    def ledger(self) -> SqlLedger:
        return open_ledger(self.home / "live.db", mode=Mode.LIVE)

    def decision(self, number: int = 0) -> Decision | None:
        with self.ledger() as ledger:
            window = self.window(number)
            found = ledger.decisions_between(window.start, window.end)
        return found[0] if found else None

    def fills(self) -> tuple[Fill, ...]:
        with self.ledger() as ledger:
            orders = {row.order_id for row in ledger.trade_log() if row.order_id}
            return tuple(fill for order_id in orders for fill in ledger.fills_of(order_id))

    def alerts(self) -> tuple[Alert, ...]:
        with self.ledger() as ledger:
            return tuple(one.alert for one in ledger.due_alerts(at=self.now, limit=100))

    def arm(self, **fault: object) -> None:
        """Plan a fault of the venue."""
        answer = httpx.post(f"{self.url}/sandbox/faults", json=fault, trust_env=False)
        assert answer.status_code == 200, answer.text

    def requests(self, path: str) -> int:
        document = httpx.get(f"{self.url}/sandbox/status", trust_env=False).json()
        count: int = document["requests"].get(path, 0)
        return count


@contextmanager
def open_live_desk(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, v2_share: float = 0.0
) -> Iterator[LiveDesk]:
    """Serve a venue, and set up a live installation against it with a deposit wallet."""
    home = path / "home"
    address = create_keystore(
        home / "keystore.json", SecretStr(KEY), SecretStr(PASSPHRASE), work_factor=2
    )
    funder = next(
        one.address
        for one in wallets_of(address)
        if one.signature_type is SignatureType.DEPOSIT_WALLET
    )
    venue = SandboxVenue(seed=7, clock=SteppedClock((START_S - 60) * 1000), v2_share=v2_share)
    watch = LedgerWatch(home / "live.db")
    gateway = PrivateGateway(MatchingExchange(venue, VenueRules()), watch)
    account = gateway.exchange.accounts.open(
        owner=address,
        funder=funder,
        signature_type=int(SignatureType.DEPOSIT_WALLET),
        cash=CASH_USDC * 10**6,
    )
    use_time_of(venue, monkeypatch)
    monkeypatch.chdir(path)
    try:
        with serve_in_thread(venue, gateway=gateway) as url:
            for name, value in settings_of(home, url, funder, address).items():
                monkeypatch.setenv(f"POLYBOT_{name}", value)
            yield LiveDesk(
                venue=venue,
                gateway=gateway,
                watch=watch,
                account=account,
                url=url,
                home=home,
                address=address,
            )
    finally:
        logs._secrets.clear()


def settings_of(home: Path, url: str, funder: str, address: str) -> dict[str, str]:
    """Return the settings of an operator whose venue is on this machine."""
    socket = f"ws{url.removeprefix('http')}"
    return {
        "HOME": str(home),
        "MODE": "live",
        "KEY_PASSPHRASE": PASSPHRASE,
        "LIVE__FUNDER": funder,
        "LIVE__RELAYER_KEY": RELAYER_SECRET,
        "LIVE__RELAYER_ADDRESS": address,
        "VENUE__GAMMA_URL": url,
        "VENUE__CLOB_URL": url,
        "VENUE__DATA_URL": url,
        "VENUE__RELAYER_URL": url,
        "VENUE__RPC_URL": url,
        "VENUE__GEOBLOCK_URL": f"{url}/api/geoblock",
        "VENUE__USER_SOCKET_URL": f"{socket}/ws/user",
        "VENUE__MARKET_SOCKET_URL": f"{socket}/ws/market",
        "PRICES__BASE_URL": url,
        # Any crossover counts, however old, so that most windows have a direction.
        "STRATEGY__CROSS_MAX_AGE": "300",
    }


def use_time_of(venue: SandboxVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the machine's clock be the venue's: whoever sleeps moves it."""
    clock = venue.clock
    assert isinstance(clock, SteppedClock)

    async def now(_: SystemClock) -> datetime:
        return datetime.fromtimestamp(clock.now_ms() / 1000, UTC)

    async def sleep_until(_: SystemClock, instant: datetime) -> None:
        clock.move_to(max(clock.now_ms(), -int(-instant.timestamp() * 1000)))

    async def sleep(_: SystemClock, seconds: float) -> None:
        clock.move_to(clock.now_ms() + round(seconds * 1000))

    monkeypatch.setattr(SystemClock, "now", now)
    monkeypatch.setattr(SystemClock, "sleep_until", sleep_until)
    monkeypatch.setattr(SystemClock, "sleep", sleep)
