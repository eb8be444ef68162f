"""The arithmetic of the books against an independent model, and at its corners."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from polybot.accounting import (
    AccountBooks,
    DayBooks,
    FillAmounts,
    TokenBooks,
    apply_fill,
    book_change,
    book_day_change,
    book_day_deposit,
    book_deposit,
    day_at,
    payout_of,
    raise_high_water,
    replay,
    settle_token,
    shrink_reservation,
    value_at_bid,
)
from polybot.domain.orders import Side

ONE = 1_000_000
fills = st.builds(
    FillAmounts,
    side=st.sampled_from(Side),
    size=st.integers(1, 10**13),
    price=st.integers(1, ONE - 1),
    fee=st.integers(0, 10**9),
)
payouts = st.sampled_from([Decimal(0), Decimal(1), Decimal("0.5"), Decimal("0.333333333")])


@dataclass
class NaiveBooks:
    """Decimals and average cost, written from the rules and not from the code."""

    shares: Decimal = Decimal(0)
    cash: Decimal = Decimal(0)
    fees: Decimal = Decimal(0)
    cost: Fraction = Fraction(0)
    rounding: int = 0

    def trade(self, fill: FillAmounts) -> None:
        size, price, fee = (Decimal(n).scaleb(-6) for n in (fill.size, fill.price, fill.fee))
        micro = Decimal("0.000001")
        self.fees += fee
        if fill.side is Side.BUY:
            paid = (size * price).quantize(micro, ROUND_CEILING)
            covered = min(size, max(-self.shares, Decimal(0)))
            self.cost += Fraction(paid) * Fraction(size - covered) / Fraction(size)
            self.cash -= paid + fee
            self.shares += size
        else:
            self.cash += (size * price).quantize(micro, ROUND_FLOOR) - fee
            left = max(self.shares - size, Decimal(0))
            self.cost = self.cost * Fraction(left) / Fraction(self.shares) if left else Fraction(0)
            self.shares -= size
        self.rounding += 1


def naive_of(history: list[FillAmounts]) -> NaiveBooks:
    """Trade a history in the naive model."""
    books = NaiveBooks()
    with localcontext() as context:
        context.prec = 60
        for fill in history:
            books.trade(fill)
    return books


@given(st.lists(fills, max_size=12))
def test_books_equal_the_independent_model(history: list[FillAmounts]) -> None:
    """Cash, shares and fees exactly; cost within the micro-USDC that each step may round."""
    books, naive = replay(history), naive_of(history)

    assert Decimal(books.size).scaleb(-6) == naive.shares
    assert Decimal(books.cash).scaleb(-6) == naive.cash
    assert Decimal(books.fees).scaleb(-6) == naive.fees
    assert abs(Fraction(books.cost, ONE) - naive.cost) <= Fraction(len(history), ONE)
    assert books.cash == books.realised - books.cost


@given(st.lists(fills, max_size=12), payouts)
def test_nothing_is_left_after_a_settlement(history: list[FillAmounts], pay: Decimal) -> None:
    """No share, no cost; cash is the result, to the last micro-USDC."""
    before = replay(history)
    after = settle_token(before, pay)

    assert (after.size, after.cost) == (0, 0)
    assert after.cash == after.realised
    assert after.cash - before.cash == payout_of(before, pay)
    assert 0 <= payout_of(before, pay) <= before.held
    assert payout_of(before, pay) <= Fraction(before.held) * Fraction(pay)


@given(st.lists(fills, max_size=8))
def test_cost_is_never_negative_and_nothing_without_shares(history: list[FillAmounts]) -> None:
    """At every step on the way, not only at the end."""
    books = TokenBooks()
    for fill in history:
        books = apply_fill(books, fill)
        assert books.cost >= 0
        assert books.size > 0 or books.cost == 0


@given(st.lists(fills, max_size=8), fills, st.integers(0, 8))
def test_voiding_by_replay_equals_never_having_traded(
    history: list[FillAmounts], extra: FillAmounts, position: int
) -> None:
    """The change from with to without brings the totals to where they had been."""
    with_extra = replay([*history[:position], extra, *history[position:]])
    without = replay(history)
    account = book_change(AccountBooks(), with_extra)

    assert book_change(account, without.minus(with_extra)) == book_change(AccountBooks(), without)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("deposit"), st.integers(1, 10**12)),
            st.tuples(st.just("fill"), fills),
            st.tuples(st.just("settle"), payouts),
        ),
        max_size=15,
    )
)
def test_account_is_balanced_after_every_event(events: list[tuple[str, object]]) -> None:
    """Cash = deposits + realised − position cost, and the day never disagrees with the totals."""
    account, books = AccountBooks(), TokenBooks()
    day = day_at(None, account, datetime(2026, 1, 1, tzinfo=UTC).date())
    for _, value in events:
        if isinstance(value, int):
            account, day = book_deposit(account, value), book_day_deposit(day, value)
            continue
        after = apply_fill(books, value) if isinstance(value, FillAmounts) else None
        after = after or settle_token(books, Decimal(str(value)))
        account = book_change(account, after.minus(books))
        day = book_day_change(day, after.minus(books))
        books = after
        assert account.imbalance == 0
    assert account.imbalance == 0
    assert day.opening_equity == account.deposits
    assert (day.realised, day.fees) == (account.realised, account.fees)
    assert account.position_cost == books.cost


def test_imbalance_says_by_how_much() -> None:
    """The sign tells whether cash is missing."""
    assert AccountBooks(cash=5, deposits=7, realised=-1, position_cost=2).imbalance == 1


def test_purchase_rounds_up_and_sale_rounds_down() -> None:
    """One micro-share at 0.5."""
    assert FillAmounts(side=Side.BUY, size=1, price=ONE // 2, fee=3).gross == 1
    assert FillAmounts(side=Side.BUY, size=1, price=ONE // 2, fee=3).spent == 4
    assert FillAmounts(side=Side.SELL, size=1, price=ONE // 2, fee=3).gross == 0
    assert FillAmounts(side=Side.SELL, size=1, price=ONE // 2, fee=3).spent == 0


def test_reservation_shrinks_by_what_was_spent_and_not_below_zero() -> None:
    """Cost and fee of a purchase; a sale spends nothing."""
    buy = FillAmounts(side=Side.BUY, size=10 * ONE, price=ONE // 2, fee=175_000)
    assert shrink_reservation(6 * ONE, buy) == 825_000
    assert shrink_reservation(ONE, buy) == 0
    sell = FillAmounts(side=Side.SELL, size=10 * ONE, price=ONE // 2, fee=175_000)
    assert shrink_reservation(6 * ONE, sell) == 6 * ONE


def test_purchase_that_covers_oversold_shares_is_realised() -> None:
    """Two of three shares cover what was sold without being held; the third is a position."""
    oversold = TokenBooks(size=-2 * ONE, cash=1_400_000, realised=1_400_000)
    buy = FillAmounts(side=Side.BUY, size=3 * ONE, price=600_000, fee=0)

    books = apply_fill(oversold, buy)

    assert (books.size, books.cost) == (ONE, 600_000)
    assert books.realised == 1_400_000 - 1_200_000


def test_oversold_shares_are_paid_nothing_and_have_no_value() -> None:
    """The venue knows no short positions."""
    assert payout_of(TokenBooks(size=-ONE), Decimal(1)) == 0
    assert value_at_bid(-ONE, 500_000) == 0


def test_value_at_the_bid_rounds_down() -> None:
    """Nobody bids: nothing."""
    assert value_at_bid(3, 500_000) == 1
    assert value_at_bid(3 * ONE, None) == 0


def test_high_water_only_rises() -> None:
    """Equity is cash and positions at the bid."""
    account = raise_high_water(AccountBooks(cash=5, position_value=3))
    assert (account.equity, account.high_water) == (8, 8)
    assert raise_high_water(AccountBooks(cash=5, high_water=8)).high_water == 8


def test_day_opens_once_and_never_goes_back() -> None:
    """A new date opens with the equity of that moment; an old date counts today."""
    account = AccountBooks(cash=5, position_value=3)
    first, second = (datetime(2026, 1, n, tzinfo=UTC).date() for n in (1, 2))
    today = day_at(DayBooks(day=first, opening_equity=1, trade_count=4), account, second)

    assert today == DayBooks(day=second, opening_equity=8)
    assert day_at(today, AccountBooks(), second) is today
    assert day_at(today, AccountBooks(), first) is today


def test_sale_releases_cost_rounded_down_and_the_last_share_takes_the_rest() -> None:
    """100 micro-USDC over three shares: 33, 33, 34."""
    books = TokenBooks(size=3 * ONE, cost=100, realised=0, cash=-100)
    sale = FillAmounts(side=Side.SELL, size=ONE, price=ONE // 2, fee=0)
    released = []
    for _ in range(3):
        after = apply_fill(books, sale)
        released.append(books.cost - after.cost)
        books = after

    assert released == [33, 33, 34]
