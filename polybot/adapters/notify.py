"""Alerts through Apprise: Telegram, e-mail, Discord and some hundred others.

Apprise takes a fifth of a second to import, so it is imported when the first channel is set up.
It blocks while it talks; each channel therefore gets a thread of its own, which neither the event
loop nor the end of the process ever waits for longer than ``CHANNEL_BOUND_S``.
"""

import asyncio
import logging
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from polybot.domain.alerts import Alert
from polybot.errors import ConfigurationError

log = structlog.get_logger(__name__)

# Twice Apprise's own default of four seconds to connect and four to read.
CHANNEL_BOUND_S: Final = 10.0
LONGEST_PAUSE_S: Final = 1.0
# Services that read Markdown in plain text and know the backslash.
_READS_MARKDOWN: Final = frozenset(
    {"discord", "guilded", "mmost", "mmosts", "rocket", "rockets", "zulip"}
)
_MARKDOWN_SIGNS: Final = re.compile(r"([\\`*_~|>#\[\]()<])")


@dataclass(frozen=True, slots=True)
class _Channel:
    """One URL: what it is called in logs, and how it is told something."""

    name: str
    notify: Callable[..., object]
    reads_markdown: bool


class AppriseNotifier:
    """The owner's phone, as a list of Apprise URLs."""

    def __init__(self, urls: Sequence[str], *, bound_s: float = CHANNEL_BOUND_S) -> None:
        """Set up every channel.

        Args:
            urls: Apprise URLs; secrets, so none of them is ever logged or shown.
            bound_s: Longest that one channel may take [s].

        Raises:
            ConfigurationError: Apprise does not understand a URL; its place in the list is named.
        """
        self._bound_s = bound_s
        self._channels = tuple(_open(url, place) for place, url in enumerate(urls, start=1))

    @property
    def is_configured(self) -> bool:
        """Whether any channel is set up."""
        return bool(self._channels)

    async def send(self, alert: Alert) -> bool:
        """Deliver one alert on every channel at once; whether at least one of them took it.

        A channel that fails while another delivers is logged, not tried again: repeating the
        alert would ring the healthy channel once more for every attempt. Never raises.
        """
        took = await asyncio.gather(*(self._tell(channel, alert) for channel in self._channels))
        for channel, is_taken in zip(self._channels, took, strict=True):
            if not is_taken:
                log.error("alert channel failed", channel=channel.name, alert=alert.dedupe_key)
        return any(took)

    async def _tell(self, channel: _Channel, alert: Alert) -> bool:
        title, body = alert.title, alert.body
        if channel.reads_markdown:
            title, body = (_MARKDOWN_SIGNS.sub(r"\\\1", text) for text in (title, body))
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bool] = loop.create_future()

        def work() -> None:
            try:
                # Without body_format Apprise would take the text for the channel's own markup.
                is_taken = bool(channel.notify(body=body, title=title, body_format="text"))
            except Exception as fault:
                # A plug-in's fault is a failed delivery; its text may hold the channel's token.
                log.warning("alert channel broke", channel=channel.name, fault=type(fault).__name__)
                is_taken = False
            try:
                loop.call_soon_threadsafe(_resolve, answer, is_taken)
            except RuntimeError:
                # The loop has ended: nobody waits for the answer any more.
                return

        threading.Thread(target=work, name=f"alert-{channel.name}", daemon=True).start()
        try:
            return await asyncio.wait_for(answer, self._bound_s)
        except TimeoutError:
            return False


def _resolve(answer: "asyncio.Future[bool]", is_taken: bool) -> None:
    if not answer.done():
        answer.set_result(is_taken)


def _open(url: str, place: int) -> _Channel:
    import apprise  # noqa: PLC0415 - see the module's docstring

    # At DEBUG both write whole request addresses, tokens included.
    for name in ("apprise", "urllib3", "requests"):
        logging.getLogger(name).setLevel(logging.WARNING)
    chatter = logging.getLogger("apprise")
    chatter.disabled = True
    service: Any = apprise.Apprise()
    try:
        is_known = bool(service.add(url))
        why = ""
    except Exception as fault:
        # Plug-ins raise what they like, with the URL in it.
        is_known, why = False, f" (its plug-in raised {type(fault).__name__})"
    finally:
        chatter.disabled = False
    scheme = re.match(r"([a-z][a-z0-9]{1,19}s?)://", url.strip().lower())
    name = scheme[1] if scheme else "no scheme"
    if not is_known:
        raise ConfigurationError(
            f"alerts.urls: entry {place} ({name}) is not an address that Apprise understands"
            f"{why}; see .env.example for Telegram, e-mail and Discord"
        )
    for plugin in service:
        # Apprise waits up to 5.5 s between two mails; the outbox has a limit of its own.
        plugin.request_rate_per_sec = min(plugin.request_rate_per_sec, LONGEST_PAUSE_S)
    return _Channel(name=name, notify=service.notify, reads_markdown=name in _READS_MARKDOWN)
