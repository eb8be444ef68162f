"""The order request's bytes, and what every answer to it proves.

``Rejected`` needs proof that the order does not exist; whatever does not prove it is ``Unknown``
and is looked up by the order's id. The answer's amounts are ignored: their unit differs between
sources, and fills come from trades.

Sources: docs.polymarket.com/api-reference/trade/post-a-new-order and
/resources/error-codes (2026-11-22); answers of live orders that their authors published.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from polybot.adapters.polymarket.answers import (
    RefusalCause,
    Restriction,
    cause_of,
    error_text,
    is_undecided,
    read_object,
    restriction_of,
    shown,
    waiting_time_s,
)
from polybot.adapters.polymarket.signing import SignedOrder
from polybot.domain.orders import Accepted, OrderId, Rejected, Side, TimeInForce, TradeId, Unknown

_OWNER: Final = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)
_TRADE_ID: Final = re.compile(r"[0-9A-Za-z-]{1,80}", re.ASCII)
# Refusals name the order that they are about: "order 0x… is invalid. Duplicated."
_NAMED_ORDER: Final = re.compile(r"\border (0x[0-9a-fA-F]{64})\b", re.ASCII)
# These statuses refuse before the matching engine has seen the order, whatever the body says.
_REFUSED_AT_THE_DOOR: Final = frozenset({401, 403, 425, 429})


class PlacedState(StrEnum):
    """What the venue did with an order that it took."""

    LIVE = "live"
    """It rests in the book."""
    MATCHED = "matched"
    """It matched, at least partly."""
    DELAYED = "delayed"
    """It is held for the taker delay and may still match or be killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """The venue has the order under our id."""

    result: Accepted
    state: PlacedState
    trade_ids: tuple[TradeId, ...]
    """Trades that the answer names; more may follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The venue does not have the order and says why."""

    result: Rejected
    cause: RefusalCause


