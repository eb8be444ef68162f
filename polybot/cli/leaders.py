"""Following wallets: who, how, and whether now. The running copy loop hears of it at once."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from polybot.cli.control import operator
from polybot.cli.leaders_policy import (
    caps_line,
    changed_policy,
    differences,
    filter_line,
    policy_document,
    sizing_line,
)
from polybot.cli.leaders_wallets import find_leader, read_wallet, refuse_own
from polybot.cli.session import Session, console, ledger_now, print_json, say, text_table
from polybot.domain.leaders import CopyPolicy, Leader, LeaderHolding, LeaderState
from polybot.domain.modes import Mode
from polybot.errors import PermanentError
from polybot.reports.markdown import amount, plain_text

if TYPE_CHECKING:
    from polybot.ports import CopyLedger

_LONGEST_NAME = 40


def add_leader(
    session: Session,
    text: str,
    name: str | None,
    options: Mapping[str, Any],
    *,
    as_json: bool,
) -> None:
    """Follow a wallet from now on.

    Raises:
        PermanentError: Not an address, followed already, or the name is taken.
        ConfigurationError: It is our own wallet.
        typer.BadParameter: The policy makes no sense.
    """
    wallet = read_wallet(text)
    refuse_own(wallet, session.settings)
    policy = changed_policy(CopyPolicy(), options)
    shown = _clean_name(name, wallet)
    now = _now(session)
    with session.ledger() as opened:
        ledger = _copying(opened)
        if any(one.name == shown for one in ledger.leaders()):
            raise PermanentError(f"a leader named {shown!a} is followed already: choose --name")
        leader = Leader(
            address=wallet,
            name=shown,
            policy=policy,
            state=LeaderState.ACTIVE,
            state_reason=f"added by {operator()}",
            added_at=now,
            watermark=now,
        )
        if not ledger.add_leader(leader):
            raise PermanentError(
                f"{wallet} is followed already: `polybot leaders set` changes its policy"
            )
    _tell(session, leader, as_json=as_json, done=f"following {shown} ({wallet})")
    if not as_json:
        say(f"copies {sizing_line(policy)}, at most {caps_line(policy)} USDC a")
        say("trade / market / leader / day; nothing from before now is copied, and nothing outside")
        say("the crypto Up/Down markets: `polybot leaders show` tells how much of it that is")


def set_policy(session: Session, text: str, options: Mapping[str, Any], *, as_json: bool) -> None:
    """Change a leader's policy.

    Raises:
        PermanentError: Nobody such is followed.
        typer.BadParameter: Nothing is given, or the policy would make no sense.
    """
    with _followed(session) as ledger:
        before = find_leader(ledger.leaders(), text)
        policy = changed_policy(before.policy, options)
        changes = differences(before.policy, policy)
        if not changes:
            raise typer.BadParameter("nothing changes: give an option with another value")
        ledger.set_policy(before.address, policy, at=_now(session, ledger))
    after = replace(before, policy=policy)
    told = "; ".join(f"{name} {old} → {new}" for name, (old, new) in changes.items())
    _tell(session, after, as_json=as_json, done=f"{before.name}: {told}", changes=changes)


def pause_leader(session: Session, text: str, reason: str, *, as_json: bool) -> None:
    """Copy a leader no more for now."""
    _change_state(session, text, LeaderState.PAUSED, reason, as_json=as_json)


def resume_leader(session: Session, text: str, reason: str, *, as_json: bool) -> None:
    """Copy a leader again, whoever or whatever had stopped it."""
    _change_state(session, text, LeaderState.ACTIVE, reason, as_json=as_json)


def remove_leader(session: Session, text: str, reason: str, *, as_json: bool) -> None:
    """Follow a wallet no more."""
    _change_state(session, text, LeaderState.REMOVED, reason, as_json=as_json)


def list_leaders(session: Session, *, as_json: bool) -> None:
    """Print everybody who is followed."""
    mode = session.settings.mode
    with session.existing_ledger() as opened:
        rows = [] if opened is None else _rows(_copying(opened), _now(session, opened))
    if as_json:
        print_json({"mode": mode, "leaders": [row for _, row in rows]})
        return
    if not rows:
        say(f"{mode}: nobody is followed; `polybot leaders add WALLET` follows a wallet")
        return
    headings = ("Name", "Wallet", "State", "Copies", "Caps [USDC]", "Markets", "Open", "Today")
    console().print(
        text_table(
            f"Leaders ({mode}); caps a trade / market / leader / day, open and today in USDC",
            headings,
            [_cells(leader, row) for leader, row in rows],
        )
    )


def leader_document(leader: Leader) -> dict[str, Any]:
    """Return a leader as JSON shows it."""
    return {
        "wallet": leader.address,
        "name": leader.name,
        "state": leader.state,
        "state_reason": leader.state_reason,
        "added_at": leader.added_at,
        "watermark": leader.watermark,
        "policy": policy_document(leader.policy),
    }


# Inside ----------------------------------------------------------------------------------------


def _change_state(
    session: Session, text: str, state: LeaderState, reason: str, *, as_json: bool
) -> None:
    why = plain_text(reason, limit=200)
    if not why:
        raise typer.BadParameter("say why: REASON must not be empty")
    with _followed(session) as ledger:
        before = find_leader(ledger.leaders(), text)
        if before.state is state:
            raise PermanentError(f"{before.name} is {state} already: {before.state_reason}")
        held = [one for one in ledger.holdings(before.address) if one.our_size > 0]
        now = _now(session, ledger)
        if state is LeaderState.ACTIVE:
            refuse_own(before.address, session.settings)
        ledger.set_leader_state(before.address, state, reason=f"{why} ({operator()})", at=now)
    after = replace(before, state=state, state_reason=why)
    done = f"{before.name} is {state} (was {before.state}): {why}"
    _tell(session, after, as_json=as_json, done=done, before=before.state)
    if held and state is not LeaderState.ACTIVE and not as_json:
        say(_held_line(held))
        if state is LeaderState.PAUSED:
            say(
                f"to stop entries alone: `polybot leaders resume {text}`, then `polybot leaders "
                f"set {text} --side SELL`"
            )


def _held_line(held: list[LeaderHolding]) -> str:
    markets = sorted({one.slug for one in held})
    return (
        f"we still hold shares through it in {len(markets)} markets ({', '.join(markets[:3])}"
        f"{', …' if len(markets) > 3 else ''}): they settle as usual, its exits are not mirrored"
    )


def _tell(session: Session, leader: Leader, *, as_json: bool, done: str, **more: object) -> None:
    mode = session.settings.mode
    if as_json:
        print_json({"mode": mode, **leader_document(leader), **more})
    else:
        say(f"{mode}: {done}")


def _rows(ledger: "CopyLedger", now: datetime) -> list[tuple[Leader, dict[str, Any]]]:
    rows = []
    for one in ledger.leaders():
        spending = ledger.spending(one.address, at=now)
        more = {
            "open_usdc": spending.open_usdc,
            "day_usdc": spending.day_usdc,
            "holdings": [_holding(held) for held in ledger.holdings(one.address)],
        }
        rows.append((one, leader_document(one) | more))
    return rows


def _holding(held: LeaderHolding) -> dict[str, Any]:
    return {
        "market": held.slug,
        "token_id": held.token_id,
        "leader_size": held.leader_size,
        "our_size": held.our_size,
        "our_cost_usdc": held.our_cost_usdc,
        "in_flight_usdc": held.in_flight_usdc,
        "pending_usdc": held.pending_usdc,
        "pending_size": held.pending_size,
    }


def _cells(leader: Leader, row: dict[str, Any]) -> tuple[str, ...]:
    is_active = leader.state is LeaderState.ACTIVE
    return (
        leader.name,
        leader.address,
        "active" if is_active else f"{leader.state}: {leader.state_reason}",
        sizing_line(leader.policy),
        caps_line(leader.policy),
        filter_line(leader.policy),
        amount(row["open_usdc"]),
        amount(row["day_usdc"]),
    )


def _clean_name(name: str | None, wallet: str) -> str:
    if name is None:
        return f"{wallet[:6]}…{wallet[-4:]}"
    shown = plain_text(name, limit=_LONGEST_NAME)
    if not shown or shown != name or shown.startswith(("0x", "0X")):
        raise typer.BadParameter(
            f"--name must be 1 to {_LONGEST_NAME} printable characters, and not begin like an "
            f"address"
        )
    return shown


def _copying(ledger: Any) -> "CopyLedger":
    from polybot.copy_trading.wanted import copy_ledger

    return copy_ledger(ledger)


@contextmanager
def _followed(session: Session) -> "Iterator[CopyLedger]":
    """Open the ledger of somebody who is followed.

    Raises:
        PermanentError: There is no ledger yet, so nobody is.
    """
    with session.existing_ledger() as opened:
        if opened is None:
            mode = session.settings.mode
            raise PermanentError(f"nobody is followed in {mode} mode: there is no ledger yet")
        yield _copying(opened)


def _now(session: Session, ledger: Any = None) -> datetime:
    """Return the present of whoever trades: the sandbox's own time where it answers.

    Raises:
        TransientError: A wallet is to be followed in a sandbox that does not answer; from when on
            cannot be told then.
    """
    import asyncio

    from polybot.cli.session import now_of_mode
    from polybot.errors import TransientError

    try:
        return asyncio.run(now_of_mode(session.settings))
    except TransientError as error:
        if ledger is None:
            raise TransientError(
                f"the sandbox at {session.settings.sandbox.url} does not answer: start it with "
                f"`polybot sandbox`"
            ) from error
        return ledger_now(ledger, Mode.SANDBOX)
