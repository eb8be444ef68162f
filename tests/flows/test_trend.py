"""The trend and settle flows against a real sandbox, with real tasks and a real Prefect API."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from polybot.domain.accounts import TradeLogKind
from polybot.domain.alerts import AlertKind
from polybot.domain.decisions import Decision, Verdict
from polybot.domain.orders import OrderStatus
from tests.flows.conftest import START_S, Desk

LONG_AFTER = timedelta(minutes=5)


def decisions(desk: Desk) -> tuple[Decision, ...]:
    with desk.ledger() as ledger:
        start = desk.window(0).start
        return ledger.decisions_between(start, start + timedelta(days=2))


def spoil(desk: Desk, route: str, **fault: object) -> None:
    answer = httpx.post(
        f"{desk.url}/sandbox/faults", json={"route": route, **fault}, trust_env=False
    )
    answer.raise_for_status()


async def play(desk: Desk, count: int) -> None:
    for number in range(count):
        window = desk.window(number)
        await desk.trend(window)
        if number:
            await desk.settle(window.start + LONG_AFTER)
    await desk.settle(desk.window(count).start + LONG_AFTER)


async def test_windows_are_decided_filled_and_settled(desk: Desk) -> None:
    """Three windows in a row leave three decisions, settled positions and books that balance."""
    await play(desk, 3)
    made = decisions(desk)
    assert [one.window.start_s for one in made] == [START_S, START_S + 900, START_S + 1800]
    assert all(one.verdict in (Verdict.PLACED, Verdict.HELD) for one in made)
    placed = [one for one in made if one.verdict is Verdict.PLACED]
    assert placed, "this seed is known to trade"
    with desk.ledger() as ledger:
        assert ledger.violations() == ()
        assert ledger.positions() == ()
        assert ledger.open_orders() == ()
        settled = ledger.settlements_between(made[0].window.start, made[-1].window.end + LONG_AFTER)
        log = ledger.trade_log()
        totals = ledger.totals(at=made[-1].window.end + LONG_AFTER)
    assert len(settled) <= len(placed)
    assert sum(row.cash_change_usdc for row in log) == totals.cash_usdc
    assert {row.kind for row in log} >= {
        TradeLogKind.DEPOSIT,
        TradeLogKind.FILL,
        TradeLogKind.SETTLEMENT,
    }


async def test_second_run_of_a_window_does_nothing(desk: Desk) -> None:
    """Two runs at once, and a third afterwards, leave one decision and at most one order."""
    window = desk.window(0)
    await asyncio.gather(desk.trend(window), desk.trend(window))
    await desk.trend(window)
    made = decisions(desk)
    assert len(made) == 1
    with desk.ledger() as ledger:
        orders = {row.order_id for row in ledger.trade_log() if row.order_id}
        assert len(orders) == (made[0].verdict is Verdict.PLACED)
        assert ledger.totals(at=window.end).day_trade_count == len(orders)


async def test_late_run_records_a_skip(desk: Desk) -> None:
    """A run after an outage records that it came too late, and trades nothing."""
    await desk.trend(desk.window(0), late_by=400)
    (made,) = decisions(desk)
    assert made.verdict is Verdict.SKIPPED
    assert made.reason.startswith("too-late: ")
    assert "403 s" in made.reason


async def test_run_between_two_windows_decides_nothing(desk: Desk) -> None:
    """A run by hand in the middle of a window belongs to none."""
    from flows.trend import trend

    middle = desk.window(0).start + timedelta(seconds=450)
    desk.set_clock(middle)
    await trend(scheduled_at=middle)
    assert decisions(desk) == ()


@pytest.mark.parametrize(
    ("route", "fault", "reason"),
    [
        pytest.param("/book", {"body": "<html>busy</html>"}, "answer-not-json", id="html_book"),
        pytest.param("/book", {"truncate_at": 40}, "answer-not-json", id="truncated_book"),
        pytest.param("/book", {"status": 404, "body": "{}"}, "book-missing", id="no_book"),
        pytest.param("/events", {"body": '{"markets": []}'}, "", id="no_market"),
        pytest.param("/events", {"status": 403, "body": "{}"}, "source-refused", id="blocked"),
    ],
)
async def test_bad_data_becomes_a_skip_with_its_reason(
    desk: Desk, route: str, fault: dict[str, object], reason: str
) -> None:
    """Garbage from a source is a recorded skip and one alert; never a trade, never a crash."""
    spoil(desk, route, count=1000, content_type="application/json", **fault)
    await desk.trend(desk.window(0))
    (made,) = decisions(desk)
    assert made.verdict is Verdict.SKIPPED
    assert reason in made.reason
    with desk.ledger() as ledger:
        assert [row for row in ledger.trade_log() if row.order_id] == []
        waiting = ledger.due_alerts(at=desk.window(0).end, limit=10)
    assert [one.alert.kind for one in waiting] == [AlertKind.SKIPPED]


async def test_next_exchange_answers_where_the_first_is_broken(desk: Desk) -> None:
    """An exchange that answers garbage does not cost the window."""
    spoil(desk, "/api/v3/klines", count=1000, body="[]", content_type="application/json")
    await desk.trend(desk.window(0))
    (made,) = decisions(desk)
    assert made.verdict is not Verdict.SKIPPED


async def test_transient_read_is_retried_within_the_run(desk: Desk) -> None:
    """Two server errors in a row do not cost the window."""
    spoil(desk, "/book", count=2, status=503, body="busy")
    await desk.trend(desk.window(0))
    (made,) = decisions(desk)
    assert made.verdict in (Verdict.PLACED, Verdict.HELD, Verdict.REFUSED)


async def test_failing_series_does_not_stop_the_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All series run in one flow run; what one of them meets is its own."""
    monkeypatch.setenv("POLYBOT_SERIES", '["btc-15m", "eth-15m", "sol-5m"]')
    monkeypatch.setenv("POLYBOT_RISK__MIN_TIME_LEFT_S", "60")
    spoil(desk, "/events/slug/eth", count=1000, body="{}", content_type="application/json")
    await desk.trend(desk.window(0))
    made = {str(one.window.series): one for one in decisions(desk)}
    assert set(made) == {"btc-15m", "eth-15m", "sol-5m"}
    assert made["eth-15m"].verdict is Verdict.SKIPPED
    assert made["btc-15m"].verdict is not Verdict.SKIPPED
    assert made["sol-5m"].verdict is not Verdict.SKIPPED


