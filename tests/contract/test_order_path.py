"""The order path on SQLite: as safe as the long way, in forks, threads and failures."""

import os
import resource
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.adapters.storage.statements import Statement, compile_all, every_statement
from polybot.domain.accounts import AccountTotals, MarketExposure
from polybot.domain.modes import Mode
from polybot.domain.orders import OrderStatus, RiskCheck
from polybot.errors import PermanentError, TransientError
from tests.builders import NOW, build_order
from tests.children import outcome_in_child
from tests.ledger_steps import a_fill, allow_all, claim, intend, market_number, prepare, report

# Tables that grow with every decision, order or trade.
_GROWING = ("decisions", "orders", "fills", "movements", "alerts", "leader_events")
_SMALL = ("ix_orders_open", "ix_decisions_pending", "ix_leader_holdings_live")
"""Indexes over the few rows that are open."""
# The proof of the books and the reconciliation look at everything on purpose, off the path.
_FULL_READS = ("group by", "max(", "sum(", "order by fills.id desc", "fills.was_booked")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where a ledger with 1000 USDC is."""
    path = tmp_path / "paper.db"
    with open_ledger(path, mode=Mode.PAPER) as ledger:
        ledger.deposit(Decimal(1000), reference="start", at=NOW)
    return path


@pytest.fixture
def ledger(file: Path) -> Iterator[SqlLedger]:
    """Return the ledger, opened."""
    with open_ledger(file, mode=Mode.PAPER, busy_timeout_s=0.05) as opened:
        yield opened


def test_intent_that_fails_half_way_leaves_nothing(ledger: SqlLedger) -> None:
    """Whatever raises inside; the next one works."""
    market = market_number(0)
    decision = claim(ledger, market)
    order = build_order(market=market, decision_key=decision.key)

    def broken(_totals: AccountTotals, _exposure: MarketExposure) -> Sequence[RiskCheck]:
        raise ZeroDivisionError("a defect in a check")

    with pytest.raises(ZeroDivisionError, match="a defect"):
        ledger.record_intent(prepare(order), decision, checks=broken)

    assert ledger.open_orders() == ()
    assert ledger.record_intent(prepare(order), decision, checks=allow_all) == ()
    assert ledger.violations() == ()


def test_locked_ledger_is_transient_for_orders_too(file: Path, ledger: SqlLedger) -> None:
    """Another process writes for too long: nothing is recorded, try again."""
    market = market_number(0)
    decision = claim(ledger, market)
    order = build_order(market=market, decision_key=decision.key)
    with open_ledger(file, mode=Mode.PAPER) as holder, holder._database.writing():
        with pytest.raises(TransientError, match="stayed locked"):
            ledger.record_intent(prepare(order), decision, checks=allow_all)
        assert ledger.order(prepare(order).order_id) is None
    assert ledger.record_intent(prepare(order), decision, checks=allow_all) == ()


def test_full_disk_refuses_the_order_and_loses_nothing(ledger: SqlLedger) -> None:
    """A quota on the file's pages, reached in the middle of an intent."""
    first = intend(ledger, 0)
    lean = ledger._database._lean
    assert lean is not None
    opened = lean.take()
    ((pages,),) = opened.driver.execute("PRAGMA page_count")
    opened.driver.execute(f"PRAGMA max_page_count = {pages + 1}")
    lean.give_back(opened)

    def fill_the_disk() -> None:
        for number in range(1, 200):
            intend(ledger, number)

    with pytest.raises(PermanentError, match="disk is full"):
        fill_the_disk()

    assert first in {record.order_id for record in ledger.open_orders()}
    assert ledger.violations() == ()
    assert intend(ledger, 500)


def test_refused_intent_writes_nothing(file: Path, ledger: SqlLedger) -> None:
    """A refusal is no event of the books, and need not wait for the disk."""
    decision = claim(ledger, market_number(0))
    order = build_order(market=market_number(0), decision_key=decision.key)
    log = Path(f"{file}-wal")
    before = (log.stat().st_size, ledger.totals(at=NOW))

    def full(_totals: AccountTotals, _exposure: MarketExposure) -> Sequence[RiskCheck]:
        return (RiskCheck(name="cash", passed=False, detail="none left"),)

    assert ledger.record_intent(prepare(order), decision, checks=full) != ()
    assert (log.stat().st_size, ledger.totals(at=NOW)) == before


