"""The card of one copy: what the leader did, what we made of it, and how late we were."""

from collections.abc import Sequence
from datetime import datetime

from polybot.domain.accounts import OrderRecord
from polybot.domain.decisions import Decision
from polybot.domain.leaders import CopyRecord
from polybot.domain.modes import Mode
from polybot.domain.orders import Fill
from polybot.reports.cards import decision_card
from polybot.reports.markdown import amount, escape_markdown, instant, number, table


def copy_card(
    record: CopyRecord,
    *,
    leader: str,
    mode: Mode,
    decision: Decision | None = None,
    order: OrderRecord | None = None,
    fills: Sequence[Fill] = (),
) -> str:
    """Return the card of one leader trade as Markdown.

    Args:
        record: What the ledger has of it.
        leader: The owner's name for him.
        mode: Where the order went.
        decision: Of the copy, where there was an order; its card follows.
        order: The order as the ledger has it.
        fills: Its fills so far, oldest first.
    """
    trade = record.trade
    code = f" ({escape_markdown(record.reason_code)})" if record.reason_code else ""
    parts = [
        f"## {escape_markdown(leader)}: {trade.side} {number(trade.size)} at "
        f"{number(trade.price)}, {record.verdict}{code}",
        table(["Leader's trade", escape_markdown(trade.slug)], _facts(record)),
        "### How late\n\n" + table(["", "At (UTC)", "After the step before [ms]"], _steps(record)),
    ]
    if decision is not None:
        parts.append(decision_card(decision, mode=mode, order=order, fills=fills))
    return "\n\n".join(parts).rstrip() + "\n"


def _facts(record: CopyRecord) -> list[list[str]]:
    trade = record.trade
    rows = [
        ["Verdict", f"**{record.verdict}**: {escape_markdown(record.reason)}"],
        ["Wallet", trade.leader],
        ["Transaction", escape_markdown(trade.transaction_hash)],
        ["Stake [USDC]", amount(trade.stake_usdc)],
        ["Heard on", trade.source.value],
    ]
    if record.follows_conversion:
        rows.append(["Note", "an exit of ours; the leader himself made no such sale"])
    if record.is_voided:
        rows.append(["Note", "the leader's trade FAILED later: the copy stands alone"])
    return rows


def _steps(record: CopyRecord) -> list[list[str]]:
    trade = record.trade
    steps: list[tuple[str, datetime | None]] = [
        ("Leader's fill, in whole seconds", trade.traded_at),
        ("Heard", trade.received_at),
        ("Decided", record.decided_at),
        ("Sent", record.sent_at),
        ("Answered", record.acknowledged_at),
    ]
    rows, before = [], None
    for name, at in steps:
        if at is None:
            continue
        passed = "" if before is None else f"{(at - before).total_seconds() * 1000:.1f}"
        rows.append([name, instant(at), passed])
        before = at
    return rows
