"""`polybot up`: the stack on its schedules, until Ctrl-C.

On paper against the real venue and real prices; with ``--sandbox`` on the venue of this machine, in
real time; with POLYBOT_MODE=live and a second word with real orders. It can be stopped and started
again: Prefect's database and the ledger stay.
"""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from deployments.environment import stack_environment
from deployments.interrupts import cancel_on_signals
from deployments.loopback import free_port, require_free
from deployments.plan import SandboxPlan, StackPlan
from deployments.reachability import unreachable
from deployments.second_word import give_second_word, require_second_word
from deployments.stack import LocalStack
from polybot.bootstrap import open_bot
from polybot.config import Settings, load_settings
from polybot.domain.modes import Mode
from polybot.errors import ConfigurationError, PolybotError

DEFAULT_PORT = 4200
# A trend run that has begun takes a few seconds; one that waits for its window is told to end.
WORKER_GRACE_S = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stack from command-line arguments and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="polybot up", description="Trade on schedule, until Ctrl-C; on paper by default."
    )
    parser.add_argument("--sandbox", action="store_true", help="on the venue of this machine")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"of Prefect's server ({DEFAULT_PORT})"
    )
    parser.add_argument(
        "--live", action="store_true", help="confirm real orders; POLYBOT_MODE=live says it first"
    )
    options = parser.parse_args(arguments)
    return run(sandbox=options.sandbox, live=options.live, port=options.port)


def run(*, sandbox: bool, live: bool = False, port: int = DEFAULT_PORT) -> int:
    """Run the stack until SIGINT or SIGTERM and return the exit code.

    Args:
        sandbox: On the venue of this machine.
        live: The second word of live trading; without it a person is asked for it.
        port: Of Prefect's server, on loopback.
    """
    console = Console(stderr=True, highlight=False)
    try:
        plan = _sandbox_plan(port, live=live) if sandbox else _venue_plan(port, live=live)
        return asyncio.run(cancel_on_signals(_up(plan, console)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("stopped; nothing is left running, and `polybot up` goes on from here")
        return 0
    except PolybotError as problem:
        console.print(f"polybot up: {problem}", markup=False, soft_wrap=True)
        return 1


async def _up(plan: StackPlan, console: Console) -> NoReturn:
    if plan.sandbox is None:
        await _require_reachable(load_settings())

    def tell(sentence: str) -> None:
        console.print(sentence, markup=False, soft_wrap=True)

    is_live = load_settings().mode is Mode.LIVE
    with LocalStack(plan, tell=tell) as stack:
        await stack.start()
        if is_live:
            async with stack.client() as client:
                await give_second_word(client)
            tell("LIVE: real orders may be sent from now on; `polybot halt` stops them")
        # Opens, migrates or refuses the ledger here and now instead of in the first run.
        async with open_bot():
            pass
        await stack.keep_copying()
        console.print(
            f"Prefect's UI: {plan.ui_url}\nledger and logs: {plan.home}\nCtrl-C stops everything.",
            soft_wrap=True,
        )
        await stack.supervise()


def _venue_plan(port: int, *, live: bool) -> StackPlan:
    settings = load_settings()
    if settings.mode is Mode.SANDBOX:
        raise ConfigurationError("POLYBOT_MODE is sandbox: unset it, or use `polybot up --sandbox`")
    # Before anything is started: what is refused now would be refused in every run.
    asyncio.run(require_second_word(settings, is_given=live))
    return _plan(settings, port)


def _sandbox_plan(port: int, *, live: bool) -> StackPlan:
    if live:
        raise ConfigurationError("--live and --sandbox exclude each other")
    sandbox_port = free_port()
    url = f"http://127.0.0.1:{sandbox_port}"
    os.environ |= {"POLYBOT_MODE": "sandbox", "POLYBOT_SANDBOX__URL": url}
    command = ("polybot.sandbox.__main__:main", "--", "--port", str(sandbox_port))
    return _plan(load_settings(), port, SandboxPlan(command=command, url=url))


def _plan(settings: Settings, port: int, sandbox: SandboxPlan | None = None) -> StackPlan:
    require_free(port, purpose="Prefect's server", option="--port")
    home = Path(settings.home).resolve()
    environment = stack_environment(home, port=port) | _same_files(home)
    os.environ.clear()
    os.environ.update(environment)
    return StackPlan(
        home=home,
        port=port,
        environment=environment,
        sandbox=sandbox,
        worker_grace_s=WORKER_GRACE_S,
        keeps_copying=True,
    )


def _same_files(home: Path) -> dict[str, str]:
    """Name the ledger's folder and the settings' files absolutely: flow runs start elsewhere."""
    secrets_file = Path(os.environ.get("POLYBOT_ENV_FILE", ".env")).resolve()
    names = {"POLYBOT_HOME": str(home), "POLYBOT_ENV_FILE": str(secrets_file)}
    settings_file = Path(os.environ.get("POLYBOT_CONFIG", "polybot.yaml")).resolve()
    return names | ({"POLYBOT_CONFIG": str(settings_file)} if settings_file.exists() else {})


async def _require_reachable(settings: Settings) -> None:
    if missing := await unreachable(settings):
        listed = "\n".join(f"  {sentence}" for sentence in missing)
        raise ConfigurationError(
            f"trading needs the venue:\n{listed}\n"
            "Without it, `polybot up --sandbox` runs the same on a venue of this machine."
        )


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
