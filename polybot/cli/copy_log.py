"""Leaders' trades as they were recorded, each with what was made of it."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from polybot.cli.copy_status import NOTHING_YET
from polybot.cli.leaders_wallets import find_leader
from polybot.cli.session import Session, console, print_json, say, text_table
from polybot.cli.trades import parse_since
from polybot.domain.leaders import CopyRecord, LeaderAddress
from polybot.reports.markdown import number

if TYPE_CHECKING:
    from polybot.ports import CopyLedger


def show_log(
    session: Session, *, leader: str | None, since: str | None, limit: int, as_json: bool
) -> None:
    """Print the newest recorded trades, newest last.

    Raises:
        PermanentError: Nobody such is followed.
        typer.BadParameter: ``since`` is no instant.
    """
    mode = session.settings.mode
    names, records = _read(session, leader, None if since is None else parse_since(since), limit)
    rows = tuple(reversed(records))
    if as_json:
        print_json({"mode": mode, "trades": [record_document(one) for one in rows]})
    elif not rows:
        say(
            NOTHING_YET.format(mode=mode) if not names else f"{mode}: no leader's trade is recorded"
        )
    else:
        headings = ("Filled (UTC)", "Leader", "Trade", "Market", "Verdict", "Why", "Lag [s]")
        title = f"Leaders' trades ({mode}), sizes in shares"
        cells = [_cells(one, names) for one in rows]
        console().print(text_table(title, headings, cells))


def record_document(record: CopyRecord) -> dict[str, Any]:
    """Return one recorded trade as JSON shows it, with its five instants."""
    trade = record.trade
    return {
        "key": trade.key,
        "leader": trade.leader,
        "market": trade.slug,
        "token_id": trade.token_id,
        "side": trade.side,
        "price": trade.price,
        "size": trade.size,
        "source": trade.source,
        "verdict": record.verdict,
        "reason_code": record.reason_code,
        "reason": record.reason,
        "order_id": record.order_id,
        "is_voided": record.is_voided,
        "follows_conversion": record.follows_conversion,
        "traded_at": trade.traded_at,
        "received_at": trade.received_at,
        "decided_at": record.decided_at,
        "sent_at": record.sent_at,
        "acknowledged_at": record.acknowledged_at,
    }


def leader_of(ledger: "CopyLedger", text: str | None) -> LeaderAddress | None:
    """Return the address that is meant; ``None``: all."""
    return None if text is None else find_leader(ledger.leaders(), text).address


def _read(
    session: Session, leader: str | None, since: datetime | None, limit: int
) -> tuple[dict[LeaderAddress, str], tuple[CopyRecord, ...]]:
    from polybot.copy_trading.wanted import copy_ledger

    with session.existing_ledger() as opened:
        if opened is None:
            return {}, ()
        ledger = copy_ledger(opened)
        names = {one.address: one.name for one in ledger.leaders()}
        found = ledger.copy_log(address=leader_of(ledger, leader), since=since, limit=limit)
        return names, found


def _cells(record: CopyRecord, names: dict[LeaderAddress, str]) -> tuple[str, ...]:
    trade = record.trade
    lag_s = (trade.received_at - trade.traded_at).total_seconds()
    verdict = str(record.verdict)
    if record.reason_code and record.reason_code != verdict:
        verdict = f"{verdict} {record.reason_code}"
    return (
        f"{trade.traded_at:%m-%d %H:%M:%S}",
        names.get(trade.leader, trade.leader),
        f"{trade.side} {number(trade.size)} at {number(trade.price)}",
        trade.slug,
        f"{verdict}, FAILED later" if record.is_voided else verdict,
        record.reason,
        f"{lag_s:.1f}",
    )
