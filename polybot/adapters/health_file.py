"""The doctor's last record of a mode, in a small file of the home."""

import json
import os
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from uuid import uuid4

from polybot.domain.health import HealthRecord
from polybot.domain.modes import Mode

_LARGEST_FILE = 65_536


def installed_version() -> str:
    """Return which polybot is installed, as the record keeps it."""
    try:
        return version("polybot")
    except PackageNotFoundError:
        return "not installed"


def health_path(home: Path, mode: Mode) -> Path:
    """Return where the record of a mode is kept."""
    return home / f"doctor-{mode}.json"


def write_health(home: Path, record: HealthRecord) -> None:
    """Replace the record of a mode, whole or not at all; it is its owner's alone.

    Raises:
        OSError: The home cannot be written.
    """
    document = {
        "checked_at": record.checked_at.isoformat(),
        "mode": record.mode.value,
        "fingerprint": record.fingerprint,
        "key_address": record.key_address,
        "version": record.version,
        "is_complete": record.is_complete,
        "failures": list(record.failures),
    }
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = health_path(home, record.mode)
    partial = path.with_name(f".{path.name}.{uuid4().hex}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(document))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def read_health(home: Path, mode: Mode) -> HealthRecord | None:
    """Return the record of a mode; ``None`` where none is, or none that can be understood.

    A record that others could have written is none: the gate to live trading believes it.
    """
    path = health_path(home, mode)
    try:
        info = path.stat()
        if info.st_mode & 0o022 or info.st_uid not in (os.getuid(), 0):
            return None
        if info.st_size > _LARGEST_FILE:
            return None
        return _record(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _record(document: Any) -> HealthRecord:
    record = HealthRecord(
        checked_at=datetime.fromisoformat(document["checked_at"]),
        mode=Mode(document["mode"]),
        fingerprint=document["fingerprint"],
        key_address=document["key_address"],
        version=document["version"],
        is_complete=document["is_complete"],
        failures=tuple(document["failures"]),
    )
    texts = (record.fingerprint, record.key_address, record.version, *record.failures)
    if not all(isinstance(text, str) for text in texts) or record.checked_at.tzinfo is None:
        raise ValueError("not a record of the doctor")
    if not isinstance(record.is_complete, bool):
        raise TypeError("not a record of the doctor")
    return record
