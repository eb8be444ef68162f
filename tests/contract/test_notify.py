"""The notifier against real servers on this machine: HTTP, Telegram's and Discord's API, SMTP."""

import asyncio
import email
import email.policy
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import apprise
import pytest
from aiosmtpd.controller import Controller
from apprise.plugins.discord import NotifyDiscord
from apprise.plugins.email import NotifyEmail
from apprise.plugins.telegram import NotifyTelegram
from structlog.testing import capture_logs

from polybot.adapters.notify import AppriseNotifier
from polybot.alerts import daily_report_alert, fill_alert, refused_alert, settlement_alert
from polybot.domain.alerts import Alert, AlertKind
from polybot.domain.decisions import Verdict
from polybot.domain.modes import Mode
from polybot.errors import ConfigurationError
from tests.builders import NOW, build_decision, build_market, build_order
from tests.unit.test_alerts import FILL, SETTLEMENT

TOKEN = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"
TELEGRAM = f"tgram://{TOKEN}/987654321/"
DISCORD = (
    "discord://123456789012345678/AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz01"
)
HOSTILE_TITLES = (
    "plain question?",
    "a < b & c > d",
    "<script>alert(1)</script>",
    "<b>unclosed",
    "@everyone @here <@1> <@&2>",
    "[free](https://evil.example) ![x](http://evil.example/i.png)",
    "*bold* _it_ __u__ ~~s~~ ||spoiler|| `code` ```block```",
    "# heading\n## second\n> quote",
    "first\r\nBcc: victim@example.com\r\n\r\nbody",
    "\x1b[31mred\x1b[0m\x07",
    "\u202ereversed\u2066 zero\u200bwidth\ufeff",
    "%s %d %(x)s {} {0} ${HOME}",
    "=cmd()|' /C calc'!A0",
    "\ud800 lone surrogate",
    "null\x00byte",
    "&lt;already&amp;escaped&gt;",
    "\\*escaped\\_",
    "é 比特币 🚀",
    "x" * 100_000,
)


class Server:
    """An HTTP server that keeps what it was sent and answers as told."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.status = 200
        self.release = threading.Event()
        self.is_hanging = False
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                if owner.is_hanging:
                    owner.release.wait(30)
                    return
                owner.requests.append({"path": self.path, **json.loads(raw)})
                answer = b'{"ok": true, "result": {}}'
                self.send_response(owner.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Run a server, and send Telegram's and Discord's requests to it."""
    running = Server()
    here = f"http://127.0.0.1:{running.port}"
    monkeypatch.setattr(NotifyTelegram, "notify_url", f"{here}/bot")
    monkeypatch.setattr(NotifyDiscord, "notify_url", f"{here}/discord")
    # Apprise spaces its requests to the real services; this is not one.
    monkeypatch.setattr(NotifyTelegram, "request_rate_per_sec", 0)
    monkeypatch.setattr(NotifyDiscord, "request_rate_per_sec", 0)
    monkeypatch.setattr(NotifyEmail, "request_rate_per_sec", 0)
    yield running
    running.close()


class Mailbox:
    """An SMTP server's handler that keeps the letters."""

    def __init__(self) -> None:
        self.letters: list[tuple[list[str], email.message.EmailMessage]] = []

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, server: object, session: object, envelope: Any
    ) -> str:
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(letter, email.message.EmailMessage)
        self.letters.append((envelope.rcpt_tos, letter))
        return "250 taken"


