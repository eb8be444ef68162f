"""A live installation on this machine: a home with a key, and a sandbox in the venue's place."""

import base64
import hashlib
import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from polybot.adapters.keystore import create_keystore
from polybot.adapters.polymarket.keccak import Address
from polybot.domain.markets import MarketSeries, Outcome
from polybot.sandbox.clock import RunningClock
from polybot.sandbox.exchange.accounts import Account
from polybot.sandbox.exchange.gateway import PrivateGateway
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox_server import serve_in_thread

KEY = "7e57000000000000000000000000000000000000000000000000feedfacecafe"
"""Marks every place where it should not be; no wallet has it."""
PASSPHRASE = "marked-passphrase-7e57feed"


@dataclass
class LiveHome:
    """Where the bot lives, and the venue that it talks to."""

    path: Path
    url: str
    borders: str
    address: Address
    venue: SandboxVenue
    gateway: PrivateGateway

    def venue_account(self) -> Account:
        found = self.gateway.exchange.accounts.of_funder(self.address)
        assert found is not None
        return found

    def resolved_token(self, outcome: Outcome) -> str:
        """Return a token of a window that ended an hour ago."""
        series = MarketSeries.parse("btc-15m")
        now = datetime.fromtimestamp(self.venue.now_s(), UTC)
        window = series.window_at(now - timedelta(hours=1))
        market = self.venue.listing.by_slug(window.slug)
        assert market is not None
        return market.up_token_id if outcome is Outcome.UP else market.down_token_id

    def open_account(self, *, cash_usdc: int) -> None:
        """Give the key's own address an account at the venue."""
        self.post(
            "/sandbox/accounts", {"address": self.address.lower(), "cash_usdc": str(cash_usdc)}
        )

    def change_account(self, **change: object) -> None:
        self.post("/sandbox/accounts/change", {"funder": self.address.lower(), **change})

    def post(self, path: str, body: object) -> None:
        request = urllib.request.Request(
            f"{self.url}{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

    def requests(self) -> dict[str, int]:
        """Return how often each route was asked."""
        with urllib.request.urlopen(f"{self.url}/sandbox/status", timeout=10) as answer:
            document = json.load(answer)
        counts: dict[str, int] = document["requests"]
        return counts


class _Borders(BaseHTTPRequestHandler):
    """Stands for the two hosts that the sandbox is not: geoblock, and the user socket's."""

    def do_GET(self) -> None:
        if self.headers.get("Upgrade") == "websocket":
            self._shake_hands()
            return
        body = b'{"blocked":false,"ip":"127.0.0.1","country":"CH","region":"ZH"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _shake_hands(self) -> None:
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", accept)
        self.end_headers()
        # Our close frame, and the client's.
        self.wfile.write(b"\x88\x00")
        self.rfile.read(2)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def live_home(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveHome]:
    """Serve a venue in real time and set everything up for live mode against it."""
    address = create_keystore(
        path / "keystore.json", SecretStr(KEY), SecretStr(PASSPHRASE), work_factor=2
    )
    borders = ThreadingHTTPServer(("127.0.0.1", 0), _Borders)
    thread = threading.Thread(target=borders.serve_forever, daemon=True)
    thread.start()
    where = f"127.0.0.1:{borders.server_address[1]}"
    venue = SandboxVenue(seed=7, clock=RunningClock())
    try:
        gateway = PrivateGateway(MatchingExchange(venue))
        with serve_in_thread(venue, gateway=gateway) as url:
            variables = {
                "HOME": str(path),
                "MODE": "live",
                "KEY_PASSPHRASE": PASSPHRASE,
                "VENUE__GAMMA_URL": url,
                "VENUE__CLOB_URL": url,
                "VENUE__DATA_URL": url,
                "VENUE__RELAYER_URL": url,
                "VENUE__USER_SOCKET_URL": f"ws://{where}/ws/user",
                "VENUE__MARKET_SOCKET_URL": f"ws://{where}/ws/market",
                "VENUE__STREAM_URL": f"ws://{where}/stream",
                "VENUE__GEOBLOCK_URL": f"http://{where}/api/geoblock",
                "PRICES__BASE_URL": url,
            }
            for name, value in variables.items():
                monkeypatch.setenv(f"POLYBOT_{name}", value)
            yield LiveHome(
                path=path,
                url=url,
                borders=where,
                address=address,
                venue=venue,
                gateway=gateway,
            )
    finally:
        borders.shutdown()
        borders.server_close()
        thread.join(10)
