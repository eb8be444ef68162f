"""Recorded data that lies beside the repository, where it was provided."""

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[1].parent / "shared"
# Names that begin with POLYBOT_TEST_ are the only ones that are not taken for settings.
SHARED = Path(os.environ.get("POLYBOT_TEST_SHARED", _BESIDE)) / "data"


def require(*parts: str) -> Path:
    """Return a recorded file's path, or skip the test where the data is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"recorded data is absent: {'/'.join(parts)} (expected in ../shared/data)")
    return path
