"""The page of all settings, written from the settings themselves."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from polybot.config.settings import Settings
from polybot.config.sources import is_secret, variable_name
from polybot.domain.money import text_of

_UNIT: Final = re.compile(r"\s*\[([^\]]+)\]\.?$")
_HEAD: Final = """\
# Settings

Written by `python -m polybot.config`; do not edit. Every setting has a safe default: without any
configuration the bot trades `btc-15m` on paper with small stakes.

A setting is looked for in this order; the first place that has it wins:

1. the process environment (`POLYBOT_RISK__STAKE_USDC=3`),
2. the file `.env` in the working directory, or the one that `POLYBOT_ENV_FILE` names, in the same
   form (see `.env.example`),
3. the file `polybot.yaml` in the working directory, or the one that `POLYBOT_CONFIG` names (see
   `docs/polybot.example.yaml`),
4. the default.

Secrets are taken from the environment and `.env` only; in YAML they are refused by name. A name
that is not in this list is refused wherever it stands (`.env` may also hold `PREFECT_*` variables,
which Prefect reads), and so is every value outside its bounds; everything that is wrong is listed
at once. An empty variable counts as not set. Numbers are plain decimals: no `1e3`, no `1_000`.
Lists are written `a, b` (addresses for alerts with spaces between them) or as YAML or JSON lists.

Two more variables hold what no setting may: `POLYBOT_PRIVATE_KEY` (with `live.key_source:
environment`) and `POLYBOT_KEY_PASSPHRASE` (of the keystore). They are read in live mode and by
`polybot key` alone, and are refused in `.env` unless `live.accept_plain_key` is true; see
`docs/keys.md`.
"""
_TABLE: Final = (
    "| Setting | Variable | Default | Bounds | Unit | Meaning |",
    "| --- | --- | --- | --- | --- | --- |",
)


def configuration_page() -> str:
    """Return the Markdown page that lists every setting with its unit, default and meaning."""
    parts = [_HEAD, "## General\n", "\n".join((*_TABLE, *_rows(Settings, ()))), ""]
    for name, field in Settings.model_fields.items():
        section = _section(field)
        if section is not None:
            doc = (section.__doc__ or "").strip()
            parts += [f"## `{name}`\n\n{doc}\n", "\n".join((*_TABLE, *_rows(section, (name,)))), ""]
    return "\n".join(parts)


def _section(field: FieldInfo) -> type[BaseModel] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _rows(model: type[BaseModel], path: tuple[str, ...]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if _section(field) is None:
            yield _row(field, (*path, name))


def _row(field: FieldInfo, path: tuple[str, ...]) -> str:
    description = field.description or ""
    unit = _UNIT.search(description)
    if unit is None:
        raise ValueError(f"the description of {'.'.join(path)} must end with its [unit]")
    meaning = f"{description[: unit.start()].rstrip('.')}.".replace("|", "\\|")
    place = "environment or `.env` only" if is_secret(Settings, path) else f"`{'.'.join(path)}`"
    cells = (place, f"`{variable_name(path)}`", _shown(field.default), _bounds(field), unit[1])
    return f"| {' | '.join(cells)} | {meaning} |"


def _bounds(field: FieldInfo) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    limits = {
        name: getattr(rule, name)
        for rule in field.metadata
        for name in signs
        if hasattr(rule, name)
    }
    return ", ".join(f"{signs[name]} {limits[name]}" for name in signs if name in limits)


def _shown(default: Any) -> str:
    if default is None or default == ():
        return "none"
    if isinstance(default, tuple):
        return f"`{', '.join(default)}`"
    if isinstance(default, Decimal):
        return f"`{text_of(default)}`"
    return f"`{default}`"
