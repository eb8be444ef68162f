"""Misbehaviour on request: the next answers of a route come late, cut, or as something else."""

import asyncio
from collections import Counter
from dataclasses import dataclass

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class FaultRule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to do to the next ``count`` requests whose path starts with ``route``."""

    route: str
    count: int = 1
    status: int | None = None
    """Answer with this status; without status and body the true answer is kept."""
    body: str | None = None
    content_type: str = "application/json"
    delay_ms: int = 0
    """Answer so much later, in real time [ms]."""
    truncate_at: int | None = None
    """Cut the answer's body after so many bytes; its length header says the cut length."""

    def __post_init__(self) -> None:
        """Refuse rules that could never fire or are no HTTP."""
        if not self.route.startswith("/") or self.route.startswith("/sandbox"):
            raise ValueError(f"route must start with / and not be the sandbox's own: {self.route}")
        if not 1 <= self.count <= 1_000_000:
            raise ValueError(f"count must be 1 to 1000000, was {self.count}")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"status must be 200 to 599, was {self.status}")
        if not 0 <= self.delay_ms <= 600_000:
            raise ValueError(f"delay_ms must be 0 to 600000, was {self.delay_ms}")
        if self.truncate_at is not None and self.truncate_at < 0:
            raise ValueError(f"truncate_at must not be negative, was {self.truncate_at}")


@dataclass(slots=True)
class _ArmedFault:
    rule: FaultRule
    left: int


class FaultBox:
    """The armed faults, oldest first, and how many have fired on each route."""

    def __init__(self) -> None:
        """Start with nothing armed."""
        self.fired: Counter[str] = Counter()
        self._armed: list[_ArmedFault] = []

    def arm(self, rule: FaultRule) -> None:
        """Arm a rule behind those already armed."""
        self._armed.append(_ArmedFault(rule, rule.count))

    def clear(self) -> None:
        """Disarm everything; what has fired stays counted."""
        self._armed.clear()

    def armed(self) -> list[dict[str, object]]:
        """Return which routes are armed, and for how many more requests."""
        return [{"route": fault.rule.route, "left": fault.left} for fault in self._armed]

    def take(self, path: str) -> FaultRule | None:
        """Use up one shot of the oldest rule that fits a path."""
        for fault in self._armed:
            if path.startswith(fault.rule.route):
                fault.left -= 1
                if fault.left == 0:
                    self._armed.remove(fault)
                self.fired[fault.rule.route] += 1
                return fault.rule
        return None


class FaultMiddleware:
    """Let armed faults answer before, or instead of, the venue."""

    def __init__(self, app: ASGIApp, box: FaultBox) -> None:
        """Wrap the venue's application."""
        self._app = app
        self._box = box

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        rule = self._box.take(scope["path"]) if scope["type"] == "http" else None
        if rule is None:
            await self._app(scope, receive, send)
            return
        if rule.delay_ms:
            await asyncio.sleep(rule.delay_ms / 1000)
        if rule.status is not None or rule.body is not None:
            await _send_body(
                send, rule.status or 200, rule.content_type, (rule.body or "").encode(), rule
            )
        elif rule.truncate_at is None:
            await self._app(scope, receive, send)
        else:
            await self._answer_cut(scope, receive, send, rule)

    async def _answer_cut(
        self, scope: Scope, receive: Receive, send: Send, rule: FaultRule
    ) -> None:
        status, chunks = 200, bytearray()

        async def collect(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            chunks.extend(message.get("body", b""))

        await self._app(scope, receive, collect)
        await _send_body(send, status, rule.content_type, bytes(chunks), rule)


async def _send_body(
    send: Send, status: int, content_type: str, body: bytes, rule: FaultRule
) -> None:
    body = body[: rule.truncate_at]
    headers = [
        (b"content-type", content_type.encode("latin-1")),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
