"""Every row of the venue's table of errors can be met, with its words and its status."""

from typing import Any

import pytest

from polybot.sandbox.exchange import refusals
from polybot.sandbox.exchange.gateway import PrivateGateway, VenueReply
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.rules import NEGATIVE_RISK_EXCHANGE, V2_EXCHANGE, VenueRules
from tests.venue_trader import Trader, advance, best, open_exchange


@pytest.fixture
def trader() -> Trader:
    return Trader(PrivateGateway(open_exchange()))


def error_of(reply: VenueReply) -> tuple[int, str]:
    assert isinstance(reply.payload, dict)
    return reply.status, str(reply.payload.get("error", reply.payload))


def _later(exchange: MatchingExchange) -> tuple[bool, bool]:
    advance(exchange, 10)
    return True, False


def id_of(reply: VenueReply) -> str:
    assert isinstance(reply.payload, dict)
    return str(reply.payload["orderID"])


def test_an_order_beyond_the_balance_is_refused_with_both_figures(trader: Trader) -> None:
    status, words = error_of(trader.post(trader.limit("BUY", "0.50", "2001")))
    assert status == 400
    assert words == (
        "not enough balance / allowance: the balance is not enough -> "
        "balance: 1000000000, order amount: 1035517500"
    )


def test_open_orders_and_fees_count_against_the_balance(trader: Trader) -> None:
    """Two orders of 600 USDC cannot both rest on 1,000, nor may the fee be missing."""
    assert trader.post(trader.limit("BUY", "0.01", "60000")).status == 200
    status, words = error_of(trader.post(trader.limit("BUY", "0.01", "60000")))
    assert (status, words.split(" ->")[0]) == (
        400,
        f"{refusals.NO_BALANCE}: the balance is not enough",
    )
    assert trader.post(trader.limit("BUY", "0.02", "19999"), postOnly=True).status == 200


def test_selling_what_one_does_not_hold_is_refused(trader: Trader) -> None:
    status, words = error_of(trader.post(trader.limit("SELL", "0.50", "10")))
    assert status == 400
    assert words.endswith("balance: 0, order amount: 10000000")


def test_an_exchange_without_allowance_is_named_as_such(trader: Trader) -> None:
    trader.account.allowances.clear()
    status, words = error_of(trader.post(trader.limit("BUY", "0.50", "10")))
    assert (status, "the allowance is not enough" in words) == (400, True)


def test_a_price_off_the_tick_is_refused_by_id(trader: Trader) -> None:
    order = trader.limit("BUY", "0.505", "10")
    status, words = error_of(trader.post(order))
    assert status == 400
    assert words.startswith("order 0x")
    assert words.endswith("is invalid. Price (0.505) breaks minimum tick size rule: 0.01")


@pytest.mark.parametrize("price", ["0.001", "0.995", "1.20"])
def test_a_price_outside_the_range_is_refused(trader: Trader, price: str) -> None:
    status, words = error_of(trader.post(trader.limit("BUY", price, "10")))
    assert (status, "must be between 0.01 and 0.99" in words) == (400, True)


def test_fewer_than_five_shares_are_refused(trader: Trader) -> None:
    status, words = error_of(trader.post(trader.limit("BUY", "0.50", "4.99")))
    assert status == 400
    assert words.endswith("is invalid. Size (4.99) lower than the minimum: 5")


def test_a_marketable_buy_below_a_dollar_is_refused() -> None:
    """Late in a losing window five shares cost less than a dollar."""
    exchange = open_exchange()
    trader = Trader(PrivateGateway(exchange))
    cheap = ((up, best(exchange, is_up=up)[1]) for _ in range(80) for up in _later(exchange))
    is_up, ask = next((up, ask) for up, ask in cheap if ask * 5 < 1)
    status, words = error_of(trader.post(trader.limit("BUY", str(ask), "5", is_up=is_up)))
    assert status == 400
    assert words == (
        f"invalid amount for a marketable BUY order (${(ask * 5).normalize():f}), min size: $1"
    )


def test_market_orders_have_two_and_four_decimals(trader: Trader) -> None:
    for order in (
        trader.signed("BUY", 10_001_000, 20_002_000),
        trader.signed("BUY", 10**7, 19_999_950),
    ):
        status, words = error_of(trader.post(order, "FAK"))
        assert (status, words) == (400, refusals.BUY_ACCURACY.format(taker=4))
    status, words = error_of(trader.post(trader.signed("SELL", 10_005_000, 5_002_500), "FOK"))
    assert (status, words) == (400, refusals.SELL_ACCURACY.format(taker=4))


