"""Is this installation fit to trade? One check, one line, and how to mend it.

Everything here reads. The one thing written down is the verdict of live mode, which the gate to
live trading asks for.
"""

from collections.abc import Sequence
from typing import Final

from polybot.cli.doctor_account import check_account, check_key, check_redeemable
from polybot.cli.doctor_local import (
    check_alerts,
    check_home,
    check_ledger,
    check_packages,
    check_prefect,
    check_settings,
    check_sqlite,
)
from polybot.cli.doctor_venue import check_venue
from polybot.cli.findings import Check, Examination, Finding, failure
from polybot.cli.session import Session, print_json, say, wall_clock
from polybot.errors import PolybotError

CHECKS: Final[tuple[Check, ...]] = (
    check_settings,
    check_packages,
    check_prefect,
    check_home,
    check_sqlite,
    check_ledger,
    check_alerts,
    check_key,
    check_venue,
    check_account,
    check_redeemable,
)


_MEND: Final = "mend what it names, and run `polybot doctor` again"
# Where a check cannot even begin; what it finds has a mend of its own.
_MENDS: Final[dict[Check, str]] = {
    check_settings: "correct the settings that are named; docs/configuration.md has each",
    check_ledger: "stop everything, keep a copy of the ledger, restore a backup if it is broken",
}


def run_doctor(session: Session, *, audit: bool, offline: bool, as_json: bool) -> int:
    """Run every check, print what was found, and return the exit code."""
    examination = Examination(session=session, audit=audit, offline=offline)
    findings = examine(examination)
    recorded = record_health(examination, findings)
    findings += recorded
    healthy = all(finding.passed for finding in findings)
    if as_json:
        print_json({"healthy": healthy, "checks": [_document(one) for one in findings]})
    else:
        for finding in findings:
            mend = f" -> {finding.mend}" if finding.mend else ""
            say(f"{finding.grade} {finding.name}: {finding.detail}{mend}")
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
            findings.append(failure(name, str(error), _MENDS.get(check, _MEND)))
        if check is check_settings and not findings[-1].passed:
            break
    return findings


def record_health(examination: Examination, findings: Sequence[Finding]) -> list[Finding]:
    """Keep the verdict of live mode for the gate; other modes need none."""
    if not findings[0].passed or not examination.is_live:
        return []
    from polybot.adapters.health_file import installed_version, write_health
    from polybot.domain.health import HealthRecord

    settings = examination.session.settings
    record = HealthRecord(
        checked_at=wall_clock(),
        mode=settings.mode,
        fingerprint=settings.fingerprint,
        key_address="" if examination.signer is None else examination.signer.address,
        version=installed_version(),
        is_complete=not examination.offline,
        failures=tuple(finding.name for finding in findings if not finding.passed),
    )
    try:
        write_health(settings.home, record)
    except OSError as error:
        detail = f"the verdict cannot be kept in {settings.home}: {error.strerror}"
        return [Finding(name="verdict", passed=False, detail=detail, mend="mend the home's access")]
    return []


def _document(finding: Finding) -> dict[str, object]:
    return {
        "name": finding.name,
        "passed": finding.passed,
        "grade": finding.grade.value.lower(),
        "detail": finding.detail,
        "mend": finding.mend,
    }
