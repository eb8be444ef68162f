"""The public trades of the sandbox: seeded prints at the quotes of their second."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from polybot.domain.markets import Outcome
from polybot.sandbox.books import TICKS, Fair, build_ladder
from polybot.sandbox.listing import VenueMarket
from polybot.sandbox.seeds import digest, stream

BLOCK_S: Final = 60
_CACHED_BLOCKS: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Print:
    """One taker's trade, seen from the token the taker traded."""

    traded_s: int
    number: int
    """Its place among the prints of its minute."""
    outcome: Outcome
    side: str
    """What the taker did with the token: BUY or SELL."""
    price: Decimal
    size: Decimal
    wallet: str
    transaction_hash: str


class Tape:
    """Everybody's trades in every market, a minute at a time."""

    def __init__(self, seed: int, fair: Fair) -> None:
        """Take the seed and where the quotes stand."""
        self._seed = seed
        self._fair = fair
        self._blocks: dict[tuple[str, int], tuple[Print, ...]] = {}

    def minute(self, market: VenueMarket, open_s: int, at_s: int) -> tuple[Print, ...]:
        """Return the prints of ``[open_s, open_s + 60)`` up to ``at_s``, newest first.

        They are generated whole and cut: what happens later in the minute cannot change them,
        because each depends on its own second alone.
        """
        if open_s > at_s:
            return ()
        if open_s + BLOCK_S > at_s:
            return self._generate(market, open_s, at_s)
        key = (market.condition_id, open_s)
        block = self._blocks.get(key)
        if block is None:
            block = self._generate(market, open_s, at_s)
            if len(self._blocks) >= _CACHED_BLOCKS:
                self._blocks.clear()
            self._blocks[key] = block
        return block

    def newest(self, market: VenueMarket, at_s: int) -> Print | None:
        """Return the last print of the ten minutes before ``at_s``, if there was one."""
        open_s = at_s - at_s % BLOCK_S
        for start_s in range(open_s, open_s - 10 * BLOCK_S, -BLOCK_S):
            prints = self.minute(market, start_s, at_s)
            if prints:
                return prints[0]
        return None

    def _generate(self, market: VenueMarket, open_s: int, at_s: int) -> tuple[Print, ...]:
        rng = stream("tape", self._seed, market.condition_id, open_s)
        # A listed window that has not started trades rarely.
        count = rng.randint(8, 24) if open_s >= market.start_s else int(rng.random() < 0.1)
        prints = []
        for number in range(count):
            traded_s = open_s + rng.randrange(BLOCK_S)
            drawn = (rng.choice(tuple(Outcome)), rng.choice(("BUY", "SELL")))
            depth, size = int(rng.random() < 0.1), Decimal(rng.randint(200, 15_000)) / 100
            if traded_s > at_s or not market.is_trading(traded_s):
                continue
            cents = self._price(market, traded_s, *drawn, depth)
            if cents is not None:
                outcome, side = drawn
                name = (self._seed, market.condition_id, open_s, number)
                wallet = digest("wallet", self._seed, int(digest(*name).hex(), 16) % 40, size=20)
                prints.append(
                    Print(
                        traded_s=traded_s,
                        number=number,
                        outcome=outcome,
                        side=side,
                        price=Decimal(cents) / TICKS,
                        size=size,
                        wallet="0x" + wallet.hex(),
                        transaction_hash="0x" + digest("tx", *name).hex(),
                    )
                )
        return tuple(sorted(prints, key=lambda one: (-one.traded_s, -one.number)))

    def _price(
        self, market: VenueMarket, traded_s: int, outcome: Outcome, side: str, depth: int
    ) -> int | None:
        """Return the price [ticks] of a trade that reaches ``depth`` levels into the book."""
        ladder = build_ladder(self._seed, market, traded_s, self._fair(market, traded_s))
        book = ladder if outcome is Outcome.UP else ladder.mirrored()
        levels = book.asks if side == "BUY" else book.bids
        return levels[min(depth, len(levels) - 1)][0] if levels else None
