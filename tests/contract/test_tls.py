"""A venue whose certificate proves nothing is told nothing: no question, no secret, no order."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from polybot.adapters.polymarket.user_stream import UserStream
from polybot.adapters.sockets import shake_hands
from polybot.adapters.web import WebClient, open_session
from polybot.domain.orders import Rejected
from polybot.errors import PermanentError, PolybotError
from tests.live_desk import FUNDER, LiveDesk, live_desk
from tests.scripted_server import ScriptedServer, body, scripted_server

HOUR = timedelta(hours=1)


def make_certificate(path: Path) -> ssl.SSLContext:
    """Sign a certificate for this address with its own key: it proves nothing to anybody."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "venue")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - HOUR)
        .not_valid_after(now + HOUR)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(certificate.public_bytes(pem) + secret)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(path)
    return context


@pytest.fixture
async def impostor(tmp_path: Path) -> AsyncIterator[ScriptedServer]:
    """A server that speaks TLS and that nobody vouches for; it would answer everything."""
    script = ScriptedServer()
    runner = web.ServerRunner(web.Server(script.handle), shutdown_timeout=0)
    await runner.setup()
    context = make_certificate(tmp_path / "venue.pem")
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    host, port = runner.addresses[0][:2]
    script.url = f"https://{host}:{port}"
    for path in ("/x", "/order", "/data/orders", "/ws/user"):
        script.on(path, {})
    yield script
    await runner.cleanup()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[LiveDesk]:
    async with live_desk(tmp_path / "desk") as opened:
        yield opened


async def test_certificate_that_nobody_vouches_for_is_refused(impostor: ScriptedServer) -> None:
    """For good: trying again would not make it better."""
    async with WebClient(timeout_s=5) as client:
        with pytest.raises(PermanentError, match="Certificate"):
            await client.get(f"{impostor.url}/x")
        with pytest.raises(PermanentError, match="Certificate"):
            await client.post(f"{impostor.url}/x", {})
    assert impostor.requests == []


async def test_impostor_is_a_real_server(impostor: ScriptedServer) -> None:
    """Whoever does not look at certificates is answered: the refusals above are ours."""
    async with (
        open_session(timeout_s=5) as session,
        session.get(f"{impostor.url}/x", ssl=False) as answer,
    ):
        assert answer.status == 200
    assert len(impostor.requests) == 1


async def test_order_to_an_impostor_never_leaves(desk: LiveDesk, impostor: ScriptedServer) -> None:
    """Not one byte of it: the order is proved not to exist, and the next may go."""
    await desk.exchange.warm()
    desk.client._url = impostor.url
    result = await desk.submit()
    assert isinstance(result, Rejected)
    assert result.reason.startswith("not sent: ")
    assert impostor.requests == []
    assert desk.posts == 0


async def test_impostor_is_shown_no_credentials(desk: LiveDesk, impostor: ScriptedServer) -> None:
    await desk.exchange.warm()
    desk.client._url = impostor.url
    with pytest.raises(PolybotError):
        await desk.account.open_orders()
    assert impostor.requests == []


async def test_socket_of_an_impostor_is_shown_no_credentials(
    desk: LiveDesk, impostor: ScriptedServer
) -> None:
    """The subscription carries them; the connection ends before."""
    url = f"wss{impostor.url.removeprefix('https')}/ws/user"
    with pytest.raises(PermanentError, match="Certificate"):
        await shake_hands(url, timeout_s=5)
    stream = UserStream(url, desk.client, funder=FUNDER)
    async with open_session(timeout_s=5) as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await anext(stream._connection(session))
    assert impostor.requests == []


async def test_encrypted_venue_that_points_elsewhere_is_not_followed(
    desk: LiveDesk, impostor: ScriptedServer
) -> None:
    """Neither to another host nor down to a connection without encryption."""
    async with scripted_server() as plain:
        for place in (f"{plain.url}/x", f"{impostor.url}/x"):
            desk.server.on("/data/orders", body(b"", status=302, headers={"Location": place}))
            with pytest.raises(PermanentError, match="redirects elsewhere"):
                await desk.account.open_orders()
        assert plain.requests == []
    assert impostor.requests == []


async def test_proxy_of_the_environment_sees_neither_order_nor_credentials(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that somebody else set must not carry a signature through their machine."""
    async with scripted_server() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.upper(), proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        await asyncio.gather(desk.submit(), desk.account.is_closed_only(), return_exceptions=True)
        assert desk.posts == 1
        assert proxy.requests == []
