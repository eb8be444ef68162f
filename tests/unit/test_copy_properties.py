"""What must hold for every leader, every policy and every book: caps, guards, roundings, exits."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from polybot.copy_trading.caps import caps_of
from polybot.copy_trading.decide import CopySituation, decide_copy
from polybot.copy_trading.situation import CopyOrder
from polybot.domain.books import BookLevel, OrderBook
from polybot.domain.leaders import (
    CopyPolicy,
    CopyVerdict,
    LeaderHolding,
    LeaderTrade,
    Sizing,
    SmallCopies,
)
from polybot.domain.markets import FeeSchedule
from polybot.domain.money import Price, Shares
from polybot.domain.orders import Order, Side
from tests.builders import NOW, UP_TOKEN, build_limits, build_market
from tests.copy_builders import (
    MARKET,
    build_holding,
    build_leader,
    build_situation,
    build_spending,
    build_trade,
)

TICKS = st.sampled_from([Decimal(text) for text in ("0.01", "0.005", "0.0025", "0.001", "0.0001")])
CENT = Decimal("0.01")


def amounts(low: str, high: str, step: str = "0.000001") -> st.SearchStrategy[Decimal]:
    """Return decimals of a grid, ends included."""
    unit = Decimal(step)
    ends = (int(Decimal(low) / unit), int(Decimal(high) / unit))
    return st.integers(*ends).map(lambda count: count * unit)


def pick(*texts: str) -> st.SearchStrategy[Decimal]:
    """Return one of some decimals, each as likely as the others."""
    return st.sampled_from([Decimal(text) for text in texts])


@st.composite
def books(draw: st.DrawFn) -> OrderBook | None:
    """Return any legal book, sometimes one-sided, empty, or none at all."""
    if not draw(st.integers(0, 15)):
        return None
    tick = draw(TICKS)
    steps = int(1 / tick)
    middle = draw(st.integers(2, steps - 1) | st.integers(steps // 3, steps * 2 // 3))
    least = 1 if draw(st.integers(0, 9)) else 0
    bids = draw(st.sets(st.integers(max(1, middle - 3), middle - 1), min_size=least, max_size=3))
    asks = draw(
        st.sets(st.integers(middle, min(steps - 1, middle + 3)), min_size=least, max_size=3)
    )

    def levels(picks: list[int]) -> tuple[BookLevel, ...]:
        size = amounts("0.01", "500", "0.01")
        return tuple(BookLevel(price=Price(pick * tick), size=Shares(draw(size))) for pick in picks)

    return OrderBook(
        token_id=UP_TOKEN,
        bids=levels(sorted(bids, reverse=True)),
        asks=levels(sorted(asks)),
        tick_size=tick,
        min_order_size=Shares(draw(amounts("1", "20", "1"))),
        as_of=NOW - timedelta(seconds=draw(st.sampled_from([0, 0, 0, 10, 11]))),
    )


POLICIES = st.builds(
    CopyPolicy,
    sizing=st.sampled_from(Sizing),
    scale=amounts("0.001", "3", "0.001"),
    fixed_usdc=amounts("0.5", "50", "0.01"),
    leader_equity_usdc=st.none() | amounts("1", "100000", "0.01"),
    max_trade_usdc=amounts("1", "60"),
    max_market_usdc=amounts("1", "100"),
    max_leader_usdc=amounts("1", "200"),
    max_day_usdc=amounts("1", "400"),
    max_price_above=amounts("0", "0.2", "0.0001"),
    max_price_fraction=amounts("0", "0.5", "0.0001"),
    min_leader_stake_usdc=amounts("0", "2", "0.1"),
    max_from_book=amounts("0", "1", "0.01"),
    min_price=st.just(Decimal("0.01")),
    max_price=amounts("0.6", "0.99", "0.001"),
    small_copies=st.sampled_from(SmallCopies),
)
FEES = st.builds(
    FeeSchedule,
    rate=st.sampled_from([Decimal(0), Decimal("0.07"), Decimal(1)]),
    exponent=st.integers(1, 2),
)


@st.composite
def holdings(draw: st.DrawFn) -> LeaderHolding | None:
    """Return any holding, with something pending on one side or none."""
    if not draw(st.integers(0, 5)):
        return None
    our_size = draw(amounts("0", "300") | pick("7.25", "40", "123.456789"))
    pending: dict[str, Any] = {}
    if draw(st.booleans()):
        age = timedelta(seconds=draw(st.sampled_from([1, 120, 121])))
        pending = {"pending_since": NOW - age, "pending_usdc": draw(amounts("0", "5"))}
        if draw(st.booleans()):
            pending |= {"pending_usdc": Decimal(0), "pending_size": draw(amounts("0", "6"))}
    return replace(
        build_holding(),
        leader_size=Shares(draw(amounts("0", "3000") | pick("50", "300", "900"))),
        our_size=Shares(our_size),
        in_flight_usdc=draw(st.just(Decimal(0)) | amounts("0", "30")),
        **pending,
    )


@st.composite
def situations(draw: st.DrawFn) -> CopySituation:
    """Return any situation; the market's and the book's ticks may differ."""
    tick = draw(TICKS)
    holding = draw(holdings())
    selling = draw(st.sampled_from([Decimal(0), Decimal(0), Decimal("0.5"), Decimal(2)]))
    spent = {
        "day_usdc": draw(amounts("0", "400")),
        "open_usdc": draw(amounts("0", "200")),
        "market_usdc": {MARKET.condition_id: draw(amounts("0", "100"))},
    }
    return build_situation(
        leader=build_leader(policy=draw(POLICIES)),
        market=build_market(tick_size=tick, fees=draw(FEES)),
        book=draw(books()),
        holding=holding,
        selling_size=Decimal(0) if holding is None else holding.our_size * selling,
        equity_usdc=draw(amounts("0", "5000", "0.01")),
        limits=build_limits(max_stake_usdc=draw(amounts("1", "100"))),
        spending=draw(st.sampled_from([None, build_spending(**spent)])),
    )


@st.composite
def cases(draw: st.DrawFn, side: Side) -> tuple[LeaderTrade, CopySituation]:
    """Return a situation and a trade; in most of them every guard but a few is far away."""
    situation = draw(situations())
    if not draw(st.integers(0, 3)):
        price = draw(amounts("0.0001", "0.9999", "0.0001") | amounts("0.000001", "0.999999"))
        trade = replace(build_trade(side), price=price, size=Shares(draw(amounts("0.01", "3000"))))
        return trade, situation
    ask = draw(pick("0.06", "0.2", "0.37", "0.5", "0.51", "0.66", "0.8", "0.93"))
    size = draw(pick("10", "40.5", "99.999999", "200", "700", "2500.25"))
    trade = replace(
        build_trade(side),
        price=ask + draw(pick("-0.02", "-0.01", "-0.0033", "0", "0", "0.0049", "0.012")),
        size=Shares(size),
        traded_at=NOW - timedelta(seconds=draw(st.sampled_from([0, 2, 10]))),
    )
    policy = replace(
        situation.leader.policy,
        scale=draw(pick("0.02", "0.1", "0.333", "1.5")),
        leader_equity_usdc=draw(pick("100", "900", "10000")),
        min_price=Decimal("0.01"),
        max_price=Decimal("0.99"),
        max_price_above=draw(pick("0", "0.01", "0.03", "0.2")),
        max_price_fraction=draw(pick("0", "0.02", "0.1", "0.5")),
        max_from_book=Decimal(1),
        min_leader_stake_usdc=Decimal(0),
        **{
            f"max_{name}_usdc": draw(pick("3", "8.000001", "30", "60", "500"))
            for name in ("trade", "market", "leader", "day")
        },
    )
    bid = ask - draw(pick("0.01", "0.03"))
    book = OrderBook(
        token_id=UP_TOKEN,
        bids=(BookLevel(price=Price(bid), size=Shares(draw(pick("3", "80", "9000")))),),
        asks=(BookLevel(price=Price(ask), size=Shares(draw(pick("3", "80", "9000")))),),
        tick_size=Decimal("0.01"),
        min_order_size=Shares(draw(pick("5", "5", "15"))),
        as_of=NOW,
    )
    leader = replace(situation.leader, policy=policy)
    return trade, replace(situation, leader=leader, book=book, equity_usdc=size)


def stake_of_policy(trade: LeaderTrade, situation: CopySituation) -> Decimal:
    """Return what the policy wants to be spent, without rounding: computed another way."""
    policy, holding = situation.leader.policy, situation.holding
    pending = Decimal(0)
    if (
        holding is not None
        and holding.pending_since is not None
        and (NOW - holding.pending_since).total_seconds() <= policy.accumulate_s
    ):
        pending = holding.pending_usdc
    if policy.sizing is Sizing.FIXED:
        return policy.fixed_usdc + pending
    stake = policy.scale * trade.price * trade.size
    if policy.sizing is Sizing.PROPORTIONAL:
        return stake + pending
    if policy.sizing is Sizing.EQUITY_RATIO:
        assert policy.leader_equity_usdc is not None
        return stake * situation.equity_usdc / policy.leader_equity_usdc + pending
    before = holding.leader_size if holding else Decimal(0)
    ours = holding.our_size if holding else Decimal(0)
    in_flight = holding.in_flight_usdc if holding else Decimal(0)
    return (policy.scale * (before + trade.size) - ours) * trade.price - in_flight


def is_on_grid(order: Order, situation: CopySituation) -> bool:
    """Return whether the venue takes the order's numbers as they are."""
    ticks = [order.market.tick_size] + ([situation.book.tick_size] if situation.book else [])
    return 0 < order.limit_price < 1 and order.limit_price % max(ticks) == 0


