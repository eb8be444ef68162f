"""How long an approved order takes to become the bytes of its request, durably recorded first.

Ours is the product's own path, ``polybot.execution.place``, from its call to the moment at which
the HTTP client would be handed the body: amounts, fields, hash, all limits inside the transaction,
the intent in a SQLite ledger with ``synchronous=FULL``, signature, body. Two peers and a floor
take turns with it inside one run, because only ratios of one run mean anything on a shared machine:

- both official clients, which build, sign and serialise alone: no limits, no record;
- the floor: 700 bytes appended to a file and synchronised, and one bare signature.

The network is not in it: a round trip to the venue takes far longer than all of this.

Run: ``make bench`` or ``python benchmarks/bench_order.py [--rounds 60]``
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from itertools import count
from pathlib import Path

from bench_signing import OWNER, SIGNER, build_order, funder_of, in_pure_python, older, unified
from bench_signing import floor as bare_signature
from turns import Taken, Turn, machine, report, take_turns

from polybot.adapters.polymarket.auth import ApiCredentials
from polybot.adapters.polymarket.clob_client import ClobClient, RawAnswer
from polybot.adapters.polymarket.exchange import PolymarketExchange
from polybot.adapters.polymarket.order_fields import SignatureType, TradingAccount, fields_of
from polybot.adapters.polymarket.signing import order_id_of
from polybot.adapters.polymarket.venue_memory import VenueMemory
from polybot.adapters.storage.lean_sqlite import LeanTransaction
from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.domain.decisions import Decision, Verdict, trend_key
from polybot.domain.markets import ConditionId, MarketWindow
from polybot.domain.modes import Mode
from polybot.domain.money import ZERO_USDC, usdc
from polybot.domain.orders import ApprovedOrder, ExpectedFill, RiskCheck
from polybot.domain.signals import Direction
from polybot.execution import PlacedOrder, place
from polybot.limits import RiskLimits
from polybot.ports import MarketData

START = build_order().market.window
LIMITS = RiskLimits(
    stake_usdc=Decimal(10),
    max_stake_usdc=Decimal(10),
    min_cash_usdc=Decimal(50),
    max_trades_per_day=1_000_000,
    max_daily_loss_usdc=Decimal(25),
    max_window_exposure_usdc=Decimal(20),
    max_exposure_usdc=Decimal(30),
    max_spread=Decimal("0.05"),
    max_slippage=Decimal("0.03"),
    min_time_left_s=300,
)
REFUSAL = b'{"error":"no orders found to match with FAK order"}'
NAMES = ("trading-state", "book-fresh", "spread", "slippage", "min-size", "cash", "daily-loss")
CHECKS = tuple(RiskCheck(name=name, passed=True, detail="12.5 of at most 25") for name in NAMES)


class _Clock:
    async def now(self) -> datetime:
        return START.start


class _Secret:
    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        return self._text


CREDENTIALS = ApiCredentials(
    key_id=OWNER, secret=_Secret(32 * "QUJD" + "QQ=="), passphrase=_Secret("a" * 64)
)


class _LastMetre(ClobClient):
    """Takes the body of an order, notes when, and refuses the order."""

    taken_at = 0.0
    body = b""

    async def credentials(self) -> ApiCredentials:
        return CREDENTIALS

    async def post_order(
        self, body: bytes, credentials: ApiCredentials, *, at: datetime
    ) -> RawAnswer:
        self.taken_at = time.perf_counter()
        self.body = body
        return RawAnswer(status=400, headers={}, body=REFUSAL)


class _NoMarkets(MarketData):
    """Nothing is looked up here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One ledger, one exchange without a network, and a new market for every order."""

    ledger: SqlLedger
    exchange: PolymarketExchange
    client: _LastMetre
    numbers: "count[int]"

    def take_turn(self, loop: asyncio.AbstractEventLoop) -> float:
        """Claim a decision, place its order, and return the time up to the bytes [s]."""
        return loop.run_until_complete(self._turn())

    async def _turn(self) -> float:
        approved, decision = _approved(next(self.numbers))
        self.ledger.claim_decision(decision)
        start = time.perf_counter()
        placed = await place(
            approved,
            decision,
            exchange=self.exchange,
            ledger=self.ledger,
            clock=_Clock(),
            limits=LIMITS,
        )
        if not isinstance(placed, PlacedOrder):
            raise TypeError(f"an order was not placed: {placed}")
        return self.client.taken_at - start


def open_desk(folder: Path, kind: SignatureType) -> Desk:
    """Return a desk with a new ledger of 10,000 USDC."""
    ledger = open_ledger(folder / f"live-{int(kind)}.db", mode=Mode.LIVE)
    ledger.deposit(usdc(10_000), reference="start", at=START.start)
    client = _LastMetre(
        "http://127.0.0.1:9", SIGNER, clock=_Clock(), timeout_s=1, order_timeout_s=1
    )
    account = TradingAccount(
        key_address=SIGNER.address, funder=funder_of(kind), signature_type=kind
    )
    memory = VenueMemory(folder / f"venue-{int(kind)}")
    # The first order of an installation is a canary and waits for one more file: once in a life.
    first = fields_of(build_order(), account, salt=1, timestamp_ms=1_795_348_800_000)
    memory.claim_canary(order_id_of(first), first)
    memory.pass_canary(order_id_of(first))
    exchange = PolymarketExchange(
        client,
        SIGNER,
        account,
        market_data=_NoMarkets(),
        clock=_Clock(),
        memory=memory,
    )
    return Desk(ledger=ledger, exchange=exchange, client=client, numbers=count())


def _approved(number: int) -> tuple[ApprovedOrder, Decision]:
    """Return an order in a market of its own and its pending decision."""
    window = MarketWindow(series=START.series, start_s=START.start_s + 900 * number)
    base = build_order()
    market = replace(base.market, window=window, condition_id=ConditionId(f"0x{number:064x}"))
    order = replace(base, market=market, decision_key=trend_key("ema-rsi-macd", window))
    expected = ExpectedFill(
        size=order.size,
        average_price=order.limit_price,
        cost_usdc=order.budget_usdc,
        fee_usdc=ZERO_USDC,
        half_spread_usdc=ZERO_USDC,
        break_even=Decimal(order.limit_price),
    )
    decision = Decision(
        key=order.decision_key,
        strategy="ema-rsi-macd",
        window=window,
        verdict=Verdict.PENDING,
        reason="fast EMA crossed above the slow one",
        decided_at=START.start,
        run_name=window.slug,
        direction=Direction.UP,
        condition_id=market.condition_id,
        indicators={"ema_fast": 77_665.25, "ema_slow": 77_660.5, "rsi": 58.1},
        checks=CHECKS,
    )
    return ApprovedOrder(order=order, checks=CHECKS, expected=expected), decision


def floor(folder: Path, kind: SignatureType) -> Turn:
    """One append with ``fdatasync`` and one bare signature: what nothing durable can beat."""
    handle = os.open(folder / f"floor-{int(kind)}", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    line = b"x" * 700
    sign = bare_signature(kind)

    def run() -> None:
        os.write(handle, line)
        os.fdatasync(handle)
        sign()

    return timed(run)


def timed(run: Callable[[], object]) -> Turn:
    """Return a turn that counts all of a call."""

    def turn() -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    return turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A step of the path, found by the method that does it."""

    name: str
    owner: object
    method: str


