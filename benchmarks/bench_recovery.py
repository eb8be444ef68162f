"""How long a restart with many open orders takes until every fate is known and recorded.

A real ledger with 1,000 open orders of five fates, the strict sandbox in this process, a fresh
adapter. Two ways take turns over the same orders: one look after the other, as a bot without lists
would, and the product's own reconciliation, which also compares shares and cash. The sandbox's own
work is in the figures; a real venue adds its round trips, of which the lists need some dozens where
single looks need two an order.

Run: ``python -m benchmarks.bench_recovery [--orders 1000]``
"""

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path

from polybot.domain.modes import Mode
from polybot.reconciliation import reconcile_account
from polybot.sandbox.exchange.rules import VenueRules
from tests.live_sandbox import LiveSandbox, live_sandbox
from tests.many_orders import open_ledger_for, send_many

# One by one is slow and its time is proportional: a sample is enough.
SAMPLE = 100


async def main(count: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        async with live_sandbox(home / "venue", VenueRules()) as desk:
            with open_ledger_for(home) as ledger:
                sent = await send_many(desk, ledger, count)
                desk.later(180)
                records = ledger.open_orders()
                asked = count_requests(desk)
                began = time.perf_counter()
                for record in records[:SAMPLE]:
                    await desk.exchange.look_up(record)
                each_s = (time.perf_counter() - began) / min(SAMPLE, count)
                each_requests = asked.total() / min(SAMPLE, count)
                asked.clear()
                began = time.perf_counter()
                await desk.exchange.look_up_many(records)
                many_s, many_requests = time.perf_counter() - began, asked.total()
                asked.clear()
                began = time.perf_counter()
                found = await reconcile_account(
                    ledger, desk.exchange, desk.account, desk.clock, mode=Mode.LIVE
                )
                whole_s, whole_requests = time.perf_counter() - began, asked.total()
    fates = ", ".join(f"{number} {fate}" for fate, number in sorted(sent.count().items()))
    print(f"{count} open orders: {fates}")
    print(f"one by one        {each_s * count:7.2f} s  {each_requests * count:6.0f} requests")
    print(f"with the lists    {many_s:7.2f} s  {many_requests:6d} requests")
    print(
        f"reconciled        {whole_s:7.2f} s  {whole_requests:6d} requests, "
        f"{len(found.closed)} closed, {found.passes} pass(es), {found.verdict}"
    )


def count_requests(desk: LiveSandbox) -> Counter[str]:
    """Count every read from now on."""
    asked: Counter[str] = Counter()
    read = desk.client._read  # noqa: SLF001 - a benchmark may look inside

    async def counted(method: str, path: str, *args: object, **more: object) -> object:
        asked[path.partition("/0x")[0]] += 1
        return await read(method, path, *args, **more)  # type: ignore[arg-type]

    desk.client._read = counted  # type: ignore[assignment,method-assign]  # noqa: SLF001
    return asked


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=1000)
    asyncio.run(main(parser.parse_args().orders))
