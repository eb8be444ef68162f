"""One leader trade is told once: repeats, rounding, orders of arrival, contradictions."""

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polybot.adapters.polymarket.leader_feed.identity import (
    Conflict,
    LeaderMerge,
)
from polybot.domain.leaders import (
    ConversionKind,
    FeedSource,
    LeaderAddress,
    LeaderConversion,
    LeaderTrade,
)
from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.money import Shares
from polybot.domain.orders import Side
from polybot.ports import LAG_BUCKETS_S
from tests.leader_rows import CONDITION, NOW, TOKEN, WALLET, transaction

LEADER = LeaderAddress(WALLET)
STREAM, API, CHAIN = FeedSource.STREAM, FeedSource.DATA_API, FeedSource.CHAIN


def trade(
    size: str = "10",
    *,
    tx: int = 1,
    price: str = "0.5",
    source: FeedSource = STREAM,
    after_s: float = 0,
    condition: str = CONDITION,
) -> LeaderTrade:
    return LeaderTrade(
        leader=LEADER,
        transaction_hash=transaction(tx),
        token_id=OutcomeTokenId(TOKEN),
        condition_id=ConditionId(condition),
        slug="",
        side=Side.BUY,
        price=Decimal(price),
        size=Shares(Decimal(size)),
        traded_at=NOW,
        received_at=NOW + timedelta(seconds=after_s),
        source=source,
    )


def api(*sizes: str, after_s: float = 0, **options: object) -> list[LeaderTrade]:
    return [trade(size, source=API, after_s=after_s, **options) for size in sizes]  # type: ignore[arg-type]


class Desk:
    """A merge with everything it told and reported."""

    def __init__(self, keep: timedelta = timedelta(hours=2), max_groups: int = 1000) -> None:
        self.conflicts: list[Conflict] = []
        self.told: list[LeaderTrade] = []
        self.merge = LeaderMerge(
            keep=keep, max_groups=max_groups, on_conflict=self.conflicts.append
        )

    def hear(self, one: LeaderTrade, by: str = "stream-1", log: int | None = None) -> list[str]:
        return self._note(self.merge.hear(one, by=by, log_index=log))

    def walk(self, rows: list[LeaderTrade]) -> list[str]:
        return self._note(self.merge.hear_walk(rows, by="data-api"))

    def _note(self, found: Iterable[LeaderTrade]) -> list[str]:
        new = list(found)
        self.told += new
        return [f"{one.size.normalize():f}#{one.occurrence}" for one in new]


def test_first_sighting_is_told_and_later_ones_are_not() -> None:
    desk = Desk()
    assert desk.hear(trade()) == ["10#0"]
    assert desk.hear(trade(), by="stream-2") == []
    assert desk.walk(api("10")) == []
    assert desk.hear(trade(source=CHAIN), by="chain", log=7) == []
    assert desk.merge.first == Counter({"stream-1": 1})


def test_stream_never_makes_a_repeat_true() -> None:
    """It delivers again what it delivered, ten thousand times if it likes."""
    desk = Desk()
    for number in range(10_000):
        desk.hear(trade(), by=f"stream-{number % 2}")
    assert len(desk.told) == 1


def test_walk_makes_repeats_true() -> None:
    """The recorded transaction with one fill four times and another beside them."""
    desk = Desk()
    assert desk.hear(trade("4.14")) == ["4.14#0"]
    rows = api("4.14", "4.14", "4.0766", "4.14", "4.14")
    assert sorted(desk.walk(rows)) == ["4.0766#0", "4.14#1", "4.14#2", "4.14#3"]
    assert desk.walk(rows) == []
    assert desk.conflicts == []


def test_distinct_logs_make_repeats_true() -> None:
    desk = Desk()
    assert desk.hear(trade(source=CHAIN), by="chain", log=1) == ["10#0"]
    assert desk.hear(trade(source=CHAIN), by="chain", log=1) == []
    assert desk.hear(trade(source=CHAIN), by="chain", log=2) == ["10#1"]
    assert desk.walk(api("10", "10")) == []


def test_several_fills_of_one_transaction_are_several() -> None:
    desk = Desk()
    assert [desk.hear(trade(size)) for size in ("8", "7.8814", "8")] == [["8#0"], ["7.8814#0"], []]