def test_child_of_a_fork_writes_by_connections_of_its_own(ledger: SqlLedger) -> None:
    """SQLite forbids to use in a child what its parent has opened."""
    intend(ledger, 0)
    child = os.fork()
    if child == 0:
        try:
            intend(ledger, 1)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    intend(ledger, 2)
    assert len(ledger.open_orders()) == 3
    assert ledger.violations() == ()


def test_threads_share_a_ledger(file: Path) -> None:
    """Each transaction has a connection to itself."""
    with open_ledger(file, mode=Mode.PAPER) as ledger:

        def work(thread: int) -> None:
            for number in range(10):
                order_id = intend(ledger, number, strategy=f"s{thread}")
                fill = a_fill(order_id, "2", "0.5", trade=order_id)
                report(ledger, order_id, fill)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ledger.totals(at=NOW).day_trade_count == 40
        assert ledger.violations() == ()


def test_log_stays_short_however_many_orders_there_are(file: Path, ledger: SqlLedger) -> None:
    """It is carried over between orders, though no commit on an order's way does it."""
    sizes = []
    for number in range(200):
        order_id = intend(ledger, number)
        report(ledger, order_id, status=OrderStatus.UNFILLED)
        sizes.append(Path(f"{file}-wal").stat().st_size)
    # Twenty pages of four kilobytes an order with its report, sixteen orders between two times.
    assert max(sizes) < 2_000_000
    assert sizes[-1] < 1.5 * sizes[50]


def test_closing_leaves_no_file_open(file: Path) -> None:
    """Else a backup that replaces the file would be written to no more."""
    with open_ledger(file, mode=Mode.PAPER) as ledger:
        intend(ledger, 0)
        assert _open_files(file)
    assert not _open_files(file)


def _open_files(file: Path) -> list[Path]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        # The folder's own entry is gone by the time it is looked at.
        with suppress(OSError):
            found.append(entry.readlink())
    return [path for path in found if path.name.startswith(file.name)]


def test_no_statement_of_the_order_path_reads_a_growing_table_whole(ledger: SqlLedger) -> None:
    """A ledger of a million orders must be as fast as a new one."""
    compile_all()
    looked_at = 0
    for statement in every_statement():
        if any(words in statement.text.lower() for words in _FULL_READS):
            continue
        looked_at += 1
        for step in _plan_of(ledger, statement):
            is_whole = step.startswith("SCAN") and not step.endswith(_SMALL)
            assert not (is_whole and step.split()[1] in _GROWING), (step, statement.text)
    assert looked_at > 60


def _plan_of(ledger: SqlLedger, statement: Statement) -> list[str]:
    arguments = tuple(1 for _ in range(statement.text.count("?")))
    with ledger._database.reading() as connection:
        query = f"EXPLAIN QUERY PLAN {statement.text}"
        return [str(row[3]) for row in connection.exec_driver_sql(query, arguments)]


def test_wire_survives_the_record_whatever_is_in_it(ledger: SqlLedger) -> None:
    """Text that JSON has to escape comes back as it was, also where UTF-8 cannot carry it."""
    market = market_number(0)
    decision = replace(claim(ledger, market), indicators={"é\x00\ud800": 1.5})
    order = build_order(market=market, decision_key=decision.key)
    assert ledger.record_intent(prepare(order), decision, checks=allow_all) == ()
    stored = ledger.decision(decision.key)
    assert stored is not None
    assert stored.indicators == decision.indicators


def test_full_disk_shows_an_intent_as_booked(file: Path) -> None:
    """Nothing can be written: whoever reads sees the order and what it holds back all the same."""

    def look() -> None:
        with open_ledger(file, mode=Mode.PAPER) as ledger, ledger._database.engine.connect():
            order_id = intend(ledger, 0)
            # Not a byte more in the log, which an open connection keeps.
            size = Path(f"{file}-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            for _ in range(2):
                assert [record.order_id for record in ledger.open_orders()] == [order_id]
                assert ledger.totals(at=NOW).reserved_usdc > 0
                assert ledger.violations() == ()
            with pytest.raises(PermanentError, match="disk"):
                ledger.deposit(Decimal(1), reference="no room", at=NOW)

    assert outcome_in_child(look) == "no error"
    with open_ledger(file, mode=Mode.PAPER) as ledger:
        assert len(ledger.open_orders()) == 1
        assert ledger.violations() == ()