async def test_halt_stops_the_next_order_and_outlives_restarts(desk: Desk) -> None:
    """A halt is obeyed by every later run until a person lifts it, and the owner is told."""
    from flows.control import control

    desk.set_clock(desk.window(0).start)
    await control(action="halt", reason="checking the books", by="test")
    verdicts = []
    for number in range(3):
        await desk.trend(desk.window(number))
        verdicts.append(decisions(desk)[-1])
    assert Verdict.REFUSED in {one.verdict for one in verdicts}
    assert all(one.verdict is not Verdict.PLACED for one in verdicts)
    refused = next(one for one in verdicts if one.verdict is Verdict.REFUSED)
    assert "checking the books" in refused.reason or "halted" in refused.reason.lower()
    with desk.ledger() as ledger:
        kinds = {one.alert.kind for one in ledger.due_alerts(at=desk.window(3).end, limit=20)}
    assert {AlertKind.TRADING_STATE, AlertKind.REFUSED} <= kinds

    await control(action="resume", reason="all is well", by="test")
    await desk.trend(desk.window(3))
    with desk.ledger() as ledger:
        assert str(ledger.trading_state().state) == "active"


async def test_killed_run_leaves_one_skip(desk: Desk) -> None:
    """A run that died after its claim is closed by settle once nobody can take it up."""
    window = desk.window(0)
    desk.set_clock(window.start)
    spoil(desk, "/book", count=1, delay_ms=20_000)
    from flows.trend import trend

    desk.set_clock(window.start + timedelta(seconds=3))
    running = asyncio.ensure_future(trend(scheduled_at=window.start))
    for _ in range(400):
        await asyncio.sleep(0.05)
        if decisions(desk):
            break
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert decisions(desk)[0].verdict is Verdict.PENDING
    await desk.settle(window.start + timedelta(minutes=10))
    (made,) = decisions(desk)
    assert made.verdict is Verdict.SKIPPED
    assert made.reason.startswith("run-ended")


async def test_cards_and_reports_are_left_in_the_ui(desk: Desk) -> None:
    """Each trend run leaves its decision card, each report its table and chart."""
    from prefect import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    from flows.report import report

    await play(desk, 2)
    desk.set_clock(desk.window(3).start + LONG_AFTER)
    await report(day=desk.window(0).start.date(), scheduled_at=desk.window(3).start)

    async def artifacts(key: str) -> list[str]:
        wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
        async with get_client() as client:
            return [str(one.data) for one in await client.read_artifacts(artifact_filter=wanted)]

    cards = await artifacts("decision-card")
    assert any(desk.window(0).slug in card and "RSI" in card.upper() for card in cards)
    (page,) = await artifacts("daily-report")
    assert "data:image/svg+xml;base64," in page
    with desk.ledger() as ledger:
        runs = {run.flow for run in ledger.recent_runs(20)}
    assert {"trend", "settle", "report"} <= runs


async def test_no_position_is_settled_before_the_venue_decides(desk: Desk) -> None:
    """Right after a window's end the venue is undecided, and so are our books."""
    for number in range(4):
        await desk.trend(desk.window(number))
        if decisions(desk)[-1].verdict is Verdict.PLACED:
            break
    window = decisions(desk)[-1].window
    await desk.settle(window.end + timedelta(seconds=5))
    with desk.ledger() as ledger:
        held = [position.window for position in ledger.positions()]
        statuses = {order.status for order in ledger.open_orders()}
    assert window in held
    assert OrderStatus.UNKNOWN not in statuses


async def test_a_contradicted_resolution_is_told_and_never_settled(desk: Desk) -> None:
    """Where the venue's two sources disagree, the books stay open and the owner hears of it."""
    for number in range(4):
        await desk.trend(desk.window(number))
        if decisions(desk)[-1].verdict is Verdict.PLACED:
            break
    window = decisions(desk)[-1].window
    spoil(desk, "/v2/resolutions", count=1000, body="<html>", content_type="text/html")
    await desk.settle(window.end + LONG_AFTER)
    with desk.ledger() as ledger:
        assert window in [position.window for position in ledger.positions()]
        told = ledger.due_alerts(at=window.end + LONG_AFTER, limit=50)
    assert AlertKind.RUN_FAILED in {one.alert.kind for one in told}


async def test_runs_are_named_by_what_they_work_on(desk: Desk) -> None:
    """The decision, the status page and Prefect's UI use the window's name."""
    window = desk.window(0)
    await desk.trend(window)
    await desk.settle(window.start + LONG_AFTER)
    assert decisions(desk)[0].run_name == window.slug
    with desk.ledger() as ledger:
        names = {run.flow: run.name for run in ledger.recent_runs(2)}
    assert names == {"trend": window.slug, "settle": "settle-2026-10-05T09:05Z"}
