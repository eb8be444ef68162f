"""Live trading from doctor to redemption: the real flows, tasks and adapters on a strict venue."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from polybot.adapters.clock import SystemClock
from polybot.adapters.health_file import read_health
from polybot.domain.alerts import AlertKind
from polybot.domain.decisions import Verdict
from polybot.domain.modes import Mode, TradingState
from polybot.domain.orders import FillStatus, OrderId, OrderStatus, PreparedOrder, SubmitResult
from polybot.domain.reconciliation import ReconcileVerdict
from polybot.errors import ConfigurationError, DataError, PermanentError
from polybot.going_live import GatedExchange
from tests.flows.live import CASH_USDC, RELAYER_SECRET, LiveDesk, open_live_desk
from tests.leaks import spellings
from tests.live_home import KEY, PASSPHRASE


@pytest.fixture(params=[0.0, 1.0], ids=["v1", "v2"])
def either(
    request: pytest.FixtureRequest,
    prefect_api: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[LiveDesk]:
    """An examined installation, on a venue of one market version and then of the other."""
    with open_live_desk(tmp_path, monkeypatch, v2_share=request.param) as found:
        examine(found)
        yield found


@pytest.fixture
def desk(prefect_api: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveDesk]:
    """An examined installation."""
    with open_live_desk(tmp_path, monkeypatch) as found:
        examine(found)
        yield found


def examine(desk: LiveDesk) -> None:
    checks = desk.doctor()
    assert [name for name, check in checks.items() if not check["passed"]] == []
    record = read_health(desk.home, Mode.LIVE)
    assert record is not None
    assert record.is_green


def statuses(desk: LiveDesk) -> set[FillStatus]:
    return {fill.status for fill in desk.fills()}


async def trade(desk: LiveDesk) -> int:
    """Run windows until one is traded; return its number."""
    for number in range(12):
        await desk.trend(number)
        decision = desk.decision(number)
        assert decision is not None
        if decision.verdict is Verdict.PLACED:
            return number
    raise AssertionError("this seed is known to trade")


async def test_window_is_traded_settled_and_redeemed_for_real(either: LiveDesk) -> None:
    """Doctor, reconciliation, canary, order, MATCHED to CONFIRMED, resolution, redemption: and in
    the end our books say of the account what the venue's own books say."""
    desk = either
    number = await trade(desk)
    assert desk.watch.looked == 1
    assert desk.watch.violations == []
    assert [one.name for one in (desk.home / "venue").glob("canary-3-*.json")]

    await desk.settle(desk.now + timedelta(seconds=1))
    assert statuses(desk) == {FillStatus.MATCHED}
    await desk.settle(desk.now + timedelta(seconds=3))
    assert statuses(desk) == {FillStatus.MINED}
    await desk.settle(desk.now + timedelta(seconds=40))
    assert statuses(desk) == {FillStatus.CONFIRMED}
    with desk.ledger() as ledger:
        (position,) = ledger.positions()
        assert ledger.open_orders() == ()
        assert position.size == Decimal(desk.account.tokens[position.token_id]) / 10**6

    end = desk.window(number).end
    # A redemption takes a while to show; the next minutes' runs see it through.
    for minute in range(3, 8):
        await desk.settle(end + timedelta(minutes=minute))
    with desk.ledger() as ledger:
        assert ledger.positions() == ()
        assert ledger.open_redemptions() == ()
        assert ledger.violations() == ()
        assert ledger.reconciliation().verdict is ReconcileVerdict.AGREED
        totals = ledger.totals(at=desk.now)
        (settlement,) = ledger.settlements_between(end, desk.now)
        assert ledger.trading_state().state is TradingState.ACTIVE
    assert totals.cash_usdc == Decimal(desk.account.cash) / 10**6
    assert totals.deposits_usdc == CASH_USDC
    assert not any(desk.account.tokens.values())
    assert totals.realised_pnl_usdc == settlement.pnl_usdc
    assert desk.gateway.exchange.audit()["missing"] == 0


async def test_run_without_its_second_word_refuses_and_says_so(desk: LiveDesk) -> None:
    """POLYBOT_MODE=live alone trades nothing; the run fails, is recorded and alerted."""
    with pytest.raises(ConfigurationError, match="second word"):
        await desk.trend(live=False)
    assert desk.decision() is None
    assert desk.requests("/order") == 0
    (told,) = desk.alerts()
    assert told.kind is AlertKind.RUN_FAILED
    assert "live: true" in told.body


