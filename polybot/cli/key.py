"""Keys: import one, make one, and tell its address. No command ever prints a key."""

import os
import sys
from typing import TYPE_CHECKING, Final

import typer

from polybot.cli.session import Session, print_json, say
from polybot.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from polybot.adapters.polymarket.keccak import Address

# Enough for a key and a line break; the rest of a wrong pipe is not swallowed.
_LONGEST_KEY: Final = 200
_TERMINAL: Final = "/dev/tty"


def import_key(session: Session, *, keyring: bool, as_json: bool) -> None:
    """Take a key from the terminal without echo, or from a pipe, and keep it encrypted."""
    from polybot.adapters.keystore import signer_of

    if not keyring:
        _require_free(session)
    key = ask_secret("Private key (64 hexadecimal digits): ") if _is_typed() else _piped_key()
    # Before anybody is asked for a passphrase.
    signer_of(key)
    _keep(session, key, keyring=keyring, as_json=as_json)


def make_key(session: Session, *, keyring: bool, as_json: bool) -> None:
    """Make a new key, keep it encrypted, and print its address only."""
    from polybot.adapters.keystore import new_key

    if not keyring:
        _require_free(session)
    _keep(session, new_key(), keyring=keyring, as_json=as_json)


def show_address(session: Session, *, verify: bool, as_json: bool) -> None:
    """Print the address of the configured key, and the wallets that belong to it.

    Args:
        session: Which settings.
        verify: Decrypt the keystore instead of believing the address that it names.
        as_json: Print one JSON document.
    """
    from polybot.adapters.polymarket.wallets import wallets_of
    from polybot.trading_key import key_address, load_signer

    settings = session.settings
    address = load_signer(settings, ask=ask_secret).address if verify else key_address(settings)
    wallets = wallets_of(address)[1:]
    if as_json:
        print_json(
            {
                "address": address,
                "source": settings.live.key_source,
                "is_verified": verify or settings.live.key_source != "keystore",
                "wallets": [
                    {
                        "address": wallet.address,
                        "signature_type": int(wallet.signature_type),
                        "kind": wallet.kind,
                    }
                    for wallet in wallets
                ],
            }
        )
        return
    say(address)
    for wallet in wallets:
        note = f"its {wallet.kind} would be {wallet.address} (signature type "
        typer.echo(f"{note}{int(wallet.signature_type)})", err=True)


def ask_secret(prompt: str) -> "SecretStr":
    """Ask a person at the terminal, without echo, also where standard input is a pipe.

    Raises:
        ConfigurationError: Nobody is there; nothing is read from anywhere else.
    """
    from getpass import getpass

    from pydantic import SecretStr

    try:
        # getpass itself would fall back to echoing what is typed.
        os.close(os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise ConfigurationError(
            "there is no terminal to ask at: set POLYBOT_KEY_PASSPHRASE in the environment or "
            "live.passphrase_file, and pipe the key into `polybot key import`"
        ) from None
    return SecretStr(getpass(prompt).strip())


def _keep(session: Session, key: "SecretStr", *, keyring: bool, as_json: bool) -> None:
    from polybot.adapters.keystore import create_keystore, store_in_keyring

    settings = session.settings
    if keyring:
        address, place = store_in_keyring(key), "the keyring of this system"
        hint = "set live.key_source to keyring"
    else:
        path = settings.keystore_path
        address = create_keystore(path, key, _new_passphrase(session))
        place = str(path)
        hint = "keep a copy of the file and of the passphrase: without both the key is lost"
    _print_address(address, place, hint, as_json=as_json)


def _print_address(address: "Address", place: str, hint: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"address": address, "kept_in": place})
        return
    say(address)
    typer.echo(f"kept in {place}; {hint}", err=True)


def _new_passphrase(session: Session) -> "SecretStr":
    from polybot.adapters.keystore import require_passphrase
    from polybot.trading_key import keystore_passphrase

    asked = False

    def ask_for_new(_: str) -> "SecretStr":
        nonlocal asked
        asked = True
        return ask_secret("New passphrase for the keystore: ")

    passphrase = keystore_passphrase(session.settings, ask=ask_for_new)
    require_passphrase(passphrase)
    if asked and ask_secret("The same once more: ") != passphrase:
        raise ConfigurationError("the two passphrases differ; nothing was kept")
    return passphrase


def _require_free(session: Session) -> None:
    path = session.settings.keystore_path
    if path.exists():
        raise ConfigurationError(
            f"{path} exists already and is not overwritten: move it to a safe place first"
        )


def _is_typed() -> bool:
    return sys.stdin.isatty()


def _piped_key() -> "SecretStr":
    from pydantic import SecretStr

    return SecretStr(sys.stdin.readline(_LONGEST_KEY).rstrip("\r\n"))
