"""What a piece of bad input may cost in memory, and how that is measured."""

import gc
from pathlib import Path
from typing import Final

SMALL: Final = 16 << 20


class PeakMemory:
    """The most that the process held in memory since a moment, by the kernel's own mark."""

    def __init__(self) -> None:
        """Put the mark down to what is held now."""
        # What the tests before have freed must not hide what is taken now.
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")
        self._before = self._peak_bytes()

    def grown_bytes(self) -> int:
        """Return how much higher the mark is by now."""
        return self._peak_bytes() - self._before

    @staticmethod
    def _peak_bytes() -> int:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
