"""What the venue does with an order that somebody is killed around: the names that points carry."""

from collections.abc import Mapping
from random import Random

from polybot.sandbox.exchange import refusals

Fault = Mapping[str, object]

ACCEPTED, REFUSED = "accepted", "refused"
RESTARTING, LIMITED, SILENT = "restarting (425)", "too many (429)", "taken, no answer"
MOODS = (ACCEPTED, REFUSED, RESTARTING, LIMITED, SILENT)
# How long a bot waits for an answer that never comes, and for one that does [s, real].
_SILENCE_S, _PATIENCE_S = 0.15, 5.0

_REFUSING: tuple[Fault, ...] = (
    {"kind": "error-before", "status": 400, "body": f'{{"error":"{refusals.FAK_KILLED}"}}'},
    {"kind": "error-before", "status": 500},
    {"kind": "html", "status": 502},
)
_SPOILING: tuple[Fault, ...] = (
    {"kind": "error-after", "status": 500},
    {"kind": "html-after", "status": 502},
    {"kind": "truncated", "at_byte": 30},
)
_LYING: Fault = {
    "kind": "error-after",
    "status": 400,
    "body": f'{{"error":"{refusals.CROSSES}"}}',
    "route": "POST /order",
}


def mood_of(point: str, random: Random) -> str:
    """Return the mood that a point names; any fits where it is reached before the answer."""
    named = [mood for mood in MOODS if point.endswith(f", {mood}")]
    if named:
        return named[0]
    is_free = "post" not in point or point.endswith(("before", "half sent"))
    return REFUSED if is_free and random.random() < 0.3 else ACCEPTED


def faults_of(mood: str, random: Random) -> tuple[Fault, ...]:
    """Return what the venue is to do with the next order."""
    found: tuple[Fault, ...] = ()
    match mood:
        case "refused":
            found = (random.choice(_REFUSING),)
        case "restarting (425)":
            found = ({"kind": "restart"},)
        case "too many (429)":
            found = ({"kind": "rate-limited", "retry_after_s": 1},)
        case "taken, no answer":
            found = ({"kind": "timeout-after"},)
        case _ if random.random() < 0.3:
            found = (random.choice(_SPOILING),)
    return tuple({**one, "route": "POST /order"} for one in found)


def slow_answer() -> tuple[Fault, ...]:
    """Return an answer that leaves time for a signal, also where the machine does much else."""
    return ({"kind": "slow", "delay_ms": 50, "route": "POST /order"},)


def false_refusal() -> tuple[Fault, ...]:
    """Return a refusal of an order that the venue keeps: our record is wrong then."""
    return (_LYING,)


def answer_timeout_s(mood: str) -> float:
    """Return how long the bot waits for the answer to an order [s]."""
    return _SILENCE_S if mood == SILENT else _PATIENCE_S
