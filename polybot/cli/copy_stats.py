"""How late copies are, what became of leaders' trades, and how far we are from their positions."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from polybot.cli.copy_log import leader_of
from polybot.cli.copy_status import NOTHING_YET
from polybot.cli.session import Session, console, print_json, say, text_table
from polybot.cli.trades import parse_since
from polybot.domain.leaders import CopyRecord, Leader, LeaderAddress, LeaderHolding
from polybot.domain.markets import MarketWindow
from polybot.reports.markdown import number

if TYPE_CHECKING:
    from polybot.ports import CopyLedger

_NEWEST: Final = 10_000
_LABELS: Final = {
    "feed_lag": "Leader's fill → heard of",
    "decide": "Heard of → decided",
    "send": "Decided → sent",
    "own_time": "Heard of → sent (ours)",
    "venue_time": "Sent → answered",
    "whole": "Leader's fill → answered",
}


def show_stats(session: Session, *, leader: str | None, since: str | None, as_json: bool) -> None:
    """Print latencies, counts by reason and drift.

    Raises:
        PermanentError: Nobody such is followed.
        typer.BadParameter: ``since`` is no instant.
    """
    from polybot.copy_trading.wanted import copy_ledger

    mode = session.settings.mode
    start = None if since is None else parse_since(since)
    with session.existing_ledger() as opened:
        document = None
        if opened is not None:
            ledger = copy_ledger(opened)
            document = stats_of(ledger, address=leader_of(ledger, leader), since=start)
    if as_json:
        print_json({"mode": mode, "has_run": document is not None, **(document or {})})
    elif document is None:
        say(NOTHING_YET.format(mode=mode))
    else:
        _print(mode, document)


def stats_of(
    ledger: "CopyLedger", *, address: LeaderAddress | None, since: datetime | None
) -> dict[str, Any]:
    """Return the statistics of the recorded trades."""
    records = ledger.copy_log(address=address, since=since, limit=_NEWEST)
    counts = {
        key: count
        for key, count in ledger.copy_counts(since=since).items()
        if address is None or key[0] == address
    }
    leaders = [one for one in ledger.leaders() if address is None or one.address == address]
    return {
        "recorded": sum(counts.values()),
        "by_verdict": _summed(counts, 1),
        "by_reason": _summed({key: count for key, count in counts.items() if key[2]}, 2),
        "measured": len(records),
        "latency_s": latencies_of(records),
        "feed_lag_by_source_s": _lag_by_source(records),
        "drift": [row for one in leaders for row in _drift(one, ledger.holdings(one.address))],
    }


def latencies_of(records: Iterable[CopyRecord]) -> dict[str, dict[str, float | int]]:
    """Return count, p50, p95, p99 and the longest of each stage [s].

    The feed's lag is of every trade that is not read long after the fact: what was skipped as too
    old after a downtime says nothing about the feed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in _LABELS}
    for record in records:
        trade = record.trade
        if record.reason_code not in _AFTER_THE_FACT:
            seconds["feed_lag"].append(_between(trade.traded_at, trade.received_at))
        seconds["decide"].append(_between(trade.received_at, record.decided_at))
        if record.sent_at is None:
            continue
        seconds["send"].append(_between(record.decided_at, record.sent_at))
        seconds["own_time"].append(_between(trade.received_at, record.sent_at))
        if record.acknowledged_at is not None:
            seconds["venue_time"].append(_between(record.sent_at, record.acknowledged_at))
            seconds["whole"].append(_between(trade.traded_at, record.acknowledged_at))
    return {name: _summary(measured) for name, measured in seconds.items()}


_AFTER_THE_FACT: Final = frozenset({"too-old", "before-following"})


def _lag_by_source(records: Iterable[CopyRecord]) -> dict[str, dict[str, float | int]]:
    found: dict[str, list[float]] = defaultdict(list)
    for one in records:
        if one.reason_code not in _AFTER_THE_FACT:
            found[one.trade.source].append(_between(one.trade.traded_at, one.trade.received_at))
    return {source: _summary(measured) for source, measured in sorted(found.items())}


def _drift(leader: Leader, holdings: Iterable[LeaderHolding]) -> list[dict[str, Any]]:
    """Return what we hold beside what the leader's share would be, by the record."""
    from polybot.copy_trading.drift import SIZED_BY_SHARE

    has_share = leader.policy.sizing in SIZED_BY_SHARE
    rows = []
    for one in holdings:
        if not (one.our_size or (one.leader_size and _is_copied(one.slug))):
            continue
        wanted = one.leader_size * leader.policy.scale if has_share else None
        rows.append(
            {
                "leader": leader.address,
                "name": leader.name,
                "market": one.slug,
                "token_id": one.token_id,
                "leader_size": one.leader_size,
                "wanted_size": wanted,
                "our_size": one.our_size,
                "drift": None if wanted is None else one.our_size - wanted,
            }
        )
    return rows


def _is_copied(slug: str) -> bool:
    """Whether a market is of the family that is copied at all."""
    try:
        MarketWindow.parse_slug(slug)
    except ValueError:
        return False
    return True


def _summary(seconds: list[float]) -> dict[str, float | int]:
    from polybot.copy_trading.status import summarise_latency

    found = summarise_latency(seconds)
    return {
        "count": found.count,
        "p50": round(found.p50_s, 6),
        "p95": round(found.p95_s, 6),
        "p99": round(found.p99_s, 6),
        "max": round(found.max_s, 6),
    }


def _summed(counts: dict[tuple[str, str, str], int], part: int) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for key, count in counts.items():
        found[key[part]] += count
    return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))


def _between(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()


def _print(mode: str, document: dict[str, Any]) -> None:
    verdicts = ", ".join(f"{name} {count}" for name, count in document["by_verdict"].items())
    say(f"{mode}: {document['recorded']} leaders' trades recorded: {verdicts or 'none'}")
    reasons = ", ".join(f"{name} {count}" for name, count in document["by_reason"].items())
    if reasons:
        say(f"not copied: {reasons}")
    rows: list[tuple[str, ...]] = [
        (_LABELS[name], str(one["count"]), *(f"{one[part]:.4f}" for part in _PARTS))
        for name, one in document["latency_s"].items()
    ]
    headings = ("Stage", "Count", *_PARTS)
    console().print(text_table("Latency [s]", headings, rows))
    for source, one in document["feed_lag_by_source_s"].items():
        parts = ", ".join(f"{part} {one[part]:.1f} s" for part in ("p50", "p95", "p99"))
        say(f"heard by {source}: {one['count']}, {parts}")
    _print_drift(document["drift"])


_PARTS: Final = ("p50", "p95", "p99", "max")


def _print_drift(drift: list[dict[str, Any]]) -> None:
    if not drift:
        say("positions through leaders: none")
        return
    rows: list[tuple[str, ...]] = [
        (
            one["name"],
            one["market"],
            number(one["leader_size"]),
            number(one["wanted_size"]),
            number(one["our_size"]),
            number(one["drift"]),
        )
        for one in drift
    ]
    headings = ("Leader", "Market", "Its shares", "Its share for us", "Ours", "Drift")
    console().print(text_table("Positions through leaders, by our record", headings, rows))
