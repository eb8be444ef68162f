"""Whom we copy and what each of us holds, mirrored in memory for the path that may not wait.

The ledger is the truth: a decision that the mirror got wrong is corrected by the transaction that
records it, and the mirror is read again after every order and every few seconds.
"""

from collections import Counter
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from polybot.copy_trading.decide import CopySituation, RecentActivity
from polybot.copy_trading.parts import CopyBooks, CopyOptions
from polybot.domain.books import OrderBook
from polybot.domain.leaders import (
    ConversionKind,
    CopyRecord,
    CopyVerdict,
    Leader,
    LeaderAddress,
    LeaderConversion,
    LeaderHolding,
    LeaderSpending,
    LeaderState,
    LeaderTrade,
    begins_holding,
)
from polybot.domain.markets import ConditionId, Market, MarketSeries, OutcomeTokenId
from polybot.domain.modes import TradingState
from polybot.domain.money import ZERO_SHARES, ZERO_USDC, Shares, Usdc
from polybot.domain.orders import Side


class Roster:
    """Leaders with their holdings and spending, and our own equity."""

    def __init__(self, ledger: CopyBooks, options: CopyOptions) -> None:
        """Take the truth; nothing is read yet."""
        self._ledger = ledger
        self._options = options
        self._version: int | None = None
        self._holdings: dict[LeaderAddress, dict[OutcomeTokenId, LeaderHolding]] = {}
        self._spending: dict[LeaderAddress, LeaderSpending] = {}
        self._equity_usdc = Decimal(0)
        self._lifted: set[LeaderAddress] = set()
        self._reads: Counter[LeaderAddress] = Counter()
        self.leaders: dict[LeaderAddress, Leader] = {}
        self.trading_state = TradingState.ACTIVE
        self.recent = RecentActivity()

    # From the ledger ----------------------------------------------------------------------------
    def reload_leaders(self) -> bool:
        """Read the leaders where any of them changed; whether one did."""
        version = self._ledger.leaders_version()
        if version == self._version:
            return False
        before = self.leaders
        self.leaders = {leader.address: leader for leader in self._ledger.leaders()}
        self._version = version
        for address, leader in self.leaders.items():
            known = before.get(address)
            was_throttled = known is not None and known.state is LeaderState.THROTTLED
            if was_throttled and leader.state is not LeaderState.THROTTLED:
                self._lifted.add(address)
                self.recent.forget(address)
        for gone in before.keys() - self.leaders.keys():
            self._holdings.pop(gone, None)
            self._spending.pop(gone, None)
            self._reads.pop(gone, None)
            self.recent.forget(gone)
        return True

    def take_lifted(self) -> tuple[LeaderAddress, ...]:
        """Return, once, whose throttle a person has lifted."""
        lifted = tuple(self._lifted)
        self._lifted.clear()
        return lifted

    def note_watermark(self, address: LeaderAddress, until: datetime) -> None:
        """Remember how far a leader is recorded."""
        leader = self.leaders.get(address)
        if leader is not None:
            self.leaders[address] = replace(leader, watermark=until)

    def reload_holdings(self, at: datetime, address: LeaderAddress) -> None:
        """Read what a leader holds and has spent."""
        self._reads[address] += 1
        held = self._ledger.holdings(address)
        self._holdings[address] = {holding.token_id: holding for holding in held}
        self._spending[address] = self._ledger.spending(address, at=at)

    def reads_of(self, address: LeaderAddress) -> int:
        """Return how often a leader's holdings were read: a record older than that is in them."""
        return self._reads[address]

    def reload_account(self, at: datetime) -> None:
        """Read our equity and the trading state."""
        totals = self._ledger.totals(at=at)
        self._equity_usdc = totals.equity_usdc
        self.trading_state = totals.trading_state

    # For decisions ------------------------------------------------------------------------------
    def situation(
        self,
        leader: Leader,
        token_id: OutcomeTokenId,
        *,
        market: Market | None,
        book: OrderBook | None,
        now: datetime,
    ) -> CopySituation:
        """Return what a decision about a leader's token is made on."""
        return CopySituation(
            leader=leader,
            holding=self.holding(leader.address, token_id),
            market=market,
            book=book,
            equity_usdc=self._equity_usdc,
            recent=self.recent,
            now=now,
            limits=self._options.limits,
            max_book_age_s=self._options.max_book_age_s,
            spending=self._spending.get(leader.address),
            run_name=self._options.run_name,
        )

    def holding(self, address: LeaderAddress, token_id: OutcomeTokenId) -> LeaderHolding | None:
        """Return one token as a leader holds it and we through him."""
        return self._holdings.get(address, {}).get(token_id)

    def holdings_of(self, address: LeaderAddress) -> tuple[LeaderHolding, ...]:
        """Return all tokens that a leader, or we through him, hold."""
        return tuple(self._holdings.get(address, {}).values())

    def holdings_in(
        self, address: LeaderAddress, condition_id: ConditionId
    ) -> tuple[LeaderHolding, ...]:
        """Return the tokens of one market."""
        held = self._holdings.get(address, {}).values()
        return tuple(holding for holding in held if holding.condition_id == condition_id)

    def series(self) -> tuple[MarketSeries, ...]:
        """Return the series in which anybody may be copied."""
        active = [one for one in self.leaders.values() if one.state is not LeaderState.REMOVED]
        return tuple(
            series
            for series in self._options.series
            if any(_allows(leader, series) for leader in active)
        )

    # After decisions ----------------------------------------------------------------------------
    def apply(self, record: CopyRecord) -> None:
        """Change the mirror as the ledger is changed by a record."""
        trade = record.trade
        held = self._holdings.setdefault(trade.leader, {})
        known = held.get(trade.token_id)
        if known is None and not begins_holding(trade, record.verdict):
            return
        held[trade.token_id] = _after(known or _nothing_held(trade), record)

    def apply_conversion(self, conversion: LeaderConversion) -> None:
        """Change the leader's sizes as the ledger does: a merge takes of both, a redemption all."""
        held = self._holdings.get(conversion.leader, {})
        for holding in self.holdings_in(conversion.leader, conversion.condition_id):
            size = Decimal(holding.leader_size)
            if conversion.kind is ConversionKind.SPLIT:
                size += conversion.size
            elif conversion.kind is ConversionKind.MERGE:
                size = max(Decimal(0), size - conversion.size)
            elif conversion.kind is ConversionKind.REDEEM:
                size = Decimal(0)
            held[holding.token_id] = replace(holding, leader_size=Shares(size))


