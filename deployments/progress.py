"""What the demo shows while it works: a bar on a terminal, plain lines elsewhere."""

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed


class LineProgress:
    """One line per step, for logs."""

    def __init__(self, console: Console, count: int) -> None:
        """Count to ``count`` windows."""
        self._console = console
        self._count = count
        self._done = 0

    def tell(self, sentence: str) -> None:
        """Say what is done now."""
        self._console.print(sentence, markup=False, soft_wrap=True)

    def window_done(self, line: str) -> None:
        """Say what became of the next window."""
        self._done += 1
        self.tell(f"[{self._done}/{self._count}] {line}")

    def close(self) -> None:
        """End the display."""


class DemoProgress(LineProgress):
    """A bar over the windows, with the lines above it."""

    def __init__(self, console: Console, count: int) -> None:
        """Start the display."""
        super().__init__(console, count)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Elapsed(),
            console=console,
            transient=True,
        )
        self._bar = self._progress.add_task("starting", total=count)
        self._progress.start()

    def tell(self, sentence: str) -> None:
        """Show what is done now beside the bar."""
        self._progress.update(self._bar, description=sentence)

    def window_done(self, line: str) -> None:
        """Move the bar and keep the line."""
        self._progress.console.print(line, markup=False)
        self._progress.update(self._bar, advance=1, description="playing windows")

    def close(self) -> None:
        """Take the bar away; safe to call twice."""
        self._progress.stop()


@contextlib.contextmanager
def open_progress(console: Console, count: int) -> Iterator[LineProgress]:
    """Yield the display that fits the console, and end it whatever happens."""
    fits = console.is_terminal and not console.is_dumb_terminal
    progress = DemoProgress(console, count) if fits else LineProgress(console, count)
    try:
        yield progress
    finally:
        progress.close()