def test_resting_orders_have_two_decimals(trader: Trader) -> None:
    status, words = error_of(trader.post(trader.signed("BUY", 5_002_500, 10_005_000)))
    assert (status, words.endswith("Maximum lot size is 2 decimals")) == (400, True)


def test_a_copy_is_a_duplicate_whether_it_rests_or_is_over(trader: Trader) -> None:
    order = trader.limit("BUY", "0.02", "100")
    order_id = id_of(trader.post(order))
    duplicated = (400, f"order {order_id} is invalid. Duplicated.")
    assert error_of(trader.post(order)) == duplicated
    trader.ask("DELETE", "/cancel-all")
    assert error_of(trader.post(order)) == duplicated


def test_a_copy_of_a_cancelled_order_is_taken_where_the_venue_forgets() -> None:
    exchange = open_exchange(VenueRules(dedupes_terminal_orders=False))
    trader = Trader(PrivateGateway(exchange))
    order = trader.limit("BUY", "0.02", "100")
    first = id_of(trader.post(order))
    trader.ask("DELETE", "/cancel-all")
    assert id_of(trader.post(order)) == first


def test_a_copy_may_be_refused_for_its_balance_first() -> None:
    exchange = open_exchange(VenueRules(checks_balance_before_duplicates=True))
    trader = Trader(PrivateGateway(exchange), cash="3")
    order = trader.limit("BUY", "0.02", "100")
    assert trader.post(order).status == 200
    assert "balance is not enough" in error_of(trader.post(order))[1]


def test_orders_that_find_nothing_are_killed(trader: Trader) -> None:
    assert error_of(trader.post(trader.market_buy("5", "0.01"), "FAK")) == (
        400,
        refusals.FAK_KILLED,
    )
    ask = str(best(trader.exchange)[1])
    assert error_of(trader.post(trader.market_buy("900", ask), "FOK")) == (
        400,
        refusals.FOK_KILLED,
    )
    assert trader.trades() == []
    assert trader.account.cash == 1_000_000_000


def test_post_only_orders_must_not_cross(trader: Trader) -> None:
    ask = str(best(trader.exchange)[1])
    order = trader.limit("BUY", ask, "10")
    assert error_of(trader.post(order, postOnly=True)) == (400, refusals.CROSSES)
    market = trader.market_buy("10", ask)
    assert error_of(trader.post(market, "FAK", postOnly=True)) == (400, refusals.POST_ONLY_TYPE)


def test_another_exchange_is_a_version_mismatch(trader: Trader) -> None:
    for domain in (V2_EXCHANGE, NEGATIVE_RISK_EXCHANGE):
        order = trader.limit("BUY", "0.50", "10", domain=domain)
        assert error_of(trader.post(order)) == (400, refusals.VERSION_MISMATCH)


def test_a_foreign_or_broken_signature_is_refused(trader: Trader) -> None:
    order = trader.limit("BUY", "0.50", "10")
    changed = {**order, "salt": order["salt"] + 1}
    assert error_of(trader.post(changed)) == (400, refusals.INVALID_SIGNATURE)


def test_maker_signer_and_owner_must_belong_together(trader: Trader) -> None:
    other = "0x" + 40 * "7"
    order = trader.limit("BUY", "0.50", "10", signer=other, maker=other)
    assert error_of(trader.post(order)) == (400, refusals.WRONG_SIGNER)
    proxied = trader.limit("BUY", "0.50", "10", signatureType=1, maker=other)
    assert error_of(trader.post(proxied)) == (400, refusals.WRONG_MAKER)
    good = trader.limit("BUY", "0.50", "10")
    assert error_of(trader.post(good, owner="00000000-0000-0000-0000-000000000001")) == (
        400,
        refusals.WRONG_OWNER,
    )


@pytest.mark.parametrize("ahead_s", [0, 60, 179])
def test_gtd_orders_need_three_minutes(trader: Trader, ahead_s: int) -> None:
    expires = str(trader.exchange.venue.now_s() + ahead_s)
    order = trader.limit("BUY", "0.02", "100", expiration=expires)
    assert error_of(trader.post(order, "GTD")) == (400, refusals.INVALID_EXPIRATION)


def test_a_market_that_is_over_takes_no_orders(trader: Trader) -> None:
    order = trader.limit("BUY", "0.50", "10")
    advance(trader.exchange, 850)
    assert error_of(trader.post(order)) == (400, refusals.NOT_READY)
    advance(trader.exchange, 300)
    assert error_of(trader.post(order)) == (404, refusals.NO_BOOK)
    unknown = trader.limit("BUY", "0.50", "10", tokenId="12345")
    assert error_of(trader.post(unknown)) == (404, refusals.NO_BOOK)


