"""What several runs have to know about the venue and no ledger row says.

Four things, in files of the bot's home: until when the venue takes no orders, whether the first
live order came back under the id that we computed, what the venue answered to market orders whose
trades are not known yet, and since when it has not shown an order that rested. Losing them costs a
refused order, one more checked order or a wait begun anew. The ledger does not depend on them.
"""

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from polybot.adapters.polymarket.answers import Restriction
from polybot.adapters.polymarket.order_fields import OrderFields
from polybot.adapters.polymarket.order_wire import PlacedState
from polybot.domain.orders import OrderId
from polybot.errors import ConfigurationError

# Orders whose fate is open are looked at every minute; a file of more is not ours.
_MOST_ORDERS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRestriction:
    """What the venue takes no orders for, and until when to believe it."""

    restriction: Restriction
    until: datetime

    def stops(self, *, is_post_only: bool) -> bool:
        """Whether an order like this one would be refused."""
        return not (is_post_only and self.restriction is Restriction.POST_ONLY)


class VenueMemory:
    """Small files in one folder, each written as a whole, shared by every process of the home.

    Noting something never raises: what could not be written is looked up again. Only asking
    whether the first order may leave does.
    """

    def __init__(self, folder: Path) -> None:
        """Keep where the files are; the folder is made with the first one."""
        self._folder = folder
        self._folder_name = str(folder)
        self._passed: set[str] = set()

    # Restrictions -------------------------------------------------------------------------------
    def restrict(self, restriction: Restriction, *, until: datetime) -> None:
        """Remember that the venue takes no orders for a while; the newest answer counts."""
        self._write("restriction.json", {"restriction": restriction, "until": until.isoformat()})

    def restriction(self, *, at: datetime) -> ActiveRestriction | None:
        """Return the restriction that holds at an instant."""
        found = self._read("restriction.json")
        if not found:
            return None
        try:
            active = ActiveRestriction(
                restriction=Restriction(str(found["restriction"])),
                until=datetime.fromisoformat(str(found["until"])).astimezone(UTC),
            )
        except (KeyError, ValueError):
            return None
        return active if at < active.until else None

    # The first order ----------------------------------------------------------------------------
    def claim_canary(self, order_id: OrderId, fields: OrderFields) -> str | None:
        """Ask whether an order may be sent now.

        The first order of every kind of wallet on every exchange goes alone: until the venue has
        shown that it calls that order by the id that we computed, no second one may follow.

        Returns:
            ``None`` where it may; else the sentence that says what is waited for.

        Raises:
            ConfigurationError: The folder cannot be written.
        """
        name = f"canary-{int(fields.signature_type)}-{fields.domain.version}.json"
        if name in self._passed:
            return None
        if self._create(name, {"order_id": order_id, "passed": False}):
            return None
        found = self._read(name)
        if found.get("passed") is True:
            self._passed.add(name)
            return None
        if found.get("order_id") == order_id:
            return None
        return (
            f"the first live order {found.get('order_id', '')} has not been seen on the venue "
            f"under its id yet; reconcile first ({self._folder / name})"
        )

    def pass_canary(self, order_id: OrderId) -> None:
        """Note that the venue knows this order by our id."""
        for name in self._canaries_of(order_id):
            self._write(name, {"order_id": order_id, "passed": True})

    def release_canary(self, order_id: OrderId) -> None:
        """Note that this order is proved not to exist: it has shown nothing, the next one will."""
        for name in self._canaries_of(order_id):
            with suppress(OSError):
                (self._folder / name).unlink()

    # Orders whose fate is open ------------------------------------------------------------------
    def note_taken(self, order_id: OrderId, state: PlacedState) -> None:
        """Note how the venue took a market order, until its trades are known."""
        self._add("taken.json", order_id, state.value)

    def taken(self, order_id: OrderId) -> PlacedState | None:
        """Return how the venue took an order; ``None`` where its answer is not known."""
        with suppress(ValueError):
            return PlacedState(str(self._read("taken.json").get(order_id)))
        return None

    def absent_since(self, order_id: OrderId, *, at: datetime) -> datetime:
        """Return since when the venue has not shown an order, counting from the first look."""
        with suppress(KeyError, ValueError):
            return datetime.fromisoformat(str(self._read("absences.json")[order_id])).astimezone(
                UTC
            )
        self._add("absences.json", order_id, at.isoformat())
        return at

    def forget_absence(self, order_id: OrderId) -> None:
        """Note that an order is shown again."""
        self._remove("absences.json", order_id)

    def forget(self, order_id: OrderId) -> None:
        """Note that an order's fate is known."""
        self._remove("absences.json", order_id)
        self._remove("taken.json", order_id)

    def _add(self, name: str, order_id: OrderId, value: str) -> None:
        known = self._read(name)
        if len(known) < _MOST_ORDERS:
            self._write(name, {**known, order_id: value})

    def _remove(self, name: str, order_id: OrderId) -> None:
        known = self._read(name)
        if order_id in known:
            del known[order_id]
            self._write(name, known)

    def _canaries_of(self, order_id: OrderId) -> list[str]:
        if not self._folder.is_dir():
            return []
        names = (path.name for path in sorted(self._folder.glob("canary-*.json")))
        return [
            name
            for name in names
            if name not in self._passed
            and (found := self._read(name)).get("order_id") == order_id
            and found.get("passed") is not True
        ]

    def _read(self, name: str) -> dict[str, object]:
        path = f"{self._folder_name}/{name}"
        # Most of the time there is none, and opening what is not there costs twenty times as much.
        if not os.access(path, os.F_OK):
            return {}
        try:
            found = json.loads(Path(path).read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, name: str, content: dict[str, object]) -> None:
        """Write a file as a whole; a full disk must not come between an answer and its record."""
        with suppress(OSError):
            self._temporary(content).replace(self._folder / name)

    def _create(self, name: str, content: dict[str, object]) -> bool:
        """Write a file that must not exist; whether it did not."""
        if (self._folder / name).exists():
            return False
        try:
            temporary = self._temporary(content)
        except OSError as error:
            raise ConfigurationError(
                f"{self._folder} cannot be written: {error.strerror}"
            ) from error
        try:
            os.link(temporary, self._folder / name)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        return True

    def _temporary(self, content: dict[str, object]) -> Path:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._folder, suffix=".tmp")
        with os.fdopen(handle, "w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        return Path(name)
