"""What a local stack consists of."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deployments.environment import PROJECT


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxPlan:
    """How the stack starts the venue on this machine."""

    command: tuple[str, ...]
    """``module:function argument…``."""
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPlan:
    """What a stack consists of."""

    home: Path
    """Ledger, logs and Prefect's own files."""
    port: int
    """Prefect's server, on loopback."""
    environment: Mapping[str, str]
    """Of every process; see ``stack_environment``."""
    sandbox: SandboxPlan | None = None
    worker_grace_s: float = 0.0
    """How long the worker may take to finish its runs when the stack stops [s]."""
    keeps_copying: bool = False
    """Whether copy trading runs, and runs again whatever happens to it."""
    project: Path = PROJECT
    """Where prefect.yaml is."""

    @property
    def api_url(self) -> str:
        """Prefect's API."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def ui_url(self) -> str:
        """Prefect's user interface."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def logs(self) -> Path:
        """Folder of one log per process."""
        return self.home / "logs"
