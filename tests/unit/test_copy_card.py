"""The card of a copy tells what the leader did, what came of it, and how late it was."""

from dataclasses import replace
from datetime import timedelta

from polybot.domain.leaders import CopyRecord, CopyVerdict
from polybot.domain.modes import Mode
from polybot.reports import copy_card
from tests.builders import NOW, build_decision
from tests.copy_builders import build_trade

RECORD = CopyRecord(
    trade=build_trade(size="200"),
    verdict=CopyVerdict.PLACED,
    reason_code="",
    reason="whale: BUY 200 at 0.50",
    decided_at=NOW + timedelta(microseconds=300),
    sent_at=NOW + timedelta(milliseconds=1),
    acknowledged_at=NOW + timedelta(milliseconds=81),
)


def test_card_shows_every_instant_with_what_it_took() -> None:
    """Feed lag and our own time apart."""
    card = copy_card(RECORD, leader="whale", mode=Mode.PAPER, decision=build_decision())
    assert card.startswith("## whale: BUY 200 at 0.5, placed")
    for step in ("| Heard | 2026-10-05 23:00:04 | 2000.0 |", "| Sent |", "| Answered |"):
        assert step in card
    assert "| 80.0 |" in card
    assert "Strategy" in card


def test_card_of_a_skip_names_its_reason_and_no_order() -> None:
    """What was not sent has no such instants."""
    skipped = replace(
        RECORD,
        verdict=CopyVerdict.SKIPPED,
        reason_code="too-old",
        reason="11 s",
        sent_at=None,
        acknowledged_at=None,
    )
    card = copy_card(skipped, leader="whale", mode=Mode.PAPER)
    assert "skipped (too-old)" in card
    assert "Answered" not in card


def test_card_is_harmless_whatever_the_market_is_called() -> None:
    """The slug is the venue's text."""
    trade = replace(RECORD.trade, slug="x](javascript:alert(1)) | <b>", transaction_hash="0x|")
    card = copy_card(replace(RECORD, trade=trade, is_voided=True), leader="<i>", mode=Mode.LIVE)
    assert "<b>" not in card
    assert "<i>" not in card
    assert "](javascript" not in card
    assert "FAILED later" in card
