"""Many processes on one ledger: no limit is passed, no update is lost, nothing is sent twice."""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from polybot.adapters.storage.ledger import open_ledger
from polybot.domain.accounts import AccountTotals, MarketExposure
from polybot.domain.modes import Mode
from polybot.domain.money import usdc
from polybot.domain.orders import OrderReport, OrderStatus, RiskCheck
from tests.builders import NOW, build_order
from tests.ledger_steps import a_fill, claim, market_number, prepare

_SPAWN = multiprocessing.get_context("spawn")
PROCESSES = 3
EXPOSURE_LIMIT = Decimal(60)
TRADE_LIMIT = 40


def run_all(target: Any, *arguments: Any, count: int = PROCESSES) -> list[Any]:
    """Run a function in processes that start together; return what each returned."""
    with _SPAWN.Pool(count, initializer=_meet, initargs=(_SPAWN.Barrier(count),)) as pool:
        results = [pool.apply_async(target, (number, *arguments)) for number in range(count)]
        return [result.get(timeout=120) for result in results]


def _meet(barrier: Any) -> None:
    barrier.wait(timeout=60)


def _limits(order_outlay: Decimal) -> Any:
    def checks(totals: AccountTotals, _exposure: MarketExposure) -> Sequence[RiskCheck]:
        after = totals.exposure_usdc + order_outlay
        return (
            RiskCheck(name="exposure", passed=after <= EXPOSURE_LIMIT, detail=f"{after}"),
            RiskCheck(name="trades", passed=totals.day_trade_count < TRADE_LIMIT, detail="trades"),
        )

    return checks


def hammer(process: int, location: str | Path, intents: int) -> list[str]:
    """Try to place orders in markets that all processes want; return what was recorded."""
    recorded = []
    with open_ledger(location, mode=Mode.PAPER, busy_timeout_s=60) as ledger:
        for number in range(intents):
            market = market_number(number)
            decision = claim(ledger, market, strategy=f"s{process}")
            order = build_order(
                market=market, decision_key=decision.key, budget_usdc=usdc("1.000001")
            )
            prepared = prepare(order)
            if (
                ledger.record_intent(prepared, decision, checks=_limits(order.max_outlay_usdc))
                == ()
            ):
                recorded.append(prepared.order_id)
                fill = a_fill(prepared.order_id, "2", "0.5", fee="0.01", trade=f"{process}")
                ledger.record_report(
                    prepared.order_id,
                    OrderReport(status=OrderStatus.FILLED, fills=(fill,)),
                    at=NOW,
                )
    return recorded


def test_limits_hold_to_the_last_micro_usdc(ledger_location: str | Path) -> None:
    """Whoever is first has the room; the sum never passes the limit, and nothing is lost."""
    with open_ledger(ledger_location, mode=Mode.PAPER) as ledger:
        ledger.deposit(Decimal(1000), reference="start", at=NOW)

    recorded = run_all(hammer, ledger_location, 30)

    with open_ledger(ledger_location, mode=Mode.PAPER) as ledger:
        totals = ledger.totals(at=NOW)
        count = sum(len(orders) for orders in recorded)
        assert count == totals.day_trade_count == TRADE_LIMIT
        assert totals.exposure_usdc == count <= EXPOSURE_LIMIT
        assert totals.fees_usdc == Decimal("0.01") * count
        assert totals.cash_usdc == 1000 - Decimal("1.01") * count
        assert ledger.violations() == ()


def race_for_one_decision(process: int, location: str | Path) -> int:
    """Try to place the same orders as everybody else; return how many were ours."""
    won = 0
    with open_ledger(location, mode=Mode.PAPER, busy_timeout_s=60) as ledger:
        for number in range(30):
            market = market_number(number)
            try:
                decision = claim(ledger, market, run_name=f"run {process}")
            except AssertionError:
                # Somebody else claimed it; a careless run goes on all the same.
                order = build_order(market=market)
                decision = ledger.decision(order.decision_key)  # type: ignore[assignment]
            order = build_order(market=market, decision_key=decision.key)
            won += ledger.record_intent(prepare(order), decision, checks=lambda _t, _e: ()) == ()
    return won


def test_one_decision_has_one_order_whoever_races(ledger_location: str | Path) -> None:
    """Thirty windows, three careless processes, thirty orders."""
    won = run_all(race_for_one_decision, ledger_location)

    assert sum(won) == 30
    with open_ledger(ledger_location, mode=Mode.PAPER) as ledger:
        assert len(ledger.open_orders()) == 30
        assert ledger.violations() == ()


def open_and_deposit(process: int, location: str | Path, rounds: int) -> int:
    """Open ledgers that nobody has made yet; return how many deposits were booked."""
    booked = 0
    for number in range(rounds):
        place = f"{location}-{number}" if isinstance(location, Path) else location
        place = Path(place) if isinstance(location, Path) else place
        with open_ledger(place, mode=Mode.PAPER, busy_timeout_s=60) as ledger:
            reference = f"{process}-{number}"
            booked += ledger.deposit(Decimal(1), reference=reference, at=NOW)
    return booked


def test_processes_that_open_a_new_ledger_at_once_all_succeed(
    ledger_location: str | Path,
) -> None:
    """Each finds the one ledger, and every deposit is in it."""
    rounds = 6

    assert run_all(open_and_deposit, ledger_location, rounds) == [rounds] * PROCESSES

    if isinstance(ledger_location, str):
        with open_ledger(ledger_location, mode=Mode.PAPER) as ledger:
            assert ledger.totals(at=NOW).cash_usdc == rounds * PROCESSES
        return
    for number in range(rounds):
        with open_ledger(Path(f"{ledger_location}-{number}"), mode=Mode.PAPER) as ledger:
            assert ledger.totals(at=NOW).cash_usdc == PROCESSES
    left = {path.name for path in ledger_location.parent.iterdir() if path.name[0] == "."}
    assert left == set()


def deposit_until_killed(location: Path, pipe: Any) -> None:
    """Book deposits and say so after each."""
    with open_ledger(location, mode=Mode.PAPER) as ledger:
        for number in range(1_000_000):
            ledger.deposit(Decimal(1), reference=f"{number}", at=NOW)
            pipe.send(number)


@pytest.mark.parametrize("after", [1, 7, 23])
def test_killed_process_leaves_every_finished_step_and_no_half_one(
    tmp_path: Path, after: int
) -> None:
    """SIGKILL at any moment: what was returned is there, and the books balance."""
    receiver, sender = _SPAWN.Pipe(duplex=False)
    path = tmp_path / "paper.db"
    child = _SPAWN.Process(target=deposit_until_killed, args=(path, sender))
    child.start()
    sender.close()
    said = -1
    for _ in range(after):
        assert receiver.poll(60)
        said = receiver.recv()
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join(30)
    while receiver.poll(0):
        try:
            said = receiver.recv()
        except EOFError:
            break

    with open_ledger(path, mode=Mode.PAPER) as ledger:
        booked = ledger.totals(at=NOW).cash_usdc
        assert booked - (said + 1) in (0, 1)
        assert ledger.violations() == ()
