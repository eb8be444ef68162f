"""HTTP as the adapters speak it, against a real server that misbehaves."""

import gzip
import os
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest

from polybot.adapters.web import MAX_BODY_BYTES, WebClient, retry_after_s
from polybot.errors import (
    DataError,
    PermanentError,
    PolybotError,
    RateLimitedError,
    TransientError,
)
from tests.scripted_server import (
    Answer,
    ScriptedServer,
    body,
    cut_off,
    hang_up,
    scripted_server,
    silence,
)


@pytest.fixture
async def web() -> AsyncIterator[WebClient]:
    async with WebClient(timeout_s=0.5) as client:
        yield client


async def test_answer_arrives_whole(server: ScriptedServer, web: WebClient) -> None:
    """A body is returned byte for byte, and the request names who asks."""
    server.on("/x", b'{"a": 1}')
    assert await web.get(f"{server.url}/x", {"q": "1"}) == b'{"a": 1}'
    assert server.asked("/x") == [{"q": "1"}]
    assert server.requests[0].headers["User-Agent"].startswith("polybot/")


async def test_connection_stays_warm(server: ScriptedServer, web: WebClient) -> None:
    """Requests share one connection: a new one costs two round trips."""
    server.on("/x", b"{}")
    for _ in range(3):
        await web.get(f"{server.url}/x")
    assert len({one.transport for one in server.requests}) == 1


async def test_missing_thing_is_none(server: ScriptedServer, web: WebClient) -> None:
    """What 404 means is the caller's to say."""
    assert await web.get(f"{server.url}/nothing") is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, PermanentError),
        (401, PermanentError),
        (403, PermanentError),
        (408, TransientError),
        (418, PermanentError),
        (422, PermanentError),
        (425, TransientError),
        (429, RateLimitedError),
        (500, TransientError),
        (502, TransientError),
        (503, TransientError),
        (504, TransientError),
        (520, TransientError),
    ],
)
async def test_status_says_whether_to_try_again(
    server: ScriptedServer, web: WebClient, status: int, kind: type[PolybotError]
) -> None:
    """Each status is exactly one kind of error, and the message names it or the wait."""
    server.on("/x", body(b"<html>", status=status))
    with pytest.raises(PolybotError) as caught:
        await web.get(f"{server.url}/x")
    assert type(caught.value) is kind
    assert "<html>" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "-1"}, 0),
        ({"Retry-After": "61"}, 60),
        ({"Retry-After": "1000000000"}, 60),
        ({"Retry-After": "9" * 500}, 60),
        ({"Retry-After": "NaN"}, 5),
        ({"Retry-After": "inf"}, 5),
        ({"Retry-After": "1.5"}, 5),
        ({"Retry-After": "٣"}, 5),
        ({"Retry-After": ""}, 5),
        ({}, 5),
        ({"retry-after": "3"}, 3),
        (
            {
                "Retry-After": "Mon, 05 Oct 2026 23:00:09 GMT",
                "Date": "Mon, 05 Oct 2026 23:00:00 GMT",
            },
            9,
        ),
        (
            {
                "Retry-After": "Mon, 05 Oct 1998 23:00:09 GMT",
                "Date": "Mon, 05 Oct 2026 23:00:00 GMT",
            },
            0,
        ),
        ({"Retry-After": "Mon, 05 Oct 2026 23:00:09 GMT"}, 5),
        ({"Retry-After": "Mon, 99 Foo 2026 23:00:09 GMT", "Date": "yesterday"}, 5),
    ],
)
def test_wait_is_clamped_whatever_the_server_asks(headers: dict[str, str], wait_s: float) -> None:
    """Between nothing and a minute; a date counts from the server's own clock."""
    assert retry_after_s(headers) == wait_s


async def test_rate_limit_carries_its_wait(server: ScriptedServer, web: WebClient) -> None:
    """The caller sleeps as long as it was asked to."""
    server.on("/x", body(b"", status=429, headers={"Retry-After": "12"}))
    with pytest.raises(RateLimitedError) as caught:
        await web.get(f"{server.url}/x")
    assert caught.value.retry_after == 12


@pytest.mark.parametrize("answer", [cut_off(b'{"a":'), hang_up()], ids=["cut-off", "hung-up"])
async def test_broken_connection_may_be_tried_again(
    server: ScriptedServer, web: WebClient, answer: Answer
) -> None:
    """Half an answer is no answer."""
    server.on("/x", answer)
    with pytest.raises(TransientError):
        await web.get(f"{server.url}/x")


async def test_silence_ends_with_the_time_out(server: ScriptedServer) -> None:
    """A server that takes the request and says nothing costs the time-out and no more."""
    server.on("/x", silence(server))
    async with WebClient(timeout_s=0.05) as web:
        with pytest.raises(TransientError, match=r"within 0\.05 s"):
            await web.get(f"{server.url}/x")


async def test_nobody_listening_may_be_tried_again(web: WebClient) -> None:
    """A refused connection names the place that refused it."""
    async with scripted_server() as gone:
        url = gone.url
    with pytest.raises(TransientError, match=r"127\.0\.0\.1/x"):
        await web.get(f"{url}/x")


