"""What the owner is told.

Alerts are plain text. Text that came from outside (market questions, error messages) is made
harmless here as far as every channel is concerned: one line, printable, short, no mentions, no
links. What a certain channel needs on top (HTML or Markdown escapes) is the channel's business.

Nothing here sends anything or reads the time, and no alert ever fails or delays a trade: builders
never raise for odd text, and delivery is a step of its own (``polybot.alert_delivery``).
"""

import hashlib
import re
import unicodedata
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

from polybot.domain.accounts import OrderRecord, Settlement, TradingStateChange
from polybot.domain.alerts import Alert, AlertKind
from polybot.domain.decisions import Decision
from polybot.domain.markets import MarketWindow, Outcome
from polybot.domain.modes import Mode
from polybot.domain.money import text_of
from polybot.domain.orders import Fill, FillStatus, Order, Side
from polybot.domain.reconciliation import HeldToken, Reconciliation, Redemption

LONGEST_TITLE: Final = 120
LONGEST_LINE: Final = 400
LONGEST_BODY: Final = 1500
# An operator's user@host is none, but Discord takes x@everyone for one.
_MENTION: Final = re.compile(r"(?<!\w)@(?=\S)|@(?=everyone|here|channel|all)", re.IGNORECASE)
_NUMBERS: Final = re.compile(
    r"0x[0-9a-f]+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9]+([.,:][0-9]+)*", re.IGNORECASE
)


def clean_line(text: str, longest: int = LONGEST_LINE) -> str:
    """Return text from anywhere as one harmless line.

    Control characters (ANSI escapes and line breaks among them), invisible and direction-changing
    characters, and lone surrogates are gone; white space is single; mentions (``@everyone``,
    ``<@1>``, ``<!here>``) and links no longer work; longer text is cut with an ellipsis.
    """
    # Cut first: a title of a megabyte must not cost a megabyte's work in every step.
    kept = text[: 4 * longest]
    kept = re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", kept)
    kept = "".join(
        character if unicodedata.category(character)[0] != "C" else " " * character.isspace()
        for character in kept
        if not 0xFE00 <= ord(character) <= 0xFE0F
    )
    kept = re.sub(r"[\s\u115f\u1160\u3164\uffa0\u2800]+", " ", kept).strip()
    kept = _MENTION.sub("@ ", kept)
    kept = re.sub(r"<(?=[@!#&])", "< ", kept)
    kept = re.sub(r":(?=//)", ": ", kept)
    return kept if len(kept) <= longest else f"{kept[: longest - 1].rstrip()}…"


def fill_alert(fill: Fill, order: Order, *, mode: Mode) -> Alert:
    """Tell about a fill of an order that was just placed."""
    return _fill_alert(
        fill,
        side=order.side,
        outcome=order.outcome,
        window=order.market.window,
        question=order.market.question,
        mode=mode,
    )


def recorded_fill_alert(fill: Fill, record: OrderRecord, *, mode: Mode) -> Alert:
    """Tell about a fill that was learned later, by asking the venue."""
    return _fill_alert(
        fill, side=record.side, outcome=record.outcome, window=record.window, question="", mode=mode
    )


def refused_alert(decision: Decision, *, mode: Mode) -> Alert:
    """Tell that a limit stopped an order; once per decision."""
    failed = [check for check in decision.checks if not check.passed]
    reasons = [f"{check.name}: {check.detail}" for check in failed] or [decision.reason]
    return build_alert(
        AlertKind.REFUSED,
        f"refused:{decision.key}",
        f"{mode}: refused {decision.direction or ''} {decision.window.slug}",
        [decision.question, *reasons, _when(decision.window)],
    )


def skipped_alert(decision: Decision, *, mode: Mode) -> Alert:
    """Tell that a window could not be decided; once per hour and reason, figures aside."""
    return build_alert(
        AlertKind.SKIPPED,
        f"skipped:{mode}:{_hour(decision.decided_at)}:{_digest(decision.reason)}",
        f"{mode}: skipped {decision.window.slug}",
        [decision.reason, _when(decision.window)],
    )


def settlement_alert(settlement: Settlement, *, mode: Mode) -> Alert:
    """Tell what a market paid and earned; once per market."""
    pnl = settlement.pnl_usdc
    outcome = f"{settlement.winner} won" if settlement.winner else "voided by the venue"
    return build_alert(
        AlertKind.SETTLEMENT,
        f"settled:{settlement.condition_id}",
        f"{mode}: {_signed(pnl)} USDC, {settlement.window.slug}",
        [
            f"{outcome}; payout {text_of(settlement.payout_usdc)} USDC, "
            f"P&L {_signed(pnl)} USDC after fees",
            _when(settlement.window),
        ],
    )


def reconciliation_alert(found: Reconciliation, *, mode: Mode) -> Alert:
    """Tell that record and venue differ and nothing explains it; once per hour and difference."""
    reason = "; ".join(found.differences)
    return build_alert(
        AlertKind.RECONCILIATION,
        f"differs:{mode}:{_hour(found.started_at)}:{_digest(reason)}",
        f"{mode}: our record and the venue differ",
        [*found.differences, "trading is halted until a person has looked and resumes it"],
    )


def cash_alert(change_usdc: Decimal, why: str, *, version: int, at: datetime, mode: Mode) -> Alert:
    """Tell that cash was booked which no trade of ours explains; once per booking.

    Args:
        change_usdc: What was booked; positive: it came in.
        why: What it was taken for.
        version: Of the record that it was booked on.
        at: When.
        mode: Whose ledger.
    """
    return build_alert(
        AlertKind.RECONCILIATION,
        f"cash:{mode}:{version}",
        f"{mode}: {_signed(change_usdc)} USDC {why}",
        [f"booked so that our cash equals the venue's, at {at:%Y-%m-%d %H:%M:%S} UTC"],
    )


