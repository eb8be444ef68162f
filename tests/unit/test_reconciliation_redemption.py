"""Winnings become cash: asked for once, noticed when somebody else did, told to a person."""

from pathlib import Path

import pytest

from polybot.domain.markets import Outcome
from polybot.domain.reconciliation import ReconcileVerdict, RedemptionState
from polybot.domain.venue_account import (
    NothingToRedeem,
    RedeemByHand,
    RedemptionPending,
    VenueTradeStatus,
)
from polybot.errors import PermanentError, TransientError
from tests.ledger_steps import intend, market_number
from tests.reconciliation_desk import FEE, START, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_winnings_are_redeemed_once_and_become_cash(desk: Desk) -> None:
    """Until then the venue has less cash than our books, and that is explained."""
    desk.bought()
    desk.settle()
    assert desk.cash == START + 5 - FEE
    before = await desk.reconcile()
    assert before.verdict is ReconcileVerdict.AGREED
    assert before.expected_cash_usdc == START - 5 - FEE
    done = await desk.redeem()
    assert len(done.redeemed) == 1
    assert desk.ledger.open_redemptions() == ()
    assert (await desk.redeem()).redeemed == ()
    assert len(desk.venue.redeem_calls) == 1
    desk.later(minutes=5)
    assert (await desk.reconcile()).verdict is ReconcileVerdict.AGREED
    assert desk.cash == desk.venue.cash


async def test_losers_are_not_redeemed(desk: Desk) -> None:
    """They pay nothing; the worthless shares stay where they are."""
    desk.bought()
    desk.settle(winner=Outcome.DOWN)
    assert (await desk.redeem()).redeemed == ()
    assert desk.venue.redeem_calls == []
    assert (await desk.reconcile()).verdict is ReconcileVerdict.AGREED


async def test_redemption_by_somebody_else_is_noticed(desk: Desk) -> None:
    """Auto-redeem, or the owner: the shares are gone and the cash is there."""
    desk.bought()
    desk.settle()
    await desk.account.redeem(market_number(0).condition_id, list(desk.venue.payouts))
    found = await desk.reconcile()
    assert found.verdict is ReconcileVerdict.AGREED
    assert found.transferred_usdc == 0
    assert desk.ledger.open_redemptions() == ()


async def test_already_redeemed_is_a_success(desk: Desk) -> None:
    """Nothing left to do."""
    desk.bought()
    desk.settle()
    desk.venue.answers = [NothingToRedeem(reason="no shares")]
    assert len((await desk.redeem()).redeemed) == 1
    assert desk.ledger.open_redemptions() == ()


async def test_redemption_that_is_not_known_is_asked_again_later(desk: Desk) -> None:
    """A dropped answer, then a pending one, then success; never twice in a hurry."""
    desk.bought()
    desk.settle()
    desk.venue.answers = [
        TransientError("no answer"),
        RedemptionPending(transaction_id="0xtx", reason="sent"),
    ]
    first = await desk.redeem()
    assert (len(first.pending), len(first.problems)) == (1, 1)
    assert len((await desk.redeem()).pending) == 1
    assert len(desk.venue.redeem_calls) == 1
    desk.later(minutes=1)
    await desk.redeem()
    (waiting,) = desk.ledger.open_redemptions()
    assert (waiting.state, waiting.transaction_id, waiting.attempts) == (
        RedemptionState.REQUESTED, "0xtx", 2,
    )  # fmt: skip
    desk.later(minutes=2)
    assert len((await desk.redeem()).redeemed) == 1


async def test_intention_is_recorded_before_the_venue_hears_of_it(desk: Desk) -> None:
    """A crash in between leaves a redemption that is asked for again."""
    desk.bought()
    desk.settle()
    desk.venue.answers = [PermanentError("killed")]
    with pytest.raises(PermanentError):
        await desk.redeem()
    (open_,) = desk.ledger.open_redemptions()
    assert (open_.state, open_.attempts) == (RedemptionState.REQUESTED, 1)


async def test_person_is_told_once_what_to_do(desk: Desk) -> None:
    """And asked for again each hour, in case the wallet can by then."""
    desk.bought()
    desk.settle()
    desk.venue.answers = [RedeemByHand(instruction="press Redeem on the venue's page")] * 2
    assert len((await desk.redeem()).by_hand) == 1
    desk.later(minutes=2)
    await desk.redeem()
    assert len(desk.venue.redeem_calls) == 1
    desk.later(hours=1)
    await desk.redeem()
    assert len(desk.venue.redeem_calls) == 2
    assert sum(alert.startswith("redemption:") for alert in desk.alerts) == 1


async def test_shares_that_may_yet_fail_are_not_redeemed(desk: Desk) -> None:
    """No balance proves anything about them."""
    order_id = intend(desk.ledger)
    desk.venue_trade(order_id, status=VenueTradeStatus.MINED)
    await desk.reconcile()
    desk.settle()
    assert len((await desk.redeem()).pending) == 1
    assert desk.venue.redeem_calls == []
