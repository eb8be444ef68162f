"""Alerts: harmless text, told once, delivered at least once within bounds."""

import unicodedata
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polybot.alert_delivery import (
    EXPIRES_AFTER,
    NEVER,
    DeliveryResult,
    deliver_due,
)
from polybot.alerts import (
    LONGEST_BODY,
    LONGEST_TITLE,
    clean_line,
    daily_report_alert,
    fill_alert,
    recorded_fill_alert,
    refused_alert,
    run_failed_alert,
    settlement_alert,
    skipped_alert,
    trading_state_alert,
)
from polybot.domain.accounts import Settlement, TradingStateChange
from polybot.domain.alerts import Alert, AlertKind, OutboxAlert
from polybot.domain.decisions import Verdict
from polybot.domain.markets import ConditionId, Outcome
from polybot.domain.modes import Mode, TradingState
from polybot.domain.money import price, shares, usdc
from polybot.domain.orders import Fill, FillStatus, Liquidity, OrderId, RiskCheck, TradeId
from tests.builders import NOW, WINDOW, build_decision, build_market, build_order, build_record

HOSTILE = (
    "x@everyone @everyone <@1234> <!channel> <script>alert(1)</script>\n# heading\r\n"
    "[x](javascript:alert(1)) https://evil.example \x1b[31mred\x1b[0m \u202eRTL \u200bzero\u2066"
    "\x00\ud800 =cmd()|' /C calc'!A0 %s {} ```code``` *b* _i_ & \u2028line"
)
FILL = Fill(
    trade_id=TradeId("t1"),
    order_id=OrderId("o1"),
    leg=0,
    price=price("0.51"),
    size=shares("9.8"),
    fee_usdc=usdc("0.17143"),
    liquidity=Liquidity.TAKER,
    status=FillStatus.MATCHED,
    filled_at=NOW,
)
SETTLEMENT = Settlement(
    condition_id=ConditionId("0xc0"),
    window=WINDOW,
    winner=Outcome.UP,
    payout_usdc=usdc("9.8"),
    pnl_usdc=usdc("4.63"),
    resolved_at=NOW,
    settled_at=NOW,
)


class MemoryOutbox:
    """The outbox part of a ledger, with every attempt on record."""

    def __init__(self) -> None:
        self.waiting: dict[int, tuple[OutboxAlert, datetime]] = {}
        self.sent: dict[int, datetime] = {}
        self.keys: set[str] = set()

    def add_alert(self, alert: Alert, *, at: datetime) -> bool:
        if alert.dedupe_key in self.keys:
            return False
        self.keys.add(alert.dedupe_key)
        number = len(self.keys)
        self.waiting[number] = (
            OutboxAlert(id=number, alert=alert, attempts=0, created_at=at),
            at,
        )
        return True

    def due_alerts(self, *, at: datetime, limit: int) -> tuple[OutboxAlert, ...]:
        due = [alert for alert, next_at in self.waiting.values() if next_at <= at]
        return tuple(due[:limit])

    def record_alert_sent(self, alert_id: int, *, at: datetime) -> None:
        del self.waiting[alert_id]
        self.sent[alert_id] = at

    def claim_alert(self, waiting: OutboxAlert, *, error: str, next_attempt_at: datetime) -> bool:
        alert, _ = self.waiting[waiting.id]
        assert error
        if alert.attempts != waiting.attempts:
            return False
        self.waiting[waiting.id] = (replace(alert, attempts=alert.attempts + 1), next_attempt_at)
        return True


class Phone:
    """A channel that takes what it is told to take."""

    def __init__(self, *, is_up: bool = True, is_configured: bool = True) -> None:
        self.is_up = is_up
        self.is_configured = is_configured
        self.heard: list[str] = []
        self.rang = 0

    async def send(self, alert: Alert) -> bool:
        self.rang += 1
        if self.is_up:
            self.heard.append(alert.dedupe_key)
        return self.is_up


def outbox_of(count: int) -> MemoryOutbox:
    outbox = MemoryOutbox()
    for number in range(count):
        alert = Alert(kind=AlertKind.FILL, dedupe_key=f"k{number}", title="t", body="b")
        assert outbox.add_alert(alert, at=NOW)
    return outbox


