"""Which tests must share a process when the suite runs on several cores."""

from pathlib import Path

import pytest

# One real stack, and one Prefect API, serve all tests of their folder.
TOGETHER = ("e2e", "flows")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a folder that shares a server in one worker."""
    root = Path(__file__).parent
    for item in items:
        folder = item.path.relative_to(root).parts[0]
        if folder in TOGETHER:
            item.add_marker(pytest.mark.xdist_group(folder))
