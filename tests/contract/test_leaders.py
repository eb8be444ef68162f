"""Leaders, their conversions, leases and desired states, on every database."""

from datetime import timedelta
from decimal import Decimal

import pytest

from polybot.adapters.storage.ledger import SqlLedger
from polybot.domain.leaders import (
    ConversionKind,
    CopyAnswer,
    CopyPolicy,
    DesiredState,
    LeaderPosition,
    LeaderState,
    Sizing,
    SmallCopies,
)
from polybot.domain.markets import Outcome
from polybot.domain.money import shares
from polybot.domain.orders import Side
from tests.builders import NOW
from tests.contract.conftest import OpenLedger
from tests.copy_builders import build_conversion, build_leader
from tests.copy_steps import (
    LEADER,
    LEASE_NAME,
    OTHER_LEADER,
    a_record,
    copy,
    follow,
    held,
    leader_trade,
    take_lease,
)
from tests.ledger_steps import an_alert, intend, market_number

RICH_POLICY = CopyPolicy(
    sizing=Sizing.EQUITY_RATIO,
    scale=Decimal("0.333333333333333333"),
    leader_equity_usdc=Decimal("12345.678901"),
    sides=frozenset({Side.SELL}),
    series=("btc-15m", "eth-4h"),
    slugs=("btc-*",),
    max_age_s=2.5,
    small_copies=SmallCopies.SKIP,
)


def a_position(number: int = 0, size: str = "75", outcome: Outcome = Outcome.UP) -> LeaderPosition:
    """Return what the venue says of a token in a numbered market."""
    market = market_number(number)
    return LeaderPosition(
        token_id=market.token_ids[outcome],
        condition_id=market.condition_id,
        slug=market.slug,
        title="",
        outcome=outcome,
        size=shares(size),
        average_price=Decimal("0.5"),
        value_usdc=Decimal(0),
        realised_pnl_usdc=Decimal(0),
        is_open=True,
    )


# Leaders ----------------------------------------------------------------------------------------


def test_leader_comes_back_as_he_was_added(ledger: SqlLedger, reopen: OpenLedger) -> None:
    """Every field of the policy, exactly, in another process."""
    leader = build_leader(name="wh\u00e4le'; DROP TABLE leaders", policy=RICH_POLICY)
    assert ledger.add_leader(leader)
    assert reopen().leaders() == (leader,)


def test_leader_is_added_once_and_a_removed_one_comes_back(ledger: SqlLedger) -> None:
    """With what is said of him now; his history stays."""
    lease = follow(ledger)
    ledger.record_leader_trades([a_record(leader_trade())], lease=lease)
    assert not ledger.add_leader(build_leader(name="again"))
    assert ledger.set_leader_state(LEADER, LeaderState.REMOVED, reason="", at=NOW)
    assert ledger.leaders() == ()
    assert not ledger.set_leader_state(LEADER, LeaderState.ACTIVE, reason="", at=NOW)
    assert not ledger.set_policy(LEADER, CopyPolicy(), at=NOW)

    assert ledger.add_leader(build_leader(name="again", added_at=NOW))

    (leader,) = ledger.leaders()
    assert (leader.name, leader.added_at, leader.state) == ("again", NOW, LeaderState.ACTIVE)
    assert len(ledger.copy_log(address=LEADER)) == 1


def test_version_grows_with_every_change_and_with_nothing_else(ledger: SqlLedger) -> None:
    """A loop asks it every second and reads leaders again only then."""
    seen = [ledger.leaders_version()]

    def has_grown() -> bool:
        seen.append(ledger.leaders_version())
        return seen[-1] > seen[-2]

    lease = follow(ledger)
    assert has_grown()
    assert ledger.set_policy(LEADER, RICH_POLICY, at=NOW)
    assert has_grown()
    assert ledger.set_leader_state(
        LEADER, LeaderState.PAUSED, reason="rest", at=NOW, alert=an_alert("paused")
    )
    assert has_grown()
    assert ledger.add_leader(build_leader(address=OTHER_LEADER))
    assert has_grown()
    ledger.record_leader_trades([a_record(leader_trade())], lease=lease)
    ledger.advance_watermarks({LEADER: NOW})
    assert not has_grown()
    assert [leader.address for leader in ledger.leaders()] == [LEADER, OTHER_LEADER]
    assert ledger.leaders()[0].state_reason == "rest"
    assert [one.alert.dedupe_key for one in ledger.due_alerts(at=NOW, limit=5)] == ["paused"]


