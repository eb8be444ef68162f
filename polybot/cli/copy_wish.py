"""Pause and resume of copy trading: one wish in the ledger, whatever the scheduler does."""

import typer

from polybot.cli.control import operator
from polybot.cli.session import Session, print_json, say, wall_clock
from polybot.reports.markdown import plain_text


def pause_copying(session: Session, reason: str, *, as_json: bool) -> None:
    """Record that nobody is to be copied until a person wants it again."""
    _wish(session, reason, is_wanted=False, as_json=as_json)


def resume_copying(session: Session, reason: str, *, as_json: bool) -> None:
    """Record that copy trading is wanted."""
    _wish(session, reason, is_wanted=True, as_json=as_json)


def _wish(session: Session, reason: str, *, is_wanted: bool, as_json: bool) -> None:
    from polybot.copy_trading.wanted import copy_ledger, start_copying, stop_copying
    from polybot.copy_trading.wanted import is_wanted as was_wanted

    why = plain_text(reason, limit=200)
    if not why:
        raise typer.BadParameter("say why: REASON must not be empty")
    wish, word = (start_copying, "wanted") if is_wanted else (stop_copying, "paused")
    with session.ledger() as opened:
        ledger = copy_ledger(opened)
        is_new = was_wanted(ledger) is not is_wanted
        # The wish is about the machine's loops, which live in real time also in a sandbox.
        wish(ledger, by=operator(), reason=why, at=wall_clock())
    mode = session.settings.mode
    if as_json:
        print_json({"mode": mode, "is_wanted": is_wanted, "changed": is_new, "reason": why})
    elif is_new:
        say(f"{mode}: copy trading is {word}: {why}")
    else:
        say(f"{mode}: copy trading was {word} already; nothing was changed")
