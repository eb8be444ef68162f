"""Which wallet is meant, and whether it may be followed."""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from polybot.domain.leaders import Leader, LeaderAddress
from polybot.errors import ConfigurationError, PermanentError

if TYPE_CHECKING:
    from polybot.adapters.polymarket.keccak import Address
    from polybot.config import Settings

# An address with a digit or two too many; a key has 64.
_LONGEST_SHOWN: Final = 44


def read_wallet(text: str) -> LeaderAddress:
    """Return a wallet's address in lower case.

    An address is followed as it stands: one that nearly is one is refused with what is wrong,
    because a typing error would copy a stranger.

    Raises:
        PermanentError: Not an address, a wrong checksum, or the zero address.

    Source: eips.ethereum.org/EIPS/eip-55 (2026-11-22).
    """
    from pydantic import TypeAdapter, ValidationError

    from polybot.config.values import AccountAddress

    try:
        address: str = TypeAdapter(AccountAddress).validate_python(text)
    except ValidationError as error:
        why = str(error.errors()[0].get("ctx", {}).get("error", "is no address"))
        raise PermanentError(f"WALLET {why}; was {_quoted(text)}") from None
    return LeaderAddress(address.lower())


def refuse_own(wallet: LeaderAddress, settings: "Settings") -> None:
    """Refuse a wallet that is ours: a loop of followers would copy its own copies.

    Raises:
        ConfigurationError: It is the funder, the key's own address, a wallet that belongs to the
            key, or the relayer key's address.
    """
    for address, what in _own_wallets(settings):
        if address.lower() == wallet:
            raise ConfigurationError(
                f"{wallet} is {what}: nobody copies himself; follow another wallet"
            )


def _own_wallets(settings: "Settings") -> Iterable[tuple[str, str]]:
    if settings.live.funder is not None:
        yield settings.live.funder, "our own wallet (live.funder)"
    if settings.live.relayer_address is not None:
        yield settings.live.relayer_address, "our own (live.relayer_address)"
    from polybot.adapters.polymarket.wallets import wallets_of

    # Of whichever mode: a wallet that is ours stays ours on paper.
    for key_address in _own_keys(settings):
        for wallet in wallets_of(key_address):
            yield wallet.address, f"the {wallet.kind} of our own key"


def _own_keys(settings: "Settings") -> Iterable["Address"]:
    """Return the key's address as far as it is known without asking for a passphrase."""
    from polybot.adapters.health_file import read_health
    from polybot.adapters.polymarket.keccak import parse_address
    from polybot.domain.modes import Mode
    from polybot.trading_key import key_address

    if settings.live.key_source == "keystore" and settings.keystore_path.exists():
        yield key_address(settings)
    # The doctor has noted whose key trades, whatever its source.
    health = read_health(settings.home, Mode.LIVE)
    if health is not None and health.key_address:
        with suppress(ValueError):
            yield parse_address(health.key_address)


def find_leader(leaders: Iterable[Leader], text: str) -> Leader:
    """Return the leader of an address or of a name that only one of them has.

    Raises:
        PermanentError: Nobody such is followed, or several are.
    """
    followed = tuple(leaders)
    named = [one for one in followed if one.name == text]
    if len(named) == 1:
        return named[0]
    if len(named) > 1:
        raise PermanentError(f"{len(named)} leaders are named {_quoted(text)}: give the address")
    if not text.startswith(("0x", "0X")):
        raise PermanentError(
            f"nobody named {_quoted(text)} is followed: `polybot leaders list` shows who is"
        )
    address = read_wallet(text)
    for one in followed:
        if one.address == address:
            return one
    raise PermanentError(f"{address} is not followed: `polybot leaders add {address}` follows it")


def _quoted(text: str) -> str:
    # Next to an address in a wallet stands its key, which is longer.
    return f"{text!a}" if len(text) <= _LONGEST_SHOWN else f"({len(text)} characters)"
