"""Is this installation fit to trade? One check, one line, and how to mend it."""

import asyncio
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Final

from polybot.cli.session import Session, print_json, say
from polybot.cli.versions import version_of
from polybot.domain.modes import Mode
from polybot.errors import PolybotError

# Beyond this the venue refuses our signatures. Source: design of the venue's L2 headers; the
# tolerance of others' reports is a minute backwards and nothing forwards.
MAX_CLOCK_DIFFERENCE_S: Final = 2.0
# Their ceilings are load-bearing: without them Prefect does not start or schedules nothing.
_PINNED: Final = ("prefect", "fastapi", "sqlalchemy", "apprise")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check."""

    name: str
    passed: bool
    detail: str
    mend: str = ""
    """What to do, where the check failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What the checks look at."""

    session: Session
    audit: bool
    """Recompute every running total of the ledger."""
    offline: bool


Check = Callable[[Examination], Iterator[Finding]]


def run_doctor(session: Session, *, audit: bool, offline: bool, as_json: bool) -> int:
    """Run every check, print what was found, and return the exit code."""
    findings = examine(Examination(session=session, audit=audit, offline=offline))
    healthy = all(finding.passed for finding in findings)
    if as_json:
        print_json(
            {
                "healthy": healthy,
                "checks": [
                    {
                        "name": finding.name,
                        "passed": finding.passed,
                        "detail": finding.detail,
                        "mend": finding.mend,
                    }
                    for finding in findings
                ],
            }
        )
    else:
        for finding in findings:
            mark = "ok" if finding.passed else "FAIL"
            mend = f" -> {finding.mend}" if finding.mend else ""
            say(f"{mark} {finding.name}: {finding.detail}{mend}")
    return 0 if healthy else 1


def examine(examination: Examination, checks: "Sequence[Check] | None" = None) -> list[Finding]:
    """Run checks in order; an error inside one is its finding, and the others still run.

    Without usable settings nothing else can be checked, so the list ends there.
    """
    findings: list[Finding] = []
    for check in CHECKS if checks is None else checks:
        try:
            findings += check(examination)
        except PolybotError as error:
            name = check.__name__.removeprefix("check_").replace("_", " ")
            findings.append(Finding(name=name, passed=False, detail=str(error)))
        if check is check_settings and not findings[-1].passed:
            break
    return findings


def check_settings(examination: Examination) -> Iterator[Finding]:
    """Load the settings."""
    settings = examination.session.settings
    yield Finding(
        name="settings",
        passed=True,
        detail=f"{settings.mode} mode, series {', '.join(settings.series)}",
    )


def check_packages(_: Examination) -> Iterator[Finding]:
    """Compare installed versions with what this version of polybot was made for."""
    from packaging.requirements import Requirement

    try:
        declared = [Requirement(line) for line in requires("polybot") or ()]
    except PackageNotFoundError:
        yield Finding(
            name="packages",
            passed=False,
            detail="polybot is not installed in this environment",
            mend="run `make setup` and use .venv/bin/polybot",
        )
        return
    for requirement in declared:
        if requirement.name not in _PINNED or requirement.marker is not None:
            continue
        installed = version_of(requirement.name)
        fits = installed != "not installed" and requirement.specifier.contains(installed)
        yield Finding(
            name=requirement.name,
            passed=fits,
            detail=f"{installed}, needs {requirement.specifier}",
            mend="" if fits else "run `make setup`: it installs the locked versions",
        )


def check_home(examination: Examination) -> Iterator[Finding]:
    """Look at who may read the home, its ledgers and the secrets."""
    home = examination.session.settings.home
    if not home.exists():
        yield Finding(name="home", passed=True, detail=f"{home} will be made by the first run")
    else:
        yield _access(home, "home", 0o700)
        for path in sorted(home.glob("*.db*")):
            yield _access(path, path.name, 0o600)
    secrets = Path(".env")
    if secrets.exists():
        yield _access(secrets, ".env", 0o600)


def check_sqlite(_: Examination) -> Iterator[Finding]:
    """Tell which SQLite is linked; where its WAL is not safe, the ledger does without."""
    from polybot.adapters.storage.sqlite_driver import may_use_wal, sqlite_module

    driver = sqlite_module()
    is_safe = may_use_wal(driver.sqlite_version_info)
    journal = "write-ahead log" if is_safe else "rollback journal (its WAL is unsafe)"
    yield Finding(name="sqlite", passed=True, detail=f"{driver.sqlite_version}, uses the {journal}")


def check_ledger(examination: Examination) -> Iterator[Finding]:
    """Open the ledger, look at its journal, and on request recompute its totals."""
    session = examination.session
    with session.existing_ledger() as ledger:
        if ledger is None:
            yield Finding(name="ledger", passed=True, detail="none yet, the first run makes one")
            return
        state = ledger.trading_state()
        yield Finding(name="ledger", passed=True, detail=f"opens, trading is {state.state}")
        if session.ledger_path is not None:
            yield _journal(session.ledger_path)
        if examination.audit:
            violations = ledger.violations()
            detail = "; ".join(violations[:5]) or "every running total equals its history"
            yield Finding(
                name="ledger audit",
                passed=not violations,
                detail=detail + (f" (and {len(violations) - 5} more)" if violations[5:] else ""),
                mend="`polybot halt`, keep a copy of the file, and compare with a backup"
                if violations
                else "",
            )


def check_alerts(examination: Examination) -> Iterator[Finding]:
    """Count the alert channels; their addresses are secrets."""
    count = len(examination.session.settings.alerts.urls)
    detail = f"{count} configured" if count else "none configured, alerts stay in the ledger"
    yield Finding(name="alert channels", passed=True, detail=detail)


def check_venue(examination: Examination) -> Iterator[Finding]:
    """Ask every endpoint for an answer, and the venue for its time."""
    if examination.offline:
        yield Finding(name="venue", passed=True, detail="not asked (--offline)")
        return
    yield from asyncio.run(_ask_venue(examination))


CHECKS: Final[tuple[Check, ...]] = (
    check_settings,
    check_packages,
    check_home,
    check_sqlite,
    check_ledger,
    check_alerts,
    check_venue,
)


async def _ask_venue(examination: Examination) -> list[Finding]:
    from polybot.adapters.web import WebClient

    settings = examination.session.settings
    hosts = settings.hosts
    async with WebClient(timeout_s=settings.venue.timeout_s) as web:

        async def reach(name: str, url: str) -> Finding:
            try:
                await web.get(url)
            except PolybotError as error:
                return _unreachable(name, str(error))
            return Finding(name=name, passed=True, detail=f"{url} answers")

        async def tell_time() -> Finding:
            from polybot.adapters.clock import SystemClock

            began = await SystemClock().now()
            try:
                body = await web.get(f"{hosts.clob_url}/time")
            except PolybotError as error:
                return _unreachable("order book and clock", str(error))
            ended = await SystemClock().now()
            middle_s = (began.timestamp() + ended.timestamp()) / 2
            return _clock_finding(body, local_s=middle_s, mode=settings.mode)

        return list(
            await asyncio.gather(
                reach("market discovery", f"{hosts.gamma_url}/markets?limit=1"),
                tell_time(),
                reach("market data", f"{hosts.data_url}/"),
            )
        )


def _clock_finding(body: bytes | None, *, local_s: float, mode: Mode) -> Finding:
    name = "order book and clock"
    text = (body or b"").strip()
    if not text.isdigit() or len(text) > 11:
        return Finding(name=name, passed=False, detail="/time answered with something else")
    if mode is Mode.SANDBOX:
        return Finding(name=name, passed=True, detail="answers; a sandbox has its own time")
    # The venue tells whole seconds: any instant within that second is no difference.
    told_s = int(text)
    difference_s = max(told_s - local_s, local_s - (told_s + 1), 0.0)
    fits = difference_s <= MAX_CLOCK_DIFFERENCE_S
    return Finding(
        name=name,
        passed=fits,
        detail=f"answers, clocks differ by {difference_s:.1f} s of at most "
        f"{MAX_CLOCK_DIFFERENCE_S:g} s",
        mend="" if fits else "turn on time synchronisation (NTP) on this machine",
    )


def _unreachable(name: str, problem: str) -> Finding:
    return Finding(
        name=name,
        passed=False,
        detail=problem,
        mend="check the connection, or trade on this machine: `polybot up --sandbox`",
    )


def _access(path: Path, name: str, most: int) -> Finding:
    info = path.stat()
    found = stat.S_IMODE(info.st_mode)
    is_private = found & ~most == 0 and info.st_uid == os.getuid()
    return Finding(
        name=f"access to {name}",
        passed=is_private,
        detail=f"{path} has mode {found:04o}, at most {most:04o} is safe",
        mend="" if is_private else f"chmod {most:o} {path} (as its owner)",
    )


def _journal(path: Path) -> Finding:
    from polybot.adapters.storage.sqlite_driver import may_use_wal, sqlite_module

    driver = sqlite_module()
    with closing(driver.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        journal = str(connection.execute("PRAGMA journal_mode").fetchone()[0])
    is_safe = journal != "wal" or may_use_wal(driver.sqlite_version_info)
    return Finding(
        name="ledger journal",
        passed=is_safe,
        detail=journal,
        mend="" if is_safe else "stop everything and start the bot: it changes the journal",
    )
