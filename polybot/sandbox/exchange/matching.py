"""The exchange itself, without HTTP: takes, matches, cancels and expires orders.

It reads one clock, the venue's, and does what has come due whenever it is asked something. The
same seed and the same requests at the same instants give the same answers.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal

from polybot.domain.money import text_of
from polybot.sandbox.exchange import checks, refusals, views
from polybot.sandbox.exchange.accounts import Account, Accounts
from polybot.sandbox.exchange.auth import ApiKey, KeyRing
from polybot.sandbox.exchange.book import GeneratedQuotes, OpenBook, RestingOrders
from polybot.sandbox.exchange.conditions import Conditions
from polybot.sandbox.exchange.crowd import Crowd
from polybot.sandbox.exchange.events import UserEvents
from polybot.sandbox.exchange.matcher import Matcher, Plan
from polybot.sandbox.exchange.orders import OrderState, Trade, VenueOrder
from polybot.sandbox.exchange.refusals import VenueRefusalError, invalid_order
from polybot.sandbox.exchange.resting_life import RestingLife
from polybot.sandbox.exchange.rules import MICRO, VenueRules
from polybot.sandbox.exchange.settlement import Settlement
from polybot.sandbox.exchange.submissions import Submission
from polybot.sandbox.exchange.timeline import Timeline
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.venue import SandboxVenue

Fate = Callable[[Trade], str]


class MatchingExchange:
    """Every order, trade and account of one venue."""

    def __init__(self, venue: SandboxVenue, rules: VenueRules | None = None) -> None:
        """Open an exchange on a venue's markets, quotes and clock."""
        self.venue = venue
        self.rules = rules or VenueRules()
        self.accounts = Accounts(venue.seed)
        self.keys = KeyRing(venue.seed, self.rules)
        self.conditions = Conditions()
        self.events = UserEvents()
        self.timeline = Timeline()
        self.orders: dict[str, VenueOrder] = {}
        """Every order ever taken, by id."""
        self._open: dict[str, VenueOrder] = {}
        self.quotes = GeneratedQuotes(venue)
        self.resting = RestingOrders()
        venue.depth = OpenBook(self.quotes, self.resting)
        self.fate_of: Fate = lambda _: "confirm"
        """Decides each trade's fate: ``confirm``, ``retry`` or ``fail``."""
        self.is_delayed: Callable[[VenueOrder], bool] = lambda _: False
        """Decides which marketable orders are held for the taker delay."""
        self.settlement = Settlement(
            venue.seed,
            self.rules,
            self.accounts,
            self.timeline,
            fate_of=self._fate,
            on_change=self._tell_trade,
        )
        self._matcher = Matcher(venue.seed, self.rules, self.quotes, self.resting)
        self._life = RestingLife(
            self.rules,
            self.resting,
            self.timeline,
            Crowd(venue, self.accounts.house, self.quotes, self.resting),
            trade=lambda taker, due_ms: self._execute(taker, self._plan(taker, due_ms), due_ms),
            close=self.close,
        )

    # Time ---------------------------------------------------------------------------------------
    def advance(self) -> int:
        """Do everything that has come due; return the present instant [epoch ms]."""
        now_ms = self.venue.clock.now_ms()
        self.timeline.run_until(now_ms)
        return now_ms

    @property
    def auth_now_s(self) -> int:
        """The venue's clock as ``/time`` tells it [epoch s]."""
        return (self.venue.clock.now_ms() + self.venue.clock_skew_ms) // 1000

    # Orders -------------------------------------------------------------------------------------
    def place(self, sent: Submission, key: ApiKey) -> views.Json:
        """Take one order and return the venue's answer.

        Raises:
            VenueRefusalError: It was not taken, or was killed without a match.
        """
        now_ms = self.advance()
        self.conditions.check_order(now_ms, is_post_only=sent.postOnly)
        if sent.owner != key.key:
            raise VenueRefusalError(refusals.WRONG_OWNER)
        market = self._market_of(sent.order.tokenId, now_ms)
        account = checks.check_parties(self.accounts, sent.order, key.owner)
        order_id = checks.check_signature(sent.order, account, market)
        if self.rules.checks_balance_before_duplicates:
            self._check_means(account, sent, checks.price_of(sent.order))
        self._check_duplicate(order_id)
        tick = int(self.venue.tick_size(market) * MICRO)
        price = checks.check_price(order_id, sent.order, tick)
        size = checks.check_sizes(order_id, sent, tick, self.rules)
        checks.check_working(sent, now_ms // 1000, self.rules)
        order = VenueOrder(
            order_id=order_id,
            account=account,
            owner=key.key,
            market=market,
            is_up=sent.order.tokenId == market.up_token_id,
            is_buy=sent.order.is_buy,
            order_type=sent.orderType,
            price=price,
            size=size,
            maker_amount=sent.order.maker_amount,
            created_ms=now_ms,
            number=len(self.orders) + 1,
            is_post_only=sent.postOnly,
            expires_s=int(sent.order.expiration),
        )
        self._check_means(account, sent, price)
        return self._work(order, now_ms)

    def _work(self, order: VenueOrder, now_ms: int) -> views.Json:
        plan = self._plan(order, now_ms)
        if plan.matches:
            if order.is_post_only:
                raise VenueRefusalError(refusals.CROSSES)
            self._check_minimum(order)
        if plan.matches and self.is_delayed(order):
            order.state = OrderState.DELAYED
            self._keep(order, now_ms)
            due_ms = now_ms + self.rules.taker_delay_ms
            self.timeline.add(due_ms, lambda due: self._release(order, due))
            return self._answer(order, [])
        if not order.rests and not (plan.is_whole if order.order_type == "FOK" else plan.matches):
            order.state = OrderState.CANCELED
            self.orders[order.order_id] = order
            is_fok = order.order_type == "FOK"
            words = refusals.FOK_KILLED if is_fok else refusals.FAK_KILLED
            self._tell_order(order, "CANCELLATION", now_ms, f"CANCELED_{words}")
            raise VenueRefusalError(words)
        self._keep(order, now_ms)
        return self._answer(order, self._execute(order, plan, now_ms))

    def _execute(self, order: VenueOrder, plan: Plan, now_ms: int) -> list[Trade]:
        """Book what was found, and let the rest wait or go."""
        trades = self.settlement.book(order, plan.matches, now_ms) if plan.matches else []
        for match in plan.matches:
            if match.maker.account.is_house:
                self.quotes.take(
                    order.market,
                    now_ms // 1000,
                    are_bids=match.maker.is_bid,
                    price=match.maker.up_price,
                    size=match.size,
                )
            else:
                self._after_maker_fill(match.maker, now_ms)
        if order.rests and order.remaining >= self.rules.fill_step and not order.account.is_house:
            order.state = OrderState.LIVE
            self._life.rest(order, now_ms)
        else:
            order.state = OrderState.MATCHED if order.matched else OrderState.CANCELED
        if trades:
            self._tell_order(order, "UPDATE", now_ms)
        for trade in trades:
            self._tell_trade(trade, now_ms)
        return trades

    def _release(self, order: VenueOrder, due_ms: int) -> None:
        """Match an order whose taker delay is over."""
        if order.state is not OrderState.DELAYED:
            return
        # Its own reservation must not count against it.
        order.state = OrderState.CANCELED
        plan = self._plan(order, due_ms)
        killed = order.order_type == "FOK" and not plan.is_whole
        if not order.rests and (killed or not plan.matches):
            words = refusals.FOK_KILLED if killed else refusals.FAK_KILLED
            self._tell_order(order, "CANCELLATION", due_ms, f"CANCELED_{words}")
            return
        self._execute(order, plan, due_ms)

    def cancel(self, order_ids: Iterable[str], key: ApiKey) -> views.Json:
        """Cancel a key's orders by id and say which were not there to cancel."""
        now_ms = self.advance()
        self.conditions.check_cancel(now_ms)
        cancelled, failed = [], {}
        for order_id in dict.fromkeys(order_ids):
            order = self.orders.get(order_id)
            if order is None or order.owner != key.key or order.state.is_over:
                failed[order_id] = refusals.NOT_CANCELLABLE
            elif order.state is OrderState.DELAYED:
                failed[order_id] = refusals.HELD
            else:
                self.close(order, now_ms, OrderState.CANCELED.value)
                cancelled.append(order_id)
        return {"canceled": cancelled, "not_canceled": failed}

    def cancel_where(self, key: ApiKey, *, market: str = "", token_id: str = "") -> views.Json:
        """Cancel every open order of a key, or those of one market or token."""
        wanted = [
            order.order_id
            for order in self.open_orders(key.key)
            if market in ("", order.market.condition_id) and token_id in ("", order.token_id)
        ]
        return self.cancel(wanted, key)

    def open_orders(self, owner: str) -> list[VenueOrder]:
        """Return an API key's open orders, oldest first."""
        return [one for one in self._alive() if one.owner == owner]

    def close(self, order: VenueOrder, now_ms: int, status: str) -> None:
        """End an open order, whoever wants it."""
        self.resting.remove(order)
        order.state = OrderState.CANCELED
        self._tell_order(order, "CANCELLATION", now_ms, status)

    # Accounts -----------------------------------------------------------------------------------
    def held(self, account: Account, *, token_id: str = "") -> int:
        """Return what open orders of an account keep back: cash, or shares of one token."""
        orders = (one for one in self._alive() if one.account is account)
        if not token_id:
            return sum(order.held_cash for order in orders)
        return sum(order.held_tokens for order in orders if order.token_id == token_id)

    def audit(self) -> dict[str, int]:
        """Return where all the money is; ``missing`` is 0 unless the venue is wrong."""
        parts = {
            "accounts": self.accounts.cash_in_accounts(),
            "fees": self.accounts.fees,
            "collateral": self.accounts.collateral,
            "unsettled": self.settlement.held_cash(),
        }
        return parts | {
            "deposits": self.accounts.deposits,
            "missing": self.accounts.deposits - sum(parts.values()),
        }

    def _fate(self, trade: Trade) -> str:
        return self.fate_of(trade)

    def _alive(self) -> list[VenueOrder]:
        """Return the orders that are open, and forget those that are not any more."""
        for order_id in [key for key, one in self._open.items() if one.state.is_over]:
            del self._open[order_id]
        return list(self._open.values())

    # Inside -------------------------------------------------------------------------------------
    def _market_of(self, token_id: str, now_ms: int) -> VenueMarket:
        at_s = now_ms // 1000
        market = self.venue.market_of_token(token_id, at_s)
        if market is None or market.is_resolved(at_s):
            raise VenueRefusalError(refusals.NO_BOOK, 404)
        if not market.is_trading(at_s):
            raise VenueRefusalError(refusals.NOT_READY)
        return market

    def _check_duplicate(self, order_id: str) -> None:
        known = self.orders.get(order_id)
        if known is None:
            return
        if self.rules.dedupes_terminal_orders or not known.state.is_over or known.matched:
            raise invalid_order(order_id, "Duplicated.")

    def _check_means(self, account: Account, sent: Submission, price: int) -> None:
        order = sent.order
        if order.is_buy:
            # The fee is charged on top; at a better price it can be higher, and fills stop there.
            fee = order.taker_amount * 7 * price * (MICRO - price) // (100 * MICRO * MICRO)
            wanted = order.maker_amount + (0 if sent.postOnly else fee)
            balance = account.cash - self.held(account)
        else:
            wanted = order.maker_amount
            balance = account.tokens[order.tokenId] - self.held(account, token_id=order.tokenId)
        if balance < wanted:
            raise checks.no_balance(max(balance, 0), wanted)
        market = self.venue.listing.by_token(order.tokenId)
        contract = "" if market is None else checks.domain_of(market).contract
        allowance = account.allowances.get(contract, 0)
        if allowance < wanted:
            raise checks.no_allowance(allowance, wanted)

    def _check_minimum(self, order: VenueOrder) -> None:
        if order.is_buy and order.maker_amount < self.rules.min_marketable_buy:
            shown, minimum = (
                text_of(Decimal(amount) / MICRO)
                for amount in (order.maker_amount, self.rules.min_marketable_buy)
            )
            raise VenueRefusalError(
                f"invalid amount for a marketable BUY order (${shown}), min size: ${minimum}"
            )

    def _plan(self, order: VenueOrder, now_ms: int) -> Plan:
        return self._matcher.plan(
            order,
            now_ms // 1000,
            free_cash=order.account.cash - self.held(order.account),
            house=self.accounts.house,
        )

    def _keep(self, order: VenueOrder, now_ms: int) -> None:
        self.orders[order.order_id] = order
        self._open[order.order_id] = order
        self._tell_order(order, "PLACEMENT", now_ms)

    def _answer(self, order: VenueOrder, trades: list[Trade]) -> views.Json:
        return views.placed_answer(
            order,
            trades,
            in_decimals=self.rules.answers_in_decimals,
            with_transactions=self.rules.answers_transactions,
        )

    def _after_maker_fill(self, maker: VenueOrder, now_ms: int) -> None:
        if maker.remaining < self.rules.fill_step:
            self.resting.remove(maker)
            maker.state = OrderState.MATCHED
        self._tell_order(maker, "UPDATE", now_ms)

    def _tell_order(self, order: VenueOrder, kind: str, now_ms: int, status: str = "") -> None:
        if order.account.is_house:
            return
        event = views.order_event(order, kind, now_ms, status or order.state.value)
        self.events.tell(order.owner, order.market.condition_id, now_ms, event)

    def _tell_trade(self, trade: Trade, now_ms: int) -> None:
        orders = [trade.taker, *(match.maker for match in trade.makers)]
        owners = dict.fromkeys(one.owner for one in orders if not one.account.is_house)
        for owner in owners:
            event = views.trade_event(trade, owner, now_ms)
            self.events.tell(owner, trade.taker.market.condition_id, now_ms, event)