class TestEntries:
    """A BUY never spends, pays or risks more than anything allows."""

    @given(case=cases(Side.BUY))
    @settings(max_examples=800, deadline=None, derandomize=True)
    def test_copy_is_within_every_cap_and_guard(
        self, case: tuple[LeaderTrade, CopySituation]
    ) -> None:
        """Whatever is decided: caps, both price guards, the grid, the minimums, the policy."""
        trade, situation = case
        answer = decide_copy(trade, situation)
        if not isinstance(answer, CopyOrder):
            assert answer.record.reason_code
            assert answer.record.reason
            return
        policy, order, book = situation.leader.policy, answer.approved.order, situation.book
        assert book is not None
        assert order.budget_usdc <= min(policy.max_trade_usdc, situation.limits.max_stake_usdc)
        assert order.budget_usdc <= stake_of_policy(trade, situation)
        assert order.budget_usdc % CENT == 0
        assert order.limit_price <= trade.price + policy.max_price_above
        assert order.limit_price <= trade.price * (1 + policy.max_price_fraction)
        assert order.limit_price <= policy.max_price
        assert order.limit_price >= book.asks[0].price
        assert is_on_grid(order, situation)
        assert order.size >= max(5, order.market.min_order_size, book.min_order_size)
        assert order.size * order.limit_price <= order.budget_usdc
        assert order.budget_usdc >= 1
        if situation.spending is not None:
            assert all(one.passed for one in caps_of(policy, order)(situation.spending))

    @given(case=cases(Side.BUY))
    @settings(max_examples=400, deadline=None, derandomize=True)
    def test_waiting_amount_is_never_more_than_the_stake(
        self, case: tuple[LeaderTrade, CopySituation]
    ) -> None:
        """What is pending was wanted, and nothing is pending twice."""
        trade, situation = case
        record = decide_copy(trade, situation).record
        if record.verdict is not CopyVerdict.ACCUMULATED:
            assert record.accumulate_usdc == 0
            return
        alone = replace(situation, holding=None)
        is_target = situation.leader.policy.sizing is Sizing.POSITION_TARGET
        wanted = Decimal(0) if is_target else stake_of_policy(trade, alone)
        assert 0 <= record.accumulate_usdc <= wanted
        assert record.accumulate_size == 0

    @given(
        case=cases(Side.BUY),
        late=st.integers(-2_000_000, 2_000_000),
        limit=st.integers(1, 30),
    )
    @settings(max_examples=400, deadline=None, derandomize=True)
    def test_age_boundary_is_exact_to_the_microsecond(
        self, case: tuple[LeaderTrade, CopySituation], late: int, limit: int
    ) -> None:
        """At the limit a trade may be copied, a microsecond later it is always too old."""
        trade, situation = case
        policy = replace(situation.leader.policy, max_age_s=float(limit))
        young = replace(situation, leader=replace(situation.leader, policy=policy))
        age = timedelta(seconds=limit, microseconds=late)
        code = decide_copy(replace(trade, traded_at=NOW - age), young).record.reason_code
        assert (code == "too-old") is (late > 0)