def test_same_fill_rounded_otherwise_is_the_same_fill() -> None:
    """The key stays that of the first sighting."""
    desk = Desk()
    assert desk.hear(trade("4.33", price="0.4567")) == ["4.33#0"]
    assert desk.walk([trade("4.329876", price="0.456712", source=API)]) == []
    assert desk.hear(trade("4.329877", price="0.45671", source=CHAIN), "chain", 1) == []


def test_fills_that_nearly_agree_are_two_where_one_source_shows_both() -> None:
    desk = Desk()
    desk.hear(trade("5.001"))
    assert desk.hear(trade("5.002")) == ["5.002#0"]
    assert desk.walk(api("5.001", "5.002", "5.003")) == ["5.003#0"]


def test_other_size_from_another_source_is_held_and_reported_once() -> None:
    desk = Desk()
    desk.hear(trade("10"))
    for after_s in (1, 3, 20, 40):
        assert desk.walk(api("12", after_s=after_s)) == []
    (conflict,) = desk.conflicts
    assert (conflict.reason, conflict.trade.size) == ("fills-differ", Decimal(12))
    assert conflict.told == (desk.told[0].key,)
    assert desk.merge.conflicts == Counter({"fills-differ": 1})


def test_half_indexed_transaction_is_told_when_it_is_whole() -> None:
    """The Data API shows one fill first; nobody is alarmed, and nothing is lost."""
    desk = Desk()
    desk.hear(trade("10"))
    assert desk.walk(api("12", after_s=1)) == []
    assert desk.walk(api("12", "10", after_s=4)) == ["12#0"]
    desk.merge.prune(NOW + timedelta(days=1))
    assert desk.conflicts == []


def test_stream_after_the_data_api_waits_until_it_has_shown_the_same() -> None:
    desk = Desk()
    desk.walk(api("10"))
    assert desk.hear(trade("12")) == []
    assert desk.hear(trade("10")) == ["12#0"]


def test_contradicting_frame_is_reported_at_the_latest_when_it_is_forgotten() -> None:
    desk = Desk()
    desk.walk(api("10"))
    assert desk.hear(trade("12")) == []
    desk.merge.prune(NOW + timedelta(days=1))
    assert [one.reason for one in desk.conflicts] == ["fills-differ"]


def test_same_identity_with_another_market_or_time_is_reported_once() -> None:
    desk = Desk()
    desk.hear(trade())
    other = trade(source=API, condition="0x" + 64 * "1")
    for _ in range(3):
        assert desk.walk([other]) == []
    assert desk.hear(replace(trade(), traded_at=NOW - timedelta(hours=1))) == []
    assert [one.reason for one in desk.conflicts] == ["content-differs"]


def test_earliest_sighting_is_kept_and_the_lag_of_the_others_counted() -> None:
    desk = Desk()
    desk.hear(trade(), by="stream-2")
    desk.walk(api("10", after_s=2))
    desk.walk(api("10", after_s=5))
    (kept,) = desk.told
    assert (kept.source, kept.received_at) == (STREAM, NOW)
    counts = desk.merge.lags()[API]
    assert sum(counts) == 1
    assert counts[LAG_BUCKETS_S.index(3.0)] == 1


def test_what_the_ledger_knows_is_not_told_again() -> None:
    """Also where a source rounds it otherwise; only what is missing is told."""
    before, after = Desk(), Desk()
    before.walk(api("4.14", "4.14", "5"))
    after.merge.remember([one.key for one in before.told], at=NOW)
    assert after.hear(trade("4.14")) == []
    assert after.walk(api("4.14", "4.14", "5.000004", "4.14")) == ["4.14#2"]


def test_remembering_rubbish_changes_nothing() -> None:
    desk = Desk()
    desk.merge.remember(["", "a:b:c:d:e:f:g", "::::::"], at=NOW)  # type: ignore[list-item]
    assert desk.hear(trade()) == ["10#0"]


def test_held_log_is_of_the_fill_that_another_source_tells_meanwhile() -> None:
    """It is not told a second time when the chain has shown the rest."""
    desk = Desk()
    assert desk.hear(trade("1")) == ["1#0"]
    assert desk.hear(trade("2.5", source=CHAIN), by="chain", log=2) == []
    assert desk.hear(trade("2.5")) == ["2.5#0"]
    assert desk.hear(trade("1", source=CHAIN), by="chain", log=1) == []
    assert desk.hear(trade("2.5", source=CHAIN), by="chain", log=2) == []
    assert desk.hear(trade("2.5", source=CHAIN), by="chain", log=3) == ["2.5#1"]


