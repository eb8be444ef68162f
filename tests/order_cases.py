"""Random orders for comparisons with the official clients, the same for the same seed."""

import dataclasses
from collections.abc import Iterator
from decimal import Decimal
from random import Random

from polybot.adapters.polymarket.amounts import OrderAmounts
from polybot.adapters.polymarket.contracts import KNOWN_DOMAINS, ExchangeDomain
from polybot.adapters.polymarket.keccak import Address, checksum_address
from polybot.adapters.polymarket.order_fields import OrderFields, SignatureType
from polybot.domain.orders import Side, TimeInForce

# The key of the published vectors; it holds nothing.
TEST_KEY = "0x" + 64 * "2"
TEST_ADDRESS = Address("0x1563915e194D8CfBA1943570603F7606A3115508")


@dataclasses.dataclass(frozen=True)
class Secret:
    """A secret as settings hold it: shown only when asked."""

    value: str = dataclasses.field(repr=False)

    def get_secret_value(self) -> str:
        return self.value


def combinations() -> list[tuple[ExchangeDomain, Side, SignatureType]]:
    return [
        (domain, side, kind) for domain in KNOWN_DOMAINS for side in Side for kind in SignatureType
    ]


def random_fields(
    random: Random,
    domain: ExchangeDomain,
    side: Side,
    kind: SignatureType,
    *,
    key_address: Address = TEST_ADDRESS,
) -> OrderFields:
    """Return any valid order: every field over its whole range, its ends included."""
    funder = key_address if kind is SignatureType.EOA else random_address(random)
    time_in_force = random.choice(list(TimeInForce))
    return OrderFields(
        domain=domain,
        salt=random.choice((1, (1 << 53) - 1, random.randrange(1, 1 << 53))),
        maker=funder,
        signer=funder if kind is SignatureType.DEPOSIT_WALLET else key_address,
        token_id=random_token_id(random, domain),
        amounts=OrderAmounts(maker=random_amount(random), taker=random_amount(random)),
        side=side,
        signature_type=kind,
        timestamp_ms=random.randrange(1_600_000_000_000, 4_000_000_000_000),
        metadata=random_bytes32(random),
        builder=random_bytes32(random),
        time_in_force=time_in_force,
        expires_s=random.randrange(1, 1 << 32) if time_in_force is TimeInForce.GTD else 0,
        is_post_only=time_in_force.rests and random.random() < 0.5,
    )


def random_address(random: Random) -> Address:
    return checksum_address(random.randbytes(20))


def random_token_id(random: Random, domain: ExchangeDomain) -> str:
    """Return an id of the domain's form; the official client takes the domain from it."""
    zeros = ((1 << 64) - 1) << 40
    value = random.getrandbits(256) | 1
    return str(value & ~zeros if domain.version == "3" else value | (1 << 40))


def random_amount(random: Random) -> int:
    return random.choice((1, 10_000, random.randrange(1, 1 << random.randrange(1, 62))))


def random_bytes32(random: Random) -> str:
    return "0x" + (random.randbytes(32) if random.random() < 0.5 else bytes(32)).hex()


def tick_prices(tick: Decimal) -> Iterator[Decimal]:
    """Yield every price of a tick's grid."""
    price = tick
    while price <= 1 - tick:
        yield price
        price += tick
