"""Logs: structured, one event a line, on standard error and in a file per UTC day.

Several processes write at once (each flow run is one), so the file is named by its day and only
ever appended to with single writes; nothing is renamed under another process's feet. Values under
a secret's name, and every secret registered with ``hide``, are masked wherever they turn up.
Other packages' warnings go into the same file.
"""

import contextlib
import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Final, Literal

import structlog

KEPT_DAYS: Final = 14
LONGEST_LINE: Final = 8_000
OUR_LOGGERS: Final = ("polybot", "flows", "tasks", "deployments")
MASK: Final = "***"
_FIELDS: Final = "polybot_fields"
# By name, because a private key and a condition id look the same: 64 hexadecimal digits.
_SECRET_NAMES: Final = re.compile(
    r"secret|password|passphrase|private|mnemonic|api_?key|token$|signature|authorization|cookie"
    r"|credential|database_url|alert_url",
    re.IGNORECASE,
)
_URL_PASSWORD: Final = re.compile(r"(?<=://)[^/\s@]+(?=@)")
_secrets: set[str] = set()

LevelName = Literal["debug", "info", "warning", "error"]
LineFormat = Literal["text", "json"]


def hide(secrets: Iterable[str]) -> None:
    """Mask these texts in every later line, whatever field or message they appear in.

    Texts of fewer than six characters are not taken: masking them would garble everything.
    """
    _secrets.update(secret for secret in secrets if len(secret) >= 6)


def setup_logging(
    home: Path, level: LevelName = "info", *, line_format: LineFormat = "text"
) -> None:
    """Send our events to standard error and to ``home``/logs; a second call replaces the first.

    A folder that cannot be written costs the file, never the run.

    Args:
        home: The bot's folder.
        level: Least level that is written.
        line_format: ``text`` for ``key=value`` pairs, ``json`` for one object a line.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    formatter = _JsonLine() if line_format == "json" else _TextLine()
    handlers: list[logging.Handler] = [_Ours(sys.stderr)]
    with contextlib.suppress(OSError):
        handlers.append(_DayFile(home / "logs"))
    for handler in handlers:
        handler.setFormatter(formatter)
    for name in OUR_LOGGERS:
        logger = logging.getLogger(name)
        _replace_ours(logger, handlers)
        logger.setLevel(threshold)
        logger.propagate = False
    files = [handler for handler in handlers if isinstance(handler, _DayFile)]
    _replace_ours(logging.getLogger(), files)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            _redact,
            _to_record,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


class _Ours(logging.StreamHandler[Any]):
    """Standard error; a closed pipe loses lines, never a run."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say nothing: standard error is where it would be said."""


class _DayFile(logging.Handler):
    """Append whole lines to ``polybot-<UTC day>.log``; days before the last fourteen go."""

    def __init__(self, folder: Path) -> None:
        """Open the folder.

        Raises:
            OSError: It cannot be made or written.
        """
        super().__init__(logging.DEBUG)
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._day = ""
        self._descriptor = -1
        # By the clock that stamps records, whatever clock the bot trades by.
        self._turn(time.time())

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line with one call, so that lines of several processes never mix."""
        # Other packages' chatter stays out; our own loggers have a level of their own.
        if record.levelno < logging.WARNING and not record.name.startswith(OUR_LOGGERS):
            return
        with contextlib.suppress(OSError):
            self._turn(record.created)
            os.write(self._descriptor, f"{self.format(record)}\n".encode("utf-8", "replace"))

    def close(self) -> None:
        """Close the day's file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor, self._day = -1, ""
        super().close()

    def _turn(self, epoch_s: float) -> None:
        day = time.strftime("%Y-%m-%d", time.gmtime(epoch_s))
        if day == self._day:
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        # Owner only: lines tell positions and money.
        descriptor = os.open(self._folder / f"polybot-{day}.log", flags, 0o600)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self._day = descriptor, day
        for old in sorted(self._folder.glob("polybot-????-??-??.log"))[:-KEPT_DAYS]:
            old.unlink(missing_ok=True)


class _TextLine(logging.Formatter):
    """``2026-11-22T10:00:00.123Z info polybot.execution order accepted size=5``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        head = f"{_instant(record)} {record.levelname.lower()} {record.name}"
        return _one_line(f"{head} {_message(record)}")


class _JsonLine(logging.Formatter):
    """The same as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        fields = getattr(record, _FIELDS, None)
        head = {
            "timestamp": _instant(record),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        body = fields if fields is not None else {"event": _message(record)}
        line = json.dumps({**body, **head}, default=str, ensure_ascii=True)
        if len(line) <= LONGEST_LINE:
            return line
        event = str(body.get("event", ""))[:1000]
        return json.dumps({"event": event, "truncated": True, **head}, ensure_ascii=True)


def _redact(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: _masked(name, value) for name, value in event.items()}


def _masked(name: str, value: Any) -> Any:
    if name != "event" and _SECRET_NAMES.search(name) and value is not None:
        return MASK
    if isinstance(value, Mapping):
        return {str(key): _masked(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(name, item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _without_secrets(str(value))


def _without_secrets(text: str) -> str:
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _URL_PASSWORD.sub(MASK, text)


def _to_record(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> tuple[tuple[str], dict[str, Any]]:
    """Give logging a readable message, for Prefect's own log page, and the fields for JSON."""
    pairs = (f"{name}={_quoted(value)}" for name, value in event.items() if name != "event")
    text = " ".join((str(event.get("event", "")), *pairs))
    # An argument, not the message: the message would be searched for % signs.
    return (_one_line(text),), {"extra": {_FIELDS: dict(event)}}


def _quoted(value: Any) -> str:
    text = str(value)
    if text and not re.search(r"[\s\"'=]", text):
        return text
    return json.dumps(text, ensure_ascii=False)


def _message(record: logging.LogRecord) -> str:
    if hasattr(record, _FIELDS):
        return str(record.msg)
    try:
        text = record.getMessage()
    except (TypeError, ValueError):
        text = str(record.msg)
    if record.exc_info and record.exc_info[1] is not None:
        text = f"{text} {type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
    return _without_secrets(text)


def _one_line(text: str) -> str:
    """Return printable text; line breaks, escapes and invisible characters are spelt out."""
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text[:LONGEST_LINE]
    )
    return shown if len(text) <= LONGEST_LINE else f"{shown}…"


def _instant(record: logging.LogRecord) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{whole}.{int(record.msecs):03d}Z"


def _replace_ours(logger: logging.Logger, handlers: Iterable[logging.Handler]) -> None:
    for old in [old for old in logger.handlers if isinstance(old, _Ours | _DayFile)]:
        logger.removeHandler(old)
        old.close()
    for handler in handlers:
        logger.addHandler(handler)