def test_held_logs_are_each_told_once_the_chain_has_shown_the_rest() -> None:
    desk = Desk()
    desk.hear(trade("1"))
    for log in (2, 3, 3):
        assert desk.hear(trade("2.5", source=CHAIN), by="chain", log=log) == []
    assert desk.hear(trade("1", source=CHAIN), by="chain", log=1) == ["2.5#0", "2.5#1"]
    assert desk.hear(trade("2.5", source=CHAIN), by="chain", log=3) == []


def test_rounded_frame_stays_the_same_fill_however_often_it_comes() -> None:
    desk = Desk()
    desk.hear(trade("2.5", source=CHAIN), by="chain", log=1)
    for _ in range(3):
        assert desk.hear(trade("2.5001")) == []


def test_log_that_was_taken_back_names_the_trade_and_its_return_is_no_new_one() -> None:
    desk = Desk()
    one = trade(source=CHAIN)
    desk.hear(one, by="chain", log=3)
    assert desk.merge.take_back(one, log_index=3) == desk.told[0].key
    assert desk.merge.take_back(one, log_index=3) is None
    assert desk.hear(one, by="chain", log=9) == []


# Trades that failed ------------------------------------------------------------------------------


def swept(desk: Desk, *rows: LeaderTrade, minutes: float = 11, hours_back: float = 1) -> list[str]:
    """Hear a walk that was read so long after the trades, and return whose keys it misses."""
    desk.walk(list(rows))
    now = NOW + timedelta(minutes=minutes)
    start = now - timedelta(hours=hours_back)
    return list(desk.merge.take_unlisted(LEADER, start=start, end=now, now=now))


def later(tx: int = 99, after_s: float = 60) -> LeaderTrade:
    """A listed fill that happened after the others."""
    instant = NOW + timedelta(seconds=after_s)
    return replace(trade("3", tx=tx, source=API), traded_at=instant, received_at=instant)


def test_trade_that_the_data_api_never_lists_failed() -> None:
    """Told by the stream, not listed, although later ones are: named once."""
    desk = Desk()
    desk.hear(trade(tx=1))
    desk.hear(trade(tx=2))
    assert swept(desk, *api("10", tx=2), later()) == [trade(tx=1).key]
    assert swept(desk, *api("10", tx=2), later(), minutes=16) == []


def test_trade_that_was_listed_and_is_not_any_more_failed() -> None:
    desk = Desk()
    desk.hear(trade())
    assert swept(desk, *api("10"), minutes=1) == []
    assert swept(desk, later()) == [trade().key]


def test_trade_is_not_missed_before_its_time() -> None:
    """Boundary: ten minutes after the fill it should be there, a moment earlier it may be late."""
    desk = Desk()
    desk.hear(trade())
    assert swept(desk, later(), minutes=9.999) == []
    assert swept(desk, later(), minutes=10) == [trade().key]


def test_list_that_ends_before_a_trade_proves_nothing() -> None:
    """The Data API stands still: everything newer is missing there, and nothing has failed."""
    desk = Desk()
    desk.hear(trade())
    assert swept(desk) == []
    assert swept(desk, later(after_s=0)) == []
    assert swept(desk, later(after_s=1)) == [trade().key]


def test_walk_that_does_not_reach_a_trade_proves_nothing() -> None:
    desk = Desk()
    desk.hear(trade())
    assert swept(desk, later(), hours_back=0.1) == []
    assert swept(desk, later(), minutes=59, hours_back=1) == [trade().key]


def test_trade_that_a_node_has_shown_is_the_nodes_to_take_back() -> None:
    desk = Desk()
    desk.hear(trade())
    desk.hear(trade(source=CHAIN), by="chain", log=4)
    assert swept(desk, later()) == []


def test_trade_that_is_listed_with_other_numbers_is_a_contradiction_and_no_failure() -> None:
    desk = Desk()
    desk.hear(trade("10"))
    assert swept(desk, *api("12"), later()) == []
    assert swept(desk, *api("12"), later(), minutes=12) == []


def test_true_repeat_that_failed_is_the_one_that_is_missed() -> None:
    """Two equal fills were listed, one is left: one of them failed, whichever it was."""
    desk = Desk()
    desk.walk(api("10", "10"))
    assert swept(desk, *api("10"), later()) == [desk.told[1].key]


