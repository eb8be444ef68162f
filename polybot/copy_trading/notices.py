"""What the owner is told about copies: fills, refusals, leaders that were stopped, trouble.

Skips are not told one by one: they are counted by reason, on the status page and in the ledger.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from polybot.alerts import LONGEST_TITLE, build_alert, clean_line, fill_alert
from polybot.domain.alerts import Alert, AlertKind
from polybot.domain.leaders import CopyRecord, Leader, LeaderTrade, LeaderTradeKey
from polybot.domain.modes import Mode
from polybot.domain.money import text_of
from polybot.domain.orders import Fill, Order, RiskCheck

_NAME: Final = 40


def copied_fill_alert(fill: Fill, order: Order, leader: str, *, mode: Mode) -> Alert:
    """Tell about a fill of an order that copied a leader, named as the owner names him."""
    told = fill_alert(fill, order, mode=mode)
    title = clean_line(f"{told.title}, copying {clean_line(leader, _NAME)}", LONGEST_TITLE)
    return replace(told, title=title)


def refused_copy_alert(
    record: CopyRecord, failed: tuple[RiskCheck, ...], leader: Leader, *, mode: Mode
) -> Alert:
    """Tell that a limit stopped a copy; once per hour, leader and check."""
    first = failed[0].name if failed else "limit"
    return build_alert(
        AlertKind.REFUSED,
        f"copy-refused:{mode}:{leader.address}:{first}:{_hour(record.decided_at)}",
        f"{mode}: refused a copy of {clean_line(leader.name, _NAME)}",
        [_trade(record.trade), *(check.detail for check in failed), "told once an hour"],
    )


def throttled_alert(leader: Leader, reason: str, *, at: datetime, mode: Mode) -> Alert:
    """Tell that a leader's entries are copied no more until a person lifts it."""
    return build_alert(
        AlertKind.COPYING,
        f"leader-throttled:{mode}:{leader.address}:{at.isoformat()}",
        f"{mode}: {clean_line(leader.name, _NAME)} is throttled",
        [
            reason,
            "what he buys is recorded and not copied; where he leaves, we leave what we hold "
            "through him",
            "look at him, then resume by hand",
            f"wallet {leader.address}, at {_second(at)}",
        ],
    )


def own_wallet_alert(leader: Leader, *, at: datetime, mode: Mode) -> Alert:
    """Tell that a followed wallet is our own; once."""
    return build_alert(
        AlertKind.COPYING,
        f"own-wallet:{mode}:{leader.address}",
        f"{mode}: {clean_line(leader.name, _NAME)} is our own wallet",
        ["nobody copies himself: it is paused", f"wallet {leader.address}, at {_second(at)}"],
    )


def voided_alert(
    key: LeaderTradeKey, market: str, leader: str, *, at: datetime, mode: Mode
) -> Alert:
    """Tell that a leader's trade FAILED after it was recorded; once per trade."""
    _, transaction_hash, _, side, price, size, _ = key.split(":")
    return build_alert(
        AlertKind.COPYING,
        f"leader-trade-failed:{mode}:{key}",
        f"{mode}: a trade of {clean_line(leader, _NAME)} failed",
        [
            f"{side} {size} at {price} in {market}, transaction {transaction_hash}",
            "it is not on the chain, or not any more: where it was copied, the copy stands alone",
            f"at {_second(at)}",
        ],
    )


def unsold_alert(
    trade: LeaderTrade, size: Decimal, reason: str, leader: str, *, at: datetime, mode: Mode
) -> Alert:
    """Tell that we could not follow a leader out of a market; once per sale of his."""
    return build_alert(
        AlertKind.COPYING,
        f"exit-unsold:{mode}:{trade.key}",
        f"{mode}: {text_of(size)} shares not sold after {clean_line(leader, _NAME)}",
        [_trade(trade), reason, "they stay until the market is settled", f"at {_second(at)}"],
    )


def contradiction_alert(trade: LeaderTrade, reason: str, *, at: datetime, mode: Mode) -> Alert:
    """Tell that sources disagree about a leader's trade; once per hour and reason.

    Args:
        trade: As the later source tells it.
        reason: ``fills-differ`` or ``content-differs``.
        at: When it was noticed.
        mode: Whose ledger.
    """
    return build_alert(
        AlertKind.COPYING,
        f"feed-contradiction:{mode}:{reason}:{_hour(at)}",
        f"{mode}: sources contradict each other ({clean_line(reason, _NAME)})",
        [
            _trade(trade),
            f"so says {trade.source}; what contradicts an earlier sighting is held back",
            f"wallet {trade.leader}, transaction {trade.transaction_hash}",
            "told once an hour; `polybot copy log` shows what was made of the first sighting",
        ],
    )


def rejected_alert(source: str, reason: str, count: int, *, at: datetime, mode: Mode) -> Alert:
    """Tell that a feed throws messages away; once per hour and reason.

    Args:
        source: Which connection.
        reason: Why.
        count: How many since the last look.
        at: When it was noticed.
        mode: Whose ledger.
    """
    name = clean_line(reason, _NAME)
    return build_alert(
        AlertKind.COPYING,
        f"feed-rejected:{mode}:{name}:{_hour(at)}",
        f"{mode}: {source} throws messages away ({name})",
        [
            f"{count} so far; nothing is traded on them, and everything else goes on",
            "told once an hour; the page about copy trading counts them",
        ],
    )


def clock_alert(difference: timedelta, *, at: datetime, mode: Mode) -> Alert:
    """Tell that this machine's clock is off and therefore nothing is copied; once per hour."""
    return build_alert(
        AlertKind.COPYING,
        f"clock-off:{mode}:{_hour(at)}",
        f"{mode}: copying waits, this machine's clock is off",
        [
            f"it differs from the venue's by {difference.total_seconds():.1f} s: turn on NTP",
            "no order is signed until the two agree again",
            f"at {_second(at)}",
        ],
    )


def ledger_trouble_alert(problem: str, *, at: datetime, mode: Mode) -> Alert:
    """Tell that nothing can be recorded and therefore nothing is copied; once per hour."""
    return build_alert(
        AlertKind.COPYING,
        f"copy-ledger:{mode}:{_hour(at)}",
        f"{mode}: copying waits, the ledger cannot be written",
        [problem, "it is tried again every second", f"at {_second(at)}"],
    )


def _trade(trade: LeaderTrade) -> str:
    verb = "bought" if trade.side.value == "BUY" else "sold"
    return (
        f"leader {verb} {text_of(trade.size)} at {text_of(trade.price)} in {trade.slug}, "
        f"{_second(trade.traded_at)}"
    )


def _second(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _hour(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H}"
