"""Where the private key rests: an encrypted file, or this system's keyring.

The file has the Ethereum keystore format, version 3, with scrypt, which other wallets read and
write too. Nothing here prints, logs or returns the text of a key except as a ``SecretStr``, and no
frame binds it to a name, so that no traceback that prints local variables shows it.

Source: ethereum.org/developers/docs/data-structures-and-encoding/web3-secret-storage (2026-11-22).
"""

import contextlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from pydantic import SecretStr

from polybot.adapters.logs import hide
from polybot.adapters.polymarket.keccak import Address, parse_address
from polybot.adapters.polymarket.signing import OrderSigner, Secret
from polybot.errors import ConfigurationError

WORK_FACTOR: Final = 1 << 18
"""scrypt's N: about a second and 256 MiB for every guess; what other wallets use."""
SHORTEST_PASSPHRASE: Final = 10
KEYRING_SERVICE: Final = "polybot"
_KEYRING_USER: Final = "trading-key"
_LARGEST_FILE: Final = 16_384
# A file that asks for more would take this machine's memory before its passphrase is looked at.
_MOST_MEMORY: Final = 1 << 30
_SIZES: Final = {"ciphertext": 32, "mac": 32, "iv": 16}
_OWNER_ONLY: Final = 0o077


def new_key() -> SecretStr:
    """Return a new private key from this system's randomness."""
    # All but 2⁻¹²⁸ of the values are keys; the signer refuses the others.
    return SecretStr(secrets.token_hex(32))


def signer_of(key: Secret) -> OrderSigner:
    """Return the signer of a key, and mask the key in every later log line.

    Raises:
        ConfigurationError: Not a private key; the message does not repeat it.
    """
    signer = OrderSigner(key)
    # Every form in which somebody could write it down.
    hide(
        (
            key.get_secret_value().removeprefix("0x"),
            key.get_secret_value()[-64:].lower(),
            key.get_secret_value()[-64:].upper(),
            str(int(key.get_secret_value()[-64:], 16)),
        )
    )
    return signer


def create_keystore(
    path: Path, key: Secret, passphrase: Secret, *, work_factor: int = WORK_FACTOR
) -> Address:
    """Encrypt a key into a new file for its owner alone and return the key's address.

    Args:
        path: Must not exist: a key that is overwritten takes its funds with it.
        key: 64 hexadecimal digits, with or without ``0x``.
        passphrase: At least ``SHORTEST_PASSPHRASE`` characters.
        work_factor: scrypt's N, a power of two.

    Raises:
        ConfigurationError: Not a key, too short a passphrase, or the file cannot be made.
    """
    address = signer_of(key).address
    require_passphrase(passphrase)
    document = _encrypted(key, passphrase, work_factor)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(path, json.dumps(document).encode())
    except FileExistsError:
        raise ConfigurationError(
            f"{path} exists already and is not overwritten: move it to a safe place first"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    return address


def require_passphrase(passphrase: Secret) -> None:
    """Refuse a passphrase that is quickly guessed.

    Raises:
        ConfigurationError: It is too short.
    """
    if len(passphrase.get_secret_value()) < SHORTEST_PASSPHRASE:
        raise ConfigurationError(
            f"the passphrase must have at least {SHORTEST_PASSPHRASE} characters"
        )


def unlock_keystore(path: Path, passphrase: Secret) -> OrderSigner:
    """Decrypt a file and return the signer of its key.

    Raises:
        ConfigurationError: No such file, readable by others, malformed, another passphrase, or
            the key is of another address than the file says.
    """
    document = _document(path)
    signer = signer_of(_decrypted(path, document, passphrase))
    if signer.address != _address_in(path, document):
        raise ConfigurationError(f"{path} names another address than its key has")
    return signer


def keystore_address(path: Path) -> Address:
    """Return the address that a file names; its key is not looked at.

    Raises:
        ConfigurationError: No such file, readable by others, or malformed.
    """
    return _address_in(path, _document(path))


def read_secret_file(path: Path) -> SecretStr:
    """Return the text of a small file without its last line break, such as a passphrase.

    Raises:
        ConfigurationError: Missing, readable by others, empty, too large or not text.
    """
    _require_private(path)
    try:
        found = SecretStr(path.read_text("utf-8").rstrip("\r\n"))
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text") from None
    if not found.get_secret_value():
        raise ConfigurationError(f"{path} is empty")
    return found


def store_in_keyring(key: Secret) -> Address:
    """Keep a key in this system's keyring and return its address.

    Raises:
        ConfigurationError: Not a key, one is there already, or there is no keyring.
    """
    address = signer_of(key).address
    with _keyring() as keyring:
        if keyring.get_password(KEYRING_SERVICE, _KEYRING_USER):
            raise ConfigurationError(
                "the keyring holds a trading key already, and it is not overwritten: remove it "
                f"with `keyring del {KEYRING_SERVICE} {_KEYRING_USER}` once you have a copy"
            )
        keyring.set_password(KEYRING_SERVICE, _KEYRING_USER, key.get_secret_value())
    return address


def signer_from_keyring() -> OrderSigner:
    """Return the signer of the key in this system's keyring.

    Raises:
        ConfigurationError: There is no keyring, or no key in it.
    """
    with _keyring() as keyring:
        key = SecretStr(keyring.get_password(KEYRING_SERVICE, _KEYRING_USER) or "")
    if not key.get_secret_value():
        raise ConfigurationError("the keyring holds no trading key: `polybot key import --keyring`")
    return signer_of(key)


@contextlib.contextmanager
def _keyring() -> Iterator[Any]:
    try:
        keyring = import_module("keyring")
        errors = import_module("keyring.errors")
    except ImportError:
        raise ConfigurationError(
            "the keyring package is not installed: `pip install keyring`, or set "
            "live.key_source to keystore"
        ) from None
    try:
        yield keyring
    except errors.KeyringError as error:
        problem = type(error).__name__
        # Not chained: a backend's message may quote what it was given.
        raise ConfigurationError(
            f"this system's keyring cannot be used ({problem}); unlock it, or set "
            "live.key_source to keystore"
        ) from None


def _encrypted(key: Secret, passphrase: Secret, work_factor: int) -> dict[str, Any]:
    from eth_keyfile.keyfile import create_keyfile_json  # noqa: PLC0415 - slow, and only where needed

    try:
        return {
            **create_keyfile_json(
                bytes.fromhex(key.get_secret_value()[-64:]),
                passphrase.get_secret_value().encode(),  # type: ignore[arg-type]
                kdf="scrypt",
                iterations=work_factor,
                # The library's own default is shorter than what other wallets write.
                salt_size=32,
            ),
            "id": str(uuid4()),
        }
    except BaseException as error:
        # The library's own frames bind key and passphrase; an interrupt may arrive in them.
        raise error.with_traceback(None) from None


def _decrypted(path: Path, document: dict[str, Any], passphrase: Secret) -> SecretStr:
    from eth_keyfile.keyfile import decode_keyfile_json  # noqa: PLC0415

    _require_format(path, document)
    try:
        return SecretStr(
            decode_keyfile_json(
                document,
                passphrase.get_secret_value().encode(),  # type: ignore[arg-type]
            ).hex()
        )
    except ValueError:
        problem = ConfigurationError(f"the passphrase does not open {path}")
    except BaseException as error:
        raise error.with_traceback(None) from None
    raise problem


def _document(path: Path) -> dict[str, Any]:
    _require_private(path)
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path} is not a keystore")
    # Old writers used capitals in some names.
    return {str(name).lower(): value for name, value in document.items()}


