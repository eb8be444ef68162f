"""Seeded misbehaviour: which fault fires on which occasion, and how often each has fired.

An occasion is a request, a match, or a socket event. Whether a rule fires on its n-th occasion
depends on the seed and on n alone, so the same requests in the same order meet the same faults.
"""

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

import msgspec

from polybot.errors import ConfigurationError
from polybot.sandbox.seeds import stream

FaultKind = Literal[
    "error-before",
    "error-after",
    "timeout-before",
    "timeout-after",
    "cut-before",
    "cut-after",
    "truncated",
    "html",
    "html-after",
    "rate-limited",
    "slow",
    "restart",
    "cancel-only",
    "disabled",
    "clock-skew",
    "tick-change",
    "gamma-late",
    "balance-change",
    "keys-revoked",
    "trade-retried",
    "trade-failed",
    "match-delayed",
    "event-late",
    "event-duplicated",
    "event-reordered",
    "event-lost",
    "socket-frozen",
    "socket-closed",
    "subscription-lapsed",
    "trade-unheard",
    "index-late",
    "leader-trade-failed",
    "chain-reorg",
]
REQUEST_FAULTS: Final = (
    "error-before",
    "error-after",
    "timeout-before",
    "timeout-after",
    "cut-before",
    "cut-after",
    "truncated",
    "html",
    "html-after",
    "rate-limited",
    "slow",
)
VENUE_FAULTS: Final = (
    "restart",
    "cancel-only",
    "disabled",
    "clock-skew",
    "tick-change",
    "gamma-late",
    "balance-change",
    "keys-revoked",
)
TRADE_FAULTS: Final = ("trade-retried", "trade-failed")
MATCH_FAULTS: Final = ("match-delayed",)
EVENT_FAULTS: Final = (
    "event-late",
    "event-duplicated",
    "event-reordered",
    "event-lost",
    "socket-frozen",
    "socket-closed",
)
STREAM_FAULTS: Final = ("subscription-lapsed",)
"""Silence on ``/rtds`` or ``/chain`` until there is a new subscription."""
LEADER_FAULTS: Final = ("trade-unheard", "index-late", "leader-trade-failed", "chain-reorg")
"""Of whole transactions of a leader: their route is ``LEADER 0x…``."""


class PlannedFault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """One rule: what goes wrong, on which occasions, and how."""

    kind: FaultKind
    route: str = ""
    """Only requests like this: ``POST /order``, ``/data/``, ``LEADER``, or any where empty."""
    probability: float = 1.0
    count: int = 1
    """How often at most; 0 is without end."""
    skip: int = 0
    """Occasions to let pass first."""
    from_s: int = 0
    """Only from this virtual second on."""
    until_s: int = 1 << 62
    status: int = 500
    body: str | None = None
    retry_after_s: int | None = None
    """Of a 429; none: without the header."""
    at_byte: int = 0
    """Where an answer is cut: of the whole answer (cut-after) or of its body (truncated)."""
    delay_ms: int = 1_000
    """Real for answers, virtual for socket events."""
    delay_max_ms: int = 0
    """Where larger: socket events of ``/rtds`` and ``/chain`` are late by something in between."""
    duration_s: int = 60
    """How long a state of the venue or a frozen socket lasts, a trade before it fails (virtual)."""
    amount_usdc: Decimal = Decimal(0)
    funder: str = ""
    slug: str = ""
    tick: Decimal = Decimal("0.001")
    skew_s: int = 60

    def __post_init__(self) -> None:
        """Refuse rules that could never fire, or not as they say."""
        if not 0 < self.probability <= 1:
            raise ValueError(f"probability must be above 0 and at most 1, was {self.probability}")
        numbers = (self.count, self.skip, self.at_byte, self.delay_ms, self.duration_s)
        if min(*numbers, self.delay_max_ms) < 0:
            raise ValueError("count, skip, at_byte, delays and duration_s must not be negative")
        if not 200 <= self.status <= 599:
            raise ValueError(f"status must be 200 to 599, was {self.status}")
        if self.kind == "tick-change" and not self.slug:
            raise ValueError("a tick-change needs the slug of its market")
        if self.kind == "balance-change" and not self.funder:
            raise ValueError("a balance-change needs the funder of its account")

    def fits(self, route: str) -> bool:
        """Whether a request, named ``POST /order``, is one of the rule's."""
        if not self.route:
            return True
        if self.route.startswith("/"):
            return route.partition(" ")[2].startswith(self.route)
        # The first word alone: every leader, every socket.
        return self.route in (route, route.partition(" ")[0])


class FaultFile(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What ``--faults FILE`` holds."""

    faults: list[PlannedFault]
    seed: int | None = None


@dataclass(slots=True)
class _Armed:
    rule: PlannedFault
    number: int
    seen: int = 0
    fired: int = 0


class FaultPlan:
    """The armed rules, in the order in which they were armed."""

    def __init__(self, seed: int, rules: list[PlannedFault] | None = None) -> None:
        """Take what chance depends on."""
        self.seed = seed
        self.fired: Counter[str] = Counter()
        self._count = 0
        self._armed: list[_Armed] = []
        for rule in rules or []:
            self.arm(rule)

    def arm(self, rule: PlannedFault) -> None:
        """Arm a rule behind those already armed."""
        self._count += 1
        self._armed.append(_Armed(rule, self._count))

    def clear(self) -> None:
        """Disarm everything; what has fired stays counted."""
        self._armed.clear()

    def armed(self) -> list[dict[str, object]]:
        """Return the armed rules and how often each has fired."""
        return [
            {"kind": one.rule.kind, "route": one.rule.route, "fired": one.fired}
            for one in self._armed
        ]

    def all_for(self, kinds: tuple[str, ...], route: str, now_s: int) -> list[PlannedFault]:
        """Return every fault of some kinds that fires on this occasion."""
        return [one.rule for one in list(self._armed) if self._fires(one, kinds, route, now_s)]

    def first_for(self, kinds: tuple[str, ...], route: str, now_s: int) -> PlannedFault | None:
        """Return the first fault of some kinds that fires; later rules do not see the occasion."""
        for one in list(self._armed):
            if self._fires(one, kinds, route, now_s):
                return one.rule
        return None

    def _fires(self, one: _Armed, kinds: tuple[str, ...], route: str, now_s: int) -> bool:
        rule = one.rule
        if rule.kind not in kinds or not rule.from_s <= now_s < rule.until_s:
            return False
        if not rule.fits(route):
            return False
        one.seen += 1
        if one.seen <= rule.skip:
            return False
        if rule.probability < 1:
            draw = stream("fault", self.seed, one.number, one.seen).random()
            if draw >= rule.probability:
                return False
        one.fired += 1
        self.fired[rule.kind] += 1
        if rule.count and one.fired >= rule.count:
            self._armed.remove(one)
        return True


def load_faults(path: Path, *, seed: int) -> FaultPlan:
    """Return the plan of a YAML or JSON file.

    Raises:
        ConfigurationError: It cannot be read or says something impossible.
    """
    try:
        found = msgspec.yaml.decode(path.read_bytes(), type=FaultFile)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"--faults {path}: {error}") from error
    return FaultPlan(seed if found.seed is None else found.seed, found.faults)
