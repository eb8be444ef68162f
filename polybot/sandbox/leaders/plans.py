"""Plans: what a wallet does in one window, or in an hour elsewhere.

A plan knows times, sizes and kinds; prices are looked up when their instant has come.
"""

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from polybot.sandbox.leaders.events import ActivityType
from polybot.sandbox.leaders.wallets import Behaviour, Wallet
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.seeds import stream

Telling = Literal["one", "levels", "repeat", "average"]
BEFORE_S: Final = 60
"""Some trade a window so long before it starts."""
_CENT: Final = Decimal("0.01")
HOUR_S: Final = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTrade:
    """One transaction to come."""

    at_ms: int
    wallet: Wallet
    number: int
    """Its place in its plan."""
    slug: str
    """A window's; or a foreign market's."""
    is_up: bool
    side: str
    sizes: tuple[Decimal, ...]
    telling: Telling = "one"
    is_maker: bool = False
    is_complement: bool = False
    bait: Decimal | None = None
    """How far from the book [USDC/share]."""
    foreign: int | None = None
    """Which of the foreign markets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedConversion:
    """A split, merge, redemption or rebate to come."""

    at_ms: int
    wallet: Wallet
    number: int
    slug: str
    kind: ActivityType
    up: Decimal
    down: Decimal
    """Shares of each outcome that go in or come out."""


Planned = PlannedTrade | PlannedConversion


class _Holding:
    """What a wallet has of one market while its plan is made."""

    def __init__(self) -> None:
        self.sizes = {True: Decimal(0), False: Decimal(0)}

    @property
    def pairs(self) -> Decimal:
        return min(self.sizes.values())

    def draw(self, rng: random.Random, habits: Behaviour) -> tuple[bool, Decimal] | None:
        """Return what is sold: an outcome and how much of it."""
        held = [is_up for is_up in (True, False) if self.sizes[is_up] >= 1]
        if not held:
            return None
        is_up = rng.choice(held)
        if rng.random() < habits.full_exits:
            return is_up, self.sizes[is_up]
        part = self.sizes[is_up] * rng.choice((1, 2, 3)) / 4
        return is_up, part.quantize(_CENT)


def plan_window(seed: int, wallet: Wallet, market: VenueMarket, rate: float) -> tuple[Planned, ...]:
    """Return everything that a wallet does in one market, ``rate`` transactions a minute."""
    habits, slug = wallet.behaviour, market.window.slug
    rng = stream("leader-plan", seed, wallet.address, slug)
    minutes = market.window.series.duration_s / 60
    expected = rate * (1 - habits.foreign) * minutes
    count = int(expected * rng.uniform(0.6, 1.4) + rng.random())
    first_s = max(market.listed_s + 1, market.start_s - BEFORE_S)
    instants = sorted(
        rng.randrange(
            (first_s if rng.random() < 0.05 else market.start_s) * 1000, market.end_s * 1000
        )
        for _ in range(count)
    )
    holding = _Holding()
    planned: list[Planned] = []
    for number, at_ms in enumerate(instants):
        drawn = rng.random()
        conversion = _plan_conversion(rng, wallet, slug, holding, at_ms, number=number, drawn=drawn)
        if conversion is not None:
            planned.append(conversion)
            continue
        is_sell = drawn > 1 - habits.sells
        planned.append(
            _plan_trade(rng, wallet, slug, holding, at_ms, number=number, is_sell=is_sell)
        )
    if habits.redeems and any(holding.sizes.values()):
        planned.append(
            PlannedConversion(
                at_ms=(market.resolved_s + rng.randint(5, 240)) * 1000 + rng.randrange(1000),
                wallet=wallet,
                number=count,
                slug=slug,
                kind=ActivityType.REDEEM,
                up=holding.sizes[True],
                down=holding.sizes[False],
            )
        )
    return tuple(planned)


def _plan_conversion(
    rng: random.Random,
    wallet: Wallet,
    slug: str,
    holding: _Holding,
    at_ms: int,
    *,
    number: int,
    drawn: float,
) -> PlannedConversion | None:
    """Return a merge or a split where the draw [0, 1) says so."""
    habits = wallet.behaviour
    if drawn < habits.merges and holding.pairs >= 1:
        pairs = holding.pairs if rng.random() < 0.5 else (holding.pairs / 2).quantize(_CENT)
        kind, change = ActivityType.MERGE, -pairs
    elif habits.merges <= drawn < habits.merges + habits.splits:
        pairs = Decimal(rng.randint(10, 100))
        kind, change = ActivityType.SPLIT, pairs
    else:
        return None
    holding.sizes = {is_up: size + change for is_up, size in holding.sizes.items()}
    return PlannedConversion(
        at_ms=at_ms, wallet=wallet, number=number, slug=slug, kind=kind, up=pairs, down=pairs
    )


def _plan_trade(
    rng: random.Random,
    wallet: Wallet,
    slug: str,
    holding: _Holding,
    at_ms: int,
    *,
    number: int,
    is_sell: bool,
) -> PlannedTrade:
    habits = wallet.behaviour
    sizes: tuple[Decimal, ...]
    telling: Telling
    sold = holding.draw(rng, habits) if is_sell else None
    if sold is not None:
        is_up, size = sold
        sizes, telling = (size,), _telling(rng, habits, can_repeat=False)
    else:
        is_up = rng.random() < 0.5
        size = Decimal(rng.randint(int(habits.smallest * 100), int(habits.largest * 100))) / 100
        telling = _telling(rng, habits, can_repeat=True)
        sizes = (size,) * rng.randint(2, 3) if telling == "repeat" else (size,)
    if telling == "levels":
        sizes = _split(rng, size)
    if telling == "average":
        # One part in three at the second level, so that most averages are off the tick grid.
        sizes = (size - (size / 3).quantize(_CENT), (size / 3).quantize(_CENT))
    if len(sizes) == 1 or min(sizes) <= 0:
        sizes, telling = (sum(sizes, Decimal(0)),), "one"
    total = sum(sizes, Decimal(0))
    holding.sizes[is_up] += -total if sold is not None else total
    is_maker = telling != "average" and rng.random() < habits.makes
    return PlannedTrade(
        at_ms=at_ms,
        wallet=wallet,
        number=number,
        slug=slug,
        is_up=is_up,
        side="SELL" if sold is not None else "BUY",
        sizes=sizes,
        telling=telling,
        is_maker=is_maker,
        is_complement=is_maker and rng.random() < habits.complements,
        bait=Decimal(rng.randint(15, 40)) / 100 if rng.random() < habits.baits else None,
    )


def plan_foreign(seed: int, wallet: Wallet, hour: int) -> tuple[Planned, ...]:
    """Return what a wallet does in an hour outside the windows of this venue."""
    habits = wallet.behaviour
    rng = stream("leader-foreign", seed, wallet.address, hour)
    count = int(habits.rate * habits.foreign * 60 + rng.random())
    planned: list[Planned] = []
    held: dict[tuple[int, bool], Decimal] = {}
    for number, at_ms in enumerate(
        sorted(hour * HOUR_S * 1000 + rng.randrange(HOUR_S * 1000) for _ in range(count))
    ):
        market, is_up = rng.randrange(1 << 16), rng.random() < 0.5
        size = Decimal(rng.randint(500, 9_000)) / 100
        side = "BUY"
        if held and rng.random() < habits.sells:
            (market, is_up), size = held.popitem()
            side = "SELL"
        else:
            held[market, is_up] = size
        planned.append(
            PlannedTrade(
                at_ms=at_ms,
                wallet=wallet,
                number=number,
                slug=f"hour-{hour}",
                is_up=is_up,
                side=side,
                sizes=(size,),
                is_maker=rng.random() < habits.makes,
                foreign=market,
            )
        )
    if habits.rate and habits.makes:
        planned.append(
            PlannedConversion(
                at_ms=hour * HOUR_S * 1000 + rng.randrange(HOUR_S * 1000),
                wallet=wallet,
                number=count,
                slug="",
                kind=ActivityType.MAKER_REBATE,
                up=Decimal(rng.randint(1, 900)) / 100,
                down=Decimal(0),
            )
        )
    return tuple(planned)


def _telling(rng: random.Random, habits: Behaviour, *, can_repeat: bool) -> Telling:
    drawn = rng.random()
    if drawn < habits.several_fills:
        return "levels"
    if drawn < habits.several_fills + habits.repeats:
        return "repeat" if can_repeat else "one"
    if drawn < habits.several_fills + habits.repeats + habits.averages:
        return "average"
    return "one"


def _split(rng: random.Random, size: Decimal) -> tuple[Decimal, ...]:
    """Return a size in two or three different parts."""
    first = (size * rng.randint(30, 60) / 100).quantize(_CENT)
    rest = size - first
    if rng.random() < 0.5:
        return first, rest
    second = (rest * rng.randint(30, 45) / 100).quantize(_CENT)
    return first, second, rest - second