def test_what_may_be_missed_is_forgotten_with_its_transaction() -> None:
    """Without the Data API nothing is ever missed, and memory stays bounded."""
    desk = Desk(max_groups=10)
    for number in range(1, 100):
        desk.hear(trade(tx=number))
    assert sum(map(len, desk.merge._young.values())) <= 10
    desk.merge.prune(NOW + timedelta(days=1))
    assert not desk.merge._young


def test_memory_is_bounded_by_age_and_number() -> None:
    desk = Desk(keep=timedelta(hours=1), max_groups=100)
    for number in range(1000):
        desk.hear(trade(tx=number, after_s=number))
    assert len(desk.merge) <= 100
    desk.merge.prune(NOW + timedelta(hours=3))
    assert len(desk.merge) == 0


def test_transaction_with_thousands_of_fills_is_held_at_some_point() -> None:
    desk = Desk()
    for number in range(3000):
        desk.hear(trade(str(1 + number)))
    assert len(desk.told) == 256
    assert desk.walk(api(*(str(5000 + number) for number in range(3000)), tx=2))
    assert len(desk.told) == 512


def conversion(size: str = "5", *, tx: int = 1) -> LeaderConversion:
    return LeaderConversion(
        leader=LEADER,
        transaction_hash=transaction(tx),
        condition_id=ConditionId(CONDITION),
        slug="",
        kind=ConversionKind.MERGE,
        size=Shares(Decimal(size)),
        happened_at=NOW,
        received_at=NOW,
    )


def test_conversions_are_told_once_and_repeats_are_numbered() -> None:
    desk = Desk()
    first = desk.merge.hear_conversions([conversion(), conversion("7")])
    assert [one.occurrence for one in first] == [0, 0]
    (second,) = desk.merge.hear_conversions([conversion(), conversion("7"), conversion()])
    assert second.occurrence == 1
    again = Desk()
    again.merge.remember([one.key for one in (*first, second)], at=NOW)
    assert again.merge.hear_conversions([conversion(), conversion(), conversion("7")]) == ()


FILLS = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from(["1", "2.5", "2.5", "2.5001", "40"])),
    min_size=1,
    max_size=12,
)


@settings(max_examples=300, deadline=None)
@given(fills=FILLS, seed=st.integers(0, 2**32 - 1))
def test_any_mixture_of_sources_tells_every_fill_exactly_once(
    fills: list[tuple[int, str]], seed: int
) -> None:
    """Frames lost, repeated and shuffled; logs too; walks in between; a restart in the middle."""
    random = Random(seed)
    desk = Desk()
    events: list[tuple[str, int]] = []
    for index in range(len(fills)):
        events += [("frame", index)] * random.choice([0, 1, 1, 2, 5])
        events += [("log", index)] * random.choice([0, 1, 2])
    events += [("walk", 0)] * random.randrange(4)
    random.shuffle(events)
    for kind, index in [*events, ("walk", 0), ("walk", 0)]:
        tx, size = fills[index]
        if kind == "frame":
            desk.hear(trade(size, tx=tx), by=f"stream-{random.randrange(2)}")
        elif kind == "log":
            desk.hear(trade(size, tx=tx, source=CHAIN), by="chain", log=index)
        else:
            rows = [trade(size, tx=tx, source=API) for tx, size in fills]
            random.shuffle(rows)
            desk.walk(rows)
        if random.random() < 0.1:
            told = desk.told
            desk = Desk()
            desk.told = told
            desk.merge.remember([one.key for one in told], at=NOW)
    # Which of two fills that differ by rounding a sighting is of cannot always be told.
    assert Counter((one.transaction_hash, round(one.size, 2)) for one in desk.told) == Counter(
        (transaction(tx), round(Decimal(size), 2)) for tx, size in fills
    )
    assert len({one.key for one in desk.told}) == len(desk.told)
    assert desk.conflicts == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_order_of_sources_does_not_matter(order: tuple[int, ...]) -> None:
    desk = Desk()
    heard = [
        lambda: desk.hear(trade()),
        lambda: desk.walk(api("10", "10")),
        lambda: desk.hear(trade(source=CHAIN), by="chain", log=1),
    ]
    for index in order:
        heard[index]()
    assert sorted(one.occurrence for one in desk.told) == [0, 1]
