"""Many processes copying on one ledger: one lease, each trade once, no cap passed."""

import multiprocessing
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from polybot.adapters.storage.ledger import open_ledger
from polybot.domain.leaders import CopyAnswer, CopyVerdict, LeaderSpending
from polybot.domain.modes import Mode
from polybot.domain.orders import OrderStatus, RiskCheck
from tests.builders import NOW
from tests.copy_builders import build_leader
from tests.copy_steps import LEADER, LEASE_NAME, a_record, copy, leader_trade
from tests.ledger_steps import a_fill, report

_SPAWN = multiprocessing.get_context("spawn")
PROCESSES = 3
TRADES = 40
DAY_CAP = Decimal(80)
# What a copy counts for while it is under way, and once it is filled.
UNDER_WAY = Decimal("5.36")
FILLED = Decimal("4.65")


def run_all(target: Any, *arguments: Any) -> list[Any]:
    """Run a function in processes that start together; return what each returned."""
    barrier = _SPAWN.Barrier(PROCESSES)
    with _SPAWN.Pool(PROCESSES, initializer=_meet, initargs=(barrier,)) as pool:
        results = [pool.apply_async(target, (n, *arguments)) for n in range(PROCESSES)]
        return [result.get(timeout=120) for result in results]


def _meet(barrier: Any) -> None:
    barrier.wait(timeout=60)


def prepared_ledger(location: str | Path) -> None:
    """Make a ledger with cash that follows one leader."""
    with open_ledger(location, mode=Mode.PAPER) as ledger:
        ledger.deposit(Decimal(10_000), reference="start", at=NOW - timedelta(days=1))
        ledger.add_leader(build_leader())


def _below_the_day_cap(outlay: Decimal) -> Any:
    def look(spending: LeaderSpending) -> Sequence[RiskCheck]:
        after = spending.day_usdc + outlay
        return (RiskCheck(name="cap-day", passed=after <= DAY_CAP, detail=f"{after}"),)

    return look


def take_and_copy(process: int, location: str | Path) -> list[tuple[int, int, str]]:
    """Snatch the lease for every trade and copy it; return epoch, trade and answer of each."""
    said = []
    with open_ledger(location, mode=Mode.PAPER, busy_timeout_s=60) as ledger:
        for number in range(TRADES):
            # Every taker comes long after the last one's lease has run out.
            at = NOW + timedelta(hours=1 + number)
            lease = ledger.acquire_lease(LEASE_NAME, f"loop-{process}", ttl_s=1, at=at)
            if lease is None:
                said.append((0, number, "waiting"))
                continue
            for again in range(3):
                trade = leader_trade(number, tx=number)
                recorded, order_id = copy(
                    ledger, lease, trade, number, caps=_below_the_day_cap(UNDER_WAY)
                )
                said.append((lease.epoch, number, recorded.answer.value))
                if recorded.answer is CopyAnswer.RECORDED:
                    fill = a_fill(order_id, "9", "0.5", fee="0.15", trade=f"{number}-{again}")
                    report(ledger, order_id, fill, status=OrderStatus.FILLED)
    return said


def test_one_trade_is_copied_once_and_no_cap_is_passed(ledger_location: str | Path) -> None:
    """Whoever holds the lease; whoever lost it writes nothing."""
    prepared_ledger(ledger_location)

    said = [one for each in run_all(take_and_copy, ledger_location) for one in each]

    recorded = [number for _, number, answer in said if answer == CopyAnswer.RECORDED]
    refused = [number for _, number, answer in said if answer == CopyAnswer.REFUSED]
    assert len(recorded) == len(set(recorded))
    assert not set(recorded) & set(refused)
    with open_ledger(ledger_location, mode=Mode.PAPER) as ledger:
        log = ledger.copy_log()
        placed = [record for record in log if record.verdict is CopyVerdict.PLACED]
        assert len(placed) == len(recorded)
        assert len({record.trade.key for record in log}) == len(log)
        spending = ledger.spending(LEADER, at=NOW)
        assert spending.day_usdc == FILLED * len(recorded)
        # A copy is refused where others are under way, too: one of each other process.
        under_way = (PROCESSES - 1) * (UNDER_WAY - FILLED)
        assert refused
        assert DAY_CAP - UNDER_WAY - under_way < spending.day_usdc <= DAY_CAP
        assert spending.open_usdc == Decimal("4.5") * len(recorded)
        assert ledger.violations() == ()


def snatch(process: int, location: str | Path) -> list[int]:
    """Take the lease as often as it can be had; return the epochs."""
    epochs = []
    with open_ledger(location, mode=Mode.PAPER, busy_timeout_s=60) as ledger:
        for number in range(TRADES):
            at = NOW + timedelta(hours=number)
            lease = ledger.acquire_lease(LEASE_NAME, f"loop-{process}", ttl_s=3_599, at=at)
            if lease is not None:
                epochs.append(lease.epoch)
    return epochs


def test_two_takers_never_have_the_same_epoch(ledger_location: str | Path) -> None:
    """The number that fences one off from the other."""
    prepared_ledger(ledger_location)
    epochs = [epoch for each in run_all(snatch, ledger_location) for epoch in each]
    assert len(set(epochs)) == len(epochs) >= 1
    assert sorted(epochs) == list(range(1, len(epochs) + 1))


def record_everything(process: int, location: str | Path) -> int:
    """Record all trades as skipped, as every process heard them; return how many were new."""
    new = 0
    with open_ledger(location, mode=Mode.PAPER, busy_timeout_s=60) as ledger:
        lease = ledger.lease(LEASE_NAME)
        assert lease is not None
        for first in range(0, TRADES, 5):
            records = [
                a_record(leader_trade(number % 3, size="1.5", tx=number))
                for number in range(first, first + 5)
            ]
            if process % 2:
                records.reverse()
            answers = ledger.record_leader_trades(records, lease=lease)
            new += sum(one.answer is CopyAnswer.RECORDED for one in answers.values())
    return new


def test_skips_of_many_processes_are_recorded_once(ledger_location: str | Path) -> None:
    """The leader's holdings are the net of each trade counted once."""
    prepared_ledger(ledger_location)
    with open_ledger(ledger_location, mode=Mode.PAPER) as ledger:
        assert ledger.acquire_lease(LEASE_NAME, "all", ttl_s=60, at=NOW) is not None
    assert sum(run_all(record_everything, ledger_location)) == TRADES
    with open_ledger(ledger_location, mode=Mode.PAPER) as ledger:
        assert sum(one.leader_size for one in ledger.holdings()) == Decimal("1.5") * TRADES
        assert ledger.violations() == ()
