"""The arithmetic of the books: fills, sales, voids, settlements, days, equity.

Plain functions on integers of 10⁻⁶ (micro-USDC, micro-shares), so that every sum is exact. No
database and no clock in here: the ledger loads, calls these, and stores what they return.

Rounding goes against us: costs up, proceeds and payouts down. In every state

    cash = deposits + realised P&L − position cost

holds to the last micro-USDC, because each function changes both sides by the same integer.

**Voids.** A fill that the venue voids is taken out by replaying the token's remaining fills in
the order in which they were recorded. The books are then what they would be had the fill never
been; later sales find their cost basis again in what remains. Where shares were sold that only
the voided purchase had brought, the size is negative (oversold) until the sale is voided as well
or a purchase covers it; oversold shares have no cost and are paid nothing. In a settled market
the payout is computed again from the replayed holding, which takes the voided shares' payout
back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Final

from polybot.domain.orders import Side

UNIT: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FillAmounts:
    """What a fill says: side, size [micro-shares], price [micro-USDC/share], fee [micro-USDC]."""

    side: Side
    size: int
    price: int
    fee: int

    @property
    def gross(self) -> int:
        """What the shares cost, rounded up, or what they brought, rounded down [micro-USDC]."""
        exact = self.size * self.price
        return -(-exact // UNIT) if self.side is Side.BUY else exact // UNIT

    @property
    def spent(self) -> int:
        """Cash that left us, fee included [micro-USDC]; 0 for a SELL."""
        return self.gross + self.fee if self.side is Side.BUY else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenBooks:
    """Everything that was booked for one outcome token; ``cash = realised − cost`` always."""

    size: int = 0
    """Held [micro-shares]; negative: sold more than was bought, see the module's text."""
    cost: int = 0
    """What the held shares cost, without fees [micro-USDC]; 0 where nothing is held."""
    realised: int = 0
    """Result of sales and settlement, minus all fees [micro-USDC]."""
    fees: int = 0
    """Fees paid [micro-USDC]; they are inside ``realised`` too."""
    cash: int = 0
    """Cash that came in, minus cash that left [micro-USDC]."""

    @property
    def held(self) -> int:
        """Shares that can be sold or paid out [micro-shares]."""
        return max(self.size, 0)

    def minus(self, before: "TokenBooks") -> "TokenBooks":
        """Return the change from ``before`` to this state."""
        return TokenBooks(
            size=self.size - before.size,
            cost=self.cost - before.cost,
            realised=self.realised - before.realised,
            fees=self.fees - before.fees,
            cash=self.cash - before.cash,
        )


def apply_fill(books: TokenBooks, fill: FillAmounts) -> TokenBooks:
    """Book one fill: a purchase adds cost, a sale releases cost and realises the difference.

    The fee is realised at once. A sale releases cost in proportion, rounded down, and the last
    share takes the rest, so that nothing is left over.
    """
    if fill.side is Side.BUY:
        # What covers oversold shares is spent for good: it is realised, never a cost of holdings.
        kept_size = min(max(books.size + fill.size, 0), fill.size)
        kept_cost = fill.gross * kept_size // fill.size
        return TokenBooks(
            size=books.size + fill.size,
            cost=books.cost + kept_cost,
            realised=books.realised - (fill.gross - kept_cost) - fill.fee,
            fees=books.fees + fill.fee,
            cash=books.cash - fill.gross - fill.fee,
        )
    released = _released_cost(books, fill.size)
    return TokenBooks(
        size=books.size - fill.size,
        cost=books.cost - released,
        realised=books.realised + fill.gross - released - fill.fee,
        fees=books.fees + fill.fee,
        cash=books.cash + fill.gross - fill.fee,
    )


def _released_cost(books: TokenBooks, sold: int) -> int:
    if sold >= books.held:
        return books.cost
    return books.cost * sold // books.held


def replay(fills: Iterable[FillAmounts]) -> TokenBooks:
    """Return a token's books from its fills that were not voided, in recorded order."""
    books = TokenBooks()
    for fill in fills:
        books = apply_fill(books, fill)
    return books


