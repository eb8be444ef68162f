"""Which versions are installed, read from package metadata without importing anything heavy."""

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

from polybot.cli.session import print_json, say


def show_versions(*, as_json: bool) -> None:
    """Print the versions of polybot, Python and Prefect."""
    versions = {
        "polybot": version_of("polybot"),
        "python": platform.python_version(),
        "prefect": version_of("prefect"),
    }
    if as_json:
        print_json(versions)
    else:
        for name, text in versions.items():
            say(f"{name} {text}")


def version_of(package: str) -> str:
    """Return a package's installed version, or ``not installed``."""
    try:
        return installed_version(package)
    except PackageNotFoundError:
        return "not installed"