def _allows(leader: Leader, series: MarketSeries) -> bool:
    policy = leader.policy
    is_series = not policy.series or str(series) in policy.series
    is_tag = not policy.tags or series.asset in policy.tags or series.duration in policy.tags
    return is_series and is_tag


def _nothing_held(trade: LeaderTrade) -> LeaderHolding:
    return LeaderHolding(
        leader=trade.leader,
        token_id=trade.token_id,
        condition_id=trade.condition_id,
        slug=trade.slug,
        leader_size=ZERO_SHARES,
        our_size=ZERO_SHARES,
        our_cost_usdc=ZERO_USDC,
        in_flight_usdc=ZERO_USDC,
        pending_usdc=ZERO_USDC,
        pending_size=ZERO_SHARES,
    )


def _after(known: LeaderHolding, record: CopyRecord) -> LeaderHolding:
    trade = record.trade
    size = Decimal(known.leader_size)
    if not record.follows_conversion:
        size += trade.size if trade.side is Side.BUY else -trade.size
    is_cleared = record.clears_pending or record.verdict is CopyVerdict.PLACED
    pending_usdc = Decimal(0) if is_cleared else Decimal(known.pending_usdc)
    pending_size = Decimal(0) if is_cleared else Decimal(known.pending_size)
    since = None if is_cleared else known.pending_since
    if record.verdict is CopyVerdict.ACCUMULATED:
        pending_usdc += record.accumulate_usdc
        pending_size += record.accumulate_size
        since = since or record.decided_at
    return replace(
        known,
        leader_size=Shares(max(Decimal(0), size)),
        pending_usdc=Usdc(pending_usdc),
        pending_size=Shares(pending_size),
        pending_since=since,
    )
