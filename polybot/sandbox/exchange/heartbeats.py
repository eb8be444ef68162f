"""The dead man's switch: once started, a pause cancels every open order of the key.

Source: docs.polymarket.com/api-reference/trade/send-heartbeat (2026-11-22).
"""

from dataclasses import dataclass

from polybot.sandbox.exchange.auth import ApiKey
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.orders import OrderState
from polybot.sandbox.exchange.refusals import VenueRefusalError
from polybot.sandbox.seeds import digest


@dataclass(slots=True)
class _Pulse:
    heartbeat_id: str
    count: int
    beaten_ms: int


class Heartbeats:
    """One pulse for each API key that ever sent one."""

    def __init__(self, exchange: MatchingExchange) -> None:
        """Take the exchange whose orders a missing pulse cancels."""
        self._exchange = exchange
        self._pulses: dict[str, _Pulse] = {}

    def beat(self, key: ApiKey, given: str) -> dict[str, str]:
        """Accept the id of the last beat (empty for the first) and return the next one.

        Raises:
            VenueRefusalError: Another id was expected; the body names it.
        """
        now_ms = self._exchange.advance()
        pulse = self._pulses.get(key.key)
        if pulse is None:
            pulse = self._pulses[key.key] = _Pulse("", 0, now_ms)
        elif given != pulse.heartbeat_id:
            refusal = VenueRefusalError("Invalid Heartbeat ID")
            refusal.body = {
                "error_msg": "Invalid Heartbeat ID",
                "heartbeat_id": pulse.heartbeat_id,
            }
            raise refusal
        pulse.count += 1
        pulse.beaten_ms = now_ms
        raw = digest("heartbeat", key.key, pulse.count, size=16).hex()
        pulse.heartbeat_id = "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:]))
        due_ms = now_ms + self._exchange.rules.heartbeat_s * 1000
        self._exchange.timeline.add(due_ms, lambda due: self._check(key, due))
        return {"heartbeat_id": pulse.heartbeat_id}

    def _check(self, key: ApiKey, due_ms: int) -> None:
        pulse = self._pulses[key.key]
        if due_ms - pulse.beaten_ms < self._exchange.rules.heartbeat_s * 1000:
            return
        del self._pulses[key.key]
        for order in self._exchange.open_orders(key.key):
            if order.state is OrderState.LIVE:
                self._exchange.close(order, due_ms, OrderState.CANCELED.value)