@dataclass(frozen=True, slots=True, kw_only=True)
class Restricted:
    """The venue does not have the order because it takes none, or none of ours, for a while."""

    result: Rejected
    restriction: Restriction
    retry_after_s: float
    """How long no such order should be sent [s], clamped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """The venue may have the order: look it up by its id."""

    result: Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherOrder:
    """The answer is about an order with another id: halt, our ids cannot be relied on.

    ``result`` carries the venue's id, so that whoever compares it with ours sees the difference.
    """

    result: Unknown
    expected_id: OrderId


VenueAnswer = Placed | Refused | Restricted | Undecided | OtherOrder
"""What one answer to one submission proves; ``result`` is what the ledger records."""


def build_order_body(signed: SignedOrder, *, owner: str) -> bytes:
    """Return the body of ``POST /order``, the same bytes for the same order every time.

    Key order and spacing are those of the official client. All texts in it are hexadecimal,
    decimal, an enumeration's, or ``owner``, so nothing needs escaping.

    Args:
        signed: The order.
        owner: The API key's id.

    Raises:
        ValueError: ``owner`` is no API key id.
    """
    if not _OWNER.fullmatch(owner):
        raise ValueError("owner must be an API key id")
    fields = signed.fields
    side = "BUY" if fields.side is Side.BUY else "SELL"
    post_only = ',"postOnly":true' if fields.is_post_only else ""
    return (
        f'{{"deferExec":false,"order":{{"builder":"{fields.builder}"'
        f',"expiration":"{fields.expires_s}"'
        f',"maker":"{fields.maker}"'
        f',"makerAmount":"{fields.amounts.maker}"'
        f',"metadata":"{fields.metadata}"'
        f',"salt":{fields.salt}'
        f',"side":"{side}"'
        f',"signature":"{signed.signature}"'
        f',"signatureType":{int(fields.signature_type)}'
        f',"signer":"{fields.signer}"'
        f',"takerAmount":"{fields.amounts.taker}"'
        f',"timestamp":"{fields.timestamp_ms}"'
        f',"tokenId":"{fields.token_id}"}}'
        f',"orderType":"{fields.time_in_force.value}"'
        f',"owner":"{owner}"{post_only}}}'
    ).encode("ascii")


def read_order_answer(
    order_id: OrderId,
    time_in_force: TimeInForce,
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
) -> VenueAnswer:
    """Return what an answer to ``POST /order`` proves; never raises for what is in it.

    Args:
        order_id: The id that was computed before sending.
        time_in_force: Of the order that was sent.
        status: HTTP status.
        headers: HTTP headers; ``Retry-After`` in any case.
        body: The whole body, or its first 64 KiB.
        now: For a ``Retry-After`` that is a date.
    """
    found = read_object(body)
    text = error_text(found)
    named = _named_order(found, text)
    if named is not None and named.lower() != order_id.lower():
        reason = f"answered with another order's id, {named}"
        return OtherOrder(
            result=Unknown(order_id=OrderId(named.lower()), reason=reason), expected_id=order_id
        )
    if 200 <= status < 300:
        return _read_success(order_id, time_in_force, found, text, headers, now)
    return _read_failure(order_id, status, found, text, headers, now)


def unanswered(order_id: OrderId, reason: str) -> Undecided:
    """Return what a time-out or a broken connection proves after the request may have left."""
    return Undecided(result=Unknown(order_id=order_id, reason=shown(reason)))


def _read_success(
    order_id: OrderId,
    time_in_force: TimeInForce,
    found: dict[str, object] | None,
    text: str,
    headers: Mapping[str, str],
    now: datetime,
) -> VenueAnswer:
    if found is None:
        return unanswered(order_id, "success without a JSON object")
    success, answered, state = found.get("success"), found.get("orderID"), found.get("status")
    if answered == "" and text and isinstance(success, bool):
        return _refusal(order_id, 400, found, text, headers, now)
    is_whole = "errorMsg" in found and isinstance(answered, str) and answered
    if success is not True or text or not is_whole or state not in set(PlacedState):
        return unanswered(order_id, f"success that proves nothing: status {state!r}, {text!r}")
    return Placed(
        result=Accepted(order_id=order_id, is_resting=time_in_force.rests),
        state=PlacedState(str(state)),
        trade_ids=_trade_ids(found.get("tradeIDs")),
    )


def _read_failure(
    order_id: OrderId,
    status: int,
    found: dict[str, object] | None,
    text: str,
    headers: Mapping[str, str],
    now: datetime,
) -> VenueAnswer:
    if found is not None and (found.get("success") is True or found.get("orderID")):
        return unanswered(order_id, f"HTTP {status} that names an order: {text!r}")
    if status in _REFUSED_AT_THE_DOOR:
        return _refusal(order_id, status, found, text, headers, now)
    if status in (400, 404, 503) and text:
        return _refusal(order_id, status, found, text, headers, now)
    return unanswered(order_id, f"HTTP {status}: {text!r}")


def _refusal(
    order_id: OrderId,
    status: int,
    found: dict[str, object] | None,
    text: str,
    headers: Mapping[str, str],
    now: datetime,
) -> VenueAnswer:
    reason = f"HTTP {status}: {shown(text)}" if text else f"HTTP {status}"
    if is_undecided(text):
        return unanswered(order_id, reason)
    restriction = restriction_of(status, found, text)
    if restriction is not None:
        return Restricted(
            result=Rejected(order_id=order_id, reason=reason),
            restriction=restriction,
            retry_after_s=waiting_time_s(restriction, headers, found, now=now),
        )
    if status == 503:
        return unanswered(order_id, reason)
    return Refused(result=Rejected(order_id=order_id, reason=reason), cause=cause_of(status, text))


def _named_order(found: dict[str, object] | None, text: str) -> str | None:
    answered = found.get("orderID") if found else None
    if isinstance(answered, str) and answered:
        return shown(answered)
    named = _NAMED_ORDER.search(text)
    return named[1] if named else None


def _trade_ids(value: object) -> tuple[TradeId, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(
        TradeId(each) for each in value if isinstance(each, str) and _TRADE_ID.fullmatch(each)
    )
