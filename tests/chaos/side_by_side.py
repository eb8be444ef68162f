"""The same fault cases against four submission policies, and a table of what each did.

``python -m tests.chaos.side_by_side --form ci``
"""

import argparse
import asyncio
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random

from polybot.domain.markets import MarketSeries, MarketWindow
from polybot.domain.orders import DecisionKey
from polybot.sandbox.exchange.rules import VenueRules
from tests.builders import build_limits
from tests.chaos.fault_cases import FaultCase, fault_case
from tests.chaos.forms import FORMS
from tests.chaos.installations import START_S
from tests.chaos.policies import CommitAfterResponse, NaiveRetry, NotFoundMeansFailed, Ours, Policy
from tests.chaos.scratch import scratch
from tests.chaos.venue_in_process import CASH, Killed, VenueInProcess
from tests.ledgers import new_live_ledger

FAULTS = ("duplicates", "orphans", "lost fills", "breaches")
OURS = "ours"
_SERIES = MarketSeries.parse("btc-15m")
_CASES_IN_A_VENUE = 20
# One order of 5 USDC with its fee.
_MOST_IN_A_WINDOW = Decimal("5.40")
_LIMITS = build_limits(
    max_window_exposure_usdc=_MOST_IN_A_WINDOW,
    max_exposure_usdc=Decimal(10_000),
    max_daily_loss_usdc=Decimal(10_000),
    max_trades_per_day=10_000,
)
# Seconds after the window's start: the run, the next one of the same window, the minutes after.
_SECOND_RUN_S = 20
_LOOKS_S = (150, 200, 700)
_END_S = 1_700

POLICIES: dict[str, Callable[[VenueInProcess], Policy]] = {
    "naive retry": NaiveRetry,
    "commit after response": CommitAfterResponse,
    "not-found means failed": NotFoundMeansFailed,
}


def play_all(*, cases: int, seed: int) -> tuple[dict[str, Counter[str]], list[str]]:
    """Return the faults of each policy, and what was wrong with our own books."""
    problems: list[str] = []
    counts = {name: Counter[str]() for name in (*POLICIES, OURS)}
    with scratch() as home:
        at = datetime.fromtimestamp(START_S, UTC)
        new_live_ledger(home / "new.db", Decimal(CASH) / 10**6, at=at).close()
        ledger = (home / "new.db").read_bytes()
        for first in range(0, cases, _CASES_IN_A_VENUE):
            numbers = range(first, min(first + _CASES_IN_A_VENUE, cases))
            batch = [fault_case(seed, number) for number in numbers]
            for name, found in counts.items():
                found.update(
                    asyncio.run(
                        _play_batch(
                            name,
                            batch=batch,
                            seed=seed,
                            home=home,
                            ledger=ledger,
                            problems=problems,
                        )
                    )
                )
    return counts, problems


async def _play_batch(
    name: str,
    *,
    batch: list[FaultCase],
    seed: int,
    home: Path,
    ledger: bytes,
    problems: list[str],
) -> Counter[str]:
    random = Random(f"venue {seed} {batch[0].number}")
    venue = VenueInProcess(
        seed=random.randrange(1 << 30),
        start_s=START_S,
        rules=VenueRules(shows_terminal_orders=random.random() < 0.5),
    )
    policy = Ours(venue, home, ledger, _LIMITS) if name == OURS else POLICIES[name](venue)
    found: Counter[str] = Counter()
    # The first live order of an installation goes alone; it is not one of the cases.
    await _play(policy, venue, fault_case(0, 0), START_S + 900)
    for index, case in enumerate(batch):
        await _play(policy, venue, case, START_S + 1_800 * (index + 2))
    found.update(count_faults(policy, venue))
    if isinstance(policy, Ours):
        problems += [f"cases from {batch[0].number}: {one}" for one in policy.problems()]
        policy.close()
    return found


async def _play(policy: Policy, venue: VenueInProcess, case: FaultCase, start_s: int) -> None:
    window = MarketWindow(series=_SERIES, start_s=start_s)
    _move(venue, start_s + 3)
    for fault in case.faults(window.slug):
        venue.plan.arm(fault)
    key = DecisionKey(f"trend:chaos:{window.slug}")
    order = await venue.order_for(case, window, key)
    venue.crash, venue.is_next_late = case.crash, case.on_order == "late-arrival"
    try:
        await policy.run(order)
    except Killed:
        pass
    finally:
        venue.crash, venue.is_next_late = "", False
    _move(venue, start_s + _SECOND_RUN_S)
    await policy.run(order)
    for seconds in _LOOKS_S:
        _move(venue, start_s + seconds)
        await policy.look_after()
        # What still rests is taken off by the venue; simulating its hour is not the point.
        for resting in venue.exchange.resting.of_market(order.market.condition_id):
            venue.exchange.close(resting, venue.clock.now_ms(), "CANCELED")
    venue.plan.clear()
    _move(venue, start_s + _END_S)
    await policy.look_after()


def count_faults(policy: Policy, venue: VenueInProcess) -> Counter[str]:
    """Compare what a policy believes with what the venue did."""
    orders, fills = policy.orders(), policy.fills()
    by_window: dict[str, list[str]] = defaultdict(list)
    spent: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for order in venue.exchange.orders.values():
        if order.account is not venue.wallet or not (order.matched or order.rests):
            continue
        by_window[order.market.condition_id].append(order.order_id)
        found["orders"] += 1
        found["orphans"] += order.order_id not in orders
    for trade in venue.exchange.settlement.trades.values():
        for order in (trade.taker, *(match.maker for match in trade.makers)):
            if order.account is not venue.wallet:
                continue
            is_believed = (order.order_id, trade.trade_id) in fills
            is_real = trade.state.value != "FAILED"
            found["lost fills"] += is_real and not is_believed
            found["ghost fills"] += is_believed and not is_real
            if is_real:
                spent[order.market.condition_id] += sum(
                    one.cash for one in trade.gives if one.account is venue.wallet
                )
    found["duplicates"] = sum(len(ids) - 1 for ids in by_window.values())
    found["breaches"] = sum(amount > _MOST_IN_A_WINDOW * 10**6 for amount in spent.values())
    return found


def table(counts: dict[str, Counter[str]], cases: int, seconds: float) -> str:
    """Return the counts as text."""
    names = ("orders", *FAULTS, "ghost fills")
    lines = [f"{'policy':24}" + "".join(f"{name:>12}" for name in names)]
    lines += [
        f"{policy:24}" + "".join(f"{found[name]:12}" for name in names)
        for policy, found in counts.items()
    ]
    return "\n".join([*lines, f"{cases} fault cases each, {seconds:.0f} s"])


def _move(venue: VenueInProcess, at_s: int) -> None:
    venue.later(max(0.0, at_s - venue.clock.now_ms() / 1000))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--form", choices=tuple(FORMS), default="ci")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    started = time.monotonic()
    cases = FORMS[wanted.form].cases
    counts, problems = play_all(cases=cases, seed=wanted.seed)
    sys.stdout.write(table(counts, cases, time.monotonic() - started) + "\n")
    sys.stdout.write("\n".join(problems) + "\n")


if __name__ == "__main__":
    main()
