"""What copy trading is doing, as the UI shows it: one page of bounded length, updated in place."""

from collections.abc import Iterable
from datetime import datetime

from polybot.copy_trading.status import (
    CopyCounts,
    CopyPhase,
    CopyStatus,
    Drift,
    LatencySummary,
    LeaderStatus,
    Trouble,
)
from polybot.domain.books import BookFeedHealth
from polybot.domain.leaders import DesiredState, FeedSource, LeaderState, SourceHealth
from polybot.domain.modes import Mode
from polybot.ports import LAG_BUCKETS_S
from polybot.reports.markdown import escape_markdown, instant, number, signed, table

# Whoever follows more leaders reads the rest with `polybot copy status`.
_MOST_ROWS = 50
_ADDRESS_SHOWN = 10


def copying_card(status: CopyStatus, *, mode: Mode) -> str:
    """Return the copy loop as Markdown: leaders, counts by reason, latency, feeds, drift."""
    parts = [
        f"# {mode.value}: {_headline(status)}",
        _since(status),
        _troubles(status.troubles),
        table(["Leader trades", "Count"], _counts(status.counts)),
        _section("Leaders", _leaders(status.leaders)),
        _section("Latency", _latencies(status)),
        _section("Feeds", _sources(status.sources)),
        _section("Second to tell", _later(status.later_than_first)),
        _section("Books", _books(status.books)),
        _section("Thrown away", _thrown_away(status)),
        _section("Orders", _orders(status)),
        _section("Drift", _drift(status.drift, status.drift_at)),
    ]
    return "\n\n".join(part for part in parts if part)


def paused_card(desired: DesiredState | None, *, mode: Mode) -> str:
    """Return what the page says while a person wants no copies."""
    lines = [f"# {mode.value}: paused", "Nothing is copied until a person resumes copy trading."]
    if desired is not None:
        lines.append(
            f"Paused by {escape_markdown(desired.by)} at {instant(desired.changed_at)} UTC: "
            f"{escape_markdown(desired.reason)}"
        )
    return "\n\n".join(lines)


def broken_card(problem: BaseException, *, mode: Mode) -> str:
    """Return what the page says after copying broke, until it is tried again."""
    return "\n\n".join(
        (
            f"# {mode.value}: broken",
            "Nothing is copied now. It is tried again by itself, after a pause.",
            escape_markdown(f"{type(problem).__name__}: {problem}"),
        )
    )


def _headline(status: CopyStatus) -> str:
    if status.phase is CopyPhase.TRADING and not status.leaders:
        return "waiting for somebody to follow"
    return status.phase.value


def _since(status: CopyStatus) -> str:
    lines = [f"Since {instant(status.started_at)} UTC, as of {instant(status.at)} UTC."]
    if not status.leaders:
        lines.append("Nobody is followed: `polybot leaders add WALLET` changes that.")
    if status.reason:
        lines.append(escape_markdown(status.reason))
    lines.append(f"Trading state: {status.trading_state.value}.")
    if status.lease is not None:
        lines.append(f"Lease: epoch {status.lease.epoch}.")
    return " ".join(lines)


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _counts(counts: CopyCounts) -> list[list[str]]:
    rows = [
        ["seen", counts.seen],
        ["copied", counts.copied],
        ["accumulated", counts.accumulated],
        *([f"refused: {escape_markdown(name)}", n] for name, n in _most(counts.refused)),
        *([f"skipped: {escape_markdown(name)}", n] for name, n in _most(counts.skipped)),
        ["told again", counts.repeated],
        ["failed later", counts.voided],
        ["splits, merges, redemptions", counts.conversions],
    ]
    return [[str(name), str(count)] for name, count in rows]


def _most(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_ROWS]


def _leaders(leaders: tuple[LeaderStatus, ...]) -> str:
    if not leaders:
        return ""
    rows = (
        [
            escape_markdown(leader.name),
            f"{leader.address[:_ADDRESS_SHOWN]}…",
            _state(leader),
            str(leader.counts.seen),
            str(leader.counts.copied),
            str(leader.counts.skipped_count + leader.counts.refused_count),
            _when(leader.last_trade_at),
        ]
        for leader in leaders[:_MOST_ROWS]
    )
    headings = ["Name", "Wallet", "State", "Seen", "Copied", "Not copied", "Last trade (UTC)"]
    more = len(leaders) - _MOST_ROWS
    return table(headings, rows) + (f"\n\nand {more} more" if more > 0 else "")


def _state(leader: LeaderStatus) -> str:
    """Return the state; why he is stopped is worth a word, that he was added is not."""
    if leader.state is LeaderState.ACTIVE or not leader.state_reason:
        return leader.state.value
    return f"{leader.state.value}: {escape_markdown(leader.state_reason)}"


