"""Which file systems a SQLite ledger may lie on: none that another machine serves.

Locks and synchronised writes of network file systems are promises of the server, and SQLite's
write-ahead log needs memory that both sides share. A ledger that two machines open there breaks.

Source: sqlite.org/wal.html and sqlite.org/howtocorrupt.html, section 2.1 (2026-11-22).
"""

import re
from pathlib import Path
from typing import Final

from polybot.errors import ConfigurationError

MOUNTS: Final = Path("/proc/mounts")
_NETWORK: Final = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "lustre", "ncpfs",
        "nfs", "nfs4", "smb3", "smbfs",
        "fuse.ceph", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs",
        "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
    }
)  # fmt: skip
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


def refuse_network_file_system(path: Path, *, mounts: Path = MOUNTS) -> None:
    """Refuse a ledger that would lie on a network file system.

    Args:
        path: The ledger's file; it need not exist.
        mounts: The kernel's table of mounts; where there is none, nothing is known or refused.

    Raises:
        ConfigurationError: It would; another place is named.
    """
    kind = file_system_of(path, mounts=mounts)
    if kind in _NETWORK:
        raise ConfigurationError(
            f"ledger {path} would lie on a network file system ({kind}), whose locks do not keep "
            "it whole: set POLYBOT_HOME to a local disk, or POLYBOT_DATABASE_URL to a server"
        )


def file_system_of(path: Path, *, mounts: Path = MOUNTS) -> str | None:
    """Return the type of the file system that a path lies on; ``None`` where it is not known."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        place = path.parent.resolve()
    except OSError:
        return None
    deepest, kind = -1, None
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        # The table writes spaces, tabs and backslashes of a path as octal numbers.
        point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[1]))
        # A later mount on the same place hides an earlier one.
        if place.is_relative_to(point) and len(point.parts) >= deepest:
            deepest, kind = len(point.parts), fields[2]
    return kind
