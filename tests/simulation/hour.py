"""One simulated hour of the real bot against the strict venue, with everything going wrong.

The bot is the product's own: ledger on SQLite, live adapter, limits, execution, reconciliation,
following the user socket, settlement, redemption. Time, the cable and the forecasts are not.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest import mock

from polybot import execution, limits, reconciliation, redemption, risk, settlement
from polybot.account_follow import follow_account
from polybot.adapters.polymarket.account import PolymarketAccount
from polybot.adapters.polymarket.auth import ApiCredentials
from polybot.adapters.polymarket.clob_client import ClobClient
from polybot.adapters.polymarket.exchange import PolymarketExchange
from polybot.adapters.polymarket.keccak import Address
from polybot.adapters.polymarket.market_data import PolymarketData
from polybot.adapters.polymarket.order_fields import SALT_BITS, SignatureType, TradingAccount
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.adapters.polymarket.user_stream import UserStream
from polybot.adapters.polymarket.venue_memory import VenueMemory
from polybot.adapters.storage import engine as engine_module
from polybot.adapters.storage import ledger as ledger_module
from polybot.domain.accounts import TradingStateChange
from polybot.domain.decisions import Verdict
from polybot.domain.markets import (
    ConditionId,
    MarketSeries,
    MarketWindow,
    OutcomeTokenId,
)
from polybot.domain.modes import Mode, TradingState
from polybot.domain.money import Shares, to_micro
from polybot.domain.orders import (
    ApprovedOrder,
    OrderReport,
    RefusedOrder,
)
from polybot.domain.signals import Direction, Signal
from polybot.domain.venue_account import (
    NothingToRedeem,
    Redeemed,
    RedemptionPending,
    RedemptionResult,
)
from polybot.errors import DataError, PermanentError, PolybotError, TransientError
from polybot.going_live import GatedExchange, LiveAllowed
from polybot.ports import Ledger
from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.redemption import redeem
from polybot.sandbox.exchange.rules import VenueRules
from polybot.sandbox.injector import FaultInjector
from polybot.sandbox.seeds import digest
from polybot.sandbox.venue import SandboxVenue
from polybot.trend import DecisionDraft, open_decision, refuse_late
from tests.order_cases import TEST_KEY, Secret
from tests.simulation.model import DECIDING, Caps, InvariantError, Model, ledger_digest
from tests.simulation.plan import plan_hour
from tests.simulation.virtual import VenueTime, VirtualClock, VirtualLoop, VirtualTime
from tests.simulation.wire import SOCKET_URL, URL, CableFaults, MemoryVenue, cables_for_sockets
from tests.simulation.wishes import approved_order, limits_of, other_order

WALLET: Final = Address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")
SERIES: Final = tuple(MarketSeries.parse(name) for name in ("btc-5m", "eth-5m"))
RECONCILE_MAX_AGE: Final = timedelta(seconds=150)
CASH: Final = 120_000_000
# A multiple of 300 s; half an hour before midnight, so that many hours have two UTC days.
_FIRST_S: Final = 1_795_390_200
MUTATING: Final = frozenset(
    {
        "claim_decision", "finish_decision", "record_intent", "record_report", "settle",
        "adjust_fees", "book_transfer", "record_reconciliation", "record_redemption",
        "request_redemption", "set_trading_state", "mark_positions", "deposit",
    }
)  # fmt: skip


@cache
def new_ledger_bytes() -> bytes:
    """Return the file of a live ledger in which nothing has happened."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "live.db"
        ledger_module.open_ledger(path, mode=Mode.LIVE).close()
        return path.read_bytes()


