"""The same races with real processes: each has its own interpreter, ledger and HTTP session.

The venue is the sandbox on loopback in real time; who wins is the operating system's choice. Few
rounds, because they cannot be repeated: what they add to the schedules is a real SQLite lock.
"""

import asyncio
import multiprocessing
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from polybot import execution
from polybot.adapters.clock import SystemClock
from polybot.adapters.polymarket.account import PolymarketAccount
from polybot.adapters.polymarket.clob_client import ClobClient
from polybot.adapters.polymarket.exchange import PolymarketExchange
from polybot.adapters.polymarket.market_data import PolymarketData
from polybot.adapters.polymarket.order_fields import SignatureType, TradingAccount
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.adapters.polymarket.venue_memory import VenueMemory
from polybot.adapters.storage.ledger import SqlLedger, open_ledger
from polybot.domain.markets import MarketSeries, MarketWindow, Outcome
from polybot.domain.modes import Mode
from polybot.domain.orders import ApprovedOrder
from polybot.domain.signals import Direction, Signal
from polybot.limits import RiskLimits
from polybot.reconciliation import reconcile_account
from polybot.risk import assess
from polybot.trend import open_decision
from tests.order_cases import TEST_KEY, Secret
from tests.simulation.wishes import LIMITS

PROCESSES: Final = 3
_SERIES: Final = tuple(MarketSeries.parse(f"{asset}-15m") for asset in ("btc", "eth", "sol", "xrp"))
_PATIENCE_S: Final = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What every process is given."""

    home: Path
    url: str
    start_s: int
    """Of the first windows [epoch s]."""
    rounds: int


def run(desk: Desk) -> None:
    """Let every process want an order in each round; there is room for one of them."""
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(PROCESSES, timeout=_PATIENCE_S)
    workers = [
        context.Process(target=_work, args=(desk, number, gate)) for number in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(_PATIENCE_S)
        if worker.exitcode != 0:
            worker.kill()
            raise RuntimeError(f"a process ended with {worker.exitcode}")


def next_start_s(now: datetime) -> int:
    """Return the next start of a quarter of an hour; late in a window nobody may trade any more."""
    return int(now.timestamp()) // 900 * 900 + 900


def _work(desk: Desk, number: int, gate: Any) -> None:
    asyncio.run(_play(desk, number, gate))


async def _play(desk: Desk, number: int, gate: Any) -> None:
    clock = SystemClock()
    signer = OrderSigner(Secret(TEST_KEY))
    trading = TradingAccount(
        key_address=signer.address, funder=signer.address, signature_type=SignatureType.EOA
    )
    client = ClobClient(desk.url, signer, clock=clock, timeout_s=10, order_timeout_s=10)
    urls = dict.fromkeys(("gamma_url", "clob_url", "data_url"), desk.url)
    data = PolymarketData(**urls, timeout_s=10, clock=clock)  # type: ignore[arg-type]
    with open_ledger(desk.home / "live.db", mode=Mode.LIVE) as ledger:
        async with client, data:
            exchange = PolymarketExchange(
                client,
                signer,
                trading,
                market_data=data,
                clock=clock,
                memory=VenueMemory(desk.home / "venue"),
            )
            account = PolymarketAccount(client, trading)
            for turn in range(desk.rounds):
                if number == 0:
                    await reconcile_account(ledger, exchange, account, clock, mode=Mode.LIVE)
                gate.wait()
                wish = await _wish(desk, data, ledger, turn, number)
                gate.wait()
                if wish is not None:
                    approved, decision = wish
                    await execution.place(
                        approved,
                        decision,
                        exchange=exchange,
                        ledger=ledger,
                        clock=clock,
                        limits=_limits(turn),
                    )
                gate.wait()


async def _wish(
    desk: Desk, data: PolymarketData, ledger: SqlLedger, turn: int, number: int
) -> tuple[ApprovedOrder, Any] | None:
    """Size an order: two processes have one decision between them, the third has its own."""
    start_s = desk.start_s + 900 * (turn // len(_SERIES))
    window = MarketWindow(series=_SERIES[turn % len(_SERIES)], start_s=start_s)
    now = await SystemClock().now()
    decision = open_decision(f"coin-{number % 2}", window, run_name="run", at=now).decision
    decision = ledger.claim_decision(decision) or decision
    market = await data.find_market(window)
    answer = assess(
        Signal(direction=Direction.UP, reason="a coin fell"),
        market,
        await data.order_book(market.token_ids[Outcome.UP]),
        totals=ledger.totals(at=now),
        exposure=ledger.market_exposure(market.condition_id),
        limits=_limits(turn),
        now=now,
        decision_key=decision.key,
    )
    return (answer, decision) if isinstance(answer, ApprovedOrder) else None


def _limits(turn: int) -> RiskLimits:
    """Return limits that leave room for one more order of 5 USDC, fee of 0.36 included."""
    return replace(
        LIMITS,
        max_exposure_usdc=Decimal("5.36") * (turn + 1),
        max_daily_loss_usdc=Decimal(100),
    )
