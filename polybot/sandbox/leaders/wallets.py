"""Who trades: wallets with a name, an address and habits."""

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Final

from polybot.domain.markets import MarketSeries
from polybot.errors import ConfigurationError
from polybot.sandbox.seeds import digest

_NAMES: Final = (
    ("amber-heron", "Patient-Ferry"),
    ("quiet-otter", "Brisk-Lantern"),
    ("tall-birch", "Narrow-Harbor"),
    ("late-swift", "Copper-Anchor"),
)
_STRANGERS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """A wallet's habits; shares are fractions of its transactions."""

    rate: float = 4.0
    """Transactions a minute over all its series, on average."""
    series: tuple[str, ...] = ("btc-15m", "eth-15m", "btc-5m")
    sells: float = 0.25
    full_exits: float = 0.35
    """Of its sells, those that sell everything."""
    merges: float = 0.06
    splits: float = 0.03
    makes: float = 0.3
    """Of its trades, those as maker."""
    complements: float = 0.4
    """Of its trades as maker, those whose taker traded the other outcome."""
    several_fills: float = 0.2
    repeats: float = 0.06
    """Trades of which one transaction holds the same fill twice or more."""
    averages: float = 0.1
    """Trades told as one row at the average price of several fills."""
    baits: float = 0.02
    """Trades far from the book."""
    foreign: float = 0.04
    """Trades in markets that this venue does not show."""
    redeems: bool = True
    smallest: Decimal = Decimal(5)
    largest: Decimal = Decimal(120)
    """Sizes of its purchases [shares]."""

    def __post_init__(self) -> None:
        """Refuse habits that nobody can have."""
        shares = (
            self.sells,
            self.full_exits,
            self.merges,
            self.splits,
            self.makes,
            self.complements,
            self.several_fills,
            self.repeats,
            self.averages,
            self.baits,
            self.foreign,
        )
        if not all(0 <= one <= 1 for one in shares):
            raise ValueError("a share of a behaviour must be a fraction from 0 to 1")
        if self.sells + self.merges + self.splits > 1:
            raise ValueError("sells, merges and splits together must be at most 1")
        if self.several_fills + self.repeats + self.averages > 1:
            raise ValueError("several_fills, repeats and averages together must be at most 1")
        if not 0 <= self.rate <= 6_000:
            raise ValueError(f"rate must be 0 to 6000 transactions a minute, was {self.rate}")
        if not 0 < self.smallest <= self.largest:
            raise ValueError("sizes must be above 0, the smallest at most the largest")
        for name in self.series:
            MarketSeries.parse(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """One wallet."""

    address: str
    """Lower case."""
    name: str
    pseudonym: str
    is_leader: bool
    behaviour: Behaviour


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderOptions:
    """How many wallets there are, and how late each source is."""

    leaders: int = 2
    rate: float = 4.0
    """Transactions a minute of each leader."""
    crowd: int = 6
    """Other wallets that trade by the same rules, at a quarter of the rate."""
    noise: float = 50.0
    """Messages about everybody else on each connection of the stream, a virtual second."""
    stream_lag_ms: int = 800
    index_lag_ms: int = 3_000
    chain_lag_ms: int = 1_000
    positions_lag_ms: int = 60_000
    """Each from the block to when the source tells of it (virtual)."""
    cache_s: int = 300
    """How long an answer of ``/v2/trades`` is given again to the same URL (virtual)."""
    activity_cache_s: int = 15
    history_s: int = 900
    """How long before the first instant the wallets have been trading."""
    behaviour: Behaviour | None = None
    """The leaders' habits; their own ``rate`` is used instead of the one above."""

    def __post_init__(self) -> None:
        """Refuse what cannot be played."""
        if not 0 <= self.leaders <= 1_000 or not 0 <= self.crowd <= 1_000:
            raise ConfigurationError("leaders and crowd must be 0 to 1000 wallets each")
        if not 0 <= self.noise <= 1_000_000:
            raise ConfigurationError(f"noise must be 0 to 10⁶ messages a second, was {self.noise}")
        if not 0 <= self.rate <= 6_000:
            raise ConfigurationError(f"rate must be 0 to 6000 a minute, was {self.rate}")
        lags = (self.stream_lag_ms, self.index_lag_ms, self.chain_lag_ms, self.positions_lag_ms)
        if min(*lags, self.cache_s, self.activity_cache_s, self.history_s) < 0:
            raise ConfigurationError("lags, cache times and history must not be negative")


def make_wallets(seed: int, options: LeaderOptions) -> list[Wallet]:
    """Return the leaders, then the crowd."""
    habits = options.behaviour or Behaviour(rate=options.rate)
    leaders = [leader(seed, index, habits) for index in range(options.leaders)]
    crowd = [
        Wallet(
            address="0x" + digest("crowd-wallet", seed, index, size=20).hex(),
            name=f"crowd-{index + 1}",
            pseudonym="",
            is_leader=False,
            behaviour=Behaviour(rate=habits.rate / 4, series=habits.series),
        )
        for index in range(options.crowd)
    ]
    return leaders + crowd


def leader(seed: int, index: int, behaviour: Behaviour) -> Wallet:
    """Return the n-th leader of a seed."""
    known = index < len(_NAMES)
    name, pseudonym = _NAMES[index] if known else (f"leader-{index + 1}", "")
    return Wallet(
        address="0x" + digest("leader-wallet", seed, index, size=20).hex(),
        name=name,
        pseudonym=pseudonym,
        is_leader=True,
        behaviour=behaviour,
    )


def stranger(seed: int, number: int) -> str:
    """Return the address of somebody who only ever takes the other side."""
    return "0x" + digest("stranger-wallet", seed, number % _STRANGERS, size=20).hex()


@lru_cache(maxsize=10_000)
def checksummed(address: str) -> str:
    """Return an address with the capitals that the stream writes.

    Source: eips.ethereum.org/EIPS/eip-55 (2026-11-22).
    """
    from eth_utils.crypto import keccak  # noqa: PLC0415 - slow to import

    digits = address.removeprefix("0x")
    hashed = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(nibble, 16) > 7 else digit
        for digit, nibble in zip(digits, hashed, strict=False)
    )
