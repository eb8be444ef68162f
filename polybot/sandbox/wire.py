"""Small pieces that every route shares: JSON answers and query parameters."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response


def json_answer(payload: object, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(msgspec.json.encode(payload), status_code=status, media_type="application/json")


def query_int(
    request: Request, name: str, *, default: int | None = None, largest: int = 10**15
) -> int | None:
    """Return a query parameter as a non-negative integer.

    Raises:
        ValueError: It is something else, or beyond ``largest``.
    """
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 16 and int(text) <= largest):
        raise ValueError(f"{name} must be an integer from 0 to {largest}, was {text[:40]!r}")
    return int(text)