async def deliver(outbox: MemoryOutbox, phone: Phone, at: datetime = NOW) -> DeliveryResult:
    return await deliver_due(outbox, phone, at=at, per_minute=20)  # type: ignore[arg-type]


def test_a_fill_tells_what_it_cost() -> None:
    """Side, outcome, window, shares, price, cost and fee are all there."""
    alert = fill_alert(FILL, build_order(), mode=Mode.PAPER)
    assert alert.title == f"paper: bought Up {WINDOW.slug}"
    assert "Bitcoin Up or Down" in alert.body
    assert "9.8 shares at 0.51 = 4.998 USDC, fee 0.17143 USDC (taker)" in alert.body


def test_the_same_fill_is_told_once_whoever_learns_it_first() -> None:
    """Placing and reconciling give the same key; another leg gives another."""
    placed = fill_alert(FILL, build_order(), mode=Mode.PAPER)
    learned = recorded_fill_alert(FILL, build_record(), mode=Mode.PAPER)
    other = fill_alert(replace(FILL, leg=1), build_order(), mode=Mode.PAPER)
    assert placed.dedupe_key == learned.dedupe_key != other.dedupe_key


def test_a_refusal_names_the_limits_once_per_decision() -> None:
    """Only the checks that failed are told."""
    decision = build_decision(
        verdict=Verdict.REFUSED,
        reason="spread",
        checks=(
            RiskCheck(name="max-spread", passed=False, detail="spread 0.07 of at most 0.05"),
            RiskCheck(name="max-stake", passed=True, detail="stake 5 of at most 10 USDC"),
        ),
    )
    alert = refused_alert(decision, mode=Mode.PAPER)
    assert "max-spread: spread 0.07 of at most 0.05" in alert.body
    assert "max-stake" not in alert.body
    assert alert.dedupe_key == refused_alert(decision, mode=Mode.PAPER).dedupe_key


@pytest.mark.parametrize("kind", ["skipped", "run-failed"])
def test_one_alert_an_hour_and_reason(kind: str) -> None:
    """Figures do not make a new reason; another hour, reason or flow does."""

    def key(reason: str, at: datetime = NOW, mode: Mode = Mode.PAPER) -> str:
        if kind == "run-failed":
            return run_failed_alert("trend", reason, at=at, mode=mode).dedupe_key
        decision = build_decision(verdict=Verdict.SKIPPED, reason=reason, decided_at=at)
        return skipped_alert(decision, mode=mode).dedupe_key

    first = key("candles-stale: last closed 61 s ago at 0xabc1")
    assert key("candles-stale: last closed 3,601.5 s ago at 0xff") == first
    assert key("candles-stale: last closed 61 s ago at 0xabc1", NOW + timedelta(minutes=5)) == first
    assert key("candles-stale: last closed 61 s ago", NOW + timedelta(hours=1)) != first
    assert key("book-empty: nobody asks") != first
    assert key("candles-stale: last closed 61 s ago at 0xabc1", mode=Mode.SANDBOX) != first


def test_a_settlement_tells_payout_and_result() -> None:
    """Won, lost and voided are told apart; the key is the market's."""
    alert = settlement_alert(SETTLEMENT, mode=Mode.PAPER)
    assert alert.title == f"paper: +4.63 USDC, {WINDOW.slug}"
    assert "Up won; payout 9.8 USDC, P&L +4.63 USDC" in alert.body
    lost = replace(SETTLEMENT, winner=Outcome.DOWN, payout_usdc=usdc(0), pnl_usdc=usdc("-5.17"))
    assert "-5.17" in settlement_alert(lost, mode=Mode.PAPER).title
    assert "voided" in settlement_alert(replace(SETTLEMENT, winner=None), mode=Mode.PAPER).body
    assert settlement_alert(lost, mode=Mode.PAPER).dedupe_key == alert.dedupe_key