def shares_alert(token: HeldToken, size: Decimal, why: str, *, at: datetime, mode: Mode) -> Alert:
    """Tell that a person accepted a difference of shares; once per token and instant.

    Args:
        token: Whose shares differ.
        size: More at the venue than by our record (negative: less) [shares].
        why: As the person said it.
        at: When.
        mode: Whose ledger.
    """
    return build_alert(
        AlertKind.RECONCILIATION,
        f"shares:{mode}:{token.token_id}:{at.isoformat()}",
        f"{mode}: {_signed(size)} shares of {token.outcome} {token.window.slug} accepted",
        [f"accepted: {why}", f"at {at:%Y-%m-%d %H:%M:%S} UTC"],
    )


def contradiction_alert(before: Fill, told: Fill, *, at: datetime, mode: Mode) -> Alert:
    """Tell that the venue tells a trade otherwise than before; once per trade and new content.

    Args:
        before: The fill as our record has it.
        told: The same fill as the venue tells it now.
        at: When it was told.
        mode: Whose ledger.
    """
    return build_alert(
        AlertKind.RECONCILIATION,
        f"contradiction:{_content(told)}:{told.trade_id}:{told.order_id}:{told.leg}",
        f"{mode}: the venue tells a trade otherwise than before",
        [
            f"trade {told.trade_id} of order {told.order_id}",
            f"before: {_content(before)}",
            f"now: {_content(told)}",
            f"at {at:%Y-%m-%d %H:%M:%S} UTC",
        ],
    )


def redemption_alert(redemption: Redemption, instruction: str, *, mode: Mode) -> Alert:
    """Tell that winnings have to be redeemed by hand, and how; once per market."""
    return build_alert(
        AlertKind.REDEMPTION,
        f"redeem:{redemption.condition_id}",
        f"{mode}: redeem {text_of(redemption.payout_usdc)} USDC of {redemption.window.slug}",
        [instruction, f"market {redemption.condition_id}", _when(redemption.window)],
    )


def run_failed_alert(flow: str, reason: str, *, at: datetime, mode: Mode) -> Alert:
    """Tell that a flow run broke; once per hour, flow and reason, figures aside."""
    return build_alert(
        AlertKind.RUN_FAILED,
        f"run-failed:{mode}:{flow}:{_hour(at)}:{_digest(reason)}",
        f"{mode}: {flow} run failed",
        [reason, f"at {at:%Y-%m-%d %H:%M:%S} UTC"],
    )


def trading_state_alert(change: TradingStateChange, *, mode: Mode) -> Alert:
    """Tell who allowed or stopped trading, and why; once per change."""
    return build_alert(
        AlertKind.TRADING_STATE,
        f"trading-state:{change.changed_at.isoformat()}:{change.state}",
        f"{mode}: trading is {change.state}",
        [f"by {change.by}: {change.reason}", f"at {change.changed_at:%Y-%m-%d %H:%M:%S} UTC"],
    )


def daily_report_alert(day: date, summary: str, *, mode: Mode) -> Alert:
    """Tell what a UTC day brought; once per day."""
    return build_alert(
        AlertKind.DAILY_REPORT,
        f"daily-report:{mode}:{day}",
        f"{mode}: report of {day}",
        summary.splitlines(),
    )


def _fill_alert(
    fill: Fill, *, side: Side, outcome: Outcome, window: MarketWindow, question: str, mode: Mode
) -> Alert:
    cost = text_of(fill.size * fill.price)
    verb = "bought" if side is Side.BUY else "sold"
    is_void = fill.status is FillStatus.FAILED
    return build_alert(
        AlertKind.FILL,
        f"{'void' if is_void else 'fill'}:{fill.trade_id}:{fill.order_id}:{fill.leg}",
        f"{mode}: {'VOID, not ' if is_void else ''}{verb} {outcome} {window.slug}",
        [
            question,
            "the venue failed this trade after all; its shares and cash are taken back"
            if is_void
            else "",
            f"{text_of(fill.size)} shares at {text_of(fill.price)} = {cost} USDC, "
            f"fee {text_of(fill.fee_usdc)} USDC ({fill.liquidity.lower()})",
            _when(window),
        ],
    )


def build_alert(kind: AlertKind, key: str, title: str, lines: list[str]) -> Alert:
    """Return an alert whose every line is clean and whose length a channel takes."""
    body = "\n".join(cleaned for line in lines if (cleaned := clean_line(line)))
    return Alert(
        kind=kind,
        dedupe_key=clean_line(key),
        title=clean_line(title, LONGEST_TITLE),
        body=body if len(body) <= LONGEST_BODY else f"{body[: LONGEST_BODY - 1].rstrip()}…",
    )


def _content(fill: Fill) -> str:
    return f"{text_of(fill.size)} at {text_of(fill.price)}, {fill.status}"


def _when(window: MarketWindow) -> str:
    return f"window {window.start:%Y-%m-%d %H:%M}-{window.end:%H:%M} UTC"


def _signed(value: Decimal) -> str:
    return f"{'+' if value > 0 else ''}{text_of(value)}"


def _hour(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H}"


def _digest(reason: str) -> str:
    # "stale by 61 s" and "stale by 121 s" are one reason.
    alike = _NUMBERS.sub("#", reason[:LONGEST_BODY]).lower()
    return hashlib.blake2b(alike.encode("utf-8", "replace"), digest_size=8).hexdigest()
