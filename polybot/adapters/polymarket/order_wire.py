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
    answer = _Answer(
        order_id=order_id,
        status=status,
        headers=headers,
        found=found or {},
        text=error_text(found),
        now=now,
    )
    named = _named_order(answer)
    if named is not None and named.lower() != order_id.lower():
        reason = f"answered with another order's id, {named}"
        return OtherOrder(
            result=Unknown(order_id=OrderId(named.lower()), reason=reason), expected_id=order_id
        )
    if 200 <= status < 300:
        return _read_success(answer, time_in_force)
    return _read_failure(answer)


def unanswered(order_id: OrderId, reason: str) -> Undecided:
    """Return what a time-out or a broken connection proves after the request may have left."""
    return Undecided(result=Unknown(order_id=order_id, reason=shown(reason)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    order_id: OrderId
    status: int
    headers: Mapping[str, str]
    found: Mapping[str, object]
    """The body; empty where it is no JSON object."""
    text: str
    """The body's error text, or empty."""
    now: datetime


def _read_success(answer: _Answer, time_in_force: TimeInForce) -> VenueAnswer:
    found, text = answer.found, answer.text
    named, state = found.get("orderID"), found.get("status")
    if named == "" and text and isinstance(found.get("success"), bool):
        return _refusal(answer)
    if (
        found.get("success") is not True
        or found.get("errorMsg") != ""
        or text
        or not named
        or not isinstance(named, str)
        or not isinstance(state, str)
        or state not in set(PlacedState)
    ):
        reason = f"HTTP {answer.status} that proves nothing: status {state!r}, {text!r}"
        return unanswered(answer.order_id, reason)
    return Placed(
        result=Accepted(order_id=answer.order_id, is_resting=time_in_force.rests),
        state=PlacedState(state),
        trade_ids=_trade_ids(found.get("tradeIDs")),
    )


def _read_failure(answer: _Answer) -> VenueAnswer:
    if answer.found.get("success") is True or answer.found.get("orderID"):
        return unanswered(answer.order_id, f"HTTP {answer.status} that names an order")
    has_words = answer.status in (400, 404, 503) and answer.text
    if has_words or answer.status in _REFUSED_AT_THE_DOOR:
        return _refusal(answer)
    return unanswered(answer.order_id, f"HTTP {answer.status}: {answer.text!r}")


def _refusal(answer: _Answer) -> VenueAnswer:
    reason = f"HTTP {answer.status}: {shown(answer.text)}".removesuffix(": ")
    restriction = restriction_of(answer.status, answer.found, answer.text)
    rejected = Rejected(order_id=answer.order_id, reason=reason)
    if is_undecided(answer.text):
        return unanswered(answer.order_id, reason)
    if restriction is not None:
        wait_s = waiting_time_s(restriction, answer.headers, answer.found, now=answer.now)
        return Restricted(result=rejected, restriction=restriction, retry_after_s=wait_s)
    if answer.status == 503:
        return unanswered(answer.order_id, reason)
    return Refused(result=rejected, cause=cause_of(answer.status, answer.text))


def _named_order(answer: _Answer) -> str | None:
    named = answer.found.get("orderID")
    if isinstance(named, str) and named:
        return shown(named)
    mentioned = _NAMED_ORDER.search(answer.text)
    return mentioned[1] if mentioned else None


def _trade_ids(value: object) -> tuple[TradeId, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(
        TradeId(each) for each in value if isinstance(each, str) and _TRADE_ID.fullmatch(each)
    )