class TestExits:
    """A SELL never sells more than we hold, however often the leader sells."""

    @given(case=cases(Side.SELL))
    @settings(max_examples=400, deadline=None, derandomize=True)
    def test_exit_is_of_what_we_hold_and_never_below_the_guards(
        self, case: tuple[LeaderTrade, CopySituation]
    ) -> None:
        """Never more than is free, on the venue's grid, and never a worse price than allowed."""
        trade, situation = case
        answer = decide_copy(trade, situation)
        holding = situation.holding
        free = holding.our_size - situation.selling_size if holding else Decimal(0)
        if not isinstance(answer, CopyOrder):
            assert answer.record.accumulate_size <= max(free, Decimal(0))
            return
        policy, order = situation.leader.policy, answer.approved.order
        assert 5 <= order.size <= free
        assert order.size % CENT == 0
        ticks = [order.market.tick_size] + ([situation.book.tick_size] if situation.book else [])
        guard = trade.price - min(policy.max_price_above, trade.price * policy.max_price_fraction)
        assert order.limit_price >= min(guard, 1 - max(ticks))
        assert order.limit_price - guard < max(ticks)
        assert is_on_grid(order, situation)

    @given(
        our_size=amounts("0", "500"),
        leader_size=amounts("0", "5000"),
        sales=st.lists(amounts("0.01", "900"), min_size=1, max_size=30),
        are_filled=st.booleans(),
    )
    @settings(max_examples=400, deadline=None, derandomize=True)
    def test_all_exits_together_never_sell_more_than_was_held(
        self, our_size: Decimal, leader_size: Decimal, sales: list[Decimal], *, are_filled: bool
    ) -> None:
        """Filled at once or still on their way; and a leader who sold everything left us little."""
        start = replace(build_holding(), our_size=Shares(our_size), leader_size=Shares(leader_size))
        holding, sold, selling = start, Decimal(0), Decimal(0)
        for size in sales:
            trade = build_trade(Side.SELL, size=str(size))
            answer = decide_copy(trade, build_situation(holding=holding, selling_size=selling))
            pending = holding.pending_size + answer.record.accumulate_size
            if isinstance(answer, CopyOrder):
                pending, gone = Decimal(0), answer.approved.order.size
                sold += gone
                if are_filled:
                    holding = replace(holding, our_size=Shares(holding.our_size - gone))
                else:
                    selling += gone
            left = max(holding.leader_size - size, Decimal(0))
            holding = replace(
                holding,
                leader_size=Shares(left),
                pending_size=Shares(pending),
                pending_since=NOW if pending else None,
            )
            assert sold <= our_size
        if sum(sales) >= leader_size:
            assert our_size - sold < 5

    @given(
        our_size=amounts("50", "500"),
        parts=st.lists(amounts("1", "60"), min_size=1, max_size=12),
        rest=amounts("0", "1000"),
    )
    @settings(max_examples=400, deadline=None, derandomize=True)
    def test_exits_sell_the_fraction_that_the_leader_sold(
        self, our_size: Decimal, parts: list[Decimal], rest: Decimal
    ) -> None:
        """In many small sales or one large: ours is the same but for what still waits."""
        leader_size = sum(parts, rest)
        holding = replace(
            build_holding(), our_size=Shares(our_size), leader_size=Shares(leader_size)
        )
        sold = Decimal(0)
        for size in parts:
            trade = build_trade(Side.SELL, size=str(size))
            answer = decide_copy(trade, build_situation(holding=holding))
            pending = holding.pending_size + answer.record.accumulate_size
            if isinstance(answer, CopyOrder):
                gone = answer.approved.order.size
                sold += gone
                pending = Decimal(0)
                holding = replace(holding, our_size=Shares(holding.our_size - gone))
            holding = replace(
                holding,
                leader_size=Shares(holding.leader_size - size),
                pending_size=Shares(pending),
                pending_since=NOW if pending else None,
            )
        wanted = our_size * sum(parts, Decimal(0)) / leader_size
        # Each order leaves less than a hundredth of a share behind.
        assert wanted - CENT * len(parts) <= sold + holding.pending_size <= wanted + CENT