class MailServer(Controller):
    """An SMTP server on a port of the operating system's choice."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    """Run an SMTP server and give its letters and the Apprise URL that reaches it."""
    box = Mailbox()
    controller = MailServer(box, hostname="127.0.0.1", port=0)
    controller.start()
    port = controller.port
    yield box, f"mailto://127.0.0.1:{port}/?from=bot@example.com&to=owner@example.com&format=text"
    controller.stop(no_assert=True)


def alert_of(text: str) -> Alert:
    order = build_order(market=build_market(question=text))
    return fill_alert(FILL, order, mode=Mode.PAPER)


def every_kind() -> list[Alert]:
    return [
        alert_of("Bitcoin Up or Down?"),
        refused_alert(
            build_decision(verdict=Verdict.REFUSED, reason="spread 0.07 of at most 0.05"),
            mode=Mode.PAPER,
        ),
        settlement_alert(SETTLEMENT, mode=Mode.PAPER),
        daily_report_alert(NOW.date(), "P&L +3 USDC\n96 windows", mode=Mode.PAPER),
    ]


def html_of(letter: email.message.EmailMessage) -> str:
    part = letter.get_body(("plain", "html"))
    assert part is not None
    return str(part.get_content())


async def test_every_kind_of_alert_arrives_by_http_and_mail(
    server: Server, mailbox: tuple[Mailbox, str]
) -> None:
    """Title and body arrive on both channels as they were written."""
    box, mail_url = mailbox
    notifier = AppriseNotifier((f"json://127.0.0.1:{server.port}/", mail_url))
    assert notifier.is_configured
    for alert in every_kind():
        assert await notifier.send(alert)
        assert server.requests[-1]["title"] == alert.title
        assert server.requests[-1]["message"] == alert.body
        recipients, letter = box.letters[-1]
        assert recipients == ["owner@example.com"]
        assert letter["Subject"] == alert.title
        assert html_of(letter).replace("\r\n", "\n").strip() == alert.body
    assert len(server.requests) == len(box.letters) == 4


async def test_html_mail_shows_the_text_and_not_its_markup(mailbox: tuple[Mailbox, str]) -> None:
    """Apprise's default mail is HTML: angle brackets and ampersands are escaped."""
    box, mail_url = mailbox
    notifier = AppriseNotifier((mail_url.replace("format=text", "format=html"),))
    assert await notifier.send(alert_of("<script>a & b</script>"))
    part = box.letters[0][1].get_body(("html",))
    assert part is not None
    assert "<script" not in part.get_content()
    assert "&lt;script&gt;" in part.get_content()


async def test_telegram_gets_escaped_html(server: Server) -> None:
    """An unescaped < or & makes Telegram refuse the message, and the alert would be lost."""
    assert await AppriseNotifier((TELEGRAM,)).send(alert_of("a < b & c > d"))
    request = server.requests[0]
    assert request["path"] == f"/bot{TOKEN}/sendMessage"
    assert request["parse_mode"].lower() == "html"
    assert "a &lt; b &amp; c &gt; d" in request["text"].replace("&nbsp;", " ").replace(
        "&emsp;", " "
    )


@pytest.mark.parametrize("title", HOSTILE_TITLES, ids=range(len(HOSTILE_TITLES)))
async def test_hostile_titles_arrive_harmless_on_every_channel(
    title: str, server: Server, mailbox: tuple[Mailbox, str]
) -> None:
    """Delivered to all of JSON, Telegram, Discord and mail, with nothing in it that acts."""
    box, mail_url = mailbox
    alert = alert_of(title)
    urls = (f"json://127.0.0.1:{server.port}/", TELEGRAM, DISCORD, mail_url)
    assert await AppriseNotifier(urls).send(alert)
    by_path = {request["path"].split("/")[1][:7]: request for request in server.requests}
    assert len(server.requests) == 3
    assert by_path[""]["message"] == alert.body

    telegram = by_path["bot1234"]["text"]
    without_own_tags = telegram.replace("<b>", "", 1).replace("</b>", "", 1)
    assert "<" not in without_own_tags
    assert len(telegram) <= 4096

    discord = by_path["discord"]
    # Backslashes take the meaning from every sign of Discord's markup.
    unescaped = discord["content"].replace("\\\\", "")
    for sign in "*_~|`#[]<>":
        assert unescaped.count(sign) == unescaped.count(f"\\{sign}"), sign
    for mention in ("@everyone", "@here", "<@", "://"):
        assert mention not in discord["content"]
    assert len(discord["content"]) <= 2000

    recipients, letter = box.letters[0]
    assert recipients == ["owner@example.com"]
    assert letter["Bcc"] is None
    assert letter["Subject"] == alert.title


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_a_refusing_server_is_a_failed_delivery(server: Server, status: int) -> None:
    """No exception, no success."""
    server.status = status
    assert not await AppriseNotifier((f"json://127.0.0.1:{server.port}/",)).send(alert_of("q"))
    assert len(server.requests) == 1


async def test_an_absent_server_is_a_failed_delivery(server: Server) -> None:
    """Nobody listens: a plain no."""
    port = server.port
    server.server.server_close()
    assert not await AppriseNotifier((f"json://127.0.0.1:{port}/",)).send(alert_of("q"))


