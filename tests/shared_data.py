"""Recorded data that lies beside the repository, where it was provided."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def require(*parts: str) -> Path:
    """Return a recorded file's path, or skip the test where the data is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"recorded data is absent: {'/'.join(parts)} (expected in ../shared/data)")
    return path