def test_a_change_of_the_trading_state_tells_who_and_why() -> None:
    """Every change is told, also a second one to the same state."""
    change = TradingStateChange(
        state=TradingState.HALTED, reason="venue odd", by="ann@desk", changed_at=NOW
    )
    alert = trading_state_alert(change, mode=Mode.LIVE)
    assert alert.title == "live: trading is halted"
    assert "by ann@desk: venue odd" in alert.body
    later = replace(change, changed_at=NOW + timedelta(seconds=1))
    assert trading_state_alert(later, mode=Mode.LIVE).dedupe_key != alert.dedupe_key


def test_a_daily_report_keeps_its_lines_and_comes_once() -> None:
    """The summary stays readable."""
    alert = daily_report_alert(date(2026, 11, 22), "P&L +3 USDC\n96 windows", mode=Mode.PAPER)
    assert alert.body == "P&L +3 USDC\n96 windows"
    assert alert.dedupe_key == "daily-report:paper:2026-11-22"


def every_alert(text: str) -> list[Alert]:
    market = build_market(question=text)
    check = RiskCheck(name="spread", passed=False, detail=text)
    refused = build_decision(verdict=Verdict.REFUSED, reason=text, question=text, checks=(check,))
    change = TradingStateChange(state=TradingState.HALTED, reason=text, by=text, changed_at=NOW)
    return [
        fill_alert(FILL, build_order(market=market), mode=Mode.PAPER),
        refused_alert(refused, mode=Mode.PAPER),
        skipped_alert(build_decision(verdict=Verdict.SKIPPED, reason=text), mode=Mode.PAPER),
        run_failed_alert("trend", text, at=NOW, mode=Mode.PAPER),
        trading_state_alert(change, mode=Mode.PAPER),
        daily_report_alert(date(2026, 11, 22), text, mode=Mode.PAPER),
    ]


def assert_harmless(alert: Alert) -> None:
    assert len(alert.title) <= LONGEST_TITLE
    assert len(alert.body) <= LONGEST_BODY
    assert "\n" not in alert.title + alert.dedupe_key
    for text in (alert.title, alert.dedupe_key, alert.body.replace("\n", "")):
        assert not [c for c in text if unicodedata.category(c)[0] == "C"]
    for sign in ("@e", "<@", "<!", "://"):
        assert sign not in alert.title + alert.body


def test_hostile_text_is_harmless_in_every_alert() -> None:
    """No line break, escape, invisible character, mention or link survives; the words do."""
    for alert in every_alert(HOSTILE):
        assert_harmless(alert)
        assert "heading" in alert.body
        assert "[31m" not in alert.body
    for alert in every_alert("x" * 1_000_000):
        assert_harmless(alert)


@given(st.text(st.characters(codec=None), max_size=300))
def test_any_text_is_made_harmless_and_cleaning_twice_changes_nothing(text: str) -> None:
    """Total over all of Unicode, surrogates included."""
    cleaned = clean_line(text)
    assert not [c for c in cleaned if unicodedata.category(c)[0] == "C"]
    cleaned.encode("utf-8")
    assert clean_line(cleaned) == cleaned
    assert len(clean_line(text, 20)) <= 20


def test_ordinary_text_is_left_alone() -> None:
    """Questions, amounts and other scripts arrive as they are."""
    for text in (
        "Bitcoin Up or Down - October 5, 7:00PM-7:15PM ET",
        "5 < 10 & +3 %",
        "Größe 比特币",
    ):
        assert clean_line(text) == text


async def test_due_alerts_are_sent_once_in_order() -> None:
    """What was delivered is not delivered again."""
    outbox, phone = outbox_of(3), Phone()
    assert await deliver(outbox, phone) == DeliveryResult(sent=3)
    assert await deliver(outbox, phone) == DeliveryResult()
    assert phone.heard == ["k0", "k1", "k2"]


async def test_no_more_than_the_limit_in_one_call() -> None:
    """The rest waits for the next minute."""
    outbox, phone = outbox_of(50), Phone()
    assert await deliver(outbox, phone) == DeliveryResult(sent=20)
    assert len(outbox.waiting) == 30


async def test_without_a_channel_nothing_is_touched() -> None:
    """Alerts stay in the outbox's history."""
    outbox = outbox_of(2)
    assert await deliver(outbox, Phone(is_configured=False)) == DeliveryResult()
    assert [alert.attempts for alert, _ in outbox.waiting.values()] == [0, 0]