def _require_format(path: Path, document: dict[str, Any]) -> None:
    crypto = document.get("crypto")
    crypto = crypto if isinstance(crypto, dict) else {}
    kind = (document.get("version"), crypto.get("cipher"), crypto.get("kdf"))
    if kind != (3, "aes-128-ctr", "scrypt"):
        raise ConfigurationError(
            f"{path} is not a keystore of version 3 with scrypt: import the key once more with "
            "`polybot key import`"
        )
    parameters, cipher = crypto.get("kdfparams"), crypto.get("cipherparams")
    parameters = parameters if isinstance(parameters, dict) else {}
    values = {**crypto, **(cipher if isinstance(cipher, dict) else {})}
    cost = [parameters.get(name) for name in ("n", "r", "p", "dklen")]
    is_sound = (
        all(isinstance(number, int) and number > 0 for number in cost)
        and parameters["n"] & (parameters["n"] - 1) == 0
        and parameters["n"] > 1
        and 128 * parameters["n"] * parameters["r"] <= _MOST_MEMORY
        and parameters["p"] <= 16
        and parameters["dklen"] == 32
        and _is_hex(parameters.get("salt"), 1, 64)
        and all(_is_hex(values.get(name), size, size) for name, size in _SIZES.items())
    )
    if not is_sound:
        raise ConfigurationError(f"{path} is damaged, or asks for more than this bot gives it")


def _is_hex(value: object, least: int, most: int) -> bool:
    # The format's own writers drop leading zeros of the iv, never more than a few.
    pattern = rf"(?:[0-9a-fA-F]{{2}}){{{max(least - 2, 1)},{most}}}"
    return isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII) is not None


def _address_in(path: Path, document: dict[str, Any]) -> Address:
    named = document.get("address")
    text = named.lower().removeprefix("0x") if isinstance(named, str) else ""
    try:
        return parse_address(f"0x{text}")
    except ValueError:
        raise ConfigurationError(f"{path} names no address") from None


def _require_private(path: Path) -> None:
    try:
        info = path.stat()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(info.st_mode) or info.st_size > _LARGEST_FILE:
        raise ConfigurationError(f"{path} is not a file of at most {_LARGEST_FILE} bytes")
    if stat.S_IMODE(info.st_mode) & _OWNER_ONLY or info.st_uid not in (os.getuid(), 0):
        raise ConfigurationError(f"{path} must be its owner's alone: chmod 600 {path}")


def _write_new(path: Path, content: bytes) -> None:
    """Write a whole file durably under a name that nothing has yet."""
    partial = path.with_name(f".{path.name}.{uuid4().hex}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(partial, flags, 0o600)
    try:
        try:
            os.write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        # A link, unlike a rename, does not replace what is there.
        os.link(partial, path)
    finally:
        partial.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