def payout_of(books: TokenBooks, per_share: Decimal) -> int:
    """Return what a resolution pays for the held shares, rounded down [micro-USDC].

    Args:
        books: The token's books before settlement.
        per_share: What one share of this outcome pays [USDC], inside [0, 1].
    """
    return int(Fraction(books.held) * Fraction(per_share) // 1)


def settle_token(books: TokenBooks, per_share: Decimal) -> TokenBooks:
    """Pay a token out: the position becomes cash, the difference to its cost is realised."""
    payout = payout_of(books, per_share)
    return TokenBooks(
        size=0,
        cost=0,
        realised=books.realised + payout - books.cost,
        fees=books.fees,
        cash=books.cash + payout,
    )


def value_at_bid(size: int, bid: int | None) -> int:
    """Return what held shares are worth at the bid, rounded down [micro-USDC]; 0 without one."""
    return max(size, 0) * (bid or 0) // UNIT


def shrink_reservation(reserved: int, fill: FillAmounts) -> int:
    """Return what an order still holds back after a fill spent part of it [micro-USDC]."""
    return max(reserved - fill.spent, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountBooks:
    """Running totals over everything [micro-USDC]."""

    cash: int = 0
    reserved: int = 0
    position_cost: int = 0
    position_value: int = 0
    realised: int = 0
    fees: int = 0
    deposits: int = 0
    high_water: int = 0

    @property
    def equity(self) -> int:
        """Cash plus positions at the bid [micro-USDC]."""
        return self.cash + self.position_value

    @property
    def imbalance(self) -> int:
        """How far the invariant is off [micro-USDC]; anything but 0 is a defect."""
        return self.cash - (self.deposits + self.realised - self.position_cost)


def book_change(account: AccountBooks, change: TokenBooks) -> AccountBooks:
    """Carry the change of one token's books to the totals."""
    return replace(
        account,
        cash=account.cash + change.cash,
        position_cost=account.position_cost + change.cost,
        realised=account.realised + change.realised,
        fees=account.fees + change.fees,
    )


def book_deposit(account: AccountBooks, amount: int) -> AccountBooks:
    """Book cash that came in [micro-USDC]."""
    return replace(account, cash=account.cash + amount, deposits=account.deposits + amount)


def book_withdrawal(account: AccountBooks, amount: int) -> AccountBooks:
    """Book cash that left to the outside; the high-water mark falls with it, for it is no loss.

    Args:
        account: The totals before.
        amount: What left [micro-USDC], > 0.
    """
    return replace(
        account,
        cash=account.cash - amount,
        deposits=account.deposits - amount,
        high_water=max(account.high_water - amount, 0),
    )


def fee_adjustment(change: int) -> TokenBooks:
    """Return the change of the books by fees that the venue rounded otherwise than we did.

    Args:
        change: Cash that came (positive) or went [micro-USDC].
    """
    return TokenBooks(realised=change, fees=-change, cash=change)


# The venue's rounding of fees to steps of 10⁻⁵ USDC is not published, and it may round the cost
# of a fill by a micro-USDC otherwise than we do; nothing more is ever put down to rounding.
FEE_STEP_MICRO: Final = 10


def most_rounding(*, fill_count: int, taker_fill_count: int) -> int:
    """Return what rounding can explain at most [micro-USDC].

    Args:
        fill_count: All booked fills.
        taker_fill_count: Those of them that were charged a fee.
    """
    return FEE_STEP_MICRO * taker_fill_count + fill_count


def raise_high_water(account: AccountBooks) -> AccountBooks:
    """Remember the equity where it is the highest so far."""
    if account.equity <= account.high_water:
        return account
    return replace(account, high_water=account.equity)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayBooks:
    """Counters of one UTC day."""

    day: date
    opening_equity: int
    """Equity when the day began, plus deposits made since, minus withdrawals [micro-USDC]."""
    trade_count: int = 0
    realised: int = 0
    fees: int = 0


def day_at(current: DayBooks | None, account: AccountBooks, today: date) -> DayBooks:
    """Return the day that counts now; a new one opens with the equity of this moment.

    The ledger's day never goes back: an event that carries an older date counts today.
    """
    if current is not None and today <= current.day:
        return current
    return DayBooks(day=today, opening_equity=account.equity)


def book_day_change(day: DayBooks, change: TokenBooks) -> DayBooks:
    """Carry the change of one token's books to the day."""
    return replace(day, realised=day.realised + change.realised, fees=day.fees + change.fees)


def book_day_deposit(day: DayBooks, amount: int) -> DayBooks:
    """Raise the opening equity, so that a deposit is no profit [micro-USDC]."""
    return replace(day, opening_equity=day.opening_equity + amount)