def _latencies(status: CopyStatus) -> str:
    rows = [
        _latency("leader's fill until heard [s]", status.feed_lag, 1.0),
        _latency("heard until sent: ours [ms]", status.own_time, 1000.0),
        _latency("sent until answered [ms]", status.venue_time, 1000.0),
    ]
    return table(["What", "Count", "p50", "p95", "p99", "Longest"], rows)


def _latency(name: str, summary: LatencySummary, scale: float) -> list[str]:
    values = (summary.p50_s, summary.p95_s, summary.p99_s, summary.max_s)
    shown = (f"{value * scale:.2f}" if summary.count else "–" for value in values)
    return [name, str(summary.count), *shown]


def _sources(sources: tuple[SourceHealth, ...]) -> str:
    rows = (
        [
            escape_markdown(source.name),
            "connected" if source.is_connected else "not connected",
            _when(source.last_heard_at),
            str(source.messages),
            str(source.followed),
            str(source.first),
            str(source.reconnects),
            str(source.freezes),
            str(sum(source.rejected.values())),
            str(source.shed),
        ]
        for source in sources
    )
    headings = ["Feed", "State", "Last heard (UTC)", "Messages", "Followed", "First"]
    return table([*headings, "Reconnects", "Freezes", "Rejected", "Shed"], rows) if sources else ""


def _later(later: dict[FeedSource, tuple[int, ...]]) -> str:
    """Return how much later than the first each source told the same trades."""
    rows = [
        [source.value, str(sum(counts)), *(_at_most(counts, part) for part in (0.5, 0.95, 0.99))]
        for source, counts in sorted(later.items())
        if sum(counts)
    ]
    return table(["Feed", "Trades", "p50 [s]", "p95 [s]", "p99 [s]"], rows) if rows else ""


def _at_most(counts: tuple[int, ...], part: float) -> str:
    """Return the upper end of the bucket in which a percentile lies."""
    left = part * sum(counts)
    for count, end in zip(counts, LAG_BUCKETS_S, strict=False):
        left -= count
        if left <= 0:
            return f"at most {end:g}"
    return f"more than {LAG_BUCKETS_S[-1]:g}"


def _books(books: BookFeedHealth) -> str:
    return table(
        ["State", "Watched", "Known", "Frames", "Agreements", "Gaps", "Freezes", "Reconnects"],
        [
            [
                "connected" if books.is_connected else "not connected",
                str(books.watched),
                str(books.known),
                str(books.frames),
                str(books.agreements),
                str(books.gaps),
                str(books.freezes),
                str(books.reconnects),
            ]
        ],
    )


def _thrown_away(status: CopyStatus) -> str:
    """Return what feeds rejected, by reason: nothing of it was traded on."""
    found = [(source.name, source.rejected) for source in status.sources]
    found += [("books", status.books.rejected), ("contradictions", status.contradictions)]
    rows = [
        [escape_markdown(name), escape_markdown(reason), str(count)]
        for name, counts in found
        for reason, count in _most(counts)
    ]
    return table(["Feed", "Reason", "Count"], rows[:_MOST_ROWS]) if rows else ""


def _orders(status: CopyStatus) -> str:
    orders = status.orders
    return table(
        ["Filled", "Unfilled", "In flight", "Unknown", "Trades that wait", "Known markets"],
        [
            [
                str(orders.filled),
                str(orders.unfilled),
                str(orders.in_flight),
                str(orders.unknown),
                str(orders.waiting_trades),
                str(status.known_markets),
            ]
        ],
    )


def _drift(drift: tuple[Drift, ...], at: datetime | None) -> str:
    if at is None:
        return ""
    compared = f"Compared with the leaders' positions at {instant(at)} UTC"
    if not drift:
        return f"{compared}: no difference."
    rows = (
        [
            f"{item.leader[:_ADDRESS_SHOWN]}…",
            escape_markdown(item.slug),
            number(item.leader_size),
            number(item.expected_size),
            number(item.our_size),
            signed(item.difference),
        ]
        for item in drift[:_MOST_ROWS]
    )
    headings = ["Leader", "Market", "Leader holds", "Expected", "Ours", "Difference"]
    return f"{compared}.\n\n{table(headings, rows)}"


def _troubles(troubles: Iterable[Trouble]) -> str:
    lines = [
        f"- {escape_markdown(trouble.part)}: {escape_markdown(trouble.problem)} "
        f"({trouble.failures} times, since {instant(trouble.since)} UTC)"
        for trouble in troubles
        if not trouble.is_over
    ]
    return _section("Troubles", "\n".join(lines[:_MOST_ROWS]))


def _when(at: datetime | None) -> str:
    return "never" if at is None else instant(at)
