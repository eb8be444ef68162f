"""JSON read strictly: no duplicate keys, no NaN, no float, no byte that is not UTF-8.

Decoders disagree about all of these (the fast ones keep the last of two equal keys and skip
broken UTF-8 in fields they do not need), so the standard library's decoder does the reading, with
its hooks closed, and msgspec checks the shape. Numbers become ``int`` or ``Decimal``.
"""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NoReturn, TypeVar

import msgspec

from polybot.domain.markets import ConditionId, OutcomeTokenId
from polybot.domain.money import parse_decimal
from polybot.errors import DataError

T = TypeVar("T")

# The longest number the venue sends is a 256-bit id of 78 digits.
_LONGEST_NUMBER: Final = 80
_LARGEST_EXPONENT: Final = 40
_TOKEN_ID: Final = re.compile(r"[1-9][0-9]{0,77}", re.ASCII)
_CONDITION_ID: Final = re.compile(r"0x(?:[0-9a-fA-F]{62}|[0-9a-fA-F]{64})", re.ASCII)
_INSTANT: Final = re.compile(
    r"20[0-9]{2}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"(Z|\+00|\+00:00|\+0000)",
    re.ASCII,
)
_COUNT: Final = re.compile(r"[0-9]{1,16}", re.ASCII)
_UNPRINTABLE: Final = re.compile("[\x00\ud800-\udfff]")
# Source: rounding table of the venue's own SDK (polymarket-client 0.14.0, 2026-11-22).
_TICKS: Final = frozenset(map(Decimal, ("0.1", "0.01", "0.005", "0.0025", "0.001", "0.0001")))
# 2020 and 2100: outside lie seconds taken for milliseconds and milliseconds for microseconds.
_EARLIEST_S: Final = 1_577_836_800
_LATEST_S: Final = 4_102_444_800


def decode(body: bytes, shape: type[T], *, reason: str) -> T:
    """Return a body as ``shape``.

    Args:
        body: The answer's bytes, already capped in size.
        shape: A msgspec type; its ``Any`` fields hold exact numbers, texts or containers.
        reason: Of the ``DataError`` where the JSON is sound and its shape is not.

    Raises:
        DataError: ``answer-encoding``, ``answer-not-json``, ``answer-duplicate-keys``, or
            ``reason``.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError("answer is not UTF-8", reason="answer-encoding") from error
    return shaped(decode_text(text), shape, reason=reason)


def decode_text(text: str) -> object:
    """Return the value of a JSON text; errors as in ``decode``."""
    try:
        return json.loads(
            text,
            object_pairs_hook=_unique,
            parse_float=exact_number,
            parse_int=_whole,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"answer is not JSON, it begins {quote(text.lstrip()[:24])}", reason="answer-not-json"
        ) from error


def shaped(value: object, shape: type[T], *, reason: str) -> T:
    """Return a decoded value as ``shape``, or raise ``DataError`` with ``reason``."""
    try:
        return msgspec.convert(value, shape, builtin_types=(Decimal,))
    # Half a surrogate pair where a text or a key is needed is a ValueError of its own.
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise DataError(f"unexpected shape: {str(error)[:120]}", reason=reason) from error


def quote(value: object) -> str:
    """Return a short, escaped, one-line piece of something that came from outside."""
    if isinstance(value, str):
        return ascii(value[:48])[:80]
    if isinstance(value, (int, Decimal)) or value is None:
        return str(value)[:48]
    return type(value).__name__


def number(
    value: object, name: str, *, reason: str, above: Decimal | int, at_most: Decimal | int
) -> Decimal:
    """Return an exact number with ``above < number ≤ at_most``, from JSON number or plain text."""
    # Anything else could be nested too deeply even to be named in a message.
    plain = value if isinstance(value, (int, Decimal, str)) else None
    try:
        exact = parse_decimal(plain)
    except (ValueError, ArithmeticError) as error:
        raise DataError(f"{name} is no number: {quote(value)}", reason=reason) from error
    if not above < exact <= at_most:
        raise DataError(
            f"{name} must be above {above} and at most {at_most}, was {quote(exact)}",
            reason=reason,
        )
    return exact


def tick_size(value: object, *, reason: str) -> Decimal:
    """Return one of the venue's ticks [USDC/share]."""
    tick = number(value, "tick size", reason=reason, above=0, at_most=1)
    if tick not in _TICKS:
        raise DataError(f"tick size is unknown: {quote(tick)}", reason=reason)
    return tick