async def test_a_healthy_channel_is_not_rung_again_for_a_broken_one(server: Server) -> None:
    """One channel that took it makes it delivered, whatever the others did."""
    assert await AppriseNotifier(("json://127.0.0.1:1/", f"json://127.0.0.1:{server.port}/")).send(
        alert_of("q")
    )
    assert len(server.requests) == 1


async def test_a_hanging_server_holds_nobody_up(server: Server) -> None:
    """Sending is bounded, and the event loop turns meanwhile."""
    server.is_hanging = True
    notifier = AppriseNotifier((f"json://127.0.0.1:{server.port}/",), bound_s=0.3)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    counting = asyncio.create_task(count())
    began = time.monotonic()
    assert not await notifier.send(alert_of("q"))
    assert time.monotonic() - began < 2
    counting.cancel()
    assert turns > 5


def test_a_hanging_server_does_not_keep_a_process_alive(server: Server) -> None:
    """A flow run ends although a channel still talks."""
    server.is_hanging = True
    program = (
        "import asyncio\n"
        "from polybot.adapters.notify import AppriseNotifier\n"
        "from polybot.domain.alerts import Alert, AlertKind\n"
        f"n = AppriseNotifier(('json://127.0.0.1:{server.port}/?rto=25',), bound_s=0.2)\n"
        "a = Alert(kind=AlertKind.FILL, dedupe_key='k', title='t', body='b')\n"
        "print(asyncio.run(n.send(a)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hunter2hunter2",
        "nosuchservice://hunter2",
        "tgram://hunter2",
        "json://",
        "mailto://",
        "://",
    ],
)
def test_a_url_that_apprise_does_not_know_is_refused_without_showing_it(
    url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """The place in the list is named, the secret is not, neither in the error nor in a log."""
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigurationError) as caught:
        AppriseNotifier(("json://127.0.0.1:1/", url))
    assert "entry 2" in str(caught.value)
    shown = str(caught.value) + caplog.text + "".join(capfd.readouterr())
    assert "hunter2" not in shown
    assert caught.value.__context__ is None


async def test_tokens_never_reach_a_log(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Also at DEBUG, and also when the delivery fails."""
    with caplog.at_level(logging.DEBUG):
        notifier = AppriseNotifier((TELEGRAM,))
        assert await notifier.send(alert_of("q"))
        server.status = 500
        assert not await notifier.send(alert_of("q"))
    assert TOKEN not in caplog.text
    assert TOKEN.split(":")[1] not in caplog.text


async def test_plug_in_that_raises_is_named_without_its_words(server: Server) -> None:
    """What it says may hold the token; which kind of error it was may be told."""
    notifier = AppriseNotifier((TELEGRAM,))

    def raise_it(**_: object) -> bool:
        raise KeyError(TOKEN)

    notifier._channels = (replace(notifier._channels[0], notify=raise_it),)
    with capture_logs() as told:
        assert not await notifier.send(alert_of("q"))
    assert [one.get("fault") for one in told if one["event"] == "alert channel broke"] == [
        "KeyError"
    ]
    assert TOKEN not in str(told)


def test_plug_in_that_cannot_be_made_is_named_without_its_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a fault of the plug-in would pass for a slip in the address."""

    def raise_it(*_: object, **__: object) -> bool:
        raise OSError(TOKEN)

    monkeypatch.setattr(apprise.Apprise, "add", raise_it)
    with pytest.raises(ConfigurationError, match=r"its plug-in raised OSError") as caught:
        AppriseNotifier((TELEGRAM,))
    assert TOKEN not in str(caught.value)
    assert caught.value.__context__ is None


async def test_without_urls_nothing_is_configured() -> None:
    """No channel, no import of Apprise, no delivery."""
    notifier = AppriseNotifier(())
    assert not notifier.is_configured
    alert = Alert(kind=AlertKind.FILL, dedupe_key="k", title="t", body="b")
    assert not await notifier.send(alert)


def test_importing_the_notifier_is_light() -> None:
    """Every flow run is a fresh process: Apprise is loaded only where there is a channel."""
    program = (
        "import sys, polybot.adapters.notify as n; n.AppriseNotifier(());"
        "print('apprise' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.strip() == "False"