@pytest.mark.parametrize("url", ["not a url", "http://", "http://127.0.0.1:99999/x", "ftp://a/b"])
async def test_address_that_is_no_url_is_permanent(web: WebClient, url: str) -> None:
    """Another try cannot mend a setting."""
    with pytest.raises(PermanentError):
        await web.get(url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_refused(server: ScriptedServer, web: WebClient, status: int) -> None:
    """An endpoint is what the settings say it is; nothing is sent anywhere else."""
    server.on("/x", body(b"", status=status, headers={"Location": f"{server.url}/y"}))
    server.on("/y", b"{}")
    with pytest.raises(PermanentError, match="redirects"):
        await web.get(f"{server.url}/x")
    assert server.asked("/y") == []


async def test_environment_proxies_are_ignored(
    server: ScriptedServer, web: WebClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy variable must not carry our requests elsewhere."""
    async with scripted_server() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        server.on("/x", b"{}")
        assert await web.get(f"{server.url}/x") == b"{}"
        assert proxy.requests == []


async def test_cookies_are_not_kept(server: ScriptedServer, web: WebClient) -> None:
    """Reads carry no identity."""
    server.on("/x", body(b"{}", headers={"Set-Cookie": "id=1"}))
    await web.get(f"{server.url}/x")
    await web.get(f"{server.url}/x")
    assert "Cookie" not in server.requests[1].headers


@pytest.mark.parametrize(
    "headers_and_body",
    [
        ({}, b"x" * 1000),
        ({"Content-Encoding": "identity"}, b"x" * 1000),
        ({"Content-Encoding": "gzip"}, gzip.compress(b"x" * 1000)),
        ({"Content-Encoding": "GZIP"}, gzip.compress(b"x" * 1000)),
        ({"Content-Encoding": "deflate"}, zlib.compress(b"x" * 1000)),
    ],
    ids=["plain", "identity", "gzip", "upper-case", "deflate"],
)
async def test_compressed_answers_are_opened(
    server: ScriptedServer, web: WebClient, headers_and_body: tuple[dict[str, str], bytes]
) -> None:
    """Both usual encodings give the same bytes as none."""
    headers, content = headers_and_body
    server.on("/x", body(content, headers=headers))
    assert await web.get(f"{server.url}/x") == b"x" * 1000


async def test_exactly_a_mebibyte_is_read(server: ScriptedServer, web: WebClient) -> None:
    """The cap itself is allowed, compressed or not."""
    full = os.urandom(1024) * 1024
    server.on("/plain", full)
    server.on("/gzip", body(gzip.compress(full), headers={"Content-Encoding": "gzip"}))
    assert await web.get(f"{server.url}/plain") == full
    assert await web.get(f"{server.url}/gzip") == full
    assert len(full) == MAX_BODY_BYTES


@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gzip"])
async def test_one_byte_more_is_refused(
    server: ScriptedServer, web: WebClient, is_packed: bool
) -> None:
    """Size is judged after decompression."""
    content = b" " * (MAX_BODY_BYTES + 1)
    headers = {"Content-Encoding": "gzip"} if is_packed else {}
    server.on("/x", body(gzip.compress(content) if is_packed else content, headers=headers))
    with pytest.raises(DataError) as caught:
        await web.get(f"{server.url}/x")
    assert caught.value.reason == "answer-too-large"


async def test_gzip_bomb_never_unfolds(server: ScriptedServer, web: WebClient) -> None:
    """A quarter of a gibibyte in a quarter of a mebibyte costs a few mebibytes of memory."""
    packer = zlib.compressobj(9, wbits=31)
    block = bytes(1 << 20)
    bomb = b"".join(packer.compress(block) for _ in range(256)) + packer.flush()
    server.on("/x", body(bomb, headers={"Content-Encoding": "gzip"}))
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            await web.get(f"{server.url}/x")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.reason == "answer-too-large"
    assert peak < 16 << 20


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("gzip", b"this is no gzip"),
        ("gzip", gzip.compress(b"x" * 1000)[:-9]),
        ("gzip", gzip.compress(b"x" * 1000)[:-4] + b"\0\0\0\0"),
        ("br", b"x"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"x"))),
    ],
    ids=["no-gzip", "cut-off", "wrong-length", "unknown", "twice"],
)
async def test_broken_compression_is_bad_data(
    server: ScriptedServer, web: WebClient, encoding: str, content: bytes
) -> None:
    """Never half a body, and no encoding that we did not ask for."""
    server.on("/x", body(content, headers={"Content-Encoding": encoding}))
    with pytest.raises(DataError) as caught:
        await web.get(f"{server.url}/x")
    assert caught.value.reason == "answer-encoding"


async def test_post_sends_json_once(server: ScriptedServer, web: WebClient) -> None:
    """A post is never repeated by us, whatever comes back."""
    server.on("/x", body(b"", status=503))
    with pytest.raises(TransientError):
        await web.post(f"{server.url}/x", {"a": 1})
    assert len(server.requests) == 1
    assert server.requests[0].method == "POST"


async def test_post_to_nothing_is_permanent(server: ScriptedServer, web: WebClient) -> None:
    """There is no such endpoint, and there will be none."""
    with pytest.raises(PermanentError):
        await web.post(f"{server.url}/nothing", {})


async def test_client_may_be_closed_and_used_again(server: ScriptedServer) -> None:
    """Closing ends the session, not the client."""
    server.on("/x", b"{}")
    web = WebClient(timeout_s=1)
    await web.get(f"{server.url}/x")
    await web.aclose()
    await web.aclose()
    assert await web.get(f"{server.url}/x") == b"{}"
    await web.aclose()
