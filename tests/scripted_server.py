"""A real HTTP server on loopback that answers what the test wrote, and remembers what was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ScriptedServer:
    """Answers by path; the last answer of a path repeats, an unknown path is 404."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[web.Request] = []
        self.closing = asyncio.Event()
        self._answers: dict[str, list[Answer]] = {}

    def on(self, path: str, *answers: Answer | dict[str, Any] | list[Any] | bytes) -> None:
        """Script a path: answers, JSON values or bodies, in the order in which they are given."""
        self._answers[path] = [one if callable(one) else body(one) for one in answers]

    def asked(self, path: str) -> list[dict[str, str]]:
        """Return the queries that a path was asked with, oldest first."""
        return [dict(one.query) for one in self.requests if one.path == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        # Read now: afterwards the connection is gone, and the body with it.
        await request.read()
        self.requests.append(request)
        answers = self._answers.get(request.path)
        if not answers:
            return web.Response(status=404, text="no such thing")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return await answer(request)


def body(
    content: dict[str, Any] | list[Any] | bytes,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Answer with a body."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=raw, status=status, headers=headers)

    return answer


def cut_off(content: bytes) -> Answer:
    """Promise more than comes, and hang up."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(content) + 100)})
        await response.prepare(request)
        await response.write(content)
        assert request.transport is not None
        request.transport.close()
        return response

    return answer


def hang_up() -> Answer:
    """Close the connection without a word."""

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    return answer


def silence(server: ScriptedServer) -> Answer:
    """Say nothing until the server closes."""

    async def answer(_: web.Request) -> web.StreamResponse:
        await server.closing.wait()
        return web.Response()

    return answer


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    """Serve on a free port of loopback until the test is over."""
    script = ScriptedServer()
    runner = web.ServerRunner(web.Server(script.handle), shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        script.url = f"http://{host}:{port}"
        yield script
    finally:
        script.closing.set()
        await runner.cleanup()
