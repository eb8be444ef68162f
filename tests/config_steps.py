"""An empty place for settings, and what is refused of them."""

import os
from pathlib import Path

import pytest

from polybot.config import load_settings
from polybot.errors import ConfigurationError

SECRET = "hunter2-very-secret"
CHECKED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # of the list in EIP-55


def empty_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, without any of our variables."""
    for name in os.environ:
        if name.upper().startswith("POLYBOT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(folder)
    return folder


def refusal(**overrides: object) -> list[str]:
    """Return the lines of what load_settings refuses."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**overrides)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("the settings are not usable")
    return [line.strip() for line in lines[1:]]
