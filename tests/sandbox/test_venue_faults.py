"""Every kind of fault fires when its rule says, is counted, and does what its name says."""

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest

from polybot.errors import ConfigurationError
from polybot.sandbox import gamma
from polybot.sandbox.exchange.gateway import PrivateGateway, VenueRequest
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.fault_plan import (
    EVENT_FAULTS,
    LEADER_FAULTS,
    MATCH_FAULTS,
    REQUEST_FAULTS,
    STREAM_FAULTS,
    TRADE_FAULTS,
    VENUE_FAULTS,
    FaultKind,
    FaultPlan,
    PlannedFault,
    load_faults,
)
from polybot.sandbox.feeds import MarketFeed, UserFeed
from polybot.sandbox.injector import Delivery, FaultInjector, FaultyGateway
from tests.sandbox_server import serve_in_thread
from tests.venue_trader import SLUG, START_S, Trader, advance, open_exchange


@dataclass
class Rig:
    """An exchange with a plan, and a trader behind the faults."""

    trader: Trader
    plan: FaultPlan
    injector: FaultInjector
    faulty: FaultyGateway

    @property
    def exchange(self) -> MatchingExchange:
        return self.trader.exchange

    def buy(self, budget: str = "10") -> Delivery:
        return self.send(self.trader.market_buy(budget, "0.95"), "FAK")

    def bid(self) -> Delivery:
        return self.send(self.trader.limit("BUY", "0.02", "100"), "GTC")

    def send(self, order: dict[str, Any], kind: str) -> Delivery:
        sent: list[VenueRequest] = []
        gateway = self.trader.gateway

        class Tap:
            exchange = gateway.exchange

            def handle(self, request: VenueRequest) -> Any:
                sent.append(request)
                return gateway.handle(VenueRequest(method="GET", path="/nowhere"))

        self.trader.gateway = Tap()  # type: ignore[assignment]
        self.trader.post(order, kind)
        self.trader.gateway = gateway
        return self.faulty.handle(sent[0])


def rig_with(*rules: PlannedFault, seed: int = 1) -> Rig:
    trader = Trader(PrivateGateway(open_exchange()))
    plan = FaultPlan(seed, list(rules))
    injector = FaultInjector(trader.exchange, plan)
    return Rig(trader, plan, injector, FaultyGateway(trader.gateway, injector))


def test_every_kind_belongs_to_one_group() -> None:
    groups = REQUEST_FAULTS + VENUE_FAULTS + TRADE_FAULTS + MATCH_FAULTS + EVENT_FAULTS
    groups += STREAM_FAULTS + LEADER_FAULTS
    assert sorted(groups) == sorted(get_args(FaultKind))


@pytest.mark.parametrize("kind", REQUEST_FAULTS)
def test_a_request_fault_keeps_the_order_out_or_lets_it_in(kind: FaultKind) -> None:
    rig = rig_with(PlannedFault(kind=kind, route="POST /order", at_byte=20, delay_ms=0))
    delivery = rig.bid()
    is_in = kind in ("error-after", "timeout-after", "cut-after", "truncated", "html-after", "slow")
    assert (len(rig.trader.open_order_ids()) == 1) is is_in
    assert rig.plan.fired == {kind: 1}
    assert (delivery.answer is None) is (kind.startswith(("timeout", "cut")))
    assert delivery.is_timeout is kind.startswith("timeout")
    if kind == "truncated":
        assert delivery.answer is not None
        assert delivery.answer.body == b'{"success":true,"err'
    assert rig.bid().fault is None, "a rule fires once unless it says otherwise"


@pytest.mark.parametrize("retry_after_s", [None, 7])
def test_a_rate_limit_names_its_wait_or_does_not(retry_after_s: int | None) -> None:
    rig = rig_with(PlannedFault(kind="rate-limited", retry_after_s=retry_after_s))
    answer = rig.bid().answer
    assert answer is not None
    assert answer.status == 429
    assert answer.headers.get("retry-after") == (None if retry_after_s is None else "7")


def _status(rig: Rig) -> int:
    answer = rig.bid().answer
    assert answer is not None
    return answer.status


def test_the_venue_restarts_and_is_restricted_for_a_while() -> None:
    for kind, status, again_after_s in (
        ("restart", 425, 211),
        ("cancel-only", 503, 61),
        ("disabled", 503, 61),
    ):
        rig = rig_with(PlannedFault(kind=kind))  # type: ignore[arg-type]
        assert _status(rig) == status
        advance(rig.exchange, again_after_s)
        assert _status(rig) == 200
        assert rig.plan.fired == {kind: 1}


def test_a_skewed_clock_refuses_what_was_signed_by_the_true_one() -> None:
    rig = rig_with(PlannedFault(kind="clock-skew", skew_s=120, duration_s=30))
    assert _status(rig) == 401
    advance(rig.exchange, 31)
    assert _status(rig) == 200


