"""A whole bot of live mode trades only through the gate, and one of paper mode touches no key."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from polybot.adapters import logs
from polybot.adapters.health_file import installed_version, write_health
from polybot.adapters.polymarket.exchange import PolymarketExchange
from polybot.adapters.polymarket.verdicts import Patience
from polybot.bootstrap import Access, open_bot
from polybot.bootstrap_copying import _options
from polybot.config import load_settings
from polybot.domain.health import HealthRecord
from polybot.domain.reconciliation import ReconcileTiming
from polybot.errors import ConfigurationError, DataError, PermanentError
from polybot.going_live import GatedExchange, LiveAllowed
from tests.builders import build_approved
from tests.config_steps import empty_folder
from tests.live_home import LiveHome, live_home
from tests.live_records import AGREED, GREEN

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveHome]:
    empty_folder(tmp_path, monkeypatch)
    with live_home(tmp_path / "home", monkeypatch) as found:
        yield found
    logs._secrets.clear()


def green(home: LiveHome, **changes: object) -> HealthRecord:
    """Return a record with which this installation may trade."""
    return replace(
        GREEN,
        **{
            "checked_at": datetime.now(UTC),
            "fingerprint": load_settings().fingerprint,
            "key_address": home.address,
            "version": installed_version(),
            **changes,
        },
    )


async def test_a_live_bot_without_a_doctor_may_not_trade(home: LiveHome) -> None:
    async with open_bot(access=Access.ORDERS) as bot:
        with pytest.raises(ConfigurationError, match="no `polybot doctor` of live mode"):
            bot.require_orders()
        bot.require_account()
        with pytest.raises(PermanentError):
            bot.exchange.prepare(build_approved(), created_at=datetime.now(UTC))


async def test_a_live_bot_without_the_second_word_may_not_trade(home: LiveHome) -> None:
    write_health(home.path, green(home))
    async with open_bot(access=Access.ACCOUNT) as bot:
        with pytest.raises(ConfigurationError, match="lacks its second word"):
            bot.require_orders()


async def test_a_live_bot_with_everything_may_trade_once_reconciled(home: LiveHome) -> None:
    """Permission first, agreement of the books with every order."""
    write_health(home.path, green(home))
    async with open_bot(access=Access.ORDERS) as bot:
        bot.require_orders()
        assert isinstance(bot.permission, LiveAllowed)
        with pytest.raises(DataError, match="never reconciled"):
            bot.exchange.prepare(build_approved(), created_at=datetime.now(UTC))
        now = datetime.now(UTC)
        bot.ledger.record_reconciliation(replace(AGREED, reconciled_at=now, attempted_at=now))
        assert bot.exchange.prepare(build_approved(), created_at=now).order_id.startswith("0x")


async def test_a_changed_limit_needs_a_new_examination(
    home: LiveHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_health(home.path, green(home))
    monkeypatch.setenv("POLYBOT_RISK__STAKE_USDC", "6")
    async with open_bot(access=Access.ORDERS) as bot:
        with pytest.raises(ConfigurationError, match="the settings changed"):
            bot.require_orders()


async def test_how_late_the_venue_may_be_is_what_the_settings_say(
    home: LiveHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of these figures is a guess about the venue: whoever knows better sets it."""
    seconds = {
        "BALANCE_LAG_S": 77,
        "TRADES_OVERLAP_S": 4_001,
        "TRADES_DEEP_OVERLAP_S": 90_001,
        "TRADES_LAG_S": 11,
        "ARRIVAL_GRACE_S": 301,
        "LATE_FILL_WATCH_S": 901,
    }
    for name, value in seconds.items():
        monkeypatch.setenv(f"POLYBOT_LIVE__{name}", str(value))
    async with open_bot(access=Access.ACCOUNT) as bot:
        assert bot.reconcile_timing == ReconcileTiming(
            quiet=timedelta(seconds=77),
            overlap=timedelta(seconds=4_001),
            deep_overlap=timedelta(seconds=90_001),
            late_fills=timedelta(seconds=901),
        )
        # The copy loop reconciles by itself.
        copying = _options(bot, run_name="", holder=None)
        assert copying.reconcile_timing == bot.reconcile_timing
        assert isinstance(bot.exchange, GatedExchange)
        assert isinstance(bot.exchange._exchange, PolymarketExchange)
        assert bot.exchange._exchange._looks._patience == Patience(
            arrival=timedelta(seconds=301),
            trades=timedelta(seconds=11),
            matched=timedelta(seconds=901),
        )


