"""What an examination of the installation found, as it is kept for the gate to live trading."""

from dataclasses import dataclass
from datetime import datetime

from polybot.domain.modes import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRecord:
    """The last `polybot doctor` of a mode."""

    checked_at: datetime
    mode: Mode
    fingerprint: str
    """Of the settings that were examined."""
    key_address: str
    """Of the key that was examined; empty where none was looked at."""
    version: str
    """Of polybot."""
    is_complete: bool
    """Whether every check ran: one that left out the network or the ledger proves nothing."""
    failures: tuple[str, ...]
    """Names of the checks that failed."""

    @property
    def is_green(self) -> bool:
        """Whether everything was looked at and nothing was wrong."""
        return self.is_complete and not self.failures