def test_nobody_is_changed_who_is_not_followed(ledger: SqlLedger) -> None:
    """And no alert is stored for it."""
    assert not ledger.set_policy(LEADER, CopyPolicy(), at=NOW)
    alert = an_alert("x")
    assert not ledger.set_leader_state(LEADER, LeaderState.PAUSED, reason="", at=NOW, alert=alert)
    assert ledger.due_alerts(at=NOW, limit=5) == ()
    ledger.seed_holdings(LEADER, [a_position()], at=NOW)
    ledger.advance_watermarks({LEADER: NOW})
    assert ledger.holdings() == ()
    assert ledger.spending(LEADER, at=NOW).open_usdc == 0


def test_watermark_never_goes_back(ledger: SqlLedger) -> None:
    """Whoever is late changes nothing."""
    follow(ledger)
    ledger.advance_watermarks({LEADER: NOW + timedelta(minutes=1)})
    ledger.advance_watermarks({LEADER: NOW})
    assert ledger.leaders()[0].watermark == NOW + timedelta(minutes=1)


def test_seeds_replace_the_sizes_they_name(ledger: SqlLedger) -> None:
    """Trades count on top of them; what they do not name stays."""
    lease = follow(ledger)
    ledger.seed_holdings(LEADER, [a_position(0, "75"), a_position(1, "20")], at=NOW)
    ledger.record_leader_trades([a_record(leader_trade(0, size="25", tx=1))], lease=lease)
    sizes = {one.condition_id: one.leader_size for one in ledger.holdings(LEADER)}
    assert sizes == {market_number(0).condition_id: 100, market_number(1).condition_id: 20}
    assert ledger.violations() == ()

    ledger.seed_holdings(LEADER, [a_position(0, "60")], at=NOW)
    ledger.record_leader_trades([a_record(leader_trade(0, Side.SELL, "10", tx=2))], lease=lease)

    sizes = {one.condition_id: one.leader_size for one in ledger.holdings(LEADER)}
    assert sizes == {market_number(0).condition_id: 50, market_number(1).condition_id: 20}
    assert ledger.violations() == ()


def test_failure_of_a_trade_from_before_the_seed_is_in_the_seed(ledger: SqlLedger) -> None:
    """The venue has not counted it."""
    lease = follow(ledger)
    trade = leader_trade(0, size="25", tx=1)
    ledger.record_leader_trades([a_record(trade)], lease=lease)
    ledger.seed_holdings(LEADER, [a_position(0, "60")], at=NOW)
    assert ledger.void_leader_trade(trade.key, at=NOW, alert=an_alert("void"))
    holding = held(ledger, trade)
    assert holding is not None
    assert holding.leader_size == 60
    assert ledger.violations() == ()


# Conversions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "up", "down"),
    [
        (ConversionKind.MERGE, 100, 50),
        (ConversionKind.REDEEM, 0, 0),
        (ConversionKind.SPLIT, 300, 250),
        (ConversionKind.CONVERSION, 200, 150),
    ],
)
def test_conversion_changes_the_leaders_holdings_once(
    ledger: SqlLedger, kind: ConversionKind, up: int, down: int
) -> None:
    """A second telling changes nothing; the key is in the space of the trades."""
    lease = follow(ledger)
    trades = (leader_trade(tx=1), leader_trade(0, size="150", outcome=Outcome.DOWN, tx=2))
    ledger.record_leader_trades([a_record(trade) for trade in trades], lease=lease)
    market = market_number(0)
    conversion = build_conversion(kind, condition_id=market.condition_id, slug=market.slug)

    answers = [
        ledger.record_conversion(conversion, reason="told", lease=lease).answer for _ in range(2)
    ]

    assert answers == [CopyAnswer.RECORDED, CopyAnswer.ALREADY_SEEN]
    sizes = {one.token_id: one.leader_size for one in ledger.holdings(LEADER)}
    assert [sizes.get(trade.token_id, 0) for trade in trades] == [up, down]
    assert conversion.key in ledger.seen_keys(LEADER, since=NOW - timedelta(minutes=1))
    assert len(ledger.copy_log()) == 2
    assert ledger.violations() == ()


def test_split_of_a_market_we_know_gives_both_tokens(ledger: SqlLedger) -> None:
    """Also where he held nothing of it before."""
    lease = follow(ledger)
    intend(ledger, 0)
    market = market_number(0)
    conversion = build_conversion(
        ConversionKind.SPLIT, "40", condition_id=market.condition_id, slug=market.slug
    )
    ledger.record_conversion(conversion, reason="told", lease=lease)
    sizes = {one.token_id: one.leader_size for one in ledger.holdings(LEADER)}
    assert sizes == dict.fromkeys(market.token_ids.values(), Decimal(40))
    assert ledger.violations() == ()


