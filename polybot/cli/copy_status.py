"""Whether copying is wanted and running, and what it did today."""

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from polybot.cli.leaders import leader_document
from polybot.cli.session import (
    Session,
    console,
    ledger_now,
    print_json,
    say,
    text_table,
    wall_clock,
)
from polybot.domain.leaders import CopyVerdict, Leader
from polybot.reports.markdown import amount, instant

if TYPE_CHECKING:
    from polybot.ports import CopyLedger

NOTHING_YET = "nobody is followed yet in {mode} mode: `polybot leaders add WALLET` follows a wallet"


def show_status(session: Session, *, as_json: bool) -> None:
    """Print the wish, the lease, and every leader's counts of the UTC day."""
    from polybot.copy_trading.wanted import copy_ledger

    mode = session.settings.mode
    with session.existing_ledger() as opened:
        if opened is None:
            document = None
        else:
            now = ledger_now(opened, mode)
            document = status_of(copy_ledger(opened), now=now, machine_now=wall_clock())
            document["trading_state"] = opened.trading_state().state
    if as_json:
        print_json({"mode": mode, "has_run": document is not None, **(document or {})})
    elif document is None:
        say(NOTHING_YET.format(mode=mode))
    else:
        _print(mode, document)


def status_of(ledger: "CopyLedger", *, now: datetime, machine_now: datetime) -> dict[str, Any]:
    """Return the status.

    Args:
        ledger: The ledger.
        now: Of whoever trades; its UTC day is counted.
        machine_now: Leases run in real time.
    """
    from polybot.copy_trading.parts import LEASE_NAME
    from polybot.copy_trading.wanted import is_wanted

    wish, lease = ledger.desired_state(LEASE_NAME), ledger.lease(LEASE_NAME)
    day = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    counts = ledger.copy_counts(since=day)
    return {
        "as_of": now,
        "is_wanted": is_wanted(ledger),
        "wish": None
        if wish is None
        else {"by": wish.by, "reason": wish.reason, "changed_at": wish.changed_at},
        "loop": {
            "is_running": lease is not None and lease.expires_at > machine_now,
            "holder": None if lease is None else lease.holder,
            "lease_expires_at": None if lease is None else lease.expires_at,
            "takers": 0 if lease is None else lease.epoch,
        },
        "leaders": [_leader(ledger, one, counts, now) for one in ledger.leaders()],
    }


def _leader(
    ledger: "CopyLedger", leader: Leader, counts: dict[tuple[str, str, str], int], now: datetime
) -> dict[str, Any]:
    verdicts: Counter[str] = Counter({str(verdict): 0 for verdict in CopyVerdict})
    reasons: Counter[str] = Counter()
    for (address, verdict, reason), count in counts.items():
        if address == leader.address:
            verdicts[verdict] += count
            reasons[reason] += count if reason else 0
    spending = ledger.spending(leader.address, at=now)
    return leader_document(leader) | {
        "today": dict(verdicts),
        "today_by_reason": dict(reasons.most_common()),
        "open_usdc": spending.open_usdc,
        "day_usdc": spending.day_usdc,
    }


def _print(mode: str, document: dict[str, Any]) -> None:
    wish, loop = document["wish"], document["loop"]
    wanted = "wanted" if document["is_wanted"] else "paused"
    since = "" if wish is None else f" since {instant(wish['changed_at'])} UTC, by {wish['by']}"
    why = "" if wish is None else f": {wish['reason']}"
    say(f"{mode}: copy trading is {wanted}{since}{why}; trading is {document['trading_state']}")
    if loop["is_running"]:
        say(f"a loop runs: {loop['holder']}")
    elif loop["holder"]:
        say(f"no loop runs; the last was {loop['holder']}")
    else:
        say("no loop runs now: `make up` starts one")
    if not document["leaders"]:
        say(NOTHING_YET.format(mode=mode))
        return
    headings = ("Leader", "State", "Placed", "Waiting", "Skipped", "Refused", "Open", "Today")
    rows: list[tuple[str, ...]] = [
        (
            one["name"],
            str(one["state"]),
            *(str(one["today"][verdict]) for verdict in _COLUMNS),
            amount(one["open_usdc"]),
            amount(one["day_usdc"]),
        )
        for one in document["leaders"]
    ]
    console().print(
        text_table("Leaders: trades of the UTC day, open and spent in USDC", headings, rows)
    )


_COLUMNS = (
    CopyVerdict.PLACED.value,
    CopyVerdict.ACCUMULATED.value,
    CopyVerdict.SKIPPED.value,
    CopyVerdict.REFUSED.value,
)