def token_id(value: object, *, reason: str) -> OutcomeTokenId:
    """Return an outcome token's id: decimal text without leading zeros, below 2²⁵⁶."""
    if not isinstance(value, str) or not _TOKEN_ID.fullmatch(value) or int(value) >= 1 << 256:
        raise DataError(f"token id must be decimal below 2^256: {quote(value)}", reason=reason)
    return OutcomeTokenId(value)


def condition_id(value: object, *, reason: str) -> ConditionId:
    """Return a market's id in lower case with 64 digits.

    Gamma shows the 31-byte ids of v2 markets with 62 digits, the other services want them padded
    on the right. Source: docs.polymarket.com/migrate/polymarket-v2/api-integrations (2026-11-22).
    """
    if not isinstance(value, str) or not _CONDITION_ID.fullmatch(value):
        raise DataError(f"condition id is malformed: {quote(value)}", reason=reason)
    return ConditionId(value.lower().ljust(66, "0"))


def instant(value: object, name: str, *, reason: str) -> datetime:
    """Return an aware UTC instant from the venue's ISO text."""
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise DataError(f"{name} is no UTC time: {quote(value)}", reason=reason)
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except ValueError as error:
        raise DataError(f"{name} is no UTC time: {quote(value)}", reason=reason) from error


def epoch(value: object, name: str, *, reason: str, per_second: int = 1) -> datetime:
    """Return an aware UTC instant from a count since 1970, as number or as digits.

    Args:
        value: The count.
        name: For the message.
        reason: Of the ``DataError``; also where the count was meant in another unit.
        per_second: 1 for seconds, 1000 for milliseconds.
    """
    count = int(value) if isinstance(value, str) and _COUNT.fullmatch(value) else value
    if not isinstance(count, int) or isinstance(count, bool):
        raise DataError(f"{name} is no whole count: {quote(value)}", reason=reason)
    if not _EARLIEST_S * per_second <= count < _LATEST_S * per_second:
        raise DataError(f"{name} is out of range: {quote(value)}", reason=reason)
    return datetime.fromtimestamp(count / per_second, UTC)


def exact_number(text: str) -> Decimal:
    """Return a JSON number exactly.

    Raises:
        ValueError: It is longer, or further from 1, than any number of the venue.
    """
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("number is too long")
    try:
        exact = Decimal(text)
    except ArithmeticError as error:
        raise ValueError("number is out of range") from error
    if abs(exact.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError("number is out of range")
    return exact


def text_list(value: object, name: str, *, reason: str) -> list[str]:
    """Return a list of texts that Gamma wraps into a JSON text of its own."""
    if not isinstance(value, str):
        raise DataError(f"{name} is no JSON text: {quote(value)}", reason=reason)
    try:
        inner = decode_text(value)
    except DataError as error:
        raise DataError(f"{name} is no JSON text: {quote(value)}", reason=reason) from error
    return shaped(inner, list[str], reason=reason)


def free_text(value: str, name: str, *, reason: str, longest: int) -> str:
    """Return text for people, shortened; it stays hostile until a channel escapes it.

    Raises:
        DataError: It holds NUL or half a surrogate pair, which no database stores.
    """
    if _UNPRINTABLE.search(value):
        raise DataError(f"{name} holds characters that are no text", reason=reason)
    return value if len(value) <= longest else value[: longest - 1] + "…"


def parse_server_time(body: bytes) -> datetime:
    """Return the server's clock from ``GET /time``: a bare count of seconds."""
    return epoch(decode(body, Any, reason="time-malformed"), "server time", reason="time-malformed")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise DataError("answer repeats a key in one object", reason="answer-duplicate-keys")
    return found


def _whole(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("number is too long")
    return int(text)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
