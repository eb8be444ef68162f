"""One cache of compiled SQL for every ledger that a test process opens.

Each ledger has an engine of its own, and compiling its statements takes longer than a run of the
bot. The engines are all of one kind, so what one has compiled serves the others.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from unittest import mock

from polybot.adapters.storage import engine


class _Compiled(dict[Any, Any]):
    """A cache for several engines of one kind; their keys begin with each one's own dialect."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(key[1:], default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key[1:], value)


_ALL: Final = _Compiled()


@contextmanager
def shared_statements() -> Iterator[None]:
    """Let every ledger that is opened meanwhile use the statements that others have compiled."""
    create = vars(engine)["create_engine"]

    def create_sharing(*args: Any, **named: Any) -> Any:
        made = create(*args, **named)
        made._compiled_cache = _ALL
        return made

    with mock.patch.object(engine, "create_engine", create_sharing):
        yield
