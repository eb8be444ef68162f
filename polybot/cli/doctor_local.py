"""The doctor's checks of this machine: settings, packages, files, ledger, Prefect."""

import ipaddress
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from polybot.cli.findings import Examination, Finding, failure, ok, warning
from polybot.cli.versions import version_of

# Their ceilings are load-bearing: without them Prefect does not start or schedules nothing.
_PINNED: Final = ("prefect", "fastapi", "sqlalchemy", "apprise")
# Below, any path that ends in "health" is let in without a password (CVE-2026-3514, CVE-2026-7722).
_PREFECT_RANGE: Final = ">=3.6.22,<3.10"
_PREFECT_TIMEOUT_S: Final = 60
# Asked in a process of its own: this package does not import Prefect, and only Prefect knows what
# its profiles, files and variables come to.
_ASK_PREFECT: Final = "deployments.prefect_exposure"


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
        if (home / "venue").exists():
            yield _access(home / "venue", "the venue's notes", 0o700)
        for path in sorted((home / "logs").glob("polybot-*.log"))[-1:]:
            yield _access(path, "the logs", 0o600)
    settings = examination.session.settings
    secrets_file = Path(os.environ.get("POLYBOT_ENV_FILE") or ".env")
    for secret in (secrets_file, settings.keystore_path, settings.live.passphrase_file):
        if secret is not None and secret.exists():
            yield _access(secret, secret.name, 0o600)


def check_sqlite(_: Examination) -> Iterator[Finding]:
    """Tell which SQLite is linked; where its WAL is not safe, the ledger does without."""
    from polybot.sqlite_driver import may_use_wal, sqlite_module

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
        if examination.audit or examination.is_live:
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
    if count:
        yield ok("alert channels", f"{count} configured")
    elif examination.is_live:
        yield warning(
            "alert channels",
            "none configured: nobody is told of a halt",
            "set POLYBOT_ALERTS__URLS",
        )
    else:
        yield ok("alert channels", "none configured, alerts stay in the ledger")


def check_prefect(_: Examination) -> Iterator[Finding]:
    """Look at Prefect's version, and at who can reach its server."""
    from packaging.specifiers import SpecifierSet

    version = version_of("prefect")
    if version == "not installed" or not SpecifierSet(_PREFECT_RANGE).contains(version):
        yield failure("prefect version", f"{version}, safe is {_PREFECT_RANGE}", "run `make setup`")
        return
    yield ok("prefect version", f"{version}, safe is {_PREFECT_RANGE}")
    try:
        asked = subprocess.run(  # noqa: S603 - this interpreter and a constant
            [sys.executable, "-m", _ASK_PREFECT],
            capture_output=True,
            text=True,
            timeout=_PREFECT_TIMEOUT_S,
            check=False,
        )
        told = json.loads(asked.stdout.splitlines()[-1])
        yield exposure(**told)
    except (subprocess.TimeoutExpired, ValueError, IndexError, TypeError):
        yield failure(
            "prefect exposure", "Prefect's settings cannot be read", "prefect config view"
        )


def exposure(*, api_url: str | None, host: str, has_key: bool, has_password: bool) -> Finding:
    """Judge who can reach the Prefect server: this machine alone, or others with a password.

    Args:
        api_url: Where our processes look for the server; ``None`` for one of their own.
        host: Where a server that is started here listens.
        has_key: Our processes send an auth string or an API key.
        has_password: A server that is started here asks for an auth string.
    """
    name = "prefect exposure"
    remote = urlsplit(api_url or "http://127.0.0.1").hostname or ""
    if not _is_loopback(host) and not has_password:
        return failure(
            name,
            f"its server would listen on {host} and ask for no password: anyone who reaches it "
            "runs code here",
            "set PREFECT_SERVER_API_HOST=127.0.0.1, or PREFECT_SERVER_API_AUTH_STRING",
        )
    if not _is_loopback(remote) and not has_key:
        return failure(
            name,
            f"its server at {remote} is used without a password",
            "set PREFECT_API_AUTH_STRING to the server's, or use one on 127.0.0.1",
        )
    places = "on this machine alone" if _is_loopback(remote) else f"at {remote}, with a password"
    return ok(name, f"its server is {places}")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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
    from polybot.sqlite_driver import may_use_wal, sqlite_module

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
