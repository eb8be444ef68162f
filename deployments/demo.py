"""`polybot demo`: the whole product on this machine, in virtual time, in about a minute.

It starts the sandbox venue and a real Prefect with a worker, deploys prefect.yaml, and plays
consecutive windows as real deployment runs. Nothing of the operator's is read or written: not
their settings, not their ledger, not their Prefect.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from deployments.copying import keep_copying
from deployments.demo_copying import play_copying
from deployments.demo_plan import choose_windows, plan_end, plan_runs
from deployments.environment import isolated_environment, stack_environment
from deployments.interrupts import cancel_on_signals
from deployments.loopback import free_port, require_free
from deployments.plan import SandboxPlan, StackPlan
from deployments.player import PlannedRun, SandboxStepClock, play
from deployments.progress import LineProgress, open_progress
from deployments.results import DemoResult, describe, read_results
from deployments.runs import DeploymentRuns
from deployments.stack import LocalStack
from polybot.bootstrap import open_bot
from polybot.config import load_settings
from polybot.domain.markets import MarketWindow
from polybot.errors import ConfigurationError, PolybotError

# So many runs are submitted before they are due, so that their processes start side by side.
AHEAD = 4
# Where nobody knows how wide the reader's page is.
PIPE_WIDTH = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the operator asked for."""

    windows: int = 8
    seed: int = 7
    replay: Path | None = None
    keep: bool = False
    as_json: bool = False
    port: int | None = None
    home: Path | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo from command-line arguments and return the exit code."""
    return demo(_parse(arguments))


def run(
    *,
    windows: int = 8,
    seed: int = 7,
    replay: Path | None = None,
    keep: bool = False,
    as_json: bool = False,
    port: int | None = None,
    home: Path | None = None,
) -> int:
    """Run the demo for the command line; see ``demo``."""
    return demo(
        DemoOptions(
            windows=windows,
            seed=seed,
            replay=replay,
            keep=keep,
            as_json=as_json,
            port=port,
            home=home,
        )
    )


def demo(options: DemoOptions) -> int:
    """Run the demo and return the exit code: 0 where all is well, 130 after Ctrl-C.

    Standard output carries the table, or the JSON object alone; the rest goes to standard error.
    """
    console = Console(stderr=True, highlight=False)
    try:
        with _home(options) as home:
            return asyncio.run(cancel_on_signals(_demo(options, home, console)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("stopped; nothing is left running")
        return 130
    except PolybotError as problem:
        console.print(f"polybot demo: {problem}", markup=False, soft_wrap=True)
        return 1


async def _demo(options: DemoOptions, home: Path, console: Console) -> int:
    began = time.monotonic()
    windows, copied = await asyncio.to_thread(
        choose_windows, options.windows, replay=options.replay, seed=options.seed
    )
    plan = _plan(options, home, windows)
    with (
        open_progress(console, len(windows)) as progress,
        LocalStack(plan, tell=progress.tell) as stack,
    ):
        await stack.start()
        result = await _play(stack, windows, copied, progress, began)
        progress.close()
        if options.as_json:
            print(result.as_json(), flush=True)
        else:
            out = Console(highlight=False)
            result.print_to(out if out.is_terminal else Console(highlight=False, width=PIPE_WIDTH))
        await _say_goodbye(options, stack, console)
    return 0 if result.is_good else 1


async def _play(
    stack: LocalStack,
    windows: Sequence[MarketWindow],
    copied: MarketWindow | None,
    progress: LineProgress,
    began: float,
) -> DemoResult:
    sandbox_url = os.environ["POLYBOT_SANDBOX__URL"]
    settings = load_settings()
    async with (
        stack.client() as client,
        DeploymentRuns(client) as runs,
        SandboxStepClock(sandbox_url) as clock,
        open_bot(settings) as bot,
    ):
        await runs.prepare_for_virtual_time(ahead=AHEAD)
        if copied is not None:
            await keep_copying(client)
        strategy = settings.strategy.name

        def show(run: PlannedRun, state: str) -> None:
            if run.flow == "trend":
                window = bot.series[0].window_at(run.due)
                (item,) = read_results(bot.ledger, (window,), strategy=strategy, winners={})
                progress.window_done(describe(item))
            if state != "Completed":
                progress.tell(f"{run.flow} due {run.due:%H:%M} ended as {state}")

        async def play_runs(plan: list[PlannedRun]) -> None:
            await play(
                plan, clock=clock, run_flow=runs.run, ahead=AHEAD, ended=show, check=stack.check
            )

        await play_runs(plan_runs(windows))
        copying = None
        if copied is not None:
            copying = await play_copying(
                bot,
                clock,
                copied,
                sandbox_url=sandbox_url,
                read_page=lambda: runs.read_page("copy-trading"),
                tell=progress.tell,
                check=stack.check,
            )
        await play_runs(plan_end(windows, copied))
        winners = {}
        for window in windows:
            resolution = await bot.market_data.resolution(window)
            winners[window] = resolution.winner if resolution else None
        return DemoResult(
            windows=read_results(bot.ledger, windows, strategy=strategy, winners=winners),
            copying=copying,
            flow_runs=await runs.count_by_state(),
            totals=bot.ledger.totals(at=await bot.clock.now()),
            starting_cash_usdc=settings.paper.starting_cash_usdc,
            wall_s=time.monotonic() - began,
        )


def _plan(options: DemoOptions, home: Path, windows: Sequence[MarketWindow]) -> StackPlan:
    port = (
        free_port()
        if options.port is None
        else require_free(options.port, purpose="Prefect's server", option="--port")
    )
    sandbox_port = free_port()
    url = f"http://127.0.0.1:{sandbox_port}"
    arguments = ["--port", str(sandbox_port), "--seed", str(options.seed), "--stepped"]
    # A minute before the first window: its market is listed.
    arguments += ["--start", str(windows[0].start_s - 60)]
    # Nobody else: the clock leaps over hours, and all their trades would be told at once.
    arguments += ["--leaders", "0", "--crowd", "0", "--noise", "0"]
    if options.replay is not None:
        arguments += ["--replay", str(options.replay.resolve())]
    environment = stack_environment(home, port=port, inherited=isolated_environment()) | {
        "POLYBOT_MODE": "sandbox",
        "POLYBOT_HOME": str(home),
        "POLYBOT_SANDBOX__URL": url,
        "POLYBOT_SERIES": str(windows[0].series),
        **_no_settings(home),
        # Virtual time and the schedules of real time must not mix.
        "PREFECT_SERVER_SERVICES_SCHEDULER_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "POLYBOT_COPYING__REPORT_EVERY_S": "1",
    }
    os.environ.clear()
    os.environ.update(environment)
    return StackPlan(
        home=home,
        port=port,
        environment=environment,
        sandbox=SandboxPlan(command=("polybot.sandbox.__main__:main", "--", *arguments), url=url),
    )


def _no_settings(home: Path) -> dict[str, str]:
    """Keep the operator's ``.env`` and ``polybot.yaml`` out: a demo runs on the defaults."""
    home.mkdir(parents=True, exist_ok=True)
    empty = home / "demo-settings"
    empty.touch()
    return {"POLYBOT_ENV_FILE": str(empty), "POLYBOT_CONFIG": str(empty)}


