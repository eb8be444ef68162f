"""Text for people out of text from anywhere: cleaned, capped and escaped.

Market questions, reasons and error messages come from outside and are shown in a browser and in
a terminal. They must stay text there: no link, no tag, no heading, no colour, no reversed line.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from polybot.domain.money import text_of

DEFAULT_LIMIT: Final = 300
# Terminal sequences go as a whole, so that no "[31m" is left behind.
_ANSI: Final = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
# Numeric character references mean the character itself everywhere: in a paragraph, in a table's
# cell and inside HTML. Backslashes would mean different things in the three.
_MARKDOWN: Final = str.maketrans({char: f"&#{ord(char)};" for char in "&<>\"'`\\*_[]{}#|~!$"})
# Some renderers make links of bare addresses after decoding references. A zero-width space after
# these pieces stops them and leaves the text readable.
_LINK_STARTERS: Final = re.compile("://|www|@", re.IGNORECASE)


def plain_text(text: str, *, limit: int = DEFAULT_LIMIT) -> str:
    """Return one line of text without anything invisible or steering.

    Control characters (ANSI escapes among them), direction overrides, zero-width characters,
    lone surrogates and private-use characters are dropped; every run of white space becomes one
    space.

    Args:
        text: Anything, of any length.
        limit: Longest result [characters]; a longer text ends in ``…``.
    """
    # The input is capped as well, because a venue's title may be a megabyte long.
    start = _ANSI.sub("", text[: limit * 8])
    visible = (" " if char.isspace() else char for char in start if _is_shown(char))
    line = " ".join("".join(visible).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def escape_markdown(text: str, *, limit: int = DEFAULT_LIMIT) -> str:
    """Return outside text that Markdown and HTML show literally, on one line.

    Args:
        text: Anything, of any length.
        limit: Longest text shown [characters], before escaping.
    """
    # Dots and dashes mean something only where a line starts; outside text never stands there.
    escaped = plain_text(text, limit=limit).translate(_MARKDOWN)
    return _LINK_STARTERS.sub(r"\g<0>&#8203;", escaped)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the cells must be escaped already."""
    lines = [_row(headings), _row(["---"] * len(headings)), *(_row(row) for row in rows)]
    return "\n".join(lines)


def amount(value: Decimal | None) -> str:
    """Return an amount exactly, with at least two decimals; a dash for none."""
    if value is None:
        return "–"
    whole, _, decimals = text_of(value).partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}"


def signed(value: Decimal | None) -> str:
    """Return an amount as a gain (``+1.20``) or a loss (``-0.35``)."""
    return amount(value) if value is None or value <= 0 else f"+{amount(value)}"


def number(value: Decimal | None) -> str:
    """Return a price, size or fraction without trailing zeros; a dash for none."""
    return "–" if value is None else text_of(value)


def fraction(value: Decimal | None) -> str:
    """Return a fraction with four decimals; a dash for none."""
    return "–" if value is None else f"{value:.4f}"


def instant(value: datetime) -> str:
    """Return ``2026-11-22 12:00:03`` (UTC)."""
    return f"{value:%Y-%m-%d %H:%M:%S}"


def _is_shown(char: str) -> bool:
    return char.isspace() or unicodedata.category(char)[0] != "C"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
