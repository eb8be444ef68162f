"""A process that is told to stop while it waits for the answer loses nothing: real signals."""

import signal
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from polybot.adapters.storage.ledger import open_ledger
from polybot.domain.modes import Mode
from polybot.domain.orders import OrderStatus, Side
from polybot.domain.reconciliation import ReconcileVerdict
from polybot.reconciliation import reconcile_account
from tests.builders import NOW, build_market
from tests.fakes import FixedClock
from tests.fakes_live import FakeLiveExchange, FakeVenueAccount, Venue
from tests.ledgers import new_live_ledger

ROOT = Path(__file__).resolve().parents[2]
PLACING = """
import asyncio, os, signal, sys
from pathlib import Path

from polybot.adapters.storage.ledger import open_ledger
from polybot.domain.modes import Mode
from polybot.execution import place
from tests.builders import NOW, build_approved, build_decision, build_limits
from tests.fakes import FixedClock, ScriptedExchange


class Terminated(BaseException):
    pass


def stop(*_):
    raise Terminated


async def main():
    if sys.argv[2] == "raised":
        # As Prefect does it: an exception, anywhere in the main thread.
        signal.signal(signal.SIGTERM, stop)
    if sys.argv[2] == "cancelled":
        task = asyncio.current_task()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    approved = build_approved()
    decision = build_decision(key=approved.order.decision_key)
    with open_ledger(Path(sys.argv[1]), mode=Mode.LIVE) as ledger:
        ledger.claim_decision(decision)
        exchange = ScriptedExchange()
        exchange.on_submit = lambda prepared: print(prepared.order_id, flush=True)
        await place(
            approved, decision, exchange=exchange, ledger=ledger, clock=FixedClock(NOW),
            limits=build_limits(),
        )

asyncio.run(main())
"""


def stop_while_sending(path: Path, manner: str) -> str:
    """Stop a process between its request and the answer; return the order's id."""
    with subprocess.Popen(
        [sys.executable, "-c", PLACING, path, manner],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        order_id = process.stdout.readline().strip()
        process.send_signal(signal.SIGKILL if manner == "killed" else signal.SIGTERM)
        process.wait(timeout=60)
    return order_id


@pytest.mark.parametrize(
    ("manner", "status"),
    [
        ("cancelled", OrderStatus.UNKNOWN),
        ("raised", OrderStatus.UNKNOWN),
        # Nothing runs after these: the intent alone is there, and that is enough.
        ("killed", OrderStatus.SENDING),
    ],
)
async def test_order_of_a_process_that_was_stopped_is_found_again(
    tmp_path: Path, manner: str, status: OrderStatus
) -> None:
    """Recorded before it left, unknown after the signal, filled by what the venue says."""
    path = tmp_path / "live.db"
    new_live_ledger(path, Decimal(1000), at=NOW).close()
    order_id = stop_while_sending(path, manner)

    ledger = open_ledger(path, mode=Mode.LIVE)
    (record,) = ledger.open_orders()
    assert (record.order_id, record.status) == (order_id, status)

    venue = Venue(now=NOW, cash=Decimal(1000))
    venue.trade(
        order_id, build_market().condition_id, record.token_id, side=Side.BUY, size=Decimal(5),
        price=Decimal("0.4"),
    )  # fmt: skip
    found = await reconcile_account(
        ledger, FakeLiveExchange(venue), FakeVenueAccount(venue),
        FixedClock(NOW + timedelta(minutes=5)), mode=Mode.LIVE,
    )  # fmt: skip
    assert found.verdict is ReconcileVerdict.AGREED
    assert found.closed == (order_id,)
    assert ledger.violations() == ()
    assert ledger.totals(at=NOW).reserved_usdc == 0