def take_apart(desk: Desk, loop: asyncio.AbstractEventLoop, turns: int) -> dict[str, float]:
    """Return the median microseconds of each step; the clock's own calls are in them."""
    parts = (
        Part(name="amounts, fields, hash", owner=PolymarketExchange, method="prepare"),
        Part(name="intent: all of it", owner=SqlLedger, method="record_intent"),
        Part(name="intent: SQLite's commit with its fsync", owner=LeanTransaction, method="commit"),
        Part(name="rebuilt from the record, signed", owner=type(SIGNER), method="rebuild"),
        Part(name="restrictions of the venue", owner=VenueMemory, method="restriction"),
    )
    taken: dict[str, list[float]] = {part.name: [] for part in parts}
    whole = []
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(_watched(part, taken[part.name]))
        for _ in range(turns):
            whole.append(desk.take_turn(loop) * 1e6)
            # The claim before, the report after and a look at the order end transactions, too.
            commits = taken["intent: SQLite's commit with its fsync"]
            commits[-4:] = commits[-3:-2]
    medians = {name: statistics.median(each) for name, each in taken.items()}
    steps = ("amounts, fields, hash", "intent: all of it", "rebuilt from the record, signed")
    rest = statistics.median(whole) - sum(medians[name] for name in steps)
    return {**medians, "the rest: limits, clock, canary, body": rest}


