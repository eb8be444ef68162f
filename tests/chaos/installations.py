"""New installations, each with a venue of its own that has habits of its own."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from random import Random

from polybot.adapters.polymarket.keccak import Address
from polybot.adapters.polymarket.order_fields import SignatureType, TradingAccount
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.risk import RiskLimits
from polybot.sandbox.exchange.rules import VenueRules
from polybot.sandbox.leaders.wallets import LeaderOptions
from tests.chaos.bot_process import Host
from tests.chaos.live_bot import Desk
from tests.chaos.lives import CASH_USDC, LIMITS, Life
from tests.chaos.schedule import Schedule
from tests.chaos.scratch import scratch
from tests.chaos.shared_time import SharedClock
from tests.chaos.tally import Tally
from tests.chaos.venue_process import RunningVenue, Wallet, running_venue
from tests.ledgers import new_live_ledger
from tests.order_cases import TEST_KEY, Secret

START_S = 1_795_392_000
_WALLET = Address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")


@contextmanager
def open_installation(
    seed: int, *, limits: RiskLimits, leaders: LeaderOptions | None = None
) -> Iterator[tuple[Desk, RunningVenue, Wallet]]:
    """Open a venue with habits of its own, and a new installation on it."""
    random = Random(f"life {seed}")
    clock = SharedClock((START_S + 900 * random.randrange(96)) * 1000)
    signer = OrderSigner(Secret(TEST_KEY))
    kind = random.choice(list(SignatureType))
    funder = signer.address if kind is SignatureType.EOA else _WALLET
    trading = TradingAccount(key_address=signer.address, funder=funder, signature_type=kind)
    wallet = Wallet(signer.address.lower(), funder.lower(), int(kind), int(CASH_USDC * 10**6))
    rules = VenueRules(
        shows_terminal_orders=random.random() < 0.5,
        fee_rounding=random.choice(("half-up", "down")),
        answers_in_decimals=random.random() < 0.5,
        fill_step=random.choice((1, 100)),
        # Long enough that somebody is there to hear of it.
        mined_after_ms=15_000,
        confirmed_after_ms=60_000,
        # A restart of the usual length would leave no time for the other series of the round.
        restart_s=1,
        post_only_s=1,
    )
    with scratch() as home:
        at = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
        new_live_ledger(home / "live.db", CASH_USDC, at=at).close()
        with running_venue(
            seed=seed,
            clock=clock,
            rules=rules,
            wallet=wallet,
            ledger=home / "live.db",
            leaders=leaders,
        ) as venue:
            yield Desk(home, venue.url, clock, signer, trading, limits), venue, wallet


@contextmanager
def new_life(seed: int, schedule: Schedule, tally: Tally) -> Iterator[Life]:
    """Open a new installation, and begin its life."""
    with (
        open_installation(seed, limits=LIMITS) as (desk, venue, wallet),
        closing(Host(desk)) as host,
    ):
        yield Life(desk, venue, wallet, run=host.run, seed=seed, schedule=schedule, tally=tally)