@pytest.mark.parametrize(
    "change",
    [
        {"makerAmount": "-5"},
        {"makerAmount": "0"},
        {"takerAmount": "1e6"},
        {"tokenId": "٣"},
        {"signature": "0x12"},
        {"signatureType": 7},
        {"maker": "nobody"},
        {"side": "HOLD"},
        {"salt": "1"},
    ],
)
def test_malformed_orders_are_refused_whole(trader: Trader, change: dict[str, Any]) -> None:
    order = {**trader.limit("BUY", "0.50", "10"), **change}
    assert error_of(trader.post(order)) == (400, refusals.INVALID_PAYLOAD)


@pytest.mark.parametrize(
    "header",
    ["poly_api_key", "poly_passphrase", "poly_timestamp", "poly_signature", "poly_address"],
)
def test_a_request_with_a_wrong_header_is_unauthorised(trader: Trader, header: str) -> None:
    request = trader.request("GET", "/data/orders")
    assert trader.gateway.handle(request).status == 200
    assert isinstance(request.headers, dict)
    request.headers[header] = "1" + request.headers[header][-2::-1]
    assert error_of(trader.gateway.handle(request)) == (401, refusals.UNAUTHORIZED)


@pytest.mark.parametrize(("off_s", "status"), [(-61, 401), (-60, 200), (5, 200), (6, 401)])
def test_timestamps_are_held_against_the_venues_clock(
    trader: Trader, off_s: int, status: int
) -> None:
    request = trader.request("GET", "/data/orders")
    trader.exchange.venue.clock_skew_ms = -off_s * 1000
    assert trader.gateway.handle(request).status == status


def test_the_body_is_part_of_the_signature(trader: Trader) -> None:
    request = trader.request("DELETE", "/orders", b'["0x1"]')
    spaced = type(request)(
        method=request.method, path=request.path, headers=request.headers, body=b'[ "0x1"]'
    )
    assert trader.gateway.handle(request).status == 200
    assert error_of(trader.gateway.handle(spaced)) == (401, refusals.UNAUTHORIZED)


def test_a_restart_answers_425_and_then_takes_post_only_orders(trader: Trader) -> None:
    exchange = trader.exchange
    resting = id_of(trader.post(trader.limit("BUY", "0.02", "100")))
    exchange.conditions.restart(exchange.advance(), exchange.rules)
    advance(exchange, 11)
    reply = trader.post(trader.limit("BUY", "0.50", "10"))
    assert reply.status == 425
    assert reply.payload == {"error": refusals.RESTARTING, "retry_after_seconds": 79}
    assert trader.ask("DELETE", "/cancel-all").status == 425
    advance(exchange, 80)
    reply = trader.post(trader.limit("BUY", "0.50", "10"))
    assert reply.status == 503
    assert isinstance(reply.payload, dict)
    assert reply.payload["code"] == "post_only_mode"
    assert reply.payload["retry_after_seconds"] == 119
    assert trader.post(trader.limit("BUY", "0.02", "100"), postOnly=True).status == 200
    assert trader.ask("DELETE", "/order", f'{{"orderID":"{resting}"}}'.encode()).payload == {
        "canceled": [resting],
        "not_canceled": {},
    }
    advance(exchange, 119)
    assert trader.post(trader.limit("BUY", "0.02", "100")).status == 200


def test_cancel_only_and_disabled_are_told_apart(trader: Trader) -> None:
    exchange = trader.exchange
    exchange.conditions.cancel_only_until_ms = exchange.advance() + 1
    assert error_of(trader.post(trader.limit("BUY", "0.50", "10"))) == (503, refusals.CANCEL_ONLY)
    assert trader.ask("DELETE", "/cancel-all").status == 200
    exchange.conditions.disabled_until_ms = exchange.advance() + 1
    assert error_of(trader.post(trader.limit("BUY", "0.50", "10"))) == (503, refusals.DISABLED)
    assert trader.ask("DELETE", "/cancel-all").status == 503


def test_a_heartbeat_once_started_must_go_on(trader: Trader) -> None:
    order_id = id_of(trader.post(trader.limit("BUY", "0.02", "100")))
    first = trader.ask("POST", "/v1/heartbeats", b'{"heartbeat_id":""}')
    assert isinstance(first.payload, dict)
    expected = first.payload["heartbeat_id"]
    wrong = trader.ask("POST", "/v1/heartbeats", b'{"heartbeat_id":"x"}')
    assert (wrong.status, wrong.payload) == (
        400,
        {"error_msg": "Invalid Heartbeat ID", "heartbeat_id": expected},
    )
    advance(trader.exchange, 9)
    assert trader.open_order_ids() == [order_id]
    advance(trader.exchange, 1)
    assert trader.open_order_ids() == []
