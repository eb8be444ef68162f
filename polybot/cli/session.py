"""What every command shares: the settings, the ledger, the terminal."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from polybot.domain.modes import Mode

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from polybot.config import Settings
    from polybot.ports import Ledger

# Where nobody knows how wide the reader's page is, tables get the room of a wide terminal.
_PIPE_WIDTH = 180


@dataclass
class Session:
    """One call of the command line."""

    home: Path | None = None
    mode: Mode | None = None
    debug: bool = False
    overrides: dict[str, str] = field(init=False)
    """The options that win over environment, ``.env`` and ``polybot.yaml``."""

    def __post_init__(self) -> None:
        """Collect the given options."""
        given = {"home": self.home, "mode": self.mode}
        self.overrides = {name: str(value) for name, value in given.items() if value is not None}

    @cached_property
    def settings(self) -> "Settings":
        """The settings of this process.

        Raises:
            ConfigurationError: They are not usable; the message lists everything.
        """
        from polybot.config import load_settings

        return load_settings(**self.overrides)

    @property
    def ledger_path(self) -> Path | None:
        """The ledger's file; ``None`` where it is in another database."""
        from polybot.adapters.storage.engine import sqlite_path
        from polybot.adapters.storage.migrate import parse_location
        from polybot.bootstrap import ledger_location

        return sqlite_path(parse_location(ledger_location(self.settings)))

    @contextmanager
    def ledger(self) -> "Iterator[Ledger]":
        """Open the ledger; a new one is made where none is."""
        from polybot.adapters.storage.ledger import open_ledger
        from polybot.bootstrap import ledger_location

        with open_ledger(ledger_location(self.settings), mode=self.settings.mode) as ledger:
            yield ledger

    @contextmanager
    def existing_ledger(self) -> "Iterator[Ledger | None]":
        """Open the ledger, or yield ``None`` where no file is; looking makes no ledger."""
        path = self.ledger_path
        if path is not None and not path.exists():
            yield None
            return
        with self.ledger() as ledger:
            yield ledger


def ledger_now(ledger: "Ledger", mode: Mode) -> datetime:
    """Return the ledger's present: the clock's, or in a sandbox the newest recorded instant.

    A sandbox lives in virtual time, and a day opened by the real clock would end its day.
    """
    if mode is Mode.SANDBOX:
        seen = [run.ended_at or run.started_at for run in ledger.recent_runs(1)]
        seen += [row.timestamp for row in ledger.trade_log(limit=1)]
        if seen:
            return max(seen)
    return wall_clock()


async def now_of_mode(settings: "Settings") -> datetime:
    """Return the present of whoever trades: a sandbox lives in its own time.

    Raises:
        TransientError: The sandbox does not answer.
    """
    from polybot.adapters.clock import SandboxClock, SystemClock

    if settings.mode is not Mode.SANDBOX:
        return await SystemClock().now()
    async with SandboxClock(settings.sandbox.url) as clock:
        return await clock.now()


def wall_clock() -> datetime:
    """Return the current instant, aware UTC."""
    import asyncio

    from polybot.adapters.clock import SystemClock

    return asyncio.run(SystemClock().now())


def print_json(document: object) -> None:
    """Print one JSON document: amounts as decimal text, instants as ISO 8601, ASCII only."""
    typer.echo(json_line(document))


def json_line(document: object) -> str:
    """Return one line of JSON; ASCII only, so that no text in it can steer a terminal."""
    return json.dumps(document, default=_plain, ensure_ascii=True, allow_nan=False)


def say(text: str) -> None:
    """Print one line of text on standard output, whatever is in it."""
    from polybot.reports.markdown import plain_text

    typer.echo(plain_text(text, limit=1000))


def console() -> "Console":
    """Return a console on standard output that interprets no markup."""
    from rich.console import Console

    screen = Console(markup=False, highlight=False, emoji=False)
    if not screen.is_terminal:
        screen.width = max(screen.width, _PIPE_WIDTH)
    return screen


def text_table(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> "Table":
    """Return a table whose cells are shown literally, without anything that steers a terminal."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from polybot.reports.markdown import plain_text

    shown = Table(
        title=Text(title, style="bold"),
        title_justify="left",
        show_header=any(headings),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for heading in headings:
        shown.add_column(Text(heading), overflow="fold")
    for row in rows:
        shown.add_row(*(Text(plain_text(cell)) for cell in row))
    return shown


def _plain(value: Any) -> str:
    if isinstance(value, Decimal):
        from polybot.domain.money import text_of

        return text_of(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"not part of any document: {type(value).__name__}")
