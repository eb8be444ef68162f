"""The state the venue is in: open, restarting, restricted."""

from dataclasses import dataclass

from polybot.sandbox.exchange import refusals
from polybot.sandbox.exchange.refusals import VenueRefusalError
from polybot.sandbox.exchange.rules import VenueRules


@dataclass(slots=True)
class Conditions:
    """Until when each restriction holds [epoch ms]."""

    restarting_until_ms: int = 0
    post_only_until_ms: int = 0
    cancel_only_until_ms: int = 0
    disabled_until_ms: int = 0

    def restart(self, now_ms: int, rules: VenueRules) -> None:
        """Stop answering orders for a while, then take only post-only ones for a while."""
        self.restarting_until_ms = now_ms + rules.restart_s * 1000
        self.post_only_until_ms = self.restarting_until_ms + rules.post_only_s * 1000

    def check_engine(self, now_ms: int) -> None:
        """Refuse everything that needs the engine while it restarts."""
        if now_ms < self.restarting_until_ms:
            left_s = -(-(self.restarting_until_ms - now_ms) // 1000)
            raise VenueRefusalError(refusals.RESTARTING, 425, retry_after_seconds=left_s)

    def check_cancel(self, now_ms: int) -> None:
        """Refuse cancels where not even they are taken."""
        self.check_engine(now_ms)
        if now_ms < self.disabled_until_ms:
            raise VenueRefusalError(refusals.DISABLED, 503)

    def check_order(self, now_ms: int, *, is_post_only: bool) -> None:
        """Refuse an order that the venue does not take at present."""
        self.check_cancel(now_ms)
        if now_ms < self.cancel_only_until_ms:
            raise VenueRefusalError(refusals.CANCEL_ONLY, 503)
        if now_ms < self.post_only_until_ms and not is_post_only:
            left_s = -(-(self.post_only_until_ms - now_ms) // 1000)
            raise VenueRefusalError(
                refusals.POST_ONLY_MODE, 503, code="post_only_mode", retry_after_seconds=left_s
            )