def test_revoked_keys_are_unauthorised_until_they_are_created_again() -> None:
    rig = rig_with(PlannedFault(kind="keys-revoked"))
    assert _status(rig) == 401
    rig.exchange.keys.issue(rig.trader.address)
    assert _status(rig) == 200


def test_a_changed_tick_lets_finer_prices_in() -> None:
    rig = rig_with(PlannedFault(kind="tick-change", slug=SLUG, tick=Decimal("0.001"), skip=1))
    fine = rig.trader.limit("BUY", "0.025", "100")
    assert (first := rig.send(fine, "GTC").answer) is not None
    assert (second := rig.send(fine, "GTC").answer) is not None
    assert (first.status, second.status) == (400, 200)


def test_gamma_is_late_to_close() -> None:
    rig = rig_with(PlannedFault(kind="gamma-late", duration_s=500))
    advance(rig.exchange, 1_300)
    venue, market = rig.exchange.venue, rig.trader.market
    assert gamma.build_market(venue, market, venue.now_s())["closed"] is True
    rig.bid()
    assert gamma.build_market(venue, market, venue.now_s())["closed"] is False
    assert venue.winner(market, venue.now_s()) is not None


def test_a_balance_changes_from_outside() -> None:
    rig = rig_with()
    change = PlannedFault(
        kind="balance-change", funder=rig.trader.funder, amount_usdc=Decimal("-999.5")
    )
    rig.plan.arm(change)
    assert _status(rig) == 400
    assert rig.trader.account.cash == 500_000
    assert rig.exchange.audit()["missing"] == 0


@pytest.mark.parametrize(
    ("kind", "end"), [("trade-retried", "CONFIRMED"), ("trade-failed", "FAILED")]
)
def test_a_trade_meets_its_fate(kind: FaultKind, end: str) -> None:
    rig = rig_with(PlannedFault(kind=kind))
    rig.buy()
    advance(rig.exchange, 60)
    rig.buy()
    advance(rig.exchange, 60)
    states = [trade["status"].removeprefix("TRADE_STATUS_") for trade in rig.trader.trades()]
    assert states == ["CONFIRMED", end]
    assert rig.plan.fired == {kind: 1}


def test_a_match_is_delayed() -> None:
    rig = rig_with(PlannedFault(kind="match-delayed"))
    answer = rig.buy().answer
    assert answer is not None
    assert b'"status":"delayed"' in answer.body
    assert rig.plan.fired == {"match-delayed": 1}


def _statuses(frames: list[dict[str, object]]) -> list[str]:
    return [f"{frame['event_type']} {frame['status']}" for frame in frames]


_ALL = ["order LIVE", "order CANCELED"]


@pytest.mark.parametrize(
    ("kind", "at_once", "later"),
    [
        ("event-late", ["order CANCELED"], ["order LIVE"]),
        ("event-duplicated", ["order LIVE", *_ALL], []),
        ("event-reordered", ["order CANCELED", "order LIVE"], []),
        ("event-lost", ["order CANCELED"], []),
        ("socket-frozen", [], []),
        ("socket-closed", [], []),
    ],
)
def test_events_go_astray_as_planned(kind: FaultKind, at_once: list[str], later: list[str]) -> None:
    rig = rig_with(PlannedFault(kind=kind, delay_ms=500, duration_s=60))
    feed = UserFeed(rig.exchange, rig.trader.api_key.key, injector=rig.injector)
    rig.bid()
    rig.trader.ask("DELETE", "/cancel-all")
    assert _statuses(feed.take()) == at_once
    advance(rig.exchange, 3)
    assert _statuses(feed.take()) == later
    assert feed.is_closed is (kind == "socket-closed")
    assert rig.plan.fired == {kind: 1}


def test_a_frozen_socket_thaws_and_replays_nothing() -> None:
    rig = rig_with(PlannedFault(kind="socket-frozen", duration_s=60))
    feed = UserFeed(rig.exchange, rig.trader.api_key.key, injector=rig.injector)
    rig.bid()
    advance(rig.exchange, 61)
    rig.trader.ask("DELETE", "/cancel-all")
    assert _statuses(feed.take()) == ["order CANCELED"]


def test_market_events_follow_the_book() -> None:
    """The first frames are books; then levels change, and the new tick is told."""
    rig = rig_with()
    up = rig.trader.market.up_token_id
    feed = MarketFeed(rig.exchange)
    (book,) = feed.subscribe([up])
    assert book["event_type"] == "book"
    rig.bid()
    (change,) = feed.take()
    assert change["event_type"] == "price_change"
    (level,) = change["price_changes"]  # type: ignore[misc]
    assert (level["price"], level["side"], level["size"]) == ("0.02", "BUY", "100")
    rig.exchange.venue.ticks[rig.trader.market.condition_id] = Decimal("0.001")
    assert feed.take()[0]["event_type"] == "tick_size_change"