async def test_clock_that_is_off_sends_no_order(desk: LiveDesk) -> None:
    """Looked at before each run: the doctor's look may be hours old."""
    desk.arm(kind="clock-skew", route="GET /time", skew_s=6)
    with pytest.raises(ConfigurationError, match=r"differs from the venue's by 6\.\d s"):
        await desk.trend()
    assert desk.requests("/order") == 0


async def test_suspend_before_the_decision_trades_nothing(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight hours of sleep while the run waited for its window: a recorded skip."""
    sleep_until = SystemClock.sleep_until

    async def suspended(clock: SystemClock, instant: datetime) -> None:
        await sleep_until(clock, instant + timedelta(hours=8))

    monkeypatch.setattr(SystemClock, "sleep_until", suspended)
    await desk.trend()
    decision = desk.decision()
    assert decision is not None
    assert decision.verdict is Verdict.SKIPPED
    assert decision.reason.startswith("too-late: ")
    assert desk.requests("/order") == 0


@pytest.mark.parametrize("asleep", [timedelta(minutes=3), timedelta(hours=8)], ids=["3m", "8h"])
async def test_suspend_between_approval_and_order_trades_nothing(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch, asleep: timedelta
) -> None:
    """What was approved then is not sent now, not even into the same window."""
    from flows import trend as module

    decide = module.execute

    async def suspended(*steps: Any) -> Any:
        desk.set_clock(desk.now + asleep)
        return await decide(*steps)

    monkeypatch.setattr(module, "execute", suspended)
    for number in range(4):
        await desk.trend(number)
    made = [desk.decision(number) for number in range(4)]
    verdicts = {one.verdict for one in made if one is not None}
    assert Verdict.SKIPPED in verdicts
    assert verdicts <= {Verdict.SKIPPED, Verdict.HELD}
    assert desk.requests("/order") == 0


async def test_suspend_between_record_and_request_sends_nothing(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The intent is durable and the machine sleeps: the order does not exist, and is closed."""
    prepare = GatedExchange.submit

    async def suspended(exchange: GatedExchange, prepared: PreparedOrder) -> SubmitResult:
        desk.set_clock(desk.now + timedelta(minutes=3))
        return await prepare(exchange, prepared)

    monkeypatch.setattr(GatedExchange, "submit", suspended)
    await trade(desk)
    with desk.ledger() as ledger:
        assert ledger.open_orders() == ()
        assert ledger.totals(at=desk.now).reserved_usdc == 0
        (row,) = [one for one in ledger.trade_log() if one.order_id]
        order = ledger.order(OrderId(row.order_id))
        assert order is not None
        assert order.status is OrderStatus.REJECTED
        assert "not sent: the decision is 180 s old" in order.reason
    assert desk.requests("/order") == 0


async def test_settling_without_its_second_word_redeems_nothing(desk: LiveDesk) -> None:
    """It still looks, settles and tells; money moves only where the word was given."""
    number = await trade(desk)
    for minute in range(3, 6):
        await desk.settle(desk.window(number).end + timedelta(minutes=minute), live=False)
    with desk.ledger() as ledger:
        assert ledger.positions() == ()
    assert desk.requests("/submit") == 0


async def test_other_id_than_ours_halts_trading_at_once(desk: LiveDesk) -> None:
    """The first order is a canary: its mismatch stops the next window, and a person is told."""
    answer = {
        "success": True, "errorMsg": "", "orderID": "0x" + "ee" * 32, "status": "matched",
        "makingAmount": "5", "takingAmount": "10", "transactionsHashes": [], "tradeIDs": [],
    }  # fmt: skip
    desk.arm(kind="error-after", route="POST /order", status=200, body=json.dumps(answer))
    number = await trade(desk)
    with desk.ledger() as ledger:
        state = ledger.trading_state()
        (order,) = ledger.open_orders()
        assert state.state is TradingState.HALTED
        assert order.order_id in state.reason
        assert order.status is OrderStatus.UNKNOWN
    assert AlertKind.TRADING_STATE in {one.kind for one in desk.alerts()}
    for later in range(number + 1, number + 4):
        await desk.trend(later)
        decision = desk.decision(later)
        assert decision is not None
        assert decision.verdict in (Verdict.REFUSED, Verdict.HELD)
    assert desk.requests("/order") == 1


async def test_failed_trade_takes_back_exactly_its_fill(desk: LiveDesk) -> None:
    """MATCHED is not final: cash, shares and reservation are as if it had never been, and the
    owner is told."""
    desk.arm(kind="trade-failed")
    await trade(desk)
    await desk.settle(desk.now + timedelta(seconds=1))
    assert statuses(desk) == {FillStatus.MATCHED}
    for _ in range(3):
        await desk.settle(desk.now + timedelta(seconds=60))
    assert statuses(desk) == {FillStatus.FAILED}
    with desk.ledger() as ledger:
        totals = ledger.totals(at=desk.now)
        assert (totals.cash_usdc, totals.reserved_usdc) == (CASH_USDC, 0)
        assert ledger.positions() == ()
        assert ledger.violations() == ()
        assert ledger.trading_state().state is TradingState.ACTIVE
    assert len([one for one in desk.alerts() if "VOID" in one.title]) == 1


async def test_following_hears_what_the_venue_tells(desk: LiveDesk) -> None:
    """The user socket brings a fill and each step of its life without any settle run."""
    from flows.follow import follow_account

    listening = asyncio.create_task(follow_account(minutes=1))
    await until(lambda: desk.requests("/data/trades") > 0)
    await trade(desk)
    await until(lambda: statuses(desk) == {FillStatus.MATCHED})
    for seconds, wanted in ((3, FillStatus.MINED), (10, FillStatus.CONFIRMED)):
        desk.set_clock(desk.now + timedelta(seconds=seconds))
        await until(lambda wanted=wanted: statuses(desk) == {wanted})
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_dead_man_switch_is_kept_by_whoever_wants_it(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never started by anybody else: it cancels every order of the key."""
    from flows.follow import follow_account

    await follow_account(minutes=0.01)
    assert desk.requests("/v1/heartbeats") == 0
    monkeypatch.setenv("POLYBOT_LIVE__HEARTBEAT", "true")
    listening = asyncio.create_task(follow_account(minutes=1))
    await until(lambda: desk.requests("/v1/heartbeats") > 0)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def test_reconcile_run_by_hand_shows_what_it_found(desk: LiveDesk) -> None:
    """The first one takes the wallet's cash for its deposit; the artifact says so."""
    from flows.reconcile import reconcile

    await reconcile()
    with desk.ledger() as ledger:
        assert ledger.reconciliation().verdict is ReconcileVerdict.AGREED
        assert ledger.totals(at=desk.now).deposits_usdc == CASH_USDC
        (found,) = ledger.recent_runs(10)
        assert (found.flow, found.state) == ("reconcile", "completed")
        assert found.name == "reconcile-agreed"


async def test_reconcile_run_fails_where_shares_differ(desk: LiveDesk) -> None:
    """Shares that vanished have no explanation: halted, failed, alerted."""
    from flows.reconcile import reconcile

    await trade(desk)
    for _ in range(4):
        await desk.settle(desk.now + timedelta(seconds=60))
    desk.account.tokens.clear()
    with pytest.raises(DataError, match="shares by our record"):
        await reconcile()
    with desk.ledger() as ledger:
        assert ledger.trading_state().state is TradingState.HALTED
    assert AlertKind.RECONCILIATION in {one.kind for one in desk.alerts()}


async def test_no_secret_reaches_prefect_the_ledger_or_a_file(desk: LiveDesk) -> None:
    """Neither parameters and results nor messages of failed runs: what Prefect stores, it shows."""
    with pytest.raises(ConfigurationError, match="second word"):
        await desk.trend(live=False)
    await trade(desk)
    desk.arm(kind="keys-revoked")
    desk.arm(kind="error-before", route="GET /data/orders", status=401, count=9)
    with pytest.raises(PermanentError, match="refused the API credentials"):
        await desk.settle(desk.now + timedelta(seconds=60))
    key = desk.gateway.exchange.keys.issue(desk.address)
    secrets = (*spellings(KEY), PASSPHRASE, RELAYER_SECRET, key.secret, key.passphrase)
    stored = prefect_files()
    assert any(b"second word" in content for content in stored.values()), "it is Prefect's own"
    stored |= {str(path): path.read_bytes() for path in desk.home.rglob("*") if path.is_file()}
    assert {"live.db", "keystore.json"} <= {Path(name).name for name in stored}
    leaks = {
        name: secret
        for name, content in stored.items()
        for secret in secrets
        if secret.lower().encode() in content.lower()
    }
    assert leaks == {}


def prefect_files() -> dict[str, bytes]:
    """Return Prefect's database and everything beside it, as it lies on the disk."""
    from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL

    database = Path(str(PREFECT_SERVER_DATABASE_CONNECTION_URL.value()).partition(":///")[2])
    return {str(path): path.read_bytes() for path in database.parent.glob(f"{database.name}*")}


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that another task or thread brings about."""
    async with asyncio.timeout(30):
        while not is_so():  # noqa: ASYNC110 - the venue is a thread of its own
            await asyncio.sleep(0.05)
