"""The venue's words: error texts, restrictions and waiting times of order requests.

The texts are matched by the part that carries the meaning, in any case; one that nobody has seen
before stays a refusal (or unknown) with its text shown, and never gets a meaning by accident.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

from polybot.adapters.polymarket.wire.strict import decode_text
from polybot.errors import DataError

# An answer to one order is under a kilobyte.
LONGEST_BODY: Final = 65_536
_SECONDS: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)


class Restriction(StrEnum):
    """Why the venue takes no order like this one for a while."""

    RESTARTING = "restarting"
    """The engine restarts; nothing works, cancels neither."""
    POST_ONLY = "post-only"
    """Only post-only orders and cancels."""
    CANCEL_ONLY = "cancel-only"
    """Only cancels."""
    DISABLED = "disabled"
    """Nothing."""
    RATE_LIMITED = "rate-limited"
    """We asked too often."""

    @property
    def allows_cancels(self) -> bool:
        """Whether cancels still work."""
        return self in (Restriction.POST_ONLY, Restriction.CANCEL_ONLY, Restriction.RATE_LIMITED)


class RefusalCause(StrEnum):
    """What has to change before such an order can pass."""

    BALANCE = "balance"
    """Cash or allowance is missing: refresh both, trade no more until they are known."""
    TICK = "tick"
    """The price is off the tick: read the market again."""
    MINIMUM = "minimum"
    """Too small: drop the intent."""
    PRECISION = "precision"
    """Too many decimals: a defect of ours."""
    NOT_FILLED = "not-filled"
    """Nothing to match within the limit; final. Trades are still worth a look: late fills of
    killed orders were reported (github.com/Polymarket/clob-client/issues/317)."""
    CROSSES_BOOK = "crosses-book"
    """A post-only order would have matched."""
    VERSION = "version"
    """Signed for another exchange: read the market's version again, and alert."""
    CONFIGURATION = "configuration"
    """Wallet, signature type or API key do not belong together: a person must mend it."""
    EXPIRATION = "expiration"
    NONCE = "nonce"
    NOT_READY = "not-ready"
    """The market takes no orders yet."""
    UNAUTHORIZED = "unauthorized"
    """Credentials or clock: derive the credentials again, once."""
    FORBIDDEN = "forbidden"
    """The region or the edge refuses us."""
    MARKET_CLOSED = "market-closed"
    OTHER = "other"

    @property
    def must_halt(self) -> bool:
        """Whether every further order would fail the same way until a person acts."""
        return self in (
            RefusalCause.CONFIGURATION,
            RefusalCause.FORBIDDEN,
            RefusalCause.VERSION,
            RefusalCause.PRECISION,
        )


# Exists already, held, or broken off in the middle: none of these says that there is no order.
_UNDECIDED: Final = (
    "duplicated",
    "order match delayed due to market conditions",
    "order timed out",
    "could not run the execution",
)
_CAUSES: Final = (
    ("not enough balance", RefusalCause.BALANCE),
    ("breaks minimum tick size rule", RefusalCause.TICK),
    ("lower than the minimum", RefusalCause.MINIMUM),
    ("min size:", RefusalCause.MINIMUM),
    ("invalid amounts", RefusalCause.PRECISION),
    ("maximum lot size", RefusalCause.PRECISION),
    ("fok orders are fully filled or killed", RefusalCause.NOT_FILLED),
    ("no orders found to match with fak order", RefusalCause.NOT_FILLED),
    ("invalid post-only order", RefusalCause.CROSSES_BOOK),
    ("crosses the book", RefusalCause.CROSSES_BOOK),
    ("order_version_mismatch", RefusalCause.VERSION),
    ("maker address not allowed", RefusalCause.CONFIGURATION),
    ("signer address has to be the address of the api key", RefusalCause.CONFIGURATION),
    ("order owner has to be the owner of the api key", RefusalCause.CONFIGURATION),
    ("invalid expiration", RefusalCause.EXPIRATION),
    ("invalid nonce", RefusalCause.NONCE),
    ("not yet ready to process new orders", RefusalCause.NOT_READY),
    ("no orderbook exists", RefusalCause.MARKET_CLOSED),
    ("market not found", RefusalCause.MARKET_CLOSED),
)
# A restart takes about 90 s, post-only mode two minutes more; the other two are not announced.
# The second figure is the longest wait that an answer can ask for [s].
_WAITS: Final = {
    Restriction.RESTARTING: (90.0, 600.0),
    Restriction.POST_ONLY: (120.0, 600.0),
    Restriction.CANCEL_ONLY: (60.0, 600.0),
    Restriction.DISABLED: (60.0, 600.0),
    Restriction.RATE_LIMITED: (1.0, 60.0),
}


def read_object(body: bytes) -> dict[str, object] | None:
    """Return the JSON object in a body, or ``None`` where there is none that can be trusted.

    Not UTF-8, repeated keys, NaN, numbers beyond reason, or longer than 64 KiB: none is read.
    """
    if len(body) > LONGEST_BODY:
        return None
    try:
        found = decode_text(body.decode("utf-8"))
    except (UnicodeDecodeError, DataError):
        return None
    return found if isinstance(found, dict) else None


def error_text(found: dict[str, object] | None) -> str:
    """Return the answer's error text, by any of its three names; empty where it has none."""
    for key in ("error", "error_msg", "errorMsg"):
        text = found.get(key) if found else None
        if isinstance(text, str) and text:
            return text
    return ""


def is_undecided(text: str) -> bool:
    """Whether an error leaves open if the order exists."""
    lowered = text.lower()
    return any(phrase in lowered for phrase in _UNDECIDED)


def restriction_of(status: int, found: Mapping[str, object], text: str) -> Restriction | None:
    """Return the restriction that an answer reports, from its status, its code or its text."""
    lowered = text.lower()
    code = found.get("code")
    if status == 425 or "matching engine is restarting" in lowered:
        return Restriction.RESTARTING
    if status == 429:
        return Restriction.RATE_LIMITED
    if code == "post_only_mode" or "post-only mode" in lowered:
        return Restriction.POST_ONLY
    if "cancel-only" in lowered:
        return Restriction.CANCEL_ONLY
    if "trading is currently disabled" in lowered:
        return Restriction.DISABLED
    return None


def cause_of(status: int, text: str) -> RefusalCause:
    """Return why an order was refused."""
    if status == 401:
        return RefusalCause.UNAUTHORIZED
    if status == 403:
        return RefusalCause.FORBIDDEN
    lowered = text.lower()
    return next((cause for phrase, cause in _CAUSES if phrase in lowered), RefusalCause.OTHER)


def waiting_time_s(
    restriction: Restriction,
    headers: Mapping[str, str],
    found: Mapping[str, object],
    *,
    now: datetime,
) -> float:
    """Return how long to wait [s], from ``Retry-After`` or the body, clamped and never negative.

    Source: httpwg.org/specs/rfc9110.html#field.retry-after (2026-11-22): seconds or a date.
    """
    usual, longest = _WAITS[restriction]
    header = next((text for name, text in headers.items() if name.lower() == "retry-after"), "")
    asked = _seconds_of(header.strip(), now)
    if asked is None:
        asked = _number_of(found.get("retry_after_seconds"))
    return usual if asked is None else min(max(asked, 0.0), longest)


def shown(text: str) -> str:
    """Return a short, escaped, one-line piece of text that came from outside."""
    return ascii(text[:160])[1:-1][:200]


def _seconds_of(header: str, now: datetime) -> float | None:
    if _SECONDS.fullmatch(header):
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return float(math.ceil((until - now).total_seconds()))


def _number_of(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
