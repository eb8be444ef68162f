"""Trades on their way to the chain: MATCHED, MINED, CONFIRMED; or RETRYING and perhaps FAILED.

What a party gives leaves its account when the trade matches; what it gets arrives when the trade
is mined. A trade that fails gives everything back.
"""

from collections.abc import Callable, Sequence
from itertools import groupby

from polybot.sandbox.exchange.accounts import Accounts, Transfer
from polybot.sandbox.exchange.clearing import maker_given, taker_cost, taker_fee, transfers
from polybot.sandbox.exchange.orders import Match, Trade, TradeState, VenueOrder
from polybot.sandbox.exchange.rules import VenueRules
from polybot.sandbox.exchange.timeline import Timeline
from polybot.sandbox.seeds import digest

_ATTEMPTS = 2


class Settlement:
    """Books matches as trades and carries them through their states."""

    def __init__(
        self,
        seed: int,
        rules: VenueRules,
        accounts: Accounts,
        timeline: Timeline,
        *,
        fate_of: Callable[[Trade], str],
        on_change: Callable[[Trade, int], None],
    ) -> None:
        """Take the books, and who decides a trade's fate and hears of its changes."""
        self._seed = seed
        self._rules = rules
        self._accounts = accounts
        self._timeline = timeline
        self._fate_of = fate_of
        self._on_change = on_change
        self.trades: dict[str, Trade] = {}
        self._transactions = 0

    def held_cash(self) -> int:
        """Return the cash inside trades that are neither mined nor failed."""
        return sum(trade.held_cash for trade in self.trades.values())

    def book(self, taker: VenueOrder, matches: Sequence[Match], now_ms: int) -> list[Trade]:
        """Turn matches into trades, one a price, all in one transaction; take what they give."""
        self._transactions += 1
        transaction = "0x" + digest("transaction", self._seed, self._transactions).hex()
        booked = []
        groups = groupby(matches, key=lambda match: match.price)
        for bucket, (_, group) in enumerate(groups):
            trade = self._build(
                taker, tuple(group), bucket=bucket, transaction=transaction, now_ms=now_ms
            )
            self.trades[trade.trade_id] = trade
            booked.append(trade)
            trade.fate = self._fate_of(trade)
            self._take(trade)
            self._schedule(trade, now_ms + self._rules.mined_after_ms)
        return booked

    def _build(
        self,
        taker: VenueOrder,
        matches: tuple[Match, ...],
        *,
        bucket: int,
        transaction: str,
        now_ms: int,
    ) -> Trade:
        price = matches[0].price
        size = sum(match.size for match in matches)
        fee = taker_fee(size, price, self._rules.fee_rounding)
        gives, gets, minted = transfers(taker, matches, fee)
        raw = digest("trade", self._seed, len(self.trades), taker.order_id, size=16).hex()
        return Trade(
            trade_id="-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:])),
            taker=taker,
            price=price,
            size=size,
            fee=fee,
            makers=matches,
            matched_ms=now_ms,
            updated_ms=now_ms,
            bucket_index=bucket,
            transaction_hash=transaction,
            gives=gives,
            gets=gets,
            minted=minted,
        )

    def _take(self, trade: Trade) -> None:
        taker = trade.taker
        for transfer in trade.gives:
            self._supply(trade, transfer)
            self._accounts.give(transfer)
        taker.matched += trade.size
        taker.trade_ids.append(trade.trade_id)
        for match in trade.makers:
            taker.given += taker_cost(taker, match) if taker.is_buy else match.size
            match.maker.matched += match.size
            match.maker.given += maker_given(match, taker)
            match.maker.trade_ids.append(trade.trade_id)

    def _supply(self, trade: Trade, transfer: Transfer) -> None:
        """Let the market makers split pUSD into a pair where they sell what they do not have."""
        account = transfer.account
        missing = transfer.size - account.tokens[transfer.token_id]
        if not account.is_house or not transfer.size or missing <= 0:
            return
        market = trade.taker.market
        account.cash -= missing
        self._accounts.collateral += missing
        account.tokens[market.up_token_id] += missing
        account.tokens[market.down_token_id] += missing

    def _mine(self, trade: Trade, due_ms: int) -> None:
        trade.attempts += 1
        if trade.fate != "confirm" and trade.attempts <= _ATTEMPTS:
            self._change(trade, TradeState.RETRYING, due_ms)
            self._schedule(trade, due_ms + self._rules.retry_after_ms)
        elif trade.fate == "fail":
            for transfer in trade.gives:
                self._accounts.receive(transfer)
            self._change(trade, TradeState.FAILED, due_ms)
        else:
            for transfer in trade.gets:
                self._accounts.receive(transfer)
            self._accounts.collateral += trade.minted
            self._accounts.fees += trade.fee
            self._change(trade, TradeState.MINED, due_ms)
            later = self._rules.confirmed_after_ms - self._rules.mined_after_ms
            self._timeline.add(
                due_ms + max(later, 0), lambda due: self._change(trade, TradeState.CONFIRMED, due)
            )

    def _schedule(self, trade: Trade, due_ms: int) -> None:
        self._timeline.add(due_ms, lambda due: self._mine(trade, due))

    def _change(self, trade: Trade, state: TradeState, due_ms: int) -> None:
        trade.state = state
        trade.updated_ms = due_ms
        self._on_change(trade, due_ms)
