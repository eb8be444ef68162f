"""The trade log on the screen and as an export."""

import os
import tempfile
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import typer

from polybot.cli.session import Session, console, json_line, say, text_table
from polybot.domain.accounts import TradeLogRow
from polybot.domain.markets import MarketWindow
from polybot.errors import PermanentError
from polybot.reports.markdown import amount, number, signed

NOTHING_YET = (
    "nothing has run yet in {mode} mode: start with `make demo`, or `make up` for paper trading"
)


class ExportFormat(StrEnum):
    """Shapes of the exported log."""

    JSON = "json"
    """One document: ``{"mode", "trades": [row, …]}``."""
    JSONL = "jsonl"
    CSV = "csv"


def show_trades(session: Session, *, limit: int, since: str | None) -> None:
    """Print the newest rows of the trade log as a table, newest last."""
    rows = _rows(session, limit=limit, since=since)
    mode = session.settings.mode
    if rows is None:
        say(NOTHING_YET.format(mode=mode))
    elif not rows:
        say(f"no row in the {mode} trade log" + (f" since {since}" if since else " yet"))
    else:
        headings = ("At (UTC)", "Market", "Event", "Size", "Price", "Fee", "P&L", "Why")
        title = f"Trade log ({mode}), sizes in shares, money in USDC"
        console().print(text_table(title, headings, [_cells(row) for row in rows]))


def export_trades(
    session: Session,
    shape: ExportFormat,
    *,
    limit: int | None,
    since: str | None,
    output: Path | None,
) -> None:
    """Write the trade log to standard output, or whole or not at all to a file.

    Raises:
        PermanentError: The file cannot be written.
    """
    rows = _rows(session, limit=limit, since=since) or ()
    text = _exported(rows, shape, mode=session.settings.mode)
    if output is None:
        typer.echo(text, nl=False)
        return
    _write_whole(output, text)
    typer.echo(f"{len(rows)} rows written to {output}", err=True)


def parse_since(text: str) -> datetime:
    """Read an instant; without an offset it is UTC.

    Raises:
        typer.BadParameter: Not an ISO 8601 date or instant.
    """
    try:
        instant_given = datetime.fromisoformat(text)
        if instant_given.tzinfo is None:
            return instant_given.replace(tzinfo=UTC)
        return instant_given.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"--since must be like 2026-11-22 or 2026-11-22T12:00, was {text[:40]!r}"
        ) from error


def _rows(
    session: Session, *, limit: int | None, since: str | None
) -> tuple[TradeLogRow, ...] | None:
    start = None if since is None else parse_since(since)
    with session.existing_ledger() as ledger:
        return None if ledger is None else ledger.trade_log(since=start, limit=limit)


def _exported(rows: tuple[TradeLogRow, ...], shape: ExportFormat, *, mode: str) -> str:
    from polybot.adapters.storage.export import csv_text, document_of, jsonl_lines

    match shape:
        case ExportFormat.JSON:
            document = {"mode": mode, "trades": [document_of(row) for row in rows]}
            return json_line(document) + "\n"
        case ExportFormat.JSONL:
            return "".join(jsonl_lines(rows))
        case ExportFormat.CSV:
            return csv_text(rows)


def _cells(row: TradeLogRow) -> tuple[str, ...]:
    return (
        f"{row.timestamp:%m-%d %H:%M:%S}",
        _market(row.market),
        " ".join(part for part in (row.side, row.outcome, row.result) if part),
        number(row.size) if row.size else "–",
        number(row.price),
        amount(row.fee_usdc) if row.fee_usdc else "–",
        signed(row.pnl_usdc),
        row.reason,
    )


def _market(slug: str) -> str:
    # Shorter than the slug, and it breaks well where the terminal is narrow.
    try:
        window = MarketWindow.parse_slug(slug)
    except ValueError:
        return slug or "–"
    return f"{window.series} {window.start:%m-%d %H:%M}"


def _write_whole(path: Path, text: str) -> None:
    draft: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        draft = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(path)
    except OSError as error:
        if draft is not None:
            draft.unlink(missing_ok=True)
        raise PermanentError(
            f"{path} cannot be written: {error.strerror or error}; choose another --output"
        ) from error
