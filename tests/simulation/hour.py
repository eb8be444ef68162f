"""What one simulated hour consists of: the real bot, the strict venue, and what goes wrong.

The bot is the product's own: ledger on SQLite, live adapter, limits, execution, reconciliation,
following the user socket, settlement, redemption. Time, the cable and the forecasts are not.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from polybot import limits
from polybot.adapters.polymarket.account import PolymarketAccount
from polybot.adapters.polymarket.auth import ApiCredentials
from polybot.adapters.polymarket.clob_client import ClobClient
from polybot.adapters.polymarket.exchange import PolymarketExchange
from polybot.adapters.polymarket.keccak import Address
from polybot.adapters.polymarket.market_data import PolymarketData
from polybot.adapters.polymarket.order_fields import SALT_BITS, SignatureType, TradingAccount
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.adapters.polymarket.venue_memory import VenueMemory
from polybot.adapters.storage import ledger as ledger_module
from polybot.domain.markets import (
    ConditionId,
    MarketSeries,
    MarketWindow,
    OutcomeTokenId,
)
from polybot.domain.modes import Mode
from polybot.domain.money import Shares, to_micro
from polybot.domain.venue_account import (
    NothingToRedeem,
    Redeemed,
    RedemptionPending,
    RedemptionResult,
)
from polybot.errors import TransientError
from polybot.going_live import GatedExchange, LiveAllowed
from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.redemption import redeem
from polybot.sandbox.exchange.rules import VenueRules
from polybot.sandbox.injector import FaultInjector
from polybot.sandbox.seeds import digest
from polybot.sandbox.venue import SandboxVenue
from tests.order_cases import TEST_KEY, Secret
from tests.simulation.evidence import Caps, Evidence
from tests.simulation.ledgers import WatchedLedger, new_ledger_bytes
from tests.simulation.memory_venue import CableFaults, MemoryVenue
from tests.simulation.model import InvariantError, Model
from tests.simulation.plan import plan_hour
from tests.simulation.rows import LedgerRows
from tests.simulation.truth import VenueTruth
from tests.simulation.virtual import VenueTime, VirtualClock, VirtualTime
from tests.simulation.wire import URL
from tests.simulation.wishes import limits_of

WALLET: Final = Address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")
SERIES: Final = tuple(MarketSeries.parse(name) for name in ("btc-5m", "eth-5m"))
RECONCILE_MAX_AGE: Final = timedelta(seconds=150)
CASH: Final = 120_000_000
# A multiple of 300 s; half an hour before midnight, so that many hours have two UTC days.
_FIRST_S: Final = 1_795_390_200


@dataclass(slots=True)
class Bot:
    """What a run opens: one connection, one adapter, one view of the account."""

    client: ClobClient
    data: PolymarketData
    exchange: GatedExchange
    account: PolymarketAccount
    signer: OrderSigner
    funder: str
    hour: "Hour"

    async def close(self) -> None:
        self.hour.login = self.client._credentials or self.hour.login
        await self.client.aclose()
        await self.data.__aexit__()


class Hour:
    """Everything of one seed."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        *,
        length_s: int = 3600,
        check: bool = True,
        risk_limits: limits.RiskLimits | None = None,
    ) -> None:
        self.seed = seed
        self.folder = folder
        self.length_s = length_s
        self.random = Random(f"hour-{seed}")
        self.time = VirtualTime(_FIRST_S - 300 * self.random.randrange(6))
        self.clock = VirtualClock(self.time)
        self.limits = risk_limits or limits_of(self.random)
        self.fired: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self._salts = Random(f"salt-{seed}")
        self.venue = SandboxVenue(
            seed=seed,
            clock=VenueTime(self.time),  # type: ignore[arg-type]
            v2_share=0.5,
            negative_risk_share=0.3,
        )
        self.gateway = PrivateGateway(MatchingExchange(self.venue, self._rules()))
        self.windows = [
            MarketWindow(series=series, start_s=self.time.start_s + start_s)
            for start_s in range(0, length_s, 300)
            for series in SERIES
            if series is SERIES[0] or self.random.random() < 0.3
        ]
        self.plan = plan_hour(
            seed,
            self.random,
            start_s=self.time.start_s,
            length_s=length_s,
            slugs=[window.slug for window in self.windows],
        )
        self.injector = FaultInjector(self.gateway.exchange, self.plan)
        self.cable = CableFaults(seed, 0.004)
        self.memory_venue = MemoryVenue(self.gateway, self.injector, self.cable)
        self.signer = signer = OrderSigner(Secret(TEST_KEY))
        kind = SignatureType(self.random.randrange(4))
        funder = signer.address if kind is SignatureType.EOA else WALLET
        self.trading = TradingAccount(
            key_address=signer.address, funder=funder, signature_type=kind
        )
        self.wallet = self.gateway.exchange.accounts.open(
            owner=signer.address, funder=funder, signature_type=int(kind), cash=CASH
        )
        self.path = folder / "live.db"
        self.path.write_bytes(new_ledger_bytes())
        self.evidence = Evidence(
            rows=LedgerRows(self.path),
            truth=VenueTruth(self.gateway, self.wallet),
            caps=Caps(
                stake=to_micro(self.limits.max_stake_usdc),
                min_cash=to_micro(self.limits.min_cash_usdc),
                trades=self.limits.max_trades_per_day,
                daily_loss=to_micro(self.limits.max_daily_loss_usdc),
                window=to_micro(self.limits.max_window_exposure_usdc),
                total=to_micro(self.limits.max_exposure_usdc),
                reconcile_age_us=int(RECONCILE_MAX_AGE.total_seconds() * 1_000_000),
            ),
        )
        self.model = Model(self.evidence)
        self.memory_venue.on_order.append(self.model.hear_order)
        self.check = check
        self.ledger: Any = None
        self._sql: Any = None
        self._sequence = 0
        self.relayer = Random(f"relayer-{seed}")
        self.login: ApiCredentials | None = None
        self.logins = Random(f"login-{seed}")
        self.open_files()

    # Opening and closing ------------------------------------------------------------------------
    def open_files(self) -> None:
        """Open the ledger anew, as a fresh process does."""
        if self._sql is not None:
            self._sql.close()
        self._sql = ledger_module.open_ledger(self.path, mode=Mode.LIVE)
        self.ledger = WatchedLedger(self._sql, self._after)

    def close(self) -> None:
        self._sql.close()
        self.evidence.rows.close()

    def new_salt(self) -> int:
        return self._salts.randrange(1, 1 << SALT_BITS)

    def open_bot(self) -> Bot:
        """Open what a run opens; only the key is read once for all of them."""
        signer = self.signer
        client = ClobClient(URL, signer, clock=self.clock, timeout_s=5, order_timeout_s=6)
        data = PolymarketData(
            gamma_url=URL, clob_url=URL, data_url=URL, timeout_s=5, clock=self.clock
        )
        if self.login is not None and self.logins.random() < 0.85:
            # Most runs find the venue as another one left it; deriving the key again is slow.
            client._credentials = self.login
        exchange = PolymarketExchange(
            client,
            signer,
            self.trading,
            market_data=data,
            clock=self.clock,
            memory=VenueMemory(self.folder / "venue"),
        )
        return Bot(
            client=client,
            data=data,
            exchange=GatedExchange(
                exchange,
                LiveAllowed(examined_at=self.time.now()),
                ledger=self.ledger,
                reconcile_max_age=RECONCILE_MAX_AGE,
            ),
            account=PolymarketAccount(client, self.trading, redeemer=MoodyRelayer(self)),
            signer=signer,
            funder=self.trading.funder,
            hour=self,
        )

    def _rules(self) -> VenueRules:
        pick = self.random.choice
        return VenueRules(
            fill_step=pick((100, 1)),
            fee_rounding=pick(("half-up", "up", "down")),
            dedupes_terminal_orders=pick((True, False)),
            shows_terminal_orders=pick((True, False)),
            answers_in_decimals=pick((True, False)),
            answers_transactions=pick((True, False)),
        )

    def _after(self, method: str, result: object) -> None:
        if self.check:
            self.model.after(method, result, self.now_us())
        self.stop_if_broken()

    def stop_if_broken(self) -> None:
        if self.evidence.broken:
            raise InvariantError(self.evidence.broken)

    def now_us(self) -> int:
        return self.time.start_s * 1_000_000 + round(self.time.elapsed_s * 1_000_000)


class MoodyRelayer:
    """Turns resolved shares into cash at the sandbox, sometimes without saying so."""

    def __init__(self, hour: Hour) -> None:
        self._hour = hour
        self._random = Random(f"redeem-{hour.seed}")

    async def redeem(
        self, condition_id: ConditionId, held: Mapping[OutcomeTokenId, Shares]
    ) -> RedemptionResult:
        exchange = self._hour.gateway.exchange
        market = exchange.venue.listing.by_condition(condition_id)
        draw = self._hour.relayer.random()
        await asyncio.sleep(1)
        if market is None or draw < 0.1:
            raise TransientError("the relayer did not answer")
        try:
            paid = redeem(exchange, self._hour.wallet, market)
        except Exception as error:
            raise TransientError(f"the relayer refused: {error}") from error
        if draw < 0.2:
            raise TransientError("the relayer did not answer, and did it")
        if draw < 0.3:
            return RedemptionPending(transaction_id="t", reason="not mined yet")
        self._hour.counts["redeemed"] += 1
        if paid or any(held.values()):
            return Redeemed(transaction_hash="0x" + digest(condition_id).hex())
        return NothingToRedeem(reason="nothing is held")
