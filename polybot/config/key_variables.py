"""The private key's own variables: looked up when the key is taken, never part of the settings.

So paper mode holds no key, and no settings object, fingerprint or page can show one.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from polybot.config.sources import (
    DOT_ENV,
    KEY_PASSPHRASE,
    PREFIX,
    PRIVATE_KEY,
    FileProblemError,
    read_text,
)
from polybot.errors import ConfigurationError

NAMES: Final = (PRIVATE_KEY, KEY_PASSPHRASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyVariable:
    """A secret that was found, and where."""

    name: str
    value: SecretStr
    file: Path | None
    """The ``.env`` file that it stands in; ``None`` for the environment."""


def key_variable(name: str) -> KeyVariable | None:
    """Return ``POLYBOT_PRIVATE_KEY`` or ``POLYBOT_KEY_PASSPHRASE``; ``None`` where it is not set.

    The environment wins over ``.env``, upper or lower case, as with the settings.

    Raises:
        ConfigurationError: The ``.env`` file cannot be read; nothing of it is repeated.
    """
    if name not in NAMES:
        raise ValueError(f"not a variable of the key: {name[:40]}")
    found = _secret_in(os.environ, name)
    if found is not None:
        return KeyVariable(name=name, value=found, file=None)
    file = Path(os.environ.get(f"{PREFIX}ENV_FILE") or DOT_ENV)
    found = _secret_in_file(file, name)
    return None if found is None else KeyVariable(name=name, value=found, file=file)


def _secret_in(variables: Mapping[str, str], name: str) -> SecretStr | None:
    # Values are never bound to a name: tracebacks with local variables would print them.
    spelt = next((one for one in variables if one.upper() == name and variables[one]), None)
    return None if spelt is None else SecretStr(variables[spelt])


def _secret_in_file(file: Path, name: str) -> SecretStr | None:
    if not os.path.lexists(file):
        return None
    try:
        return _secret_in(_Hidden(file), name)
    except FileProblemError as error:
        problem = str(error)
    raise ConfigurationError(f"{file} {problem}")


class _Hidden(dict[str, str]):
    """The variables of a ``.env`` file, without a repr that shows them."""

    __slots__ = ()

    def __init__(self, file: Path) -> None:
        from dotenv.parser import parse_stream  # noqa: PLC0415 - only where a .env file exists

        super().__init__(
            (binding.key, binding.value)
            for binding in parse_stream(StringIO(read_text(file)))
            if binding.key is not None and binding.value is not None
        )

    def __repr__(self) -> str:
        """Tell how many there are."""
        return f"<{len(self)} variables, hidden>"
