"""The local stack: Prefect server, work pool, deployments, worker and, where asked, the sandbox.

Everything runs on loopback and keeps its files below one home. Nothing is left behind: each
process leads its own group, holds a life line to this one and is stopped in reverse order.
"""

import asyncio
import fcntl
import os
import time
from collections.abc import Callable
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

import httpx

from deployments.copying import keep_copying
from deployments.environment import WORK_POOL
from deployments.plan import StackPlan
from deployments.processes import Service
from deployments.recover import recover
from polybot.errors import ConfigurationError, PermanentError

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

PREFECT = "prefect.cli:app"
# What `prefect` imports only when a command runs; importing it while the server boots saves 3 s.
_DEPLOY_IMPORTS = ("prefect.cli.deploy", "prefect.deployments.runner", "prefect.workers.process")
_WORKER_IMPORTS = ("prefect.cli.worker", "prefect.workers.process")
# A new database takes 14 s on a quiet two-core machine; a busy one may need several times that.
SERVER_TIMEOUT_S = 180.0
SANDBOX_TIMEOUT_S = 60.0
DEPLOY_TIMEOUT_S = 120.0
_POLL_S = 0.1
_SUPERVISE_S = 1.0
# A worker that dies oftener than this has a cause that another start does not mend.
_MOST_DEATHS = 3
_DEATHS_WITHIN_S = 300.0


