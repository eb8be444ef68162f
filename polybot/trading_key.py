"""Which key signs and whose funds it moves, as the settings say; called in live mode alone.

The key enters the process here and stays inside the ``OrderSigner`` that comes back. Nothing else
takes, returns or stores it.
"""

from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from polybot.adapters.keystore import (
    keystore_address,
    read_secret_file,
    signer_from_keyring,
    signer_of,
    unlock_keystore,
)
from polybot.adapters.logs import hide
from polybot.adapters.polymarket.keccak import Address
from polybot.adapters.polymarket.order_fields import TradingAccount
from polybot.adapters.polymarket.signing import OrderSigner
from polybot.adapters.polymarket.wallets import account_of
from polybot.config import KeyVariable, Settings, key_variable
from polybot.config.sources import KEY_PASSPHRASE, PRIVATE_KEY
from polybot.errors import ConfigurationError

Ask = Callable[[str], SecretStr]
"""Asks a person for a secret, without echo."""


def load_signer(settings: Settings, *, ask: Ask | None = None) -> OrderSigner:
    """Return the signer of the configured key.

    Args:
        settings: Name the source.
        ask: Asks for the passphrase where none is configured; ``None`` where nobody is there.

    Raises:
        ConfigurationError: No key, a plain one in ``.env`` that is not accepted by name, or a
            source that does not open; no message repeats a secret.
    """
    refuse_plain_secrets(settings)
    if settings.live.key_source == "keyring":
        return signer_from_keyring()
    if settings.live.key_source == "environment":
        variable = key_variable(PRIVATE_KEY)
        if variable is None:
            raise ConfigurationError(
                f"{PRIVATE_KEY} is not set; an encrypted file is safer: `polybot key import`, "
                "and live.key_source keystore"
            )
        return signer_of(variable.value)
    path = _keystore_of(settings)
    return unlock_keystore(path, keystore_passphrase(settings, ask=ask))


def key_address(settings: Settings) -> Address:
    """Return the address of the configured key; a keystore is read without its passphrase."""
    if settings.live.key_source == "keystore":
        return keystore_address(_keystore_of(settings))
    return load_signer(settings).address


def trading_account(settings: Settings, signer: OrderSigner) -> TradingAccount:
    """Return whose funds trade, once key, funder and signature type agree.

    Raises:
        ConfigurationError: They contradict each other.
    """
    return account_of(
        signer.address,
        funder=settings.live.funder,
        signature_type=settings.live.signature_type,
        is_session_key=settings.live.session_key,
    )


def keystore_passphrase(settings: Settings, *, ask: Ask | None = None) -> SecretStr:
    """Return the keystore's passphrase: from the environment, a file, or a person.

    Raises:
        ConfigurationError: None is configured and nobody can be asked, or it may not be used.
    """
    refuse_plain_secrets(settings, names=(KEY_PASSPHRASE,))
    variable = key_variable(KEY_PASSPHRASE)
    if variable is not None:
        found = variable.value
    elif settings.live.passphrase_file is not None:
        found = read_secret_file(settings.live.passphrase_file)
    elif ask is not None:
        found = ask(f"Passphrase of {settings.keystore_path}: ")
    else:
        raise ConfigurationError(
            f"the keystore's passphrase is not set: live.passphrase_file, or {KEY_PASSPHRASE} in "
            "the environment"
        )
    hide((found.get_secret_value(),))
    return found


def refuse_plain_secrets(
    settings: Settings, *, names: tuple[str, ...] = (PRIVATE_KEY, KEY_PASSPHRASE)
) -> None:
    """Refuse a key or passphrase in ``.env``, used or not, unless the settings accept it by name.

    Raises:
        ConfigurationError: There is one.
    """
    if settings.live.accept_plain_key:
        return
    for name in names:
        variable = key_variable(name)
        if variable is not None and variable.file is not None:
            raise ConfigurationError(_plain(variable))


def _keystore_of(settings: Settings) -> Path:
    path = settings.keystore_path
    if not path.exists():
        raise ConfigurationError(f"there is no key in {path}: `polybot key import` or `key new`")
    return path


def _plain(variable: KeyVariable) -> str:
    return (
        f"{variable.file} holds {variable.name} in plain text, where programs that steal keys look "
        "first: move it into an encrypted file with `polybot key import` and delete the line, or "
        "set POLYBOT_LIVE__ACCEPT_PLAIN_KEY=true to take the risk"
    )
