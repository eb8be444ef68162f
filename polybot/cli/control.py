"""Halt, reduce and resume: one record in the ledger that the next order anywhere obeys."""

import getpass
import socket
import sys
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

    path = session.ledger_path
    if state is TradingState.ACTIVE and path is not None and not path.exists():
        _say_nothing_to_resume(session, as_json=as_json)
        return
    with session.ledger() as ledger:
        before = ledger.trading_state()
        if ask and not _is_confirmed(_question(before)):
            typer.echo("nothing was changed (--yes resumes without asking)", err=True)
            raise typer.Exit(1)
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


def _say_nothing_to_resume(session: Session, *, as_json: bool) -> None:
    mode = session.settings.mode
    if as_json:
        print_json({"mode": mode, "state": TradingState.ACTIVE, "has_run": False})
    else:
        say(f"{mode}: nothing has run yet, and nothing is halted")


def _is_confirmed(question: str) -> bool:
    # Not typer.confirm: it turns Ctrl-C into an ordinary failure.
    typer.echo(f"{question} [y/N] ", err=True, nl=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _question(before: TradingStateChange) -> str:
    from polybot.reports.markdown import plain_text

    why = plain_text(f"{before.reason or 'no reason'}, by {before.by or 'nobody'}")
    return (
        f"Trading is {before.state} since {before.changed_at:%Y-%m-%d %H:%M} UTC ({why}). Resume?"
    )
