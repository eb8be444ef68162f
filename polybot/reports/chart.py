"""A small line chart as SVG inside a data address: what Prefect's UI shows in an artifact.

Raw ``<svg>`` in an artifact is stripped by the UI, an image address is not. One chart is stored
with every report, so it stays at a few kilobytes however long the history.
"""

import base64
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from polybot.reports.metrics import EquityPoint

_WIDTH: Final = 720
_HEIGHT: Final = 260
_LEFT: Final = 84
_RIGHT: Final = 12
_TOP: Final = 30
_BOTTOM: Final = 34
_BUCKETS: Final = 60
# Readable on white and on black alike (contrast at least 4.5 for text, 3 for the line): the UI
# has both themes and an image cannot ask which.
_INK: Final = "#767676"
_LINE: Final = "#2f7fd6"


def equity_chart(points: Sequence[EquityPoint]) -> str:
    """Return Markdown of an equity chart, or a sentence where there are too few points.

    Args:
        points: Instants (UTC) with equity [USDC], oldest first.
    """
    if len(points) < 2:
        return "No chart yet: it needs at least two settled points."
    data = base64.b64encode(equity_svg(points).encode()).decode()
    return f"![equity](data:image/svg+xml;base64,{data})"


def equity_svg(points: Sequence[EquityPoint]) -> str:
    """Return the chart of at least two points as an SVG document."""
    shown = thin_out(points, _BUCKETS)
    low, high = _range([equity for _, equity in shown])
    start, end = shown[0][0], shown[-1][0]
    # Points at one single instant are spread over nothing; a second keeps the division whole.
    span_s = max((end - start).total_seconds(), 1.0)
    path = " ".join(
        f"{_x((at - start).total_seconds() / span_s)},{_y(equity, low, high)}"
        for at, equity in shown
    )
    levels = "".join(_level(low + (high - low) * step / 4, low, high) for step in range(5))
    bottom = _HEIGHT - 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12" fill="{_INK}">'
        "<title>Equity over time</title>"
        f'<text x="{_LEFT}" y="16">Equity [USDC]: cash and positions at cost</text>'
        f"{levels}"
        f'<polyline points="{path}" fill="none" stroke="{_LINE}" stroke-width="2"/>'
        f'<text x="{_LEFT}" y="{bottom}">{start:%Y-%m-%d %H:%M}</text>'
        f'<text x="{_WIDTH - _RIGHT}" y="{bottom}" text-anchor="end">{end:%Y-%m-%d %H:%M} UTC'
        "</text></svg>"
    )


def thin_out(points: Sequence[EquityPoint], buckets: int) -> list[EquityPoint]:
    """Return the first, the last, and the lowest and highest point of each bucket, in order."""
    if len(points) <= 2 * buckets:
        return list(points)
    kept = {0, len(points) - 1}
    for bucket in range(buckets):
        first = bucket * len(points) // buckets
        indexes = range(first, (bucket + 1) * len(points) // buckets)
        kept.add(min(indexes, key=lambda index: points[index][1]))
        kept.add(max(indexes, key=lambda index: points[index][1]))
    return [points[index] for index in sorted(kept)]


def _range(values: Sequence[Decimal]) -> tuple[Decimal, Decimal]:
    low, high = min(values), max(values)
    # A flat line runs through the middle of a range of one USDC.
    margin = (high - low) / 20 if high > low else Decimal("0.5")
    return low - margin, high + margin


def _x(share: float) -> str:
    return f"{_LEFT + share * (_WIDTH - _LEFT - _RIGHT):.1f}"


def _y(equity: Decimal, low: Decimal, high: Decimal) -> str:
    share = float((equity - low) / (high - low))
    return f"{_TOP + (1 - share) * (_HEIGHT - _TOP - _BOTTOM):.1f}"


def _level(equity: Decimal, low: Decimal, high: Decimal) -> str:
    y = _y(equity, low, high)
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="{_INK}" '
        'stroke-opacity="0.3"/>'
        f'<text x="{_LEFT - 8}" y="{y}" dy="4" text-anchor="end">{equity:,.2f}</text>'
    )