@contextmanager
def _watched(part: Part, taken: list[float]) -> Iterator[None]:
    original = getattr(part.owner, part.method)

    def watched(*args: object, **options: object) -> object:
        start = time.perf_counter()
        try:
            return original(*args, **options)
        finally:
            taken.append((time.perf_counter() - start) * 1e6)

    setattr(part.owner, part.method, watched)
    try:
        yield
    finally:
        setattr(part.owner, part.method, original)


def tell(kind: SignatureType, taken: dict[str, Taken], first_us: float) -> None:
    """Print what was measured, ours first, and how it stands to the goals."""
    print(f"\n{kind.name} (signature type {int(kind)}), microseconds; {machine()}")
    report(taken, OURS)
    ours, bottom = taken[OURS], taken[FLOOR]
    print(f"first order of a process, nothing compiled yet: {first_us:.0f}")
    # A disk that others use makes the floor high and its ratio small; the bests show it free.
    print(
        f"to the floor: {ours.median / bottom.median:.2f}x of medians, "
        f"{ours.best / bottom.best:.2f}x of bests (goal: at most 2)"
    )
    for name in SLOW:
        print(
            f"{name}: {taken[name].median / ours.median:.1f}x ours of medians, "
            f"{taken[name].best / ours.best:.1f}x of bests, for less (goal: at least 8)"
        )


OURS = "polybot: place, durable (FULL)"
FLOOR = "floor: fdatasync of 700 B and one signature"
SLOW = ("polymarket-client, as installed", "py-clob-client-v2, as installed")


def main() -> None:
    """Measure both kinds of wallet and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60, help="rows of turns")
    rounds = parser.parse_args().rounds
    loop = asyncio.new_event_loop()
    # Beside the sources: a temporary folder in memory would synchronise nothing.
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent) as name:
        for kind in (SignatureType.EOA, SignatureType.DEPOSIT_WALLET):
            desk = open_desk(Path(name), kind)
            first_us = desk.take_turn(loop) * 1e6

            def ours(desk: Desk = desk) -> float:
                return desk.take_turn(loop)

            turns: dict[str, Turn] = {
                OURS: ours,
                FLOOR: floor(Path(name), kind),
                "polymarket-client, as installed": timed(in_pure_python(unified)(kind)),
                "polymarket-client, coincurve": timed(unified(kind)),
                "py-clob-client-v2, as installed": timed(in_pure_python(older)(kind)),
                "py-clob-client-v2, coincurve": timed(older(kind)),
            }
            tell(kind, take_turns(turns, rounds, slow=SLOW), first_us)
            print("ours alone, step by step (medians of a run of its own):")
            for step, median_us in take_apart(desk, loop, rounds * 5).items():
                print(f"  {step:50}{median_us:9.0f}")
            desk.ledger.close()
    loop.close()


if __name__ == "__main__":
    main()
