"""What is wrong with the settings, in sentences a person can act on, without any secret."""

import re
from collections.abc import Iterator
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from polybot.config.sources import Problem, is_secret, setting_names, variable_name

_LONGEST_VALUE: Final = 60
# Keys, tokens and passwords pasted into the wrong setting.
_SECRET_LOOKS: Final = re.compile(r"://|[0-9A-Za-z+/_-]{24,}")


def describe(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Return one line per problem: ``risk.stake_usdc: must be …; was …``."""
    lines: list[str] = []
    for item in error.errors(include_url=False):
        path = tuple(str(part) for part in item["loc"])
        lines.extend(_lines(model, path, item["type"], item["msg"], item.get("input")))
    return list(dict.fromkeys(lines))


def _lines(
    model: type[BaseModel], path: tuple[str, ...], kind: str, message: str, value: Any
) -> Iterator[str]:
    name = ".".join(path)
    if isinstance(value, Problem):
        yield f"{name}: {value}"
    elif kind == "extra_forbidden":
        yield f"{name}: is not a setting{_suggestion(model, path)}"
    elif kind in ("model_type", "model_attributes_type"):
        yield f"{name}: must be set field by field, as {name}.… or {variable_name(path)}__…"
    elif kind == "value_error" and isinstance(value, dict | BaseModel):
        # A rule over several fields names them itself, one a line.
        for line in message.removeprefix("Value error, ").splitlines():
            yield f"{name}.{line}" if name else line
    else:
        text = message.removeprefix("Value error, ").removeprefix("Input should be ")
        text = text if text.startswith("must ") else f"must be {_lower_first(text)}"
        yield f"{name}: {text}{_shown(model, path, value)}"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _suggestion(model: type[BaseModel], path: tuple[str, ...]) -> str:
    known = [".".join(setting) for setting in setting_names(model)]
    close = get_close_matches(".".join(path), known, n=1, cutoff=0.75)
    return f"; did you mean {close[0]}?" if close else ""


def _shown(model: type[BaseModel], path: tuple[str, ...], value: Any) -> str:
    """Return ``; was …`` for a value that may be shown."""
    if is_secret(model, path) or not isinstance(value, str | int | float | Decimal | tuple | list):
        return ""
    text = value if isinstance(value, str) else str(value)
    if _SECRET_LOOKS.search(text):
        return "; what was given is not shown, it may be a secret"
    printable = ascii(text)[1:-1] if not text.isprintable() else text
    if len(printable) > _LONGEST_VALUE:
        printable = f"{printable[:_LONGEST_VALUE]}…"
    return f"; was {printable or 'empty'}"
