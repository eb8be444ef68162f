"""Real processes race for the room that is left for one order."""

import sqlite3
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from polybot.adapters.polymarket.signing import OrderSigner
from polybot.adapters.storage.ledger import open_ledger
from polybot.domain.modes import Mode
from polybot.sandbox.clock import RunningClock
from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.venue import SandboxVenue
from tests.order_cases import TEST_KEY, Secret
from tests.sandbox_server import serve_in_thread
from tests.simulation.ledgers import new_ledger_bytes
from tests.simulation.processes import Desk, next_start_s, run

ROUNDS = 5


@pytest.mark.timeout(200)
def test_processes_never_pass_a_limit_together(tmp_path: Path) -> None:
    """In each round three processes want an order and one fits: one goes out, once."""
    venue = SandboxVenue(seed=11, clock=RunningClock(time.time_ns() // 1_000_000), v2_share=0.5)
    gateway = PrivateGateway(MatchingExchange(venue))
    key = OrderSigner(Secret(TEST_KEY)).address
    gateway.exchange.accounts.open(owner=key, funder=key, signature_type=0, cash=200_000_000)
    (tmp_path / "live.db").write_bytes(new_ledger_bytes())
    with serve_in_thread(venue, gateway=gateway) as url:
        run(
            Desk(
                home=tmp_path,
                url=url,
                start_s=next_start_s(datetime.now(UTC)),
                rounds=ROUNDS,
            )
        )
    connection = sqlite3.connect(tmp_path / "live.db")
    try:
        rows = connection.execute(
            "SELECT o.order_id, d.slug FROM orders o JOIN decisions d ON d.key = o.decision_key "
            "WHERE o.status NOT IN ('rejected', 'never-arrived')"
        ).fetchall()
    finally:
        connection.close()
    assert {order_id for order_id, _ in rows} == set(gateway.exchange.orders)
    assert max(Counter(slug for _, slug in rows).values()) == 1
    assert len(rows) > ROUNDS // 2
    with open_ledger(tmp_path / "live.db", mode=Mode.LIVE) as ledger:
        totals = ledger.totals(at=datetime.now(UTC))
        assert totals.exposure_usdc * 100 <= 536 * ROUNDS
        assert ledger.violations() == ()