def test_failure_of_a_trade_before_a_redemption_changes_nothing_more(ledger: SqlLedger) -> None:
    """Everything was redeemed, with or without it."""
    lease = follow(ledger)
    trade = leader_trade()
    ledger.record_leader_trades([a_record(trade)], lease=lease)
    market = market_number(0)
    redeemed = build_conversion(
        ConversionKind.REDEEM, condition_id=market.condition_id, slug=market.slug
    )
    ledger.record_conversion(redeemed, reason="told", lease=lease)
    assert ledger.void_leader_trade(trade.key, at=NOW, alert=an_alert("void"))
    assert ledger.holdings(LEADER) == ()
    assert ledger.violations() == ()


def test_conversion_of_a_stranger_is_refused(ledger: SqlLedger) -> None:
    """Nothing is recorded."""
    lease = take_lease(ledger)
    answer = ledger.record_conversion(build_conversion(), reason="told", lease=lease).answer
    assert answer is CopyAnswer.REFUSED


# Leases -----------------------------------------------------------------------------------------


def test_lease_is_one_holders_until_it_expires(ledger: SqlLedger, reopen: OpenLedger) -> None:
    """Then the next one takes it, under a higher epoch."""
    lease = take_lease(ledger, "a", ttl_s=30)
    other = reopen()
    assert other.acquire_lease(LEASE_NAME, "b", ttl_s=30, at=NOW + timedelta(seconds=29)) is None
    assert other.lease(LEASE_NAME) == lease
    taken = other.acquire_lease(LEASE_NAME, "b", ttl_s=30, at=NOW + timedelta(seconds=30))
    assert taken is not None
    assert taken.epoch > lease.epoch
    assert ledger.renew_lease(lease, ttl_s=30, at=NOW) is None
    ledger.release_lease(lease)
    assert ledger.lease(LEASE_NAME) == taken
    assert ledger.lease("another") is None


def test_renewed_lease_lasts_longer_under_the_same_epoch(ledger: SqlLedger) -> None:
    """Even a little late, as long as nobody took it."""
    lease = take_lease(ledger, "a", ttl_s=30)
    late = NOW + timedelta(seconds=40)
    renewed = ledger.renew_lease(lease, ttl_s=30, at=late)
    assert renewed is not None
    assert (renewed.epoch, renewed.expires_at) == (lease.epoch, late + timedelta(seconds=30))
    assert ledger.lease(LEASE_NAME) == renewed


def test_released_lease_is_free_at_once_and_worth_nothing(ledger: SqlLedger) -> None:
    """Its last holder writes no more."""
    lease = follow(ledger)
    ledger.release_lease(lease)
    assert ledger.lease(LEASE_NAME) is None
    assert ledger.renew_lease(lease, ttl_s=30, at=NOW) is None
    recorded, _ = copy(ledger, lease, leader_trade())
    assert recorded.answer is CopyAnswer.LEASE_LOST
    assert take_lease(ledger, "b").epoch > lease.epoch


def test_same_holder_takes_his_own_lease_anew(ledger: SqlLedger) -> None:
    """After a crash; what the crashed one still had under way is fenced off."""
    first = take_lease(ledger, "a")
    second = take_lease(ledger, "a")
    assert second.epoch > first.epoch
    assert ledger.renew_lease(first, ttl_s=30, at=NOW) is None
    with pytest.raises(ValueError, match="holder"):
        ledger.acquire_lease("x", "", ttl_s=1, at=NOW)


def test_whoever_lost_the_lease_writes_nothing(ledger: SqlLedger) -> None:
    """Copies, skips and conversions alike."""
    old = follow(ledger)
    take_lease(ledger, "b", at=NOW + timedelta(hours=1))
    trade = leader_trade()
    recorded, order_id = copy(ledger, old, trade)
    skipped = ledger.record_leader_trades([a_record(trade)], lease=old)
    converted = ledger.record_conversion(build_conversion(), reason="told", lease=old)
    answers = {recorded.answer, skipped[trade.key].answer, converted.answer}
    assert answers == {CopyAnswer.LEASE_LOST}
    assert ledger.order(order_id) is None
    assert ledger.copy_log() == ()
    assert ledger.holdings() == ()


# Desired states ---------------------------------------------------------------------------------


def test_last_word_of_a_person_counts(ledger: SqlLedger, reopen: OpenLedger) -> None:
    """For each loop by itself."""
    assert ledger.desired_state("copy-trading") is None
    for number, is_wanted in enumerate((True, False)):
        state = DesiredState(
            name="copy-trading",
            is_wanted=is_wanted,
            by="owner",
            reason=f"word {number}",
            changed_at=NOW + timedelta(minutes=number),
        )
        ledger.set_desired_state(state, alert=an_alert(f"word {number}"))
        assert reopen().desired_state("copy-trading") == state
    assert ledger.desired_state("trend") is None
    assert len(ledger.due_alerts(at=NOW + timedelta(hours=1), limit=5)) == 2