class LocalStack:
    """Starts, watches and stops the processes of a plan; use it with ``with``."""

    def __init__(self, plan: StackPlan, *, tell: Callable[[str], None]) -> None:
        """Prepare; nothing runs before ``start``.

        Args:
            plan: What to run.
            tell: Called with one short sentence per step.
        """
        self.plan = plan
        self._tell = tell
        self._services: list[Service] = []
        self._lock: int | None = None

    def __enter__(self) -> Self:
        """Take the home for this stack.

        Raises:
            ConfigurationError: Another stack runs there.
        """
        for folder in (self.plan.home, self.plan.home / "prefect", self.plan.logs):
            folder.mkdir(parents=True, exist_ok=True)
        # Prefect keeps its encryption key and run parameters here, readable by everyone.
        (self.plan.home / "prefect").chmod(0o700)
        path = self.plan.home / "stack.lock"
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(self._lock, 20).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            raise ConfigurationError(
                f"another stack (process {owner}) runs in {self.plan.home}: stop it, or choose "
                "another home with POLYBOT_HOME"
            ) from error
        os.ftruncate(self._lock, 0)
        os.write(self._lock, f"{os.getpid()}\n".encode())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop everything, last started first."""
        try:
            while self._services:
                service = self._services[-1]
                service.stop(grace_s=self.plan.worker_grace_s if service.name == "worker" else 5.0)
                self._services.pop()
        finally:
            if self._lock is not None:
                os.close(self._lock)

    async def start(self) -> None:
        """Bring everything up, in the order that lets the most happen side by side.

        Raises:
            ConfigurationError: A port or the work pool is not usable.
            PermanentError: A process died or did not answer in time; its last lines are told.
        """
        began = time.monotonic()
        self._tell("starting the Prefect server")
        server = self._prepare_server()
        server.go()
        sandbox = self._start_sandbox()
        deploy = self._spawn(
            "deploy", (PREFECT, *_DEPLOY_IMPORTS, "--", "--no-prompt", "deploy", "--all")
        )
        worker = self._prepare_worker()
        await asyncio.to_thread(import_module, "prefect.workers.process")
        await self._wait_for(server, f"{self.plan.api_url}/health", SERVER_TIMEOUT_S)
        if sandbox is not None and self.plan.sandbox is not None:
            await self._wait_for(sandbox, f"{self.plan.sandbox.url}/time", SANDBOX_TIMEOUT_S)
        self._tell(f"the Prefect server answers after {time.monotonic() - began:.0f} s")
        await self._create_work_pool()
        deploy.go()
        await self._recover()
        worker.go()
        await self._wait_for_deploy(deploy)
        self._tell(f"deployed prefect.yaml after {time.monotonic() - began:.0f} s")

    def client(self) -> "PrefectClient":
        """Return a client of this stack's server; use it with ``async with``."""
        from prefect.client.orchestration import PrefectClient  # noqa: PLC0415

        return PrefectClient(
            api=self.plan.api_url,
            auth_string=self.plan.environment.get("PREFECT_API_AUTH_STRING"),
        )

    async def keep_copying(self) -> None:
        """Start copy trading, and have the server start it again; nothing where not planned."""
        if self.plan.keeps_copying:
            async with self.client() as client:
                await keep_copying(client)

    def service(self, name: str) -> Service:
        """Return a running process by name: ``server``, ``worker`` or ``sandbox``."""
        return next(service for service in self._services if service.name == name)

    def check(self) -> None:
        """Refuse to go on where a process is gone.

        Raises:
            PermanentError: With the process's last lines.
        """
        for service in self._services:
            if service.exit_code is not None and service.name != "deploy":
                raise _died(service)

    async def supervise(self) -> NoReturn:
        """Watch for ever; a server or worker that is gone is replaced, the rest ends the stack.

        Flow runs outlive their server, never their worker.

        Raises:
            PermanentError: Another process died, or one of them again and again.
        """
        deaths: dict[str, list[float]] = {"server": [], "worker": []}
        while True:
            await asyncio.sleep(_SUPERVISE_S)
            for name, replace in (
                ("server", self._replace_server),
                ("worker", self._replace_worker),
            ):
                dead = self.service(name)
                if dead.exit_code is None:
                    continue
                now = time.monotonic()
                deaths[name] = [then for then in deaths[name] if now - then < _DEATHS_WITHIN_S]
                deaths[name].append(now)
                if len(deaths[name]) > _MOST_DEATHS:
                    raise _died(dead)
                self._tell(f"the {name} ended (code {dead.exit_code}); starting another")
                await replace(dead)
            self.check()

    async def _replace_server(self, server: Service) -> None:
        successor = self._take_place_of(server, self._prepare_server)
        successor.go()
        await self._wait_for(successor, f"{self.plan.api_url}/health", SERVER_TIMEOUT_S)

    async def _replace_worker(self, worker: Service) -> None:
        # Orphaned flow runs go first: recovery declares dead what must not live.
        successor = self._take_place_of(worker, self._prepare_worker)
        await self._recover()
        successor.go()
        await self.keep_copying()

    def _take_place_of(self, gone: Service, prepare: Callable[[], Service]) -> Service:
        """Replace a service where it stands: they are stopped in the reverse of this order."""
        gone.stop(grace_s=0.0)
        place = self._services.index(gone)
        successor = prepare()
        self._services.remove(successor)
        self._services[place] = successor
        return successor

    async def _recover(self) -> None:
        async with self.client() as client:
            if count := await recover(client):
                self._tell(f"ended {count} runs that nobody works on")

    def _start_sandbox(self) -> Service | None:
        if self.plan.sandbox is None:
            return None
        service = self._spawn("sandbox", self.plan.sandbox.command)
        service.go()
        return service

    def _prepare_server(self) -> Service:
        return self._spawn("server", (PREFECT, "--", "server", "start"))

    def _prepare_worker(self) -> Service:
        arguments = ("--", "worker", "start", "--pool", WORK_POOL, "--type", "process")
        return self._spawn(
            "worker",
            (PREFECT, *_WORKER_IMPORTS, *arguments),
        )

    def _spawn(self, name: str, command: tuple[str, ...]) -> Service:
        service = Service.spawn(
            name,
            command,
            environment=self.plan.environment,
            cwd=self.plan.project,
            logs=self.plan.logs,
        )
        self._services.append(service)
        return service

    async def _wait_for(self, service: Service, url: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as http:
            while time.monotonic() < deadline:
                if service.exit_code is not None:
                    raise _died(service)
                try:
                    if (await http.get(url)).is_success:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(_POLL_S)
        raise PermanentError(
            f"the {service.name} did not answer at {url} within {timeout_s:.0f} s; its log is "
            f"{service.log} and ends with:\n{service.last_lines()}"
        )

    async def _create_work_pool(self) -> None:
        from prefect.client.schemas.actions import WorkPoolCreate  # noqa: PLC0415
        from prefect.workers.process import ProcessWorker  # noqa: PLC0415

        pool = WorkPoolCreate(
            name=WORK_POOL,
            type=ProcessWorker.type,
            base_job_template=ProcessWorker.get_default_base_job_template(),
        )
        async with self.client() as client:
            await client.create_work_pool(pool, overwrite=True)

    async def _wait_for_deploy(self, deploy: Service) -> None:
        deadline = time.monotonic() + DEPLOY_TIMEOUT_S
        while deploy.exit_code is None and time.monotonic() < deadline:
            self.check()
            await asyncio.sleep(_POLL_S)
        self._services.remove(deploy)
        code = deploy.exit_code
        deploy.stop(grace_s=0.0)
        if code != 0:
            raise PermanentError(
                f"`prefect deploy --all` failed (code {code}); its log is {deploy.log} and ends "
                f"with:\n{deploy.last_lines()}"
            )


def _died(service: Service) -> PermanentError:
    return PermanentError(
        f"the {service.name} ended by itself (code {service.exit_code}); its log is {service.log} "
        f"and ends with:\n{service.last_lines()}"
    )
