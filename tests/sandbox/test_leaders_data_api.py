"""The Data API about wallets: late, cached, in pages, and as the venue words it."""

from collections import Counter
from typing import Any

import pytest

from polybot.sandbox.leaders.wallets import LeaderOptions
from tests.sandbox.conftest import SLUG, START_S
from tests.sandbox.leader_wire import QUIET, Wire, name_of, open_stage, serve_stage

QUIET_OPTIONS = LeaderOptions(leaders=1, crowd=0, noise=0, behaviour=QUIET)
BUSY = LeaderOptions(leaders=1, crowd=0, noise=0, rate=30)


def _indexed(wire: Wire, *, types: tuple[str, ...] = ("TRADE",)) -> list[dict[str, Any]]:
    """Return what the Data API should know by now, newest first."""
    now_ms = wire.stage.advance()
    rows = [one for one in wire.truth() if one["type"] in types and one["index_ms"] <= now_ms]
    return rows[::-1]


def test_all_trades_are_told_newest_first_over_pages_of_any_size() -> None:
    """Repeats too; the pages are stable while new trades arrive."""
    with serve_stage(open_stage(BUSY)) as wire:
        wire.advance(600)
        expected = [name_of(one) for one in _indexed(wire)]
        assert len(expected) > 200
        assert len(set(expected)) < len(expected), "no true repeat"
        for limit in (1_000, 77):
            assert [name_of(one) for one in wire.rows(limit=limit)] == expected

        first = wire.get("/v2/trades", user=wire.leader, taker_only="false", limit=5)
        wire.advance(60)
        cursor = first["pagination"]["next_cursor"]
        second = wire.get(
            "/v2/trades", user=wire.leader, taker_only="false", limit=5, cursor=cursor
        )
        assert [name_of(one) for one in first["data"] + second["data"]] == expected[:10]


def test_makers_fills_are_left_out_unless_asked_for() -> None:
    with serve_stage(open_stage(QUIET_OPTIONS)) as wire:
        taken = wire.act(slug=SLUG)
        made = wire.act(slug=SLUG, is_maker=True, is_complement=True)
        wire.advance(6)
        takers = wire.get("/v2/trades", user=wire.leader)["data"]
        all_rows = wire.rows()
    assert [one["transaction_hash"] for one in takers] == [taken[0]["transaction_hash"]]
    assert [one["transaction_hash"] for one in all_rows] == [
        made[0]["transaction_hash"],
        taken[0]["transaction_hash"],
    ]


def test_trades_are_known_some_seconds_late() -> None:
    """Three seconds, give or take; adjustable while it runs."""
    with serve_stage(open_stage(QUIET_OPTIONS)) as wire:
        wire.act(slug=SLUG)
        wire.advance(2)
        assert wire.rows() == []
        wire.advance(2.5)
        assert len(wire.rows()) == 1
        wire.http.post("/sandbox/leaders", json={"index_lag_ms": 0})
        wire.act(slug=SLUG)
        assert len(wire.rows()) == 2


@pytest.mark.parametrize(("path", "age_s"), [("/v2/trades", 300), ("/v2/activity", 15)])
def test_the_same_url_gets_the_same_answer_for_a_while(path: str, age_s: int) -> None:
    """Whoever sends no different word each time hears of nothing new."""
    with serve_stage(open_stage(QUIET_OPTIONS)) as wire:
        query = {"user": wire.leader, "taker_only": "false"}
        assert wire.http.get(path, params=query).json()["data"] == []
        wire.act(slug=SLUG)
        wire.advance(age_s - 1)
        kept = wire.http.get(path, params=query)
        assert kept.json()["data"] == []
        assert kept.headers["x-cache"] == "Hit from cloudfront"
        assert kept.headers["age"] == str(age_s - 1)
        assert len(wire.rows(path)) == 1
        wire.advance(1)
        assert len(wire.http.get(path, params=query).json()["data"]) == 1


def test_activity_tells_of_conversions_by_type() -> None:
    with serve_stage(open_stage(QUIET_OPTIONS)) as wire:
        wire.act(slug=SLUG, kind="SPLIT", size=40)
        wire.act(slug=SLUG, kind="SELL", size=15)
        wire.act(slug=SLUG, kind="MERGE", size=20)
        wire.advance(6)
        every = wire.rows("/v2/activity")
        merges = wire.rows("/v2/activity", type="MERGE,REDEEM")
        assert [one["type"] for one in every] == ["MERGE", "TRADE", "SPLIT"]
        assert [(one["type"], one["size"], one["usdc_size"]) for one in merges] == [
            ("MERGE", 20, 20)
        ]
        assert (merges[0]["token_id"], merges[0]["side"]) == ("", "")
        held = {one["outcome"]: one for one in wire.rows("/v2/positions")}
        assert held == {}, "positions are a minute late"
        wire.advance(60)
        held = {one["outcome"]: one for one in wire.rows("/v2/positions")}
    assert {name: one["current_size"] for name, one in held.items()} == {"Up": 5, "Down": 20}
    assert held["Up"]["opposite_token_id"] == held["Down"]["token_id"]
    assert held["Up"]["mergeable"]


