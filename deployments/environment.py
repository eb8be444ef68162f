"""The environment of the stack's processes: which Prefect they talk to and where it keeps things.

Figures are those of ``[tool.prefect]`` in pyproject.toml where a stack does not need others.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
WORK_POOL = "polybot"

# Names of a Prefect that is not ours; everything else the operator set stays.
_FOREIGN = frozenset(
    {
        "PREFECT_API_URL",
        "PREFECT_API_KEY",
        "PREFECT_HOME",
        "PREFECT_PROFILE",
        "PREFECT_PROFILES_PATH",
        "PREFECT_SERVER_API_HOST",
        "PREFECT_SERVER_API_PORT",
        "PREFECT_UI_API_URL",
        "PREFECT_SERVER_UI_API_URL",
    }
)


def stack_environment(
    home: Path, *, port: int, inherited: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment in which a stack's processes run.

    Args:
        home: The stack's folder; Prefect's own files go below it, never into ``~/.prefect``.
        port: Where the Prefect server listens, on loopback.
        inherited: What to start from; default: this process's environment.
    """
    kept = {
        name: value
        for name, value in (os.environ if inherited is None else inherited).items()
        if name not in _FOREIGN
    }
    ours = {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(port),
        "DO_NOT_TRACK": "1",
        "NO_COLOR": "1",
        "PYTHONUNBUFFERED": "1",
        # `python` in job commands is the interpreter that runs the stack.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', os.defpath)}",
    }
    if password := kept.get("PREFECT_SERVER_API_AUTH_STRING"):
        ours["PREFECT_API_AUTH_STRING"] = password
    return {**kept, **ours}


def isolated_environment() -> dict[str, str]:
    """Return this process's environment without any setting of Prefect or of the bot."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "POLYBOT_"))
    }
