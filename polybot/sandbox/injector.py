"""Makes planned faults happen: to the venue's state, to requests, to trades.

Nothing here knows HTTP: a delivery says what becomes of an answer, and whoever carries answers
(the server, or a simulation in the same process) does that to it.
"""

from dataclasses import dataclass, field
from typing import Final

from polybot.sandbox.exchange.gateway import PrivateGateway, VenueReply, VenueRequest
from polybot.sandbox.exchange.matching import MatchingExchange
from polybot.sandbox.exchange.orders import Trade, VenueOrder
from polybot.sandbox.fault_plan import (
    EVENT_FAULTS,
    MATCH_FAULTS,
    REQUEST_FAULTS,
    TRADE_FAULTS,
    VENUE_FAULTS,
    FaultPlan,
    PlannedFault,
)

_HTML: Final = (
    "<html><head><title>502 Bad Gateway</title></head>"
    "<body><center><h1>502 Bad Gateway</h1></center><hr>cloudflare</body></html>"
)
_SPARED: Final = ("error-before", "timeout-before", "cut-before", "html", "rate-limited")
"""Faults that keep the request from the venue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A replacement for the true answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


class FaultInjector:
    """One plan over one exchange."""

    def __init__(self, exchange: MatchingExchange, plan: FaultPlan) -> None:
        """Take the exchange and let its trades and matches ask the plan."""
        self.exchange = exchange
        self.plan = plan
        exchange.fate_of = self._fate_of
        exchange.is_delayed = self._is_delayed

    def on_request(self, method: str, path: str) -> PlannedFault | None:
        """Change the venue as planned, and return what happens to this request."""
        route = f"{method} {path}"
        now_s = self._now_s()
        for fault in self.plan.all_for(VENUE_FAULTS, route, now_s):
            self._change_venue(fault)
        return self.plan.first_for(REQUEST_FAULTS, route, now_s)

    def on_event(self, channel: str) -> PlannedFault | None:
        """Return what happens to an event on ``/ws/user`` or ``/ws/market``."""
        return self.plan.first_for(EVENT_FAULTS, f"WS {channel}", self._now_s())

    def _fate_of(self, trade: Trade) -> str:
        route = f"TRADE {trade.taker.market.window.slug}"
        fault = self.plan.first_for(TRADE_FAULTS, route, self._now_s())
        if fault is None:
            return "confirm"
        return "retry" if fault.kind == "trade-retried" else "fail"

    def _is_delayed(self, order: VenueOrder) -> bool:
        route = f"MATCH {order.market.window.slug}"
        return self.plan.first_for(MATCH_FAULTS, route, self._now_s()) is not None

    def _change_venue(self, fault: PlannedFault) -> None:
        exchange, venue = self.exchange, self.exchange.venue
        now_ms = exchange.advance()
        until_ms = now_ms + fault.duration_s * 1000
        if fault.kind == "restart":
            exchange.conditions.restart(now_ms, exchange.rules)
        elif fault.kind == "cancel-only":
            exchange.conditions.cancel_only_until_ms = until_ms
        elif fault.kind == "disabled":
            exchange.conditions.disabled_until_ms = until_ms
        elif fault.kind == "clock-skew":
            venue.clock_skew_ms = fault.skew_s * 1000
            exchange.timeline.add(until_ms, lambda _: setattr(venue, "clock_skew_ms", 0))
        elif fault.kind == "gamma-late":
            venue.gamma_late_s = fault.duration_s
        elif fault.kind == "keys-revoked":
            exchange.keys.revoke_all()
        elif fault.kind == "tick-change":
            market = venue.listing.by_slug(fault.slug)
            if market is not None:
                venue.ticks[market.condition_id] = fault.tick
        else:
            self._change_balance(fault)

    def _change_balance(self, fault: PlannedFault) -> None:
        account = self.exchange.accounts.of_funder(fault.funder)
        if account is None:
            return
        change = int(fault.amount_usdc * 10**6)
        self.exchange.accounts.deposit(account, max(change, -account.cash))

    def _now_s(self) -> int:
        return self.exchange.venue.clock.now_ms() // 1000


def is_spared(fault: PlannedFault) -> bool:
    """Whether the fault keeps the request from the venue."""
    return fault.kind in _SPARED


def replacement(fault: PlannedFault) -> Answer | None:
    """Return the answer that a fault gives instead of the true one; ``None``: it gives none."""
    if fault.kind in ("error-before", "error-after"):
        body = fault.body or '{"error":"could not run the execution"}'
        return Answer(status=fault.status, body=body.encode())
    if fault.kind in ("html", "html-after"):
        return Answer(
            status=fault.status, body=(fault.body or _HTML).encode(), content_type="text/html"
        )
    if fault.kind == "rate-limited":
        headers = {}
        if fault.retry_after_s is not None:
            headers["retry-after"] = str(fault.retry_after_s)
        return Answer(status=429, body=b'{"error":"Too Many Requests"}', headers=headers)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What reaches a client in the same process."""

    answer: Answer | None
    """``None``: nothing came, the connection broke or the time was up."""
    fault: PlannedFault | None = None

    @property
    def is_timeout(self) -> bool:
        """Whether the client waited in vain, rather than saw the connection break."""
        return self.fault is not None and self.fault.kind.startswith("timeout")


class FaultyGateway:
    """The private half of the venue with its faults, for a client in the same process."""

    def __init__(self, gateway: PrivateGateway, injector: FaultInjector) -> None:
        """Take what answers and what goes wrong."""
        self._gateway = gateway
        self._injector = injector

    def handle(self, request: VenueRequest) -> Delivery:
        """Answer one request, or let it fail as planned."""
        fault = self._injector.on_request(request.method, request.path)
        if fault is None:
            return Delivery(answer=_true_answer(self._gateway.handle(request)))
        answer = None
        if not is_spared(fault):
            answer = _true_answer(self._gateway.handle(request))
        if fault.kind in ("timeout-before", "timeout-after", "cut-before", "cut-after"):
            return Delivery(answer=None, fault=fault)
        if fault.kind == "truncated" and answer is not None:
            cut = Answer(status=answer.status, body=answer.body[: fault.at_byte])
            return Delivery(answer=cut, fault=fault)
        return Delivery(answer=replacement(fault) or answer, fault=fault)


def _true_answer(reply: VenueReply) -> Answer:
    return Answer(status=reply.status, body=reply.body, headers=dict(reply.headers))
