"""Halt, reduce and resume: one record in the ledger that the next order anywhere obeys."""

import getpass
import socket
from datetime import datetime

import typer

from polybot.cli.session import Session, ledger_now, print_json, say
from polybot.domain.accounts import TradingStateChange
from polybot.domain.modes import TradingState


def change_trading_state(
    session: Session, state: TradingState, reason: str, *, as_json: bool, ask: bool
) -> None:
    """Record a trading state with its reason and who asked for it, and alert the owner.

    Args:
        session: Which ledger.
        state: What is allowed from now on.
        reason: Why, in the operator's words.
        as_json: Print one JSON document.
        ask: Ask before anything changes; a "no" leaves everything as it is.
    """
    from polybot.alerts import trading_state_alert

    with session.ledger() as ledger:
        before = ledger.trading_state()
        if ask:
            typer.confirm(_question(before), abort=True, err=True)
        change = TradingStateChange(
            state=state,
            reason=reason,
            by=operator(),
            changed_at=ledger_now(ledger, session.settings.mode),
        )
        ledger.set_trading_state(
            change, alert=trading_state_alert(change, mode=session.settings.mode)
        )
    if as_json:
        print_json({"mode": session.settings.mode, **document_of(change), "before": before.state})
    else:
        say(f"{session.settings.mode}: trading is {state} (was {before.state}): {reason}")


def document_of(change: TradingStateChange) -> dict[str, str | datetime]:
    """Return a trading state as JSON shows it."""
    return {
        "state": change.state.value,
        "reason": change.reason,
        "by": change.by,
        "changed_at": change.changed_at,
    }


def operator() -> str:
    """Return who sits at this terminal: ``user@host``."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        # A container's user may have no name.
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _question(before: TradingStateChange) -> str:
    from polybot.reports.markdown import plain_text

    why = plain_text(f"{before.reason or 'no reason'}, by {before.by or 'nobody'}")
    return (
        f"Trading is {before.state} since {before.changed_at:%Y-%m-%d %H:%M} UTC ({why}). Resume?"
    )
