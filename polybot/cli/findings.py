"""What the doctor's checks look at, and how they say what they found."""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from polybot.cli.session import Session

if TYPE_CHECKING:
    from polybot.adapters.polymarket.order_fields import TradingAccount
    from polybot.adapters.polymarket.signing import OrderSigner
    from polybot.config import Settings
    from polybot.domain.markets import Market
    from polybot.ports import VenueAccount

    OpenAccount = Callable[
        [Settings, OrderSigner, TradingAccount], AbstractAsyncContextManager[VenueAccount]
    ]


class Grade(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warn"
    """Worth knowing; it stops nothing."""
    FAILURE = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check."""

    name: str
    passed: bool
    detail: str
    mend: str = ""
    """What to do, where the check failed or warns."""
    is_warning: bool = False

    @property
    def grade(self) -> Grade:
        """How it ended; what failed is no mere warning."""
        if not self.passed:
            return Grade.FAILURE
        return Grade.WARNING if self.is_warning else Grade.OK


@dataclass(kw_only=True)
class Examination:
    """What the checks look at, and what earlier checks learnt for later ones."""

    session: Session
    audit: bool
    """Recompute every running total of the ledger."""
    offline: bool
    open_account: "OpenAccount | None" = None
    """``None``: the venue's, as the bot itself opens it."""
    signer: "OrderSigner | None" = None
    account: "TradingAccount | None" = None
    markets: "list[Market]" = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        """Whether real money is at stake: the key is read, and unknown is a failure."""
        from polybot.domain.modes import Mode

        return self.session.settings.mode is Mode.LIVE

    @cached_property
    def is_copying(self) -> bool:
        """Whether anybody is followed: copy trading listens to sockets of its own."""
        with self.session.existing_ledger() as ledger:
            # A ledger that knows no leaders follows nobody.
            leaders = getattr(ledger, "leaders", tuple)
            return bool(leaders())


Check = Callable[[Examination], Iterator[Finding]]


def ok(name: str, detail: str) -> Finding:
    """Return a finding that is as it should be."""
    return Finding(name=name, passed=True, detail=detail)


def warning(name: str, detail: str, mend: str = "") -> Finding:
    """Return a finding that stops nothing."""
    return Finding(name=name, passed=True, detail=detail, mend=mend, is_warning=True)


def failure(name: str, detail: str, mend: str) -> Finding:
    """Return a finding that must be mended."""
    return Finding(name=name, passed=False, detail=detail, mend=mend)
