"""The few closed sets that everything else is keyed by."""

from enum import StrEnum


class Mode(StrEnum):
    """Where orders go and where prices come from."""

    PAPER = "paper"
    """Simulated exchange on the real market data."""
    LIVE = "live"
    """The real exchange, with real money."""
    SANDBOX = "sandbox"
    """A venue on this machine: nothing leaves it."""


class TradingState(StrEnum):
    """What the operator allows; only a person lifts a halt."""

    ACTIVE = "active"
    """Everything that risk approves."""
    REDUCING = "reducing"
    """Only orders that make a position smaller."""
    HALTED = "halted"
    """No order at all."""