def test_positions_follow_the_market_to_its_end() -> None:
    """Open, then redeemable or lost; closed with its profit once redeemed."""
    with serve_stage(open_stage(QUIET_OPTIONS)) as wire:
        market = wire.stage.venue.listing.by_slug(SLUG)
        assert market is not None
        price = {"size": 10, "price": "0.4"}
        wire.act(slug=SLUG, fills=[price])
        wire.act(slug=SLUG, outcome="Down", fills=[price])
        wire.advance(100)
        assert {one["status"] for one in wire.rows("/v2/positions")} == {"OPEN"}
        wire.advance(market.resolved_s - START_S)
        winner = wire.stage.venue.winner(market, market.resolved_s)
        rows = {one["outcome"]: one for one in wire.rows("/v2/positions")}
        assert rows[str(winner)]["status"] == "REDEEMABLE"
        assert wire.get("/v2/value", user=wire.leader)["data"][0]["value"] == 10
        wire.act(slug=SLUG, kind="REDEEM", size=10)
        wire.advance(100)
        rows = {one["outcome"]: one for one in wire.rows("/v2/positions")}
    assert {one["status"] for one in rows.values()} == {"CLOSED"}
    assert rows[str(winner)]["realized_pnl"] == 6
    assert sum(one["realized_pnl"] for one in rows.values()) == 2


def test_filters_narrow_by_time_side_and_market() -> None:
    with serve_stage(open_stage(BUSY)) as wire:
        wire.advance(600)
        every = wire.rows()
        middle = every[len(every) // 2]
        instant, market = middle["timestamp"], middle["condition_id"]

        def names(rows: list[dict[str, Any]]) -> list[tuple[object, ...]]:
            return [name_of(one) for one in rows]

        assert names(wire.rows(start=instant)) == names(
            [one for one in every if one["timestamp"] >= instant]
        )
        assert names(wire.rows(end=instant)) == names(
            [one for one in every if one["timestamp"] <= instant]
        )
        assert names(wire.rows(condition=market)) == names(
            [one for one in every if one["condition_id"] == market]
        )
        assert {one["side"] for one in wire.rows(side="SELL")} == {"SELL"}


@pytest.mark.parametrize(
    "query",
    [
        {"user": "0x12"},
        {"offset": 10},
        {"limit": 1_001},
        {"cursor": "surprise"},
        {"side": "HOLD"},
        {"taker_only": "maybe"},
        {"start": "yesterday"},
    ],
)
def test_nonsense_is_a_bad_request_that_names_the_parameter(query: dict[str, object]) -> None:
    with serve_stage(open_stage(QUIET_OPTIONS)) as wire:
        answer = wire.http.get("/v2/trades", params={"user": wire.leader, **query})  # type: ignore[arg-type]
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_request"
    assert answer.json()["retryable"] is False


def test_too_many_requests_are_answered_with_when_to_come_back() -> None:
    with serve_stage(open_stage(QUIET_OPTIONS)) as wire:
        wire.arm(kind="rate-limited", route="GET /v2/trades", retry_after_s=3, count=2)
        answers = [wire.http.get("/v2/trades", params={"user": wire.leader}) for _ in range(3)]
        assert [one.status_code for one in answers] == [429, 429, 200]
        assert answers[0].headers["retry-after"] == "3"
        assert wire.fired() == {"rate-limited": 2}


def test_trades_of_a_market_are_still_everybodys() -> None:
    with serve_stage(open_stage(QUIET_OPTIONS)) as wire:
        wire.advance(120)
        market = wire.stage.venue.listing.by_slug(SLUG)
        assert market is not None
        rows = wire.get("/v2/trades", condition=market.condition_id)["data"]
    assert len(rows) > 5
    assert {one["condition_id"] for one in rows} == {market.condition_id}


def test_the_truth_has_a_key_for_every_event() -> None:
    """Repeats are counted; the keys are unique over everything leaders did."""
    with serve_stage(open_stage(BUSY)) as wire:
        wire.advance(900)
        rows = wire.truth()
        again = wire.truth(after=rows[10]["number"])
    keys = Counter(one["key"] for one in rows)
    assert len(rows) > 300
    assert set(keys.values()) == {1}
    assert max(one["occurrence"] for one in rows) >= 1
    assert [one["number"] for one in rows] == sorted(one["number"] for one in rows)
    assert again == rows[11:]
