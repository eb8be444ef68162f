"""ccxt loaded lean is the same ccxt, only without what nobody asked for."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def printed_by(program: str) -> str:
    """Return what a fresh interpreter prints; this one may have loaded ccxt whole already."""
    return subprocess.run(
        (sys.executable, "-c", program),
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout.strip()


def test_an_exchange_is_the_one_of_the_whole_package() -> None:
    program = (
        "import ccxt, ccxt.async_support, asyncio\n"
        "async def main():\n"
        "    for name in ('binance', 'coinbase', 'kraken'):\n"
        "        kind = getattr(ccxt.async_support, name)\n"
        "        assert kind is getattr(ccxt.async_support, name)\n"
        "        one = kind()\n"
        "        print(kind.__module__, one.id, one.has['fetchOHLCV'], one.timeframes)\n"
        "        await one.close()\n"
        "asyncio.run(main())\n"
        "print(issubclass(ccxt.NetworkError, ccxt.BaseError))"
    )
    lean = printed_by(f"from polybot.adapters.lean_ccxt import load_ccxt; load_ccxt()\n{program}")
    assert lean == printed_by(program)


def test_it_loads_one_exchange_instead_of_all() -> None:
    counts = printed_by(
        "import sys\n"
        "from polybot.adapters.lean_ccxt import load_ccxt; load_ccxt()\n"
        "import ccxt.async_support\n"
        "ccxt.async_support.binance\n"
        "print(len([name for name in sys.modules if name.startswith('ccxt.async_support.')\n"
        "           and name.count('.') == 2 and not name.endswith('.base')]))"
    )
    assert counts == "1"


def test_an_exchange_that_does_not_exist_is_an_attribute_error() -> None:
    answer = printed_by(
        "from polybot.adapters.lean_ccxt import load_ccxt; load_ccxt()\n"
        "import ccxt.async_support\n"
        "print(hasattr(ccxt.async_support, 'nobody'))"
    )
    assert answer == "False"


def test_a_package_that_was_loaded_whole_stays() -> None:
    answer = printed_by(
        "import ccxt.async_support as before\n"
        "from polybot.adapters.lean_ccxt import load_ccxt; load_ccxt()\n"
        "import ccxt.async_support as after\n"
        "print(before is after, len(after.exchanges) > 90)"
    )
    assert answer == "True True"