async def test_failures_are_repeated_with_growing_delays_for_a_day() -> None:
    """30 s, then twice as long up to an hour; after 24 hours the alert rests in the history."""
    outbox, phone = outbox_of(1), Phone(is_up=False)
    at, delays = NOW, []
    while (due_at := outbox.waiting[1][1]) < NEVER:
        delays.append((due_at - at).total_seconds())
        at = due_at
        await deliver(outbox, phone, at)
    assert delays[:10] == [0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert EXPIRES_AFTER < at - NOW <= EXPIRES_AFTER + timedelta(hours=1)
    assert 25 < phone.rang < 40
    assert not outbox.sent


async def test_an_alert_that_failed_arrives_when_the_channel_is_back() -> None:
    """At least once: an outage delays, it does not lose."""
    outbox, phone = outbox_of(1), Phone(is_up=False)
    assert await deliver(outbox, phone) == DeliveryResult(failed=1)
    phone.is_up = True
    assert await deliver(outbox, phone, NOW + timedelta(seconds=29)) == DeliveryResult()
    assert await deliver(outbox, phone, NOW + timedelta(seconds=30)) == DeliveryResult(sent=1)


async def test_a_channel_that_is_down_is_left_alone_for_this_call() -> None:
    """Three failures in a row end the call, so that an outage costs seconds and not minutes."""
    outbox, phone = outbox_of(10), Phone(is_up=False)
    assert await deliver(outbox, phone) == DeliveryResult(failed=3)
    assert phone.rang == 3


async def test_old_news_is_not_sent_when_a_channel_comes_late() -> None:
    """A first channel after a week does not ring for the week."""
    outbox, phone = outbox_of(30), Phone()
    result = await deliver(outbox, phone, NOW + timedelta(days=7))
    assert result == DeliveryResult(expired=30)
    assert phone.rang == 0


async def test_a_process_that_dies_while_sending_leaves_the_alert_for_later() -> None:
    """The attempt is put off before it is made, and the alert is still there."""
    outbox = outbox_of(1)

    class Dying(Phone):
        async def send(self, alert: Alert) -> bool:
            assert outbox.due_alerts(at=NOW, limit=1) == (), "another process would ring as well"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await deliver(outbox, Dying())
    phone = Phone()
    assert await deliver(outbox, phone, NOW + timedelta(seconds=30)) == DeliveryResult(sent=1)


async def test_a_channel_that_never_answers_counts_as_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Delivery is bounded even where a notifier is not."""
    import asyncio

    class Hanging(Phone):
        async def send(self, alert: Alert) -> bool:
            await asyncio.Event().wait()
            return True

    monkeypatch.setattr("polybot.alert_delivery.SEND_BOUND_S", 0.01)
    assert await deliver(outbox_of(1), Hanging()) == DeliveryResult(failed=1)


def test_money_in_alerts_is_exact() -> None:
    """No float touches an amount on its way to the phone."""
    fill = replace(FILL, size=shares("0.000003"), price=price("0.1"), fee_usdc=usdc("0.00001"))
    body = fill_alert(fill, build_order(), mode=Mode.PAPER).body
    assert "0.000003 shares at 0.1 = 0.0000003 USDC, fee 0.00001 USDC" in body
    assert Decimal("0.0000003") == fill.size * fill.price


async def test_alert_that_another_process_took_is_left_to_it() -> None:
    """Both saw it waiting; the phone rings once for each alert."""
    outbox = outbox_of(3)
    seen = outbox.due_alerts

    def seen_by_both(*, at: datetime, limit: int) -> tuple[OutboxAlert, ...]:
        found = seen(at=at, limit=limit)
        if found and found[0].id == 2:
            assert outbox.claim_alert(
                found[0], error="taken", next_attempt_at=at + timedelta(seconds=30)
            )
        return found

    outbox.due_alerts = seen_by_both  # type: ignore[method-assign]
    phone = Phone()
    result = await deliver_due(outbox, phone, at=NOW, per_minute=20)  # type: ignore[arg-type]
    assert phone.heard == ["k0", "k2"]
    assert (result.sent, result.failed) == (2, 0)
