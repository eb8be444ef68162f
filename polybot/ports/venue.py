"""The outside world: time, prices, markets, orders, our account, the owner's phone."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from polybot.domain.accounts import (
    OrderRecord,
)
from polybot.domain.alerts import Alert
from polybot.domain.books import OrderBook
from polybot.domain.candles import CandleSeries
from polybot.domain.markets import (
    ConditionId,
    Market,
    MarketTrade,
    MarketWindow,
    OutcomeTokenId,
    Resolution,
)
from polybot.domain.money import Shares, Usdc
from polybot.domain.orders import (
    ApprovedOrder,
    OrderId,
    OrderReport,
    PreparedOrder,
    SubmitResult,
)
from polybot.domain.venue_account import (
    Cancellation,
    RedemptionResult,
    VenueOrder,
    VenueTrades,
)
from polybot.errors import DataError, TransientError


class Clock(Protocol):
    """The only place that reads the time."""

    async def now(self) -> datetime:
        """Return the current instant, aware UTC."""
        ...

    async def sleep_until(self, instant: datetime) -> None:
        """Wait until an instant; return at once where it has passed."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for a short while [s]."""
        ...


class InstantClock(Clock, Protocol):
    """A clock that also answers without waiting, for the path on which nothing may wait."""

    def instant(self) -> datetime:
        """Return the current instant, aware UTC.

        Exact where the machine's clock is the clock; reckoned from the last answer and the time
        since then where somebody else's is.
        """
        ...


class PriceFeed(Protocol):
    """Reference prices from exchanges: for signals, never for settlements."""

    async def closed_candles(
        self, asset: str, *, timeframe_s: int, end: datetime, count: int
    ) -> CandleSeries:
        """Return the ``count`` closed candles whose last one closes exactly at ``end``.

        Raises:
            TransientError: No exchange of the list answered.
            DataError: They answered with gaps, impossible or stale candles.
        """
        ...


class MarketData(Protocol):
    """The venue's public side."""

    async def find_market(self, window: MarketWindow) -> Market:
        """Return the market of a window.

        Raises:
            TransientError: Not listed yet, or the venue did not answer.
            DataError: Listed, but of an unknown version or fee type, or malformed.
        """
        ...

    async def order_book(self, token_id: OutcomeTokenId) -> OrderBook:
        """Return the book of one outcome token.

        Raises:
            DataError: Malformed, crossed, or no book exists (closed market).
        """
        ...

    async def resolution(self, window: MarketWindow) -> Resolution | None:
        """Return the venue's final outcome of a window's market, or ``None`` while undecided."""
        ...

    async def trades_since(
        self, condition_id: ConditionId, since: datetime
    ) -> tuple[MarketTrade, ...]:
        """Return everybody's trades in a market from ``since`` on, oldest first."""
        ...


class Exchange(Protocol):
    """Where orders go: paper or live."""

    def prepare(self, approved: ApprovedOrder, *, created_at: datetime) -> PreparedOrder:
        """Give an approved order its id; nothing is sent."""
        ...

    def sign(self, prepared: PreparedOrder) -> None:
        """Do at once what sending a recorded order needs and need not wait for.

        Only once the intent is durable. ``submit`` does it itself where nobody called this: then
        it takes until the event loop comes to it.
        """
        ...

    async def submit(self, prepared: PreparedOrder) -> SubmitResult:
        """Send an order exactly once. Never raises for what the venue or network did."""
        ...

    async def look_up(self, record: OrderRecord) -> OrderReport:
        """Return what the venue knows about an order of ours.

        Raises:
            TransientError: The venue did not answer; nothing is known.
        """
        ...

    async def cancel(self, record: OrderRecord) -> OrderReport:
        """Take a resting order out of the book and return what is known afterwards."""
        ...


class AccountExchange(Exchange, Protocol):
    """An exchange that can tell the fate of many orders at once."""

    async def look_up_many(
        self, records: Sequence[OrderRecord]
    ) -> tuple[OrderReport | TransientError | DataError, ...]:
        """Return, order by order, what the venue knows, or why it is not known.

        Raises:
            PermanentError: The venue refuses to be asked; a person must mend that.
        """
        ...


class VenueAccount(Protocol):
    """Our account as the venue sees it, live only: the truth that our record is compared with.

    Reads alone, but for ``cancel_all`` and ``redeem``. Everything of the wallet shows, also what
    somebody else did with it: foreign orders are listed and never touched.
    """

    async def open_orders(self) -> tuple[VenueOrder, ...]:
        """Return every order of the account that may still match."""
        ...

    async def order(self, order_id: OrderId) -> VenueOrder | None:
        """Return one order, or ``None`` where the venue does not show it.

        It is not documented whether killed and cancelled orders are shown: ``None`` alone proves
        nothing.
        """
        ...

    async def trades(
        self, *, after: datetime, condition_id: ConditionId | None = None
    ) -> VenueTrades:
        """Return the account's executions since an instant, oldest first.

        Orders that were refused as not filled may show late fills: compare with every order of
        the last ``LATE_FILL_WATCH``, final or not.
        """
        ...

    async def cash_usdc(self) -> Usdc:
        """Return the wallet's collateral, after having the venue refresh what it caches."""
        ...

    async def allowances(self) -> dict[str, Decimal]:
        """Return how much collateral each contract may move [USDC], by address in lower case."""
        ...

    async def holdings(self, token_ids: Sequence[OutcomeTokenId]) -> dict[OutcomeTokenId, Shares]:
        """Return how many shares of each token the wallet holds."""
        ...

    async def server_time(self) -> datetime:
        """Return the venue's clock, in whole seconds."""
        ...

    async def is_closed_only(self) -> bool:
        """Return whether the venue lets the account only close positions."""
        ...

    async def cancel_all(self) -> Cancellation:
        """Cancel every order of the API key, also those that are not in our ledger."""
        ...

    async def redeem(
        self, condition_id: ConditionId, token_ids: Sequence[OutcomeTokenId]
    ) -> RedemptionResult:
        """Turn a resolved market's shares into cash; what was redeemed before is a success.

        Args:
            condition_id: The market.
            token_ids: Its two outcome tokens; what the wallet holds of them decides.
        """
        ...


class Notifier(Protocol):
    """The owner's phone."""

    @property
    def is_configured(self) -> bool:
        """Whether any channel is set up; without one, alerts stay in the outbox's history."""
        ...

    async def send(self, alert: Alert) -> bool:
        """Deliver one alert on every channel; whether any of them took it. Never raises."""
        ...
