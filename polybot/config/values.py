"""What a single setting may be: plain numbers, amounts, lists, addresses.

Settings arrive as text from the environment, ``.env`` and YAML alike, and are read by the same
strict rules: no ``1_000``, no ``0x10``, no ``yes`` for 1, no NaN, no ``1e9``.
"""

import ipaddress
import json
import re
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")
_NO_ADDRESS = "must be an address: 0x and 40 hexadecimal digits"
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)


def _plain_number(value: Any) -> Any:
    """Refuse what Python would read as a number and a person would not write as one."""
    if isinstance(value, bool) or (isinstance(value, str) and not _NUMBER.fullmatch(value.strip())):
        raise ValueError("must be a plain decimal number")
    return value


def _switch(value: Any) -> Any:
    """Refuse every other way to say it: what turns a guard off is spelt out."""
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.strip() in words:
        return words[value.strip()]
    if not isinstance(value, bool):
        raise ValueError("must be true or false")  # noqa: TRY004 - pydantic's contract
    return value


def _listed(value: Any) -> Any:
    """Read ``a, b`` or ``["a", "b"]``."""
    if not isinstance(value, str):
        return value
    return _json_list(value) or tuple(part for part in re.split(r"[,\s]+", value) if part)


def _spaced(value: Any) -> Any:
    """Read texts separated by white space (they may contain commas), or a JSON list."""
    if not isinstance(value, str):
        return value
    return _json_list(value) or tuple(value.split())


def _json_list(text: str) -> tuple[Any, ...] | None:
    if not text.lstrip().startswith("["):
        return None
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        # Not chained: the parser's message quotes the text, which may be a secret.
        raise ValueError("must be a list: a JSON array, or its items one after the other") from None
    return tuple(values) if isinstance(values, list) else None


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) != len(values):
        raise ValueError("must not name anything twice")
    return values


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _base_url(text: str) -> str:
    """Refuse addresses that would leak, redirect or travel in the clear."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be an address like https://example.com") from None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f]", text):
        raise ValueError("must be an address like https://example.com")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user name or password")
    if parts.query or parts.fragment:
        raise ValueError("must not contain ? or #")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("must be https; http is for this machine only (127.0.0.1, localhost)")
    return text.rstrip("/")


def _socket_url(text: str) -> str:
    """Refuse the same for WebSockets."""
    if urlsplit(text).scheme not in ("ws", "wss"):
        raise ValueError("must be an address like wss://example.com")
    try:
        return "ws" + _base_url("http" + text.removeprefix("ws")).removeprefix("http")
    except ValueError as error:
        message = str(error).replace("https", "wss").replace("http", "ws")
    raise ValueError(message)


def _address(text: str) -> str:
    """Return an account's address with its checksum; name what is wrong with one that is not.

    Source: eips.ethereum.org/EIPS/eip-55 (2026-11-22).
    """
    if text.startswith("0X"):
        raise ValueError("must begin with 0x, with a small x")
    if not text.startswith("0x"):
        is_name = text.endswith(".eth")
        raise ValueError("must be an address, names are not looked up" if is_name else _NO_ADDRESS)
    digits = text[2:]
    strangers = sorted({ascii(one)[1:-1] for one in digits if one not in _HEX_DIGITS})
    if strangers:
        raise ValueError(f"must have hexadecimal digits alone after 0x; {strangers[0]} is none")
    if len(digits) != 40:
        # Next to an address in a wallet stands its key, which is longer.
        near = f", these are {len(digits)}" if 36 <= len(digits) <= 44 else ""
        raise ValueError(f"must have 40 hexadecimal digits after 0x{near}")
    if not int(digits, 16):
        raise ValueError("must not be the zero address")
    # The hash comes with the official client; nothing else here needs it.
    from eth_utils.address import to_checksum_address  # noqa: PLC0415 - only where an address is set

    checked = str(to_checksum_address(text))
    if digits != digits.lower() and text != checked:
        raise ValueError(
            "must have a valid checksum (its capitals): a digit is mistyped, or copy it again; "
            "all small letters are taken unchecked"
        )
    return checked


def _loopback_url(text: str) -> str:
    if not is_loopback(urlsplit(text).hostname or ""):
        raise ValueError("must be on this machine (127.0.0.1, localhost)")
    return text


Plain = BeforeValidator(_plain_number)
Integer = Annotated[int, Plain]
Number = Annotated[float, Plain, Field(allow_inf_nan=False)]
Switch = Annotated[bool, BeforeValidator(_switch)]
# Six decimals: the venue's grid and the ledger's.
Money = Annotated[Decimal, Plain, Field(decimal_places=6)]
Amount = Annotated[Money, Field(gt=0, le=1_000_000)]
Fraction = Annotated[Decimal, Plain, Field(gt=0, lt=1, decimal_places=6)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed), AfterValidator(_distinct)]
Spaced = BeforeValidator(_spaced)
BaseUrl = Annotated[str, AfterValidator(_base_url)]
LoopbackUrl = Annotated[BaseUrl, AfterValidator(_loopback_url)]
SocketUrl = Annotated[str, AfterValidator(_socket_url)]
AccountAddress = Annotated[str, AfterValidator(_address)]
