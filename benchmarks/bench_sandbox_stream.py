"""How fast the sandbox tells of everybody: the load under which copying is measured.

A sandbox in a process of its own, one plain client here that only counts messages. Printed, never
asserted: it says whether the machine can make the load, not how good the product is.

Run: ``python benchmarks/bench_sandbox_stream.py [--seconds 5]``
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time

import aiohttp

_SUBSCRIBE = {"action": "subscribe", "subscriptions": [{"topic": "activity", "type": "trades"}]}


async def _count(url: str, seconds: float) -> tuple[float, float, int]:
    """Return messages and bytes a second, and how many the sandbox has shed."""
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/rtds", compress=0) as socket:
            await socket.send_json(_SUBSCRIBE)
            await socket.receive()
            messages = octets = 0
            start = time.perf_counter()
            while (spent := time.perf_counter() - start) < seconds:
                message = await socket.receive(timeout=10)
                messages += 1
                octets += len(message.data)
        async with session.get(f"{url}/sandbox/leaders") as answer:
            shed = (await answer.json())["stream"]["noise_shed"]
    return messages / spent, octets / spent, shed


def _measure(rate: int, seconds: float) -> None:
    command = [sys.executable, "-m", "polybot.sandbox", "--port=0", f"--noise={rate}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    try:
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
        url = json.loads(process.stdout.readline())["url"]
        messages, octets, shed = asyncio.run(_count(url, seconds))
    finally:
        process.terminate()
        process.wait(10)
    print(
        f"asked for {rate:>6,} messages/s: heard {messages:>8,.0f}/s, "
        f"{octets / 1e6:5.1f} MB/s, {shed:,} shed"
    )


def main() -> None:
    """Read the options and measure a few rates."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    for rate in (50, 5_000, 50_000, 200_000):
        _measure(rate, seconds)


if __name__ == "__main__":
    main()