async def _say_goodbye(options: DemoOptions, stack: LocalStack, console: Console) -> None:
    plan = stack.plan
    if not options.keep:
        if not options.as_json:
            console.print(
                f"Prefect's UI was at {plan.ui_url}; `polybot demo --keep` leaves it running.",
                soft_wrap=True,
            )
        return
    console.print(
        f"Prefect's UI: {plan.ui_url}\nledger and logs: {plan.home}\nCtrl-C stops everything.",
        soft_wrap=True,
    )
    with contextlib.suppress(asyncio.CancelledError):
        await stack.supervise()


@contextlib.contextmanager
def _home(options: DemoOptions) -> Iterator[Path]:
    """Yield a folder of the demo's own; a temporary one is removed where all went well."""
    if options.home is not None:
        home = options.home.resolve()
        if home.exists() and any(home.iterdir()):
            raise ConfigurationError(f"the demo needs an empty folder, {home} is not")
        yield home
        return
    home = Path(tempfile.mkdtemp(prefix="polybot-demo-"))
    try:
        yield home
    except PolybotError:
        # The logs that its message names must survive it.
        raise
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    shutil.rmtree(home, ignore_errors=True)


def _parse(arguments: Sequence[str] | None) -> DemoOptions:
    parser = argparse.ArgumentParser(
        prog="polybot demo", description="Play windows of the sandbox venue through Prefect."
    )
    parser.add_argument("--windows", type=int, default=8, help="how many windows (8)")
    parser.add_argument("--seed", type=int, default=7, help="what prices depend on (7)")
    parser.add_argument("--replay", type=Path, help="folder with recorded candles and markets")
    parser.add_argument("--keep", action="store_true", help="leave everything running to look at")
    parser.add_argument("--json", action="store_true", help="print one JSON object alone")
    parser.add_argument("--port", type=int, help="of Prefect's server; default: a free one")
    parser.add_argument("--home", type=Path, help="an empty folder to keep the ledger and logs in")
    options = parser.parse_args(arguments)
    if options.windows < 1:
        parser.error("--windows must be at least 1")
    return DemoOptions(
        windows=options.windows,
        seed=options.seed,
        replay=options.replay,
        keep=options.keep,
        as_json=options.json,
        port=options.port,
        home=options.home,
    )


if __name__ == "__main__":
    sys.exit(main())
