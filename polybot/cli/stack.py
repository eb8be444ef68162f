"""Commands that run things: the sandbox here, the local stack through ``deployments``.

``deployments`` lies above this package, so it is looked up by name when it is asked for.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from polybot.cli.session import Session
from polybot.errors import ConfigurationError


def run_sandbox(
    *,
    port: int,
    seed: int,
    replay: list[Path],
    speed: float,
    stepped: bool,
    leaders: int,
    leader_rate: float,
    noise: float,
) -> int:
    """Serve the sandbox until it is interrupted and return the exit code."""
    from polybot.sandbox.__main__ import main

    arguments = [f"--port={port}", f"--seed={seed}", f"--speed={speed}"]
    arguments += [f"--leaders={leaders}", f"--leader-rate={leader_rate}", f"--noise={noise}"]
    arguments += [f"--replay={path}" for path in replay]
    if stepped:
        arguments.append("--stepped")
    return main(arguments)


def run_demo(
    session: Session,
    *,
    windows: int,
    seed: int,
    replay: Path | None,
    keep: bool,
    as_json: bool,
    port: int | None,
) -> int:
    """Play the demo and return its exit code; a given home keeps its ledger and logs."""
    exit_code: int = _deployment("demo").run(
        windows=windows,
        seed=seed,
        replay=replay,
        keep=keep,
        as_json=as_json,
        port=port,
        home=session.home,
    )
    return exit_code


def run_up(session: Session, *, sandbox: bool, live: bool, port: int) -> int:
    """Run the stack until it is interrupted and return its exit code."""
    # The stack's processes read their settings from the environment.
    os.environ.update({f"POLYBOT_{key.upper()}": text for key, text in session.overrides.items()})
    exit_code: int = _deployment("up").run(sandbox=sandbox, live=live, port=port)
    return exit_code


def _deployment(name: str) -> Any:
    module = f"deployments.{name}"
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in ("deployments", module):
            raise
        raise ConfigurationError(
            f"`polybot {name}` needs the project's folders flows, tasks and deployments beside "
            "polybot: run it from a clone of the repository"
        ) from error
