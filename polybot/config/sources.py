"""Where settings come from: the environment, then ``.env``, then ``polybot.yaml``.

A source never raises: what is wrong with it is reported under the place's name as a ``Problem``,
which no setting accepts, so that everything wrong is listed at once.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

PREFIX: Final = "POLYBOT_"
DOT_ENV: Final = ".env"
DEFAULT_YAML: Final = "polybot.yaml"
PRIVATE_KEY: Final = "POLYBOT_PRIVATE_KEY"
KEY_PASSPHRASE: Final = "POLYBOT_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable
OTHER_NAMES: Final = frozenset(
    {
        "POLYBOT_CONFIG",
        "POLYBOT_ENV_FILE",
        "POLYBOT_RUN_LIVE_TESTS",
        # Never part of the settings object: they are read where the key is taken, in live mode.
        PRIVATE_KEY,
        KEY_PASSPHRASE,
    }
)
"""Variables that are ours without being settings."""
OTHER_PREFIXES: Final = ("POLYBOT_TEST_",)
# Far above any real settings file, far below what hurts.
LARGEST_FILE: Final = 65_536


class Problem(str):
    """Why a source, or a part of it, cannot be used; a sentence without any of its values."""

    __slots__ = ()


class FileProblemError(Exception):
    """Carry the reason why a file cannot be used, and where in it."""

    def __init__(self, reason: str, *, line: int | None = None) -> None:
        """Keep the line, counted from 1."""
        super().__init__(reason)
        self.line = line


def setting_names(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every single setting, ``("risk", "stake_usdc")``, in order."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from setting_names(field.annotation, (*path, name))
        else:
            yield (*path, name)


def variable_name(path: tuple[str, ...]) -> str:
    """Return ``POLYBOT_RISK__STAKE_USDC``."""
    return PREFIX + "__".join(path).upper()


def is_secret(model: type[BaseModel], path: tuple[str, ...]) -> bool:
    """Whether the setting at a path holds a secret."""
    fields: dict[str, FieldInfo] = model.model_fields
    field = fields.get(path[0]) if path else None
    if field is None:
        return False
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        return is_secret(field.annotation, path[1:])
    return SecretStr.__name__ in str(field.annotation)


def read_text(path: Path) -> str:
    """Return a small text file.

    Raises:
        FileProblemError: Not a readable UTF-8 file of at most ``LARGEST_FILE`` bytes.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise FileProblemError("cannot be read: not a file")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise FileProblemError(f"must be at most {LARGEST_FILE} bytes")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise FileProblemError(f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise FileProblemError("is not UTF-8 text", line=line) from None


class VariableSource(EnvSettingsSource):
    """``POLYBOT_*`` variables of the process; unknown ones are reported, not ignored."""

    def __call__(self) -> dict[str, Any]:
        """Return the settings found, and a problem for each name that is none."""
        return {**super().__call__(), **self.problems()}

    def problems(self) -> dict[str, Problem]:
        """Return what is wrong with the variables' names."""
        return {
            name: self.unknown(name)
            for name in map(str.upper, self.env_vars)
            if name.startswith(PREFIX) and not self._is_known(name)
        }

    def unknown(self, name: str) -> Problem:
        """Say that a variable is no setting, and which one it resembles."""
        known = [variable_name(path) for path in setting_names(self.settings_cls)]
        close = get_close_matches(name, known, n=1, cutoff=0.75)
        return Problem("is not a setting" + (f"; did you mean {close[0]}?" if close else ""))

    def _is_known(self, name: str) -> bool:
        head = name.removeprefix(PREFIX).split("__")[0].lower()
        return (
            head in self.settings_cls.model_fields
            or name in OTHER_NAMES
            or name.startswith(OTHER_PREFIXES)
        )


class DotEnvSource(VariableSource):
    """The same variables from a ``.env`` file, which Prefect reads too."""

    def __init__(self, settings_cls: type[BaseSettings], path: Path) -> None:
        """Read the file; a missing one gives nothing."""
        self._file = path
        self._file_problems: dict[str, Problem] = {}
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        path = self._file
        if not os.path.lexists(path):
            return {}
        try:
            pairs = list(self._pairs(read_text(path)))
        except FileProblemError as error:
            place = f"{path}" if error.line is None else f"{path} line {error.line}"
            self._file_problems[place] = Problem(str(error))
            return {}
        return {name.lower(): value for name, value in pairs if value}

    def _pairs(self, text: str) -> Iterator[tuple[str, str | None]]:
        from io import StringIO  # noqa: PLC0415 - only where a .env file exists

        from dotenv.parser import parse_stream  # noqa: PLC0415

        for binding in parse_stream(StringIO(text)):
            if binding.error:
                self._file_problems[f"{self._file} line {binding.original.line}"] = Problem(
                    "is not of the form NAME=value"
                )
            elif binding.key is not None:
                yield binding.key, binding.value

    def problems(self) -> dict[str, Problem]:
        """Return what is wrong with the file and with every name in it."""
        strangers = {
            f"{self._file}: {name}": Problem(
                "is not a setting; this file takes POLYBOT_* and PREFECT_* variables only"
            )
            for name in map(str.upper, self.env_vars)
            if not name.startswith((PREFIX, "PREFECT_"))
        }
        return {**self._file_problems, **strangers, **super().problems()}


class YamlSource(PydanticBaseSettingsSource):
    """Everything that is not secret, from one YAML file."""

    def __init__(self, settings_cls: type[BaseSettings], named: str | None) -> None:
        """Take the file that ``POLYBOT_CONFIG`` names, or the default where there is one."""
        super().__init__(settings_cls)
        self._path = Path(named or DEFAULT_YAML)
        self._is_named = bool(named)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return no value: ``__call__`` reads the whole file at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the file's settings, and a problem for each secret in it."""
        if not self._is_named and not os.path.lexists(self._path):
            return {}
        from polybot.config.yaml_file import parse_yaml  # noqa: PLC0415 - yaml, where it is used

        try:
            document = parse_yaml(read_text(self._path))
        except FileProblemError as error:
            place = f"{self._path}" + (f" line {error.line}" if error.line else "")
            return {place: Problem(str(error))}
        return self._without_secrets(document)

    def _without_secrets(self, document: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {
            # A section whose every line is commented out says nothing.
            name: {} if value is None and name in self._sections() else value
            for name, value in document.items()
        }
        for path in setting_names(self.settings_cls):
            if not is_secret(self.settings_cls, path):
                continue
            holder = found if len(path) == 1 else found.get(path[0])
            if isinstance(holder, dict) and path[-1] in holder:
                if len(path) > 1:
                    found[path[0]] = holder = dict(holder)
                del holder[path[-1]]
                found[f"{self._path}: {'.'.join(path)}"] = Problem(
                    f"is a secret: set {variable_name(path)} in the environment or in .env"
                )
        return found

    def _sections(self) -> set[str]:
        return {path[0] for path in setting_names(self.settings_cls) if len(path) > 1}