async def test_a_live_ledger_begins_without_play_money(home: LiveHome) -> None:
    """Cash is what the venue says."""
    async with open_bot(access=Access.LEDGER) as bot:
        assert bot.ledger.totals(at=datetime.now(UTC)).cash_usdc == 0


async def test_a_key_that_does_not_open_leaves_a_bot_that_can_say_so(
    home: LiveHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is recorded and its owner told; no order, no account."""
    monkeypatch.setenv("POLYBOT_KEY_PASSPHRASE", "another passphrase")
    async with open_bot(access=Access.ORDERS) as bot:
        for require in (bot.require_orders, bot.require_account):
            with pytest.raises(ConfigurationError, match="the passphrase does not open"):
                require()
        with pytest.raises(PermanentError):
            bot.exchange.prepare(build_approved(), created_at=datetime.now(UTC))


async def test_reports_and_halts_need_no_key(home: LiveHome) -> None:
    """A halt must work where the key does not."""
    (home.path / "keystore.json").unlink()
    async with open_bot(access=Access.LEDGER) as bot:
        assert bot.account is None
        with pytest.raises(PermanentError):
            bot.exchange.prepare(build_approved(), created_at=datetime.now(UTC))


PAPER = """
import asyncio, json, sys
from datetime import UTC, datetime, timedelta
seen = {"connected": [], "opened": [], "forbidden": []}
def watch(event, arguments):
    if event == "socket.connect":
        seen["connected"].append(str(arguments[1]))
    elif event == "open":
        seen["opened"].append(str(arguments[0]))
sys.addaudithook(watch)
from polybot.bootstrap import Access, open_bot
from tests.builders import build_approved, build_order
async def main():
    async with open_bot(access=Access.ORDERS) as bot:
        bot.require_orders(); bot.require_account()
        now = await bot.clock.now()
        market = await bot.market_data.find_market(bot.series[0].window_at(now))
        approved = build_approved(build_order(market=market))
        prepared = bot.exchange.prepare(approved, created_at=now)
        seen["result"] = type(await bot.exchange.submit(prepared)).__name__
asyncio.run(main())
seen["loaded"] = [name for name in sys.modules if name in (
    "coincurve", "eth_keyfile", "polymarket", "polybot.live_venue", "polybot.trading_key",
    "polybot.adapters.keystore", "polybot.adapters.polymarket.signing",
    "polybot.adapters.polymarket.exchange")]
print(json.dumps(seen))
"""


def test_paper_reads_no_key_and_asks_no_private_endpoint(home: LiveHome) -> None:
    """Every socket and every file of a paper order is watched by the interpreter itself."""
    environment = {**os.environ, "POLYBOT_MODE": "paper", "PYTHONPATH": str(PROJECT)}
    (home.path / "keystore.json").write_text("never opened")
    done = subprocess.run(
        [sys.executable, "-c", PAPER],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["result"] in ("Accepted", "Rejected")
    port = int(home.url.rpartition(":")[2])
    assert set(seen["connected"]) == {f"('127.0.0.1', {port})"}
    assert not [name for name in seen["opened"] if "keystore.json" in name]
    assert seen["loaded"] == []
    asked = {path for path, count in home.requests().items() if count}
    assert "/book" in asked
    private = ("/order", "/auth", "/data/", "/balance", "/cancel", "/v1/")
    assert not [path for path in asked if path.startswith(private)]
