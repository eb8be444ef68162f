"""What wallets are going to do: a plan for each window, made whole and played as time passes.

A plan knows times, sizes and kinds; prices are looked up when their instant has come.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from polybot.domain.markets import MarketSeries, MarketWindow
from polybot.sandbox.leaders.events import ActivityType
from polybot.sandbox.leaders.wallets import Behaviour, Wallet
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.seeds import stream
from polybot.sandbox.venue import SandboxVenue

Telling = Literal["one", "levels", "repeat", "average"]
_BEFORE_S: Final = 60
"""Some trade a window so long before it starts."""
_AFTER_S: Final = 600
"""Everything about a window is over so long after its end."""
_CENT: Final = Decimal("0.01")
_HOUR_S: Final = 3_600


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


class Script:
    """The plans of a venue's wallets."""

    def __init__(self, venue: SandboxVenue) -> None:
        """Take the venue whose windows are traded."""
        self._venue = venue
        played = venue.replay.windows if venue.replay is not None else ()
        self._recorded = {str(one.window.series) for one in played}
        self._plans: dict[tuple[str, str], tuple[Planned, ...]] = {}

    def between(self, wallets: list[Wallet], after_ms: int, until_ms: int) -> list[Planned]:
        """Return what happens in ``(after_ms, until_ms]``, in order."""
        found = [
            one
            for wallet in wallets
            for plan in self._plans_of(wallet, after_ms // 1000, until_ms // 1000)
            for one in plan
            if after_ms < one.at_ms <= until_ms
        ]
        found.sort(key=lambda one: (one.at_ms, one.wallet.address, one.slug, one.number))
        return found

    def _plans_of(self, wallet: Wallet, first_s: int, last_s: int) -> Iterator[tuple[Planned, ...]]:
        names = [one for one in wallet.behaviour.series if self._is_played(one)]
        for name in names:
            series = MarketSeries.parse(name)
            length = series.duration_s
            earliest = (first_s - length - _AFTER_S) // length * length
            for start_s in range(max(earliest, length), last_s + _BEFORE_S + 1, length):
                window = MarketWindow(series=series, start_s=start_s)
                yield self._window(wallet, window, series_count=len(names))
        for hour in range(first_s // _HOUR_S, last_s // _HOUR_S + 1):
            yield self._foreign(wallet, hour)

    def _is_played(self, series: str) -> bool:
        return not self._recorded or series in self._recorded

    def _window(
        self, wallet: Wallet, window: MarketWindow, *, series_count: int
    ) -> tuple[Planned, ...]:
        key = (wallet.address, window.slug)
        plan = self._plans.get(key)
        if plan is None:
            market = self._venue.listing.by_slug(window.slug)
            plan = ()
            if market is not None:
                rate = wallet.behaviour.rate / series_count
                plan = _plan_window(self._venue.seed, wallet, market, rate)
            self._keep(key, plan)
        return plan

    def _foreign(self, wallet: Wallet, hour: int) -> tuple[Planned, ...]:
        key = (wallet.address, f"hour-{hour}")
        plan = self._plans.get(key)
        if plan is None:
            plan = _plan_foreign(self._venue.seed, wallet, hour)
            self._keep(key, plan)
        return plan

    def _keep(self, key: tuple[str, str], plan: tuple[Planned, ...]) -> None:
        if len(self._plans) >= 5_000:
            self._plans.clear()
        self._plans[key] = plan


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


def _plan_window(
    seed: int, wallet: Wallet, market: VenueMarket, rate: float
) -> tuple[Planned, ...]:
    """Return everything that a wallet does in one market, ``rate`` transactions a minute."""
    habits, slug = wallet.behaviour, market.window.slug
    rng = stream("leader-plan", seed, wallet.address, slug)
    minutes = market.window.series.duration_s / 60
    expected = rate * (1 - habits.foreign) * minutes
    count = int(expected * rng.uniform(0.6, 1.4) + rng.random())
    first_s = max(market.listed_s + 1, market.start_s - _BEFORE_S)
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
        if drawn < habits.merges and holding.pairs >= 1:
            pairs = holding.pairs if rng.random() < 0.5 else (holding.pairs / 2).quantize(_CENT)
            holding.sizes = {up: size - pairs for up, size in holding.sizes.items()}
            kind = ActivityType.MERGE
        elif habits.merges <= drawn < habits.merges + habits.splits:
            pairs = Decimal(rng.randint(10, 100))
            holding.sizes = {up: size + pairs for up, size in holding.sizes.items()}
            kind = ActivityType.SPLIT
        else:
            is_sell = drawn > 1 - habits.sells
            planned.append(
                _plan_trade(rng, wallet, slug, holding, at_ms, number=number, is_sell=is_sell)
            )
            continue
        planned.append(
            PlannedConversion(
                at_ms=at_ms,
                wallet=wallet,
                number=number,
                slug=slug,
                kind=kind,
                up=pairs,
                down=pairs,
            )
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


def _plan_foreign(seed: int, wallet: Wallet, hour: int) -> tuple[Planned, ...]:
    """Return what a wallet does in an hour outside the windows of this venue."""
    habits = wallet.behaviour
    rng = stream("leader-foreign", seed, wallet.address, hour)
    count = int(habits.rate * habits.foreign * 60 + rng.random())
    planned: list[Planned] = []
    held: dict[tuple[int, bool], Decimal] = {}
    for number, at_ms in enumerate(
        sorted(hour * _HOUR_S * 1000 + rng.randrange(_HOUR_S * 1000) for _ in range(count))
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
                at_ms=hour * _HOUR_S * 1000 + rng.randrange(_HOUR_S * 1000),
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
