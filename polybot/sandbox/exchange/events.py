"""What happened, for whoever listens: one numbered list, read by API key or by market."""

from collections.abc import Callable
from dataclasses import dataclass

from polybot.sandbox.exchange.views import Json


@dataclass(frozen=True, slots=True)
class UserEvent:
    """One frame of the user socket."""

    number: int
    owner: str
    """Whose API key hears it."""
    condition_id: str
    at_ms: int
    payload: Json


UserListener = Callable[[UserEvent], None]


class UserEvents:
    """Tells listeners; keeps nothing, because the venue replays nothing."""

    def __init__(self) -> None:
        """Start with nobody listening."""
        self.count = 0
        self._listeners: list[UserListener] = []

    def add_listener(self, listener: UserListener) -> None:
        """Call ``listener`` for every event from now on."""
        self._listeners.append(listener)

    def remove_listener(self, listener: UserListener) -> None:
        """Stop calling a listener."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def tell(self, owner: str, condition_id: str, at_ms: int, payload: Json) -> None:
        """Send one event to everybody."""
        self.count += 1
        event = UserEvent(self.count, owner, condition_id, at_ms, payload)
        for listener in tuple(self._listeners):
            listener(event)