def test_chance_depends_on_the_seed_and_the_order_of_requests_alone() -> None:
    def pattern(seed: int) -> list[bool]:
        rule = PlannedFault(kind="error-before", probability=0.4, count=0)
        rig = rig_with(rule, seed=seed)
        return [rig.bid().fault is not None for _ in range(40)]

    assert pattern(1) == pattern(1)
    assert pattern(1) != pattern(2)
    assert 5 < sum(pattern(3)) < 30


def test_rules_wait_for_their_time_and_skip_what_they_should() -> None:
    rule = PlannedFault(kind="error-before", from_s=START_S + 70, skip=1, count=2)
    rig = rig_with(rule)
    first = [_status(rig) for _ in range(3)]
    advance(rig.exchange, 10)
    assert first + [_status(rig) for _ in range(5)] == [200, 200, 200, 200, 500, 500, 200, 200]


def test_a_file_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("seed: 9\nfaults:\n  - {kind: restart, skip: 3}\n", encoding="utf-8")
    plan = load_faults(path, seed=1)
    assert (plan.seed, plan.armed()[0]["kind"]) == (9, "restart")
    for text in ("faults: [{kind: surprise}]", "faults: [{kind: restart, colour: red}]", "{", ""):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError, match=r"faults\.yaml"):
            load_faults(path, seed=1)


@pytest.fixture
def wire() -> Iterator[tuple[str, Trader]]:
    trader = Trader(PrivateGateway(open_exchange()))
    with serve_in_thread(trader.exchange.venue, gateway=trader.gateway) as url:
        yield url, trader


def _arm(url: str, **rule: object) -> None:
    answer = httpx.post(f"{url}/sandbox/faults", json=rule)
    assert answer.status_code == 200, answer.text


def _armed_kinds(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [rule["kind"] for rule in answer.json()["armed"]]


def test_faults_are_replaced_as_a_whole_or_not_at_all(wire: tuple[str, Trader]) -> None:
    """One wrong rule leaves those that are armed."""
    url = f"{wire[0]}/sandbox/faults"
    _arm(wire[0], kind="restart")
    two = [{"kind": "slow", "delay_ms": 5}, {"kind": "html"}]
    assert _armed_kinds(httpx.put(url, json=two)) == ["slow", "html"]
    assert httpx.put(url, json=[{"kind": "restart"}, {"kind": "nothing"}]).status_code == 400
    assert _armed_kinds(httpx.post(url, json={"kind": "restart"})) == ["slow", "html", "restart"]


def _raw(url: str, path: str) -> bytes:
    """Return every byte of an answer until the connection ends."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
        )
        received = b""
        while part := connection.recv(65536):
            received += part
    return received


def test_an_answer_is_cut_at_every_byte(wire: tuple[str, Trader]) -> None:
    url, _ = wire
    whole = _raw(url, "/version")
    assert whole.endswith(b'{"version":2}')
    for at_byte in range(0, len(whole), 7):
        _arm(url, kind="cut-after", route="/version", at_byte=at_byte)
        assert len(_raw(url, "/version")) == at_byte
    assert _raw(url, "/version")[:15] == whole[:15]


def test_faults_over_the_wire_are_counted_by_kind(wire: tuple[str, Trader]) -> None:
    url, _ = wire
    kinds = ["html", "html-after", "error-after", "rate-limited", "truncated", "slow"]
    with httpx.Client(base_url=url) as http:
        for kind in kinds:
            _arm(url, kind=kind, route="GET /version", status=502, at_byte=4, delay_ms=1)
        seen = [http.get("/version") for _ in range(len(kinds) + 1)]
        assert [answer.status_code for answer in seen] == [502, 502, 502, 429, 200, 200, 200]
        assert seen[0].text.startswith("<html>")
        assert seen[4].text == '{"ve'
        for kind in ("cut-before", "timeout-before", "timeout-after"):
            _arm(url, kind=kind, route="GET /version", delay_ms=1)
            with pytest.raises(httpx.RemoteProtocolError):
                http.get("/version")
            kinds.append(kind)
        planned = http.get("/sandbox/status").json()["planned_faults"]
    assert planned == {"armed": [], "fired": dict.fromkeys(kinds, 1)}


def test_impossible_rules_are_refused(wire: tuple[str, Trader]) -> None:
    url, _ = wire
    wrong: list[dict[str, object]] = [
        {"kind": "nothing"},
        {"kind": "restart", "probability": 0},
        {"kind": "tick-change"},
        {"kind": "balance-change"},
        {"kind": "restart", "count": -1},
        {"kind": "html", "status": 99},
    ]
    for rule in wrong:
        assert httpx.post(f"{url}/sandbox/faults", json=rule).status_code == 400, rule
