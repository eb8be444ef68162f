"""Leaders that do what a test asks for, and leaders that are changed while the venue runs."""

from collections import Counter

import pytest

from polybot.sandbox.leaders.wallets import LeaderOptions
from tests.sandbox.conftest import SLUG
from tests.sandbox.leader_wire import QUIET, open_stage, serve_stage, stream

PROMPT = LeaderOptions(leaders=1, crowd=0, noise=0, behaviour=QUIET, stream_lag_ms=0)


async def test_a_burst_of_ten_thousand_trades_is_told_whole() -> None:
    """Each in a transaction of its own."""
    stage = open_stage(PROMPT)
    with serve_stage(stage) as wire:
        async with stream(wire.url) as client:
            rows = wire.act(slug=SLUG, count=10_000, size=1)
            heard = await client.heard()
    told = Counter(one["payload"]["transactionHash"] for one in heard)
    assert told == Counter({one["transaction_hash"]: 2 for one in rows})
    assert len(told) == 10_000


def test_fills_share_a_transaction_and_repeats_are_counted() -> None:
    with serve_stage(open_stage(PROMPT)) as wire:
        fill = {"size": "7.5", "price": "0.41"}
        rows = wire.act(slug=SLUG, fills=[fill, fill, {"size": 3, "price": "0.42"}])
        joined = wire.act(slug=SLUG, fills=[fill], transaction_hash=rows[0]["transaction_hash"])
        truth = wire.truth()
    assert len({one["transaction_hash"] for one in rows + joined}) == 1
    assert [one["occurrence"] for one in truth] == [0, 1, 0, 2]
    assert len({one["key"] for one in truth}) == 4


def test_a_stranger_becomes_a_leader_by_acting() -> None:
    address = "0x" + "Ab" * 20
    with serve_stage(open_stage(PROMPT)) as wire:
        wire.act(leader=address, slug=SLUG)
        wallets = {one["address"]: one for one in wire.get("/sandbox/leaders")["wallets"]}
        assert wallets[address.lower()]["is_leader"]
        assert [one["wallet"] for one in wire.truth()] == [address.lower()]


def test_a_token_that_the_venue_does_not_know_is_a_foreign_market() -> None:
    with serve_stage(open_stage(PROMPT)) as wire:
        (row,) = wire.act(token_id="12345", fills=[{"size": 1, "price": "0.5"}])
        assert row["token_id"] == "12345"
        assert wire.http.get(f"/markets/slug/{row['slug']}").status_code == 404


def test_habits_and_numbers_are_changed_while_it_runs() -> None:
    """From quiet to four leaders who only buy, and back."""
    with serve_stage(open_stage(PROMPT)) as wire:
        wire.advance(120)
        assert wire.truth() == []
        habits = {"rate": 60, "sells": 0, "merges": 0, "splits": 0, "series": ["btc-15m"]}
        changed = wire.http.post("/sandbox/leaders", json={"leaders": 4, "behaviour": habits})
        assert changed.status_code == 200
        wire.advance(300)
        rows = wire.truth()
        assert len({one["wallet"] for one in rows}) == 4
        assert {one.get("side") for one in rows} <= {"BUY", None}
        assert min(one["at_ms"] for one in rows) > changed.json()["now_ms"]
        wire.http.post("/sandbox/leaders", json={"leaders": 0})
        count = len(wire.truth())
        wire.advance(300)
        assert len(wire.truth()) == count


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"slug": SLUG, "token_id": "1"},
        {"slug": "no-such-market"},
        {"slug": SLUG, "leader": "nobody"},
        {"slug": SLUG, "size": 0},
        {"slug": SLUG, "fills": [{"size": 1, "price": 1}]},
        {"slug": SLUG, "count": 0},
        {"slug": SLUG, "kind": "HOLD"},
        {"slug": SLUG, "surprise": 1},
    ],
)
def test_impossible_wishes_are_refused(wanted: dict[str, object]) -> None:
    with serve_stage(open_stage(PROMPT)) as wire:
        body = {"leader": wire.leader, **wanted}
        assert wire.http.post("/sandbox/leaders/trades", json=body).status_code == 400
        assert wire.truth() == []


@pytest.mark.parametrize(
    "wanted", [{"noise": -1}, {"leaders": -1}, {"surprise": 1}, {"behaviour": {"sells": 2}}]
)
def test_impossible_changes_are_refused(wanted: dict[str, object]) -> None:
    with serve_stage(open_stage(PROMPT)) as wire:
        before = wire.get("/sandbox/leaders")
        assert wire.http.post("/sandbox/leaders", json=wanted).status_code == 400
        assert wire.get("/sandbox/leaders") == before
