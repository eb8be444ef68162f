"""How orders meet quotes and each other, and how trades settle, to the micro-USDC."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polybot.domain.markets import Outcome
from polybot.sandbox.exchange.clearing import taker_fee
from polybot.sandbox.exchange.gateway import PrivateGateway, VenueReply
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.redemption import redeem
from polybot.sandbox.exchange.refusals import VenueRefusalError
from polybot.sandbox.exchange.rules import VenueRules
from tests.venue_trader import Trader, advance, best, open_exchange

OTHER_KEY = "0x" + 64 * "3"


@pytest.fixture
def exchange() -> MatchingExchange:
    return open_exchange()


@pytest.fixture
def trader(exchange: MatchingExchange) -> Trader:
    return Trader(PrivateGateway(exchange))


def accepted(reply: VenueReply) -> dict[str, object]:
    assert reply.status == 200, reply.payload
    assert isinstance(reply.payload, dict)
    return reply.payload


@pytest.mark.parametrize(
    ("shares", "price", "fee"),
    [
        ("100", "0.50", "1.75"),
        ("100", "0.01", "0.0693"),
        ("25", "0.64", "0.4032"),
        ("108", "0.36", "1.74182"),
        ("0.0001", "0.01", "0.00001"),
    ],
)
def test_fees_are_those_of_public_fills(shares: str, price: str, fee: str) -> None:
    """The third and fourth are fills that a study checked on the chain."""
    size, at = (int(Decimal(text) * 10**6) for text in (shares, price))
    assert taker_fee(size, at, "half-up") == int(Decimal(fee) * 10**6)


def test_a_market_buy_spends_its_budget_on_the_best_offers(trader: Trader) -> None:
    _, ask = best(trader.exchange)
    answer = accepted(trader.post(trader.market_buy("10", "0.90"), "FAK"))
    assert answer["status"] == "matched"
    (trade,) = trader.trades()
    assert (Decimal(trade["price"]), trade["trader_side"]) == (ask, "TAKER")
    size = int(Decimal(trade["size"]) * 10**6)
    assert size == int(Decimal(10) / ask * 10**4) * 100
    cost = int(Decimal(trade["size"]) * ask * 10**6)
    fee = taker_fee(size, int(ask * 10**6), "half-up")
    assert trader.account.cash == 1_000_000_000 - cost - fee
    assert (answer["makingAmount"], answer["takingAmount"]) == (str(cost), str(size))
    assert answer["tradeIDs"] == [trade["id"]]


def test_several_levels_are_several_trades_of_one_transaction(trader: Trader) -> None:
    accepted(trader.post(trader.market_buy("400", "0.95"), "FAK"))
    trades = trader.trades()
    assert len(trades) > 1
    assert len({trade["transaction_hash"] for trade in trades}) == 1
    assert sorted(trade["bucket_index"] for trade in trades) == list(range(len(trades)))


def test_what_was_taken_is_gone_until_the_makers_quote_anew(trader: Trader) -> None:
    _, ask = best(trader.exchange)
    accepted(trader.post(trader.limit("BUY", str(ask), "400"), "FAK"))
    assert best(trader.exchange)[1] > ask
    advance(trader.exchange, 20)
    assert best(trader.exchange)[1] < 1


def test_a_trade_goes_from_matched_over_mined_to_confirmed(trader: Trader) -> None:
    """Shares arrive when the trade is mined; cash has left when it matched."""
    accepted(trader.post(trader.market_buy("10", "0.90"), "FAK"))
    seen = []
    for _ in range(9):
        seen.append(trader.trades()[0]["status"].removeprefix("TRADE_STATUS_"))
        held = trader.account.tokens[trader.market.up_token_id]
        assert (held > 0) is (seen[-1] != "MATCHED")
        advance(trader.exchange, 1)
    assert list(dict.fromkeys(seen)) == ["MATCHED", "MINED", "CONFIRMED"]
    assert trader.exchange.audit()["missing"] == 0


def test_a_failed_trade_gives_everything_back(trader: Trader) -> None:
    trader.exchange.fate_of = lambda _: "fail"
    accepted(trader.post(trader.market_buy("10", "0.90"), "FAK"))
    assert trader.account.cash < 1_000_000_000
    advance(trader.exchange, 3)
    assert trader.trades()[0]["status"] == "TRADE_STATUS_RETRYING"
    advance(trader.exchange, 60)
    assert trader.trades()[0]["status"] == "TRADE_STATUS_FAILED"
    assert trader.account.cash == 1_000_000_000
    assert not any(trader.account.tokens.values())


def test_a_retried_trade_is_confirmed_late(trader: Trader) -> None:
    trader.exchange.fate_of = lambda _: "retry"
    accepted(trader.post(trader.market_buy("10", "0.90"), "FAK"))
    advance(trader.exchange, 3)
    assert trader.trades()[0]["status"] == "TRADE_STATUS_RETRYING"
    advance(trader.exchange, 60)
    assert trader.trades()[0]["status"] == "TRADE_STATUS_CONFIRMED"


def test_two_buyers_of_opposite_outcomes_mint_a_pair(trader: Trader) -> None:
    """The resting BUY of Down is filled by a BUY of Up; its leg names the other token."""
    maker = Trader(trader.gateway, key=OTHER_KEY)
    bid, ask = best(trader.exchange)
    if ask - bid < Decimal("0.02"):
        advance(trader.exchange, 10)
        bid, ask = best(trader.exchange)
    inside = ask - Decimal("0.01")
    resting = accepted(maker.post(maker.limit("BUY", str(1 - inside), "10", is_up=False)))
    assert resting["status"] == "live", "the seeded spread has changed"
    accepted(trader.post(trader.limit("BUY", str(inside), "10"), "FOK"))
    (seen,) = maker.trades()
    (leg,) = seen["maker_orders"]
    assert (seen["trader_side"], leg["order_id"]) == ("MAKER", resting["orderID"])
    assert (seen["asset_id"], leg["asset_id"]) == (
        trader.market.up_token_id,
        trader.market.down_token_id,
    )
    assert (seen["side"], leg["side"]) == ("BUY", "BUY")
    advance(trader.exchange, 3)
    assert maker.account.tokens[trader.market.down_token_id] == 10_000_000
    assert maker.account.cash == 1_000_000_000 - int((1 - inside) * 10**7)
    assert trader.exchange.accounts.collateral == 10_000_000


def test_resting_orders_at_one_price_fill_in_the_order_they_came(trader: Trader) -> None:
    first, second = (
        Trader(trader.gateway, key="0x" + 64 * digit, cash="100") for digit in ("4", "5")
    )
    bid, ask = best(trader.exchange)
    while ask - bid < Decimal("0.02"):
        advance(trader.exchange, 10)
        bid, ask = best(trader.exchange)
    price = str(bid + Decimal("0.01"))
    for maker in (first, second):
        accepted(maker.post(maker.limit("BUY", price, "10")))
    trader.account.tokens[trader.market.up_token_id] += 15_000_000
    accepted(trader.post(trader.limit("SELL", price, "15"), "FOK"))
    assert first.open_order_ids() == []
    (left,) = second.ask("GET", "/data/orders").payload["data"]  # type: ignore[index]
    assert (left["original_size"], left["size_matched"]) == ("10", "5")


def test_resting_orders_fill_when_the_market_comes_to_them(trader: Trader) -> None:
    """Within the window the seeded price goes through a bid one tick below the best."""
    bid, _ = best(trader.exchange)
    accepted(trader.post(trader.limit("BUY", str(bid - Decimal("0.01")), "50")))
    for _ in range(800):
        advance(trader.exchange, 1)
        if not trader.open_order_ids():
            break
    trades = trader.trades()
    assert sum(Decimal(trade["maker_orders"][0]["matched_amount"]) for trade in trades) == 50
    assert {trade["trader_side"] for trade in trades} == {"MAKER"}
    # A maker pays its own price and no fee.
    assert trader.account.cash == 1_000_000_000 - int((bid - Decimal("0.01")) * 50 * 10**6)


def test_a_gtd_order_stops_a_minute_early(trader: Trader) -> None:
    expires = trader.exchange.venue.now_s() + 200
    order = trader.limit("BUY", "0.01", "100", expiration=str(expires))
    accepted(trader.post(order, "GTD"))
    advance(trader.exchange, 139)
    assert len(trader.open_order_ids()) == 1
    advance(trader.exchange, 1)
    assert trader.open_order_ids() == []


def test_the_windows_end_cancels_what_rests(trader: Trader) -> None:
    accepted(trader.post(trader.limit("BUY", "0.01", "100", is_up=True)))
    accepted(trader.post(trader.limit("BUY", "0.01", "100", is_up=False)))
    advance(trader.exchange, 840)
    assert trader.open_order_ids() == []


def test_a_delayed_order_cannot_be_cancelled_and_matches_later(trader: Trader) -> None:
    trader.exchange.is_delayed = lambda _: True
    answer = accepted(trader.post(trader.market_buy("10", "0.90"), "FAK"))
    assert (answer["status"], answer["tradeIDs"]) == ("delayed", [])
    order_id = str(answer["orderID"])
    refusal = trader.ask("DELETE", "/order", json.dumps({"orderID": order_id}).encode())
    assert list(refusal.payload["not_canceled"]) == [order_id]  # type: ignore[index]
    assert trader.trades() == []
    advance(trader.exchange, 0.15)
    assert len(trader.trades()) == 1


def test_own_orders_do_not_meet(trader: Trader) -> None:
    bid, ask = best(trader.exchange)
    while ask - bid < Decimal("0.02"):
        advance(trader.exchange, 10)
        bid, ask = best(trader.exchange)
    price = bid + Decimal("0.01")
    accepted(trader.post(trader.limit("BUY", str(price), "10")))
    accepted(trader.post(trader.limit("BUY", str(1 - price), "10", is_up=False)))
    assert len(trader.open_order_ids()) == 2


@pytest.mark.parametrize("shows", [True, False])
def test_orders_that_are_over_are_shown_or_not(shows: bool) -> None:
    """Sources disagree on what ``GET /data/order/{id}`` finds, so the venue can do both."""
    trader = Trader(PrivateGateway(open_exchange(VenueRules(shows_terminal_orders=shows))))
    order_id = accepted(trader.post(trader.limit("BUY", "0.02", "100")))["orderID"]
    assert trader.ask("GET", f"/data/order/{order_id}").status == 200
    trader.ask("DELETE", "/cancel-all")
    assert trader.ask("GET", f"/data/order/{order_id}").status == (200 if shows else 404)


def test_orders_and_trades_come_in_pages(trader: Trader) -> None:
    for _ in range(130):
        accepted(trader.post(trader.limit("BUY", "0.01", "5")))
    first = accepted(trader.ask("GET", "/data/orders"))
    rest = accepted(
        trader.ask("GET", "/data/orders", query={"next_cursor": str(first["next_cursor"])})
    )
    assert (first["count"], rest["count"], rest["next_cursor"]) == (100, 30, "LTE=")


def test_winning_shares_are_paid_once(trader: Trader) -> None:
    accepted(trader.post(trader.market_buy("10", "0.95"), "FAK"))
    accepted(trader.post(trader.market_buy("10", "0.95", is_up=False), "FAK"))
    exchange, market = trader.exchange, trader.market
    with pytest.raises(VenueRefusalError):
        redeem(exchange, trader.account, market)
    advance(exchange, 1_100)
    winner = exchange.venue.winner(market, exchange.venue.now_s())
    token_id = market.up_token_id if winner is Outcome.UP else market.down_token_id
    won, cash = trader.account.tokens[token_id], trader.account.cash
    assert redeem(exchange, trader.account, market) == won > 0
    assert redeem(exchange, trader.account, market) == 0
    assert trader.account.cash == cash + won
    assert exchange.audit()["missing"] == 0


def _checked(exchange: MatchingExchange) -> None:
    """Nothing is lost, nobody owes, and no token exists without its pair's collateral."""
    audit = exchange.audit()
    assert audit["missing"] == 0
    pairs = exchange.accounts.tokens_in_accounts()
    for trade in exchange.settlement.trades.values():
        if trade.held_cash or not (trade.state.is_settled or trade.state == "FAILED"):
            for transfer in trade.gives:
                if transfer.size:
                    pairs[transfer.token_id] += transfer.size
    market = exchange.venue.listing.by_slug("btc-updown-15m-1795392000")
    assert market is not None
    for token_id in (market.up_token_id, market.down_token_id):
        assert pairs[token_id] == exchange.accounts.collateral
    for account in exchange.accounts:
        assert account.cash - exchange.held(account) >= 0
        assert all(size >= 0 for size in account.tokens.values())


