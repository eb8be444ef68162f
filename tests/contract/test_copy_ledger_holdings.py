"""Trades that are not copied, what a leader is held to hold, and what is told afterwards."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from polybot.adapters.storage import intents
from polybot.adapters.storage.ledger import SqlLedger
from polybot.domain.accounts import AccountTotals, MarketExposure
from polybot.domain.leaders import (
    ConversionKind,
    CopyAnswer,
    CopyLatency,
    CopyVerdict,
    LeaderTradeKey,
)
from polybot.domain.markets import Outcome
from polybot.domain.orders import RiskCheck, Side
from tests.builders import NOW
from tests.copy_builders import build_conversion, build_leader
from tests.copy_steps import (
    LEADER,
    OTHER_LEADER,
    OUTLAY,
    a_copy,
    a_record,
    copy,
    follow,
    held,
    leader_trade,
    no_caps,
)
from tests.ledger_steps import a_fill, an_alert, market_number, report

# Trades that are not copied ---------------------------------------------------------------------


def test_skips_are_recorded_many_at_once_and_change_the_leaders_holding(rich: SqlLedger) -> None:
    """Buys add, sells take; in any order the net is the same."""
    lease = follow(rich)
    trades = (
        leader_trade(0, Side.SELL, "50", tx=2),
        leader_trade(0, Side.BUY, "200", tx=1),
        leader_trade(0, Side.BUY, "30.5", tx=3, outcome=Outcome.DOWN),
    )
    answers = rich.record_leader_trades([a_record(trade) for trade in trades], lease=lease)
    assert {found.answer for found in answers.values()} == {CopyAnswer.RECORDED}
    assert answers.keys() == {trade.key for trade in trades}
    sizes = {one.token_id: one.leader_size for one in rich.holdings(LEADER)}
    assert sizes == {trades[0].token_id: 150, trades[2].token_id: Decimal("30.5")}
    assert rich.seen_keys(LEADER, since=NOW - timedelta(hours=1)) == set(answers)
    assert rich.violations() == ()


def test_exit_after_a_conversion_does_not_change_the_leaders_own_size(rich: SqlLedger) -> None:
    """He never made that sale."""
    lease = follow(rich)
    rich.record_leader_trades([a_record(leader_trade(tx=1))], lease=lease)
    told = a_record(leader_trade(0, Side.SELL, "70", tx=2), follows_conversion=True)
    rich.record_leader_trades([told], lease=lease)
    holding = held(rich, leader_trade())
    assert holding is not None
    assert holding.leader_size == 200
    assert rich.violations() == ()


def test_small_copies_wait_and_are_cleared_by_the_order_that_takes_them(rich: SqlLedger) -> None:
    """The wait counts from the first; an order ends it."""
    lease = follow(rich)
    for number, cents in enumerate(("0.40", "0.350001")):
        small = a_record(
            leader_trade(tx=number),
            CopyVerdict.ACCUMULATED,
            accumulate_usdc=Decimal(cents),
            decided_at=NOW + timedelta(seconds=number),
        )
        rich.record_leader_trades([small], lease=lease)
    holding = held(rich, leader_trade())
    assert holding is not None
    assert (holding.pending_usdc, holding.pending_since) == (Decimal("0.750001"), NOW)
    assert rich.violations() == ()

    copy(rich, lease, leader_trade(tx=9))

    holding = held(rich, leader_trade())
    assert holding is not None
    assert (holding.pending_usdc, holding.pending_since) == (0, None)
    assert rich.violations() == ()


def test_record_may_clear_what_waited_and_begin_anew(rich: SqlLedger) -> None:
    """What waited too long lapses with the next one."""
    lease = follow(rich)
    old = a_record(leader_trade(tx=1), CopyVerdict.ACCUMULATED, accumulate_usdc=Decimal("0.9"))
    later = NOW + timedelta(minutes=5)
    new = a_record(
        leader_trade(0, Side.SELL, "1", tx=2),
        CopyVerdict.ACCUMULATED,
        accumulate_size=Decimal("0.5"),
        clears_pending=True,
        decided_at=later,
    )
    rich.record_leader_trades([old, new], lease=lease)
    holding = held(rich, leader_trade())
    assert holding is not None
    assert (holding.pending_usdc, holding.pending_size) == (0, Decimal("0.5"))
    assert holding.pending_since == later
    assert rich.violations() == ()


def test_placed_trade_without_its_order_is_a_defect(rich: SqlLedger) -> None:
    """Only the transaction that has the order may say so."""
    lease = follow(rich)
    with pytest.raises(ValueError, match="together with its order"):
        rich.record_leader_trades([a_record(leader_trade(), CopyVerdict.PLACED)], lease=lease)


def test_copy_with_another_decision_is_a_defect(rich: SqlLedger) -> None:
    """Trade, decision and order have one key."""
    lease = follow(rich)
    record, prepared, _ = a_copy(leader_trade(tx=1))
    _, _, other = a_copy(leader_trade(tx=2))
    with pytest.raises(ValueError, match="decision is"):
        rich.record_copy(record, prepared, other, checks=no_checks, caps=no_caps, lease=lease)
    assert rich.copy_log() == ()


def no_checks(_totals: AccountTotals, _exposure: MarketExposure) -> Sequence[RiskCheck]:
    """Look at nothing."""
    return ()


# Afterwards -------------------------------------------------------------------------------------


def test_five_instants_are_kept(rich: SqlLedger) -> None:
    """Fill, received, decided, sent, acknowledged, to the microsecond."""
    lease = follow(rich)
    trade = leader_trade()
    copy(rich, lease, trade)
    sent, answered = NOW + timedelta(microseconds=471), NOW + timedelta(milliseconds=38)
    rich.record_latencies([CopyLatency(key=trade.key, sent_at=sent, acknowledged_at=answered)])
    (record,) = rich.copy_log()
    assert (record.trade.traded_at, record.trade.received_at) == (
        trade.traded_at, trade.received_at,
    )  # fmt: skip
    assert (record.decided_at, record.sent_at, record.acknowledged_at) == (NOW, sent, answered)


def test_failed_leader_trade_is_flagged_once_and_leaves_his_holding(rich: SqlLedger) -> None:
    """The copy stands alone; the owner is told once."""
    lease = follow(rich)
    trade = leader_trade()
    copy(rich, lease, trade)
    rich.record_leader_trades([a_record(leader_trade(0, size="30", tx=2))], lease=lease)

    assert rich.void_leader_trade(trade.key, at=NOW, alert=an_alert("void"))
    assert not rich.void_leader_trade(trade.key, at=NOW, alert=an_alert("void-again"))
    assert not rich.void_leader_trade(LeaderTradeKey("x"), at=NOW, alert=an_alert("other"))

    flags = {record.trade.key: record.is_voided for record in rich.copy_log()}
    assert flags[trade.key]
    assert sum(flags.values()) == 1
    holding = held(rich, trade)
    assert holding is not None
    assert (holding.leader_size, holding.in_flight_usdc) == (30, OUTLAY)
    alerts = rich.due_alerts(at=NOW, limit=10)
    assert [one.alert.dedupe_key for one in alerts] == ["void"]
    assert rich.violations() == ()


def test_log_and_counts_tell_everything_newest_first(rich: SqlLedger) -> None:
    """By leader, by time, by number; a hostile name changes nothing."""
    lease = follow(rich)
    rich.add_leader(build_leader(address=OTHER_LEADER))
    old = leader_trade(0, tx=1, traded_at=NOW - timedelta(hours=2), slug="<script>\x00'; DROP")
    new = leader_trade(0, tx=2)
    other = leader_trade(0, tx=3, leader=OTHER_LEADER)
    rich.record_leader_trades([a_record(trade) for trade in (old, new, other)], lease=lease)
    assert [record.trade.transaction_hash for record in rich.copy_log()] == [
        other.transaction_hash, new.transaction_hash, old.transaction_hash,
    ]  # fmt: skip
    assert len(rich.copy_log(address=LEADER)) == 2
    assert len(rich.copy_log(since=NOW - timedelta(hours=1))) == 2
    assert len(rich.copy_log(limit=1)) == 1
    assert rich.copy_counts() == {
        (LEADER, "skipped", "too-old"): 2,
        (OTHER_LEADER, "skipped", "too-old"): 1,
    }
    recent = rich.copy_counts(since=NOW - timedelta(hours=1))
    assert recent[LEADER, "skipped", "too-old"] == 1


def test_holding_of_a_market_that_is_long_over_is_passed_over(rich: SqlLedger) -> None:
    """What a leader never redeems would else be carried along for ever; ours never goes."""
    lease = follow(rich)
    rich.record_leader_trades([a_record(leader_trade(0, tx=1))], lease=lease)
    _, order_id = copy(rich, lease, leader_trade(1, tx=2), 1)
    report(rich, order_id, a_fill(order_id, "8", "0.5"))
    rich.advance_watermarks({LEADER: NOW + timedelta(days=1)})
    assert len(rich.holdings()) == 2
    rich.advance_watermarks({LEADER: NOW + timedelta(days=4)})
    (left,) = rich.holdings()
    assert left.condition_id == market_number(1).condition_id
    assert rich.violations() == ()


RAIN = "will-it-rain"


def test_trades_that_nobody_could_copy_are_recorded_and_held_nowhere(rich: SqlLedger) -> None:
    """A leader may trade in thousands of such markets; each row would be read every few seconds."""
    lease = follow(rich)
    trades = [leader_trade(n, tx=n, slug=RAIN) for n in range(3)]
    recorded = rich.record_leader_trades([a_record(one) for one in trades], lease=lease)
    assert {one.answer for one in recorded.values()} == {CopyAnswer.RECORDED}
    assert len(rich.copy_log()) == 3
    assert _holding_rows(rich) == []
    assert rich.void_leader_trade(trades[0].key, at=NOW, alert=an_alert("void"))
    assert _holding_rows(rich) == []
    assert rich.violations() == ()


@pytest.mark.parametrize("slug", [RAIN, market_number(0).slug])
def test_holding_counts_from_the_event_that_begins_it(rich: SqlLedger, slug: str) -> None:
    """Whatever a source called the market before: those trades are in no row, and in no proof."""
    lease = follow(rich)
    early = leader_trade(0, tx=1, size="70", slug=RAIN)
    rich.record_leader_trades([a_record(early)], lease=lease)
    copied = leader_trade(0, tx=2, size="200", slug=slug)
    _, order_id = copy(rich, lease, copied)
    report(rich, order_id, a_fill(order_id, "8", "0.5"))
    late = leader_trade(0, Side.SELL, tx=3, size="30", slug=RAIN)
    rich.record_leader_trades([a_record(late)], lease=lease)

    holding = held(rich, copied)
    assert holding is not None
    assert (holding.leader_size, holding.our_size) == (170, 8)
    assert rich.violations() == ()
    # One that never counted is not taken back either.
    for trade, left in ((early, 170), (late, 200), (copied, 0)):
        assert rich.void_leader_trade(trade.key, at=NOW, alert=an_alert(trade.transaction_hash))
        found = held(rich, copied)
        assert found is not None
        assert found.leader_size == left
        assert rich.violations() == ()


def test_split_begins_a_holding_after_trades_that_began_none(rich: SqlLedger) -> None:
    """It counts, and what came before does not."""
    lease = follow(rich)
    copy(rich, lease, leader_trade(0, tx=1, outcome=Outcome.DOWN))
    rich.record_leader_trades([a_record(leader_trade(0, tx=2, slug=RAIN))], lease=lease)
    market = market_number(0)
    split = build_conversion(
        ConversionKind.SPLIT, "25", condition_id=market.condition_id, slug=market.slug
    )
    rich.record_conversion(split, reason="", lease=lease)
    sizes = {one.token_id: one.leader_size for one in rich.holdings()}
    assert sizes == {
        market.token_ids[Outcome.UP]: 25,
        market.token_ids[Outcome.DOWN]: 225,
    }
    assert rich.violations() == ()


def test_rows_of_an_older_version_stay_right(
    rich: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It began a row for every token; those are followed and proved as before."""
    lease = follow(rich)
    first, second = (leader_trade(0, tx=n, size="40", slug=RAIN) for n in (1, 2))
    with monkeypatch.context() as older:
        older.setattr(intents, "begins_holding", lambda _trade, _verdict: True)
        rich.record_leader_trades([a_record(leader_trade(1, tx=9))], lease=lease)
        rich.record_leader_trades([a_record(first)], lease=lease)
    with rich._database.writing() as connection:
        connection.exec_driver_sql("UPDATE leader_holdings SET seeded_after = 0")
    assert rich.violations() == ()
    rich.record_leader_trades([a_record(second)], lease=lease)
    holding = held(rich, first)
    assert holding is not None
    assert holding.leader_size == 80
    assert rich.violations() == ()
    assert rich.void_leader_trade(first.key, at=NOW, alert=an_alert("void"))
    assert rich.violations() == ()


