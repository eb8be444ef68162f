"""Planned faults over HTTP: answers replaced, withheld, truncated or cut at a byte."""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from polybot.sandbox.cutting import transport_of
from polybot.sandbox.fault_plan import PlannedFault
from polybot.sandbox.injector import Answer, FaultInjector, is_spared, replacement

_OWN: Final = "/sandbox"


class PlannedFaultMiddleware:
    """Let the plan decide about every request but the sandbox's own."""

    def __init__(self, app: ASGIApp, injector: FaultInjector) -> None:
        """Wrap the venue's application."""
        self._app = app
        self._injector = injector

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        fault = None
        if scope["type"] == "http" and not scope["path"].startswith(_OWN):
            fault = self._injector.on_request(scope["method"], scope["path"])
        if fault is None:
            await self._app(scope, receive, send)
            return
        if fault.kind == "cut-after":
            self._cut(scope, fault.at_byte)
            await self._app(scope, receive, send)
            self._cut(scope, 0)
            return
        answer = None if is_spared(fault) else await self._collect(scope, receive)
        await self._deliver(fault, answer, scope, receive, send)

    async def _deliver(
        self,
        fault: PlannedFault,
        answer: Answer | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        if fault.kind in ("slow", "timeout-before", "timeout-after"):
            await _wait(fault.delay_ms, receive, is_read=answer is not None)
        if fault.kind in ("timeout-before", "timeout-after", "cut-before"):
            self._cut(scope, 0)
            return
        answer = replacement(fault) or answer
        if answer is None:
            return
        body = answer.body[: fault.at_byte] if fault.kind == "truncated" else answer.body
        headers = {
            **answer.headers,
            "content-type": answer.content_type,
            "content-length": str(len(body)),
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": body})

    def _cut(self, scope: Scope, byte_count: int) -> None:
        transport = transport_of(scope.get("client"))
        if transport is not None:
            transport.cut_after(byte_count)

    async def _collect(self, scope: Scope, receive: Receive) -> Answer:
        status, chunks = 200, bytearray()
        content_type = "application/json"

        async def collect(message: Message) -> None:
            nonlocal status, content_type
            status = message.get("status", status)
            for name, value in message.get("headers", ()):
                if name == b"content-type":
                    content_type = value.decode()
            chunks.extend(message.get("body", b""))

        await self._app(scope, receive, collect)
        return Answer(status=status, body=bytes(chunks), content_type=content_type)


async def _wait(delay_ms: int, receive: Receive, *, is_read: bool) -> None:
    """Wait in real time, or until the client has gone."""
    gone = asyncio.ensure_future(_gone(receive)) if is_read else None
    sleep = asyncio.ensure_future(asyncio.sleep(delay_ms / 1000))
    racers = [racer for racer in (gone, sleep) if racer is not None]
    await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
    for racer in racers:
        racer.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