_STEP = st.tuples(
    st.sampled_from(["limit", "limit", "market", "sell", "cancel", "wait"]),
    st.integers(0, 2),
    st.integers(1, 99),
    st.integers(500, 60_000),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(_STEP, min_size=5, max_size=40),
    fates=st.lists(st.sampled_from(["confirm", "retry", "fail"]), min_size=1, max_size=7),
    fill_step=st.sampled_from([1, 100]),
)
def test_cash_and_tokens_are_conserved(
    steps: list[tuple[str, int, int, int, bool]], fates: list[str], fill_step: int
) -> None:
    """After any orders, cancels, fills, failures and waiting everything adds up, to the micro."""
    exchange = open_exchange(VenueRules(fill_step=fill_step))
    exchange.fate_of = lambda trade: fates[int(trade.trade_id[:4], 16) % len(fates)]
    gateway = PrivateGateway(exchange)
    traders = [Trader(gateway, key="0x" + 64 * digit, cash="500") for digit in "789"]
    statuses = set()
    for action, who, cents, hundredths, is_up in steps:
        trader, price = traders[who], Decimal(cents) / 100
        size = str(Decimal(hundredths) / 100)
        if action == "limit":
            reply = trader.post(trader.limit("BUY", str(price), size, is_up=is_up))
        elif action == "sell":
            reply = trader.post(trader.limit("SELL", str(price), size, is_up=is_up), "FAK")
        elif action == "market":
            budget = str((price * Decimal(size)).quantize(Decimal("0.01")) + Decimal("0.01"))
            reply = trader.post(trader.market_buy(budget, str(price), is_up=is_up), "FAK")
        elif action == "cancel":
            reply = trader.ask("DELETE", "/cancel-all")
        else:
            advance(exchange, cents / 10)
            continue
        statuses.add(reply.status)
        _checked(exchange)
    advance(exchange, 120)
    _checked(exchange)
    assert statuses <= {200, 400}