def _holding_rows(ledger: SqlLedger) -> list[tuple[str, int]]:
    with ledger._database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT token_id, leader_size FROM leader_holdings")
        return [(str(token_id), int(size)) for token_id, size in rows]


def test_damaged_total_is_told(rich: SqlLedger) -> None:
    """The proof of the books covers every total of a leader."""
    lease = follow(rich)
    _, order_id = copy(rich, lease, leader_trade())
    report(rich, order_id, a_fill(order_id, "8", "0.5"))
    damage = {
        "UPDATE leader_holdings SET our_size = our_size + 1": "our_size",
        "UPDATE leader_holdings SET our_cost = our_cost + 1": "our_cost",
        "UPDATE leader_holdings SET in_flight = in_flight + 1": "in_flight",
        "UPDATE leader_holdings SET leader_size = leader_size + 1": "leader_size",
        "UPDATE leader_holdings SET pending = pending + 1": "pending",
        "UPDATE leaders SET open_spent = open_spent + 1": "spent and open",
        "UPDATE leaders SET day_spent = day_spent + 1": "spent on the day",
    }
    for statement, name in damage.items():
        with rich._database.writing() as connection:
            connection.exec_driver_sql(statement)
        assert any(f": {name} is " in sentence for sentence in rich.violations()), name
        with rich._database.writing() as connection:
            connection.exec_driver_sql(statement.replace("+ 1", "- 1"))
    assert rich.violations() == ()
