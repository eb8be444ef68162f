"""A served venue at one well-known window."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from polybot.sandbox.clock import SteppedClock
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.venue import SandboxVenue
from tests.sandbox_server import serve_in_thread

START_S = 1_791_241_200
"""2026-10-05T23:00:00Z, the window of the public capture."""
SLUG = f"btc-updown-15m-{START_S}"


@dataclass
class Served:
    """A venue, its clock and a client of its server."""

    venue: SandboxVenue
    clock: SteppedClock
    http: httpx.Client

    @property
    def market(self) -> VenueMarket:
        """The window's market."""
        market = self.venue.listing.by_slug(SLUG)
        assert market is not None
        return market

    def get(self, path: str, **query: object) -> httpx.Response:
        """Ask the server."""
        return self.http.get(path, params={name: str(value) for name, value in query.items()})

    def at(self, second: int) -> "Served":
        """Move to a second after the window's start."""
        self.clock.move_to((START_S + second) * 1000)
        return self


@pytest.fixture
def served() -> Iterator[Served]:
    """Serve a fresh venue, ten seconds before the window starts."""
    clock = SteppedClock((START_S - 10) * 1000)
    venue = SandboxVenue(seed=7, clock=clock)
    with serve_in_thread(venue) as url, httpx.Client(base_url=url, trust_env=False) as http:
        yield Served(venue, clock, http)