def fast_folder() -> str | None:
    """Return where files live in memory: the same code and the same fsync, without a disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@contextmanager
def shared_statements() -> Iterator[None]:
    """Let every ledger that is opened meanwhile use the statements that others have compiled."""
    create = engine_module.create_engine

    def create_sharing(*args: Any, **named: Any) -> Any:
        made = create(*args, **named)
        made._compiled_cache = _COMPILED.setdefault("all", made._compiled_cache)
        return made

    with mock.patch.object(engine_module, "create_engine", create_sharing):
        yield


_COMPILED: Final[dict[str, Any]] = {}


class WatchedLedger:
    """The real ledger; after every transaction of it the model looks at the books."""

    def __init__(
        self,
        ledger: Ledger,
        after: Callable[[str, object], None],
        between: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the ledger, who looks after each change, and who may come between two calls."""
        self._ledger = ledger
        self._after = after
        self._between = between

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)

        def call(*args: Any, **named: Any) -> Any:
            self._between()
            result = found(*args, **named)
            if name in MUTATING:
                self._after(name, result)
            self._between()
            return result

        return call


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What one hour came to."""

    seed: int
    digest: str
    steps: int
    checks: Mapping[str, int]
    fired: Mapping[str, int]
    counts: Mapping[str, int]
    broken: str = ""


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
        signer = OrderSigner(Secret(TEST_KEY))
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
        self.model = Model(
            path=self.path,
            gateway=self.gateway,
            account=self.wallet,
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
        self.model.close()

    def new_salt(self) -> int:
        return self._salts.randrange(1, 1 << SALT_BITS)

    def open_bot(self) -> Bot:
        """Open what a run opens."""
        signer = OrderSigner(Secret(TEST_KEY))
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
            account=PolymarketAccount(client, self.trading, redeemer=_Redeemer(self)),
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
        if self.model.broken:
            raise InvariantError(self.model.broken)

    def now_us(self) -> int:
        return self.time.start_s * 1_000_000 + round(self.time.elapsed_s * 1_000_000)

    # The runs -----------------------------------------------------------------------------------
    async def reconcile(self, bot: Bot, *, accept: str = "") -> bool:
        found = await reconciliation.reconcile_account(
            self.ledger,
            bot.exchange,
            bot.account,
            self.clock,
            mode=Mode.LIVE,
            accepted_difference=accept,
        )
        self.counts[f"reconciled {found.verdict}"] += 1
        self.counts["fills voided"] += len(found.voided_fills)
        if found.verdict.allows_trading and self.check:
            self.model.after_reconciling(self.now_us())
            self.stop_if_broken()
        return found.verdict.allows_trading

    async def settle(self, bot: Bot) -> None:
        """The settle flow, without Prefect."""
        await self.reconcile(bot)
        now = self.time.now()
        settlement.close_abandoned_decisions(self.ledger, at=now, max_lateness_s=60)
        await settlement.mark_open_positions(self.ledger, bot.data, at=now)
        found = await settlement.settle_ended_windows(self.ledger, bot.data, at=self.time.now())
        self.counts["windows settled"] += len(found.settled)
        await redemption.redeem_settled(
            self.ledger, bot.account, at=self.time.now(), mode=Mode.LIVE
        )

    async def trend(self, bot: Bot, window: MarketWindow, random: Random, name: str) -> None:
        """The trend flow of one window, without Prefect; the forecast is a coin's."""
        await self.reconcile(bot)
        await self.decide(bot, window, random, name)

    async def decide(self, bot: Bot, window: MarketWindow, random: Random, name: str) -> None:
        DECIDING.set(f"{name} {window.slug}")
        draft = open_decision(name, window, run_name=name, at=self.time.now())
        earlier = self.ledger.claim_decision(draft.decision)
        if earlier is not None and earlier.verdict is not Verdict.PENDING:
            return
        try:
            await self._decide(bot, window, random, draft)
        except (DataError, TransientError, TimeoutError) as problem:
            draft.note_skip(problem)
        if draft.decision.verdict is not Verdict.PENDING:
            # Placing an order has finished its decision already.
            self.ledger.finish_decision(draft.decision)

    async def _decide(
        self, bot: Bot, window: MarketWindow, random: Random, draft: DecisionDraft
    ) -> None:
        refuse_late(window, now=self.time.now(), max_lateness=timedelta(seconds=280))
        market = await bot.data.find_market(window)
        direction = random.choice((Direction.UP, Direction.DOWN))
        outcome = direction.outcome
        assert outcome is not None
        book = await bot.data.order_book(market.token_ids[outcome])
        draft.note_market(market)
        forecast = Signal(direction=direction, reason="a coin fell")
        draft.note_signal(forecast)
        now = self.time.now()
        totals = self.ledger.totals(at=now)
        exposure = self.ledger.market_exposure(market.condition_id)
        kind = random.random()
        key = draft.decision.key
        answer: ApprovedOrder | RefusedOrder | None
        held = exposure.held[outcome] - exposure.selling[outcome]
        if kind < 0.5 or not (book.bids and book.asks):
            answer = risk.assess(
                forecast,
                market,
                book,
                totals=totals,
                exposure=exposure,
                limits=self.limits,
                now=now,
                decision_key=key,
            )
        else:
            price = book.bids[0].price if kind < 0.75 else book.asks[0].price
            order = other_order(random, market, outcome, near=price, held=held, key=key)
            answer = approved_order(order, self.limits, totals, exposure, now) if order else None
        if not isinstance(answer, ApprovedOrder):
            self.counts["refused by risk"] += 1
            draft.note(verdict=Verdict.REFUSED, reason="risk said no")
            return
        placed = await execution.place(
            answer,
            draft.decision,
            exchange=bot.exchange,
            ledger=self.ledger,
            clock=self.clock,
            limits=self.limits,
        )
        if isinstance(placed, RefusedOrder):
            self.counts["refused at the intent"] += 1
            draft.note(verdict=Verdict.REFUSED, reason=placed.reason)
            return
        self.counts[f"placed {placed.order.status}"] += 1

    async def cancel_something(self, bot: Bot, random: Random) -> None:
        """Take one resting order out of the book, as its maker might."""
        resting = [one for one in self.ledger.open_orders() if one.time_in_force.rests]
        if not resting:
            return
        record = random.choice(resting)
        report: OrderReport = await bot.exchange.cancel(record)
        self.ledger.record_report(record.order_id, report, at=self.time.now())
        self.counts["cancels"] += 1

    async def follow(self, bot: Bot, random: Random) -> None:
        """Listen to the user socket until somebody stops it."""
        socket = UserStream(SOCKET_URL, bot.client, funder=bot.funder, random=random)
        async with aclosing(socket.events()) as events:
            await follow_account(
                self._counted(events),
                self.ledger,
                bot.exchange,
                bot.account,
                self.clock,
                mode=Mode.LIVE,
            )

    async def _counted(self, events: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for event in events:
            self.counts["socket events"] += 1
            yield event

    # The operator -------------------------------------------------------------------------------
    async def operate(self, bot: Bot, random: Random) -> None:
        """What the owner does: money in, money out, a halt, and lifting what was halted."""
        state = self.ledger.trading_state().state
        if state is TradingState.HALTED:
            if random.random() < 0.5:
                await self._lift_halt(bot)
            return
        kind = random.random()
        accounts = self.gateway.exchange.accounts
        if kind < 0.05:
            accounts.deposit(self.wallet, random.randrange(1, 9_000_000))
            self.fired.update(("deposited", "balance-change"))
        elif kind < 0.1 and self.wallet.cash > 60_000_000:
            free = self.wallet.cash - self.gateway.exchange.held(self.wallet)
            accounts.deposit(self.wallet, -random.randrange(1, max(free // 20, 2)))
            self.fired.update(("withdrawn", "balance-change"))
        elif kind < 0.16:
            self.fired["halted"] += 1
            self._set_state(TradingState.HALTED, "the owner halted")

    async def _lift_halt(self, bot: Bot) -> None:
        if await self.reconcile(bot, accept="the owner looked at it"):
            self._set_state(TradingState.ACTIVE, "the owner resumed")
            self.fired["resumed"] += 1

    def _set_state(self, state: TradingState, reason: str) -> None:
        self.ledger.set_trading_state(
            TradingStateChange(state=state, reason=reason, by="owner", changed_at=self.time.now())
        )


class _Redeemer:
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


class Player:
    """Plays one hour: starts every run when it is due, and stops some of them half-way."""

    def __init__(self, hour: Hour) -> None:
        self.hour = hour
        self.random = hour.random
        self.problem: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._follower: asyncio.Task[None] | None = None

    async def play(self) -> None:
        hour = self.hour
        self._follow()
        for minute in range(hour.length_s // 60):
            await self._until(minute * 60)
            self._start("settle", hour.settle)
            if minute % 5 == 0:
                for window in hour.windows:
                    if window.start_s == hour.time.start_s + minute * 60:
                        self._start_trends(window)
            else:
                self._start_extras()
            self._trouble()
            if self.problem is not None:
                raise self.problem
        await self._wind_down()

    def _start_trends(self, window: MarketWindow) -> None:
        for number in range(self.random.choice((1, 1, 1, 2))):
            random = Random(f"{self.hour.seed}-{window.slug}-{number}")
            self._start(
                "trend",
                lambda bot, random=random: self.hour.trend(bot, window, random, "coin"),
                delay_s=self.random.uniform(0, 3),
            )

    def _start_extras(self) -> None:
        """Between the windows: more orders in them, cancels, and the owner."""
        hour, random = self.hour, self.random
        minute_s = int(hour.time.elapsed_s)
        now_s = hour.time.start_s + minute_s
        for window in hour.windows:
            if window.start_s <= now_s < window.start_s + 240 and random.random() < 0.3:
                own = Random(f"{hour.seed}-{window.slug}-{minute_s}")
                self._start(
                    "extra",
                    lambda bot, own=own, window=window, name=f"extra-{minute_s}": hour.decide(
                        bot, window, own, name
                    ),
                    delay_s=random.uniform(0, 40),
                )
        if random.random() < 0.25:
            self._start("cancel", lambda bot: hour.cancel_something(bot, random), delay_s=20)
        if random.random() < 0.5:
            self._start("operate", lambda bot: hour.operate(bot, random), delay_s=30)

    def _trouble(self) -> None:
        """Stop a run half-way, or all of them, as a shutdown does."""
        random, hour = self.random, self.hour
        if random.random() < 0.06:
            asyncio.get_running_loop().call_later(random.uniform(0, 4), self._cancel_one)
        if random.random() < 0.02:
            hour.fired["restarted"] += 1
            for task in self._in_order():
                task.cancel()
            asyncio.get_running_loop().call_later(5, self._reopen)

    def _cancel_one(self) -> None:
        running = self._in_order()
        if running:
            self.hour.fired["run-cancelled"] += 1
            self.random.choice(running).cancel()

    def _reopen(self) -> None:
        if not self._in_order():
            self.hour.open_files()
            self._follow()

    def _in_order(self) -> list[asyncio.Task[None]]:
        return sorted(self._tasks, key=lambda task: int(task.get_name().split("-")[-1]))

    def _follow(self) -> None:
        if self._follower is None or self._follower.done():
            own = Random(f"socket-{self.hour.seed}")
            self._follower = self._start("follow", lambda bot: self.hour.follow(bot, own))

    def _start(
        self, name: str, run: Callable[[Bot], Awaitable[None]], *, delay_s: float = 0
    ) -> asyncio.Task[None]:
        self.hour._sequence += 1
        task = asyncio.get_running_loop().create_task(
            self._run(name, run, delay_s), name=f"{name}-{self.hour._sequence}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, name: str, run: Callable[[Bot], Awaitable[None]], delay_s: float) -> None:
        if delay_s:
            await asyncio.sleep(delay_s)
        bot = self.hour.open_bot()
        try:
            await run(bot)
        except InvariantError as error:
            self.problem = self.problem or error
        except PermanentError:
            self.hour.counts[f"{name} refused"] += 1
        except PolybotError:
            self.hour.counts[f"{name} failed"] += 1
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self.problem = self.problem or error
        finally:
            with suppress(Exception):
                await bot.close()

    async def _until(self, elapsed_s: float) -> None:
        await asyncio.sleep(max(0.0, elapsed_s - self.hour.time.elapsed_s))

    async def _wind_down(self) -> None:
        """No more faults, no more orders: everything must come to agree."""
        hour = self.hour
        hour.plan.clear()
        hour.cable._share = 0
        hour.venue.gamma_late_s = 0
        start_s = hour.time.elapsed_s
        pauses = 0
        # A relayer that did not answer is asked again after an hour at most.
        while pauses < 9 or (pauses < 40 and hour.ledger.open_redemptions()):
            self._start("settle", hour.settle)
            self._start("operate", self._lift, delay_s=75)
            pauses += 1
            await self._until(start_s + pauses * 150)
            if self.problem is not None:
                raise self.problem
        for task in self._in_order():
            task.cancel()
        await asyncio.sleep(10)
        if self.problem is not None:
            raise self.problem
        bot = hour.open_bot()
        try:
            if not await hour.reconcile(bot):
                raise InvariantError(f"the end does not reconcile: {self._why()}")
        finally:
            await bot.close()
        hour.gateway.exchange.advance()
        hour.model.at_the_end()
        for difference in hour.ledger.violations():
            hour.model.fail(f"I1 the ledger's own audit: {difference}")
        hour.stop_if_broken()

    async def _lift(self, bot: Bot) -> None:
        if self.hour.ledger.trading_state().state is TradingState.HALTED:
            await self.hour._lift_halt(bot)

    def _why(self) -> str:
        return str(self.hour.ledger.reconciliation().detail)[:400]


@contextmanager
def virtual_loop(hour: Hour) -> Iterator[VirtualLoop]:
    """Open an event loop on the hour's time, with the hour's venue at the end of its cables."""
    loop = VirtualLoop(hour.time)
    loop.venue = hour.memory_venue  # type: ignore[attr-defined]
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def play(seed: int, *, length_s: int = 3600) -> Outcomes:
    """Play one hour; what was broken is in the outcome, everything else raises."""
    with (
        tempfile.TemporaryDirectory(dir=fast_folder(), prefix="polybot-hour-") as folder,
        cables_for_sockets(),
        shared_statements(),
    ):
        hour = Hour(seed, Path(folder), length_s=length_s)
        broken = ""
        try:
            with (
                mock.patch("polybot.adapters.polymarket.exchange.new_salt", hour.new_salt),
                virtual_loop(hour) as loop,
            ):
                player = Player(hour)
                try:
                    loop.run_until_complete(player.play())
                except InvariantError as error:
                    broken = str(error)
                finally:
                    left = asyncio.all_tasks(loop)
                    for task in sorted(left, key=lambda task: task.get_name()):
                        task.cancel()
                    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        finally:
            hour.close()
        fired = Counter(hour.plan.fired) + hour.cable.fired + hour.fired
        hour.counts["requests"] = sum(hour.memory_venue.requests.values())
        hour.counts["orders at the venue"] = len(hour.model.sent)
        hour.counts["trades"] = len(hour.gateway.exchange.settlement.trades)
        return Outcomes(
            seed=seed,
            digest=ledger_digest(hour.path),
            steps=hour.model.steps,
            checks=dict(hour.model.checks),
            fired=dict(fired),
            counts=dict(hour.counts),
            broken=broken,
        )
