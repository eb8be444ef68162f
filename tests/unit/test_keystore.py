"""A key rests encrypted, opens for its passphrase alone, and shows in nothing that is printed."""

import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import eth_keyfile.keyfile
import pytest
from eth_account import Account
from hypothesis import given, settings
from hypothesis import strategies as st
from polymarket._internal import wallet as official
from polymarket._internal.environment import PRODUCTION_CONFIG
from pydantic import SecretStr

from polybot.adapters import keystore, logs
from polybot.adapters.keystore import (
    create_keystore,
    keystore_address,
    new_key,
    read_secret_file,
    signer_from_keyring,
    signer_of,
    store_in_keyring,
    unlock_keystore,
)
from polybot.adapters.polymarket.keccak import Address
from polybot.adapters.polymarket.order_fields import SignatureType
from polybot.adapters.polymarket.wallets import account_of, wallets_of
from polybot.errors import ConfigurationError
from tests.leaks import printed, spellings

# The first account of the public mnemonic "test test … junk" that every development chain uses.
KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
ADDRESS = Address("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
PASSPHRASE = "correct horse battery"
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
QUICK = 2


@pytest.fixture(autouse=True)
def _nothing_stays_hidden() -> Iterator[None]:
    yield
    logs._secrets.clear()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "keystore.json"


def make(path: Path) -> dict[str, Any]:
    """Write a keystore and return its document."""
    create_keystore(path, SecretStr(KEY), SecretStr(PASSPHRASE), work_factor=QUICK)
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def rewrite(path: Path, document: object) -> None:
    path.write_text(document if isinstance(document, str) else json.dumps(document))


def refused(path: Path, passphrase: str = PASSPHRASE) -> str:
    with pytest.raises(ConfigurationError) as caught:
        unlock_keystore(path, SecretStr(passphrase))
    shown = printed(caught.value)
    assert KEY not in shown
    assert len(passphrase) < 5 or passphrase not in shown
    return str(caught.value)


def test_a_key_opens_for_its_passphrase(path: Path) -> None:
    """Written, named without the passphrase, and opened with it."""
    assert make(path)["crypto"]["kdf"] == "scrypt"
    assert keystore_address(path) == ADDRESS
    assert unlock_keystore(path, SecretStr(PASSPHRASE)).address == ADDRESS


def test_the_file_is_its_owners_alone(path: Path) -> None:
    """Whatever the umask says; the folder too."""
    before = os.umask(0)
    try:
        make(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path], "no half-written copy stays"


def test_the_file_holds_no_key(path: Path) -> None:
    """Not in any spelling."""
    make(path)
    content = path.read_bytes().lower()
    assert KEY.encode() not in content
    assert bytes.fromhex(KEY) not in path.read_bytes()
    assert str(int(KEY, 16)).encode() not in content


def test_the_default_work_is_what_other_wallets_write() -> None:
    """A guess costs a second and a quarter of a gigabyte."""
    assert keystore.WORK_FACTOR == 262_144
    assert 128 * keystore.WORK_FACTOR * 8 == 1 << 28


def test_other_wallets_open_our_file_and_we_open_theirs(path: Path) -> None:
    """eth-account is an independent reader and writer of the same format."""
    assert Account.decrypt(make(path), PASSPHRASE).hex() == KEY
    path.unlink()
    rewrite(path, Account.encrypt(KEY, PASSPHRASE, kdf="scrypt", iterations=QUICK))
    path.chmod(0o600)
    assert unlock_keystore(path, SecretStr(PASSPHRASE)).address == ADDRESS


def test_a_known_file_of_the_format_opens(path: Path) -> None:
    """The scrypt vector of the format's own page."""
    path.parent.mkdir()
    rewrite(
        path,
        {
            "address": "008aeeda4d805471df9b2a5b0f38a0c3bcba786b",
            "crypto": {
                "cipher": "aes-128-ctr",
                "cipherparams": {"iv": "83dbcc02d8ccb40e466191a123791e0e"},
                "ciphertext": "d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c",
                "kdf": "scrypt",
                "kdfparams": {
                    "dklen": 32,
                    "n": 262144,
                    "p": 8,
                    "r": 1,
                    "salt": "ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19",
                },
                "mac": "2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097",
            },
            "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
            "version": 3,
        },
    )
    path.chmod(0o600)
    signer = unlock_keystore(path, SecretStr("testpassword"))
    expected = signer_of(
        SecretStr("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d")
    )
    assert signer.address == expected.address == keystore_address(path)


@pytest.mark.parametrize("passphrase", ["correct horse batterY", "x", "", "п" * 1000])
def test_another_passphrase_does_not_open(path: Path, passphrase: str) -> None:
    """The sentence names the file and nothing else."""
    make(path)
    assert refused(path, passphrase) == f"the passphrase does not open {path}"


def test_an_existing_file_is_never_overwritten(path: Path) -> None:
    """A key that is overwritten takes its funds with it."""
    before = make(path)
    with pytest.raises(ConfigurationError, match="exists already and is not overwritten"):
        create_keystore(path, new_key(), SecretStr(PASSPHRASE), work_factor=QUICK)
    assert json.loads(path.read_text()) == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o620])
def test_a_file_that_others_can_read_is_refused(path: Path, mode: int) -> None:
    """Reading it once is enough to guess for ever."""
    make(path)
    path.chmod(mode)
    assert refused(path) == f"{path} must be its owner's alone: chmod 600 {path}"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"version": 4}, "is not a keystore of version 3 with scrypt"),
        ({"crypto": None}, "is not a keystore of version 3"),
        ({"crypto": {"kdf": "pbkdf2"}}, "is not a keystore of version 3"),
        ({"crypto": {"cipher": "aes-128-cbc"}}, "is not a keystore of version 3"),
        ({"crypto": {"kdfparams": {"n": 1 << 30}}}, "asks for more than"),
        ({"crypto": {"kdfparams": {"n": 3}}}, "is damaged"),
        ({"crypto": {"kdfparams": {"n": 0}}}, "is damaged"),
        ({"crypto": {"kdfparams": {"n": "2"}}}, "is damaged"),
        ({"crypto": {"kdfparams": {"p": 1 << 20}}}, "asks for more than"),
        ({"crypto": {"kdfparams": {"dklen": 1 << 30}}}, "asks for more than"),
        ({"crypto": {"kdfparams": {"salt": "zz"}}}, "is damaged"),
        ({"crypto": {"kdfparams": None}}, "is damaged"),
        ({"crypto": {"cipherparams": None}}, "is damaged"),
        ({"crypto": {"ciphertext": "00" * 1000}}, "is damaged"),
        ({"crypto": {"mac": ""}}, "is damaged"),
        ({"crypto": {"mac": "00" * 32}}, "the passphrase does not open"),
        ({"address": ADDRESS[2:-1] + "7"}, "names another address than its key has"),
        ({"address": 5}, "names no address"),
    ],
)
def test_a_file_that_is_not_what_we_wrote_is_refused(
    path: Path, change: dict[str, Any], problem: str
) -> None:
    """Before its parameters could take this machine's memory."""
    rewrite(path, merged(make(path), change))
    assert problem in refused(path)


@pytest.mark.parametrize("text", ["", "[]", "5", "{", "\ufeff{}", "[" * 15_000, '"x"', "{}"])
def test_a_file_that_is_no_keystore_is_refused(path: Path, text: str) -> None:
    make(path)
    rewrite(path, text)
    assert "is not a keystore" in refused(path)


def test_a_missing_a_large_and_a_strange_file_are_refused(path: Path) -> None:
    assert "cannot be read: No such file or directory" in refused(path)
    make(path)
    rewrite(path, "x" * 20_000)
    assert "is not a file of at most" in refused(path)
    path.unlink()
    path.mkdir(mode=0o700)
    assert "is not a file of at most" in refused(path)


@pytest.mark.parametrize(
    "text",
    [
        KEY[:-1],
        KEY + "0",
        f"0x{KEY}0",
        f" {KEY}",
        f"0X{KEY}",
        "0" * 64,
        f"{ORDER:064x}",
        "f" * 64,
        KEY.replace("a", "а"),
        "test " * 11 + "junk",
        "",
    ],
)
def test_what_is_no_key_is_refused_and_never_repeated(path: Path, text: str) -> None:
    """Wrong length, zero, at or above the curve's order, other letters, a mnemonic."""
    with pytest.raises(ConfigurationError) as caught:
        create_keystore(path, SecretStr(text), SecretStr(PASSPHRASE), work_factor=QUICK)
    assert "64 hexadecimal digits" in str(caught.value)
    assert len(text) < 5 or text not in printed(caught.value)
    assert not path.exists()


def test_a_short_passphrase_is_refused(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="at least 10 characters"):
        create_keystore(path, SecretStr(KEY), SecretStr("short pas"), work_factor=QUICK)
    assert not path.exists()


def test_the_largest_key_is_a_key(path: Path) -> None:
    """One below the order, with 0x and capitals."""
    text = f"0x{ORDER - 1:064X}"
    address = create_keystore(path, SecretStr(text), SecretStr(PASSPHRASE), work_factor=QUICK)
    assert address == Account.from_key(text).address


def test_new_keys_differ() -> None:
    keys = {new_key().get_secret_value() for _ in range(50)}
    assert len(keys) == 50
    assert all(signer_of(SecretStr(key)).address == Account.from_key(key).address for key in keys)


def test_an_interrupted_encryption_shows_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C arrives in the frames of the library, which hold key and passphrase."""

    def interrupted(*_: object, **__: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(eth_keyfile.keyfile, "_scrypt_hash", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        create_keystore(path, SecretStr(KEY), SecretStr(PASSPHRASE))
    shown = printed(caught.value)
    assert "create_keystore" in shown, "locals were captured"
    for secret in (*spellings(KEY), PASSPHRASE):
        assert secret not in shown
    assert not path.exists()


@pytest.mark.parametrize("spelt", [KEY, f"0x{KEY}", KEY.upper(), str(int(KEY, 16))])
def test_a_loaded_key_is_masked_in_every_log_line(spelt: str) -> None:
    signer_of(SecretStr(KEY))
    assert logs._without_secrets(f"a {spelt} b").replace("0x", "") == "a *** b"


def test_a_passphrase_file_is_private_and_without_its_line_break(tmp_path: Path) -> None:
    file = tmp_path / "passphrase"
    file.write_text(f"{PASSPHRASE} \r\n")
    file.chmod(0o400)
    assert read_secret_file(file).get_secret_value() == f"{PASSPHRASE} "
    for content, problem in ((b"\n", "is empty"), (b"\xff" * 9, "is not UTF-8 text")):
        file.chmod(0o600)
        file.write_bytes(content)
        with pytest.raises(ConfigurationError, match=problem):
            read_secret_file(file)
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        read_secret_file(file)


class MemoryKeyring(ModuleType):
    """A keyring as the package offers it; it can be locked."""

    def __init__(self) -> None:
        super().__init__("keyring")
        self.errors = ModuleType("keyring.errors")
        self.errors.KeyringError = type("KeyringError", (Exception,), {})  # type: ignore[attr-defined]
        self.passwords: dict[tuple[str, str], str] = {}
        self.is_locked = False

    def get_password(self, service: str, user: str) -> str | None:
        if self.is_locked:
            raise self.errors.KeyringError(f"cannot unlock {self.passwords}")
        return self.passwords.get((service, user))

    def set_password(self, service: str, user: str, password: str) -> None:
        self.passwords[service, user] = password


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    memory = MemoryKeyring()
    monkeypatch.setitem(sys.modules, "keyring", memory)
    monkeypatch.setitem(sys.modules, "keyring.errors", memory.errors)
    return memory


def test_the_keyring_keeps_one_key(keyring: MemoryKeyring) -> None:
    with pytest.raises(ConfigurationError, match="holds no trading key"):
        signer_from_keyring()
    assert store_in_keyring(SecretStr(KEY)) == ADDRESS
    assert signer_from_keyring().address == ADDRESS
    with pytest.raises(ConfigurationError, match="holds a trading key already"):
        store_in_keyring(new_key())
    assert signer_from_keyring().address == ADDRESS


def test_a_locked_keyring_says_so_without_what_it_says(keyring: MemoryKeyring) -> None:
    """A backend's own message may quote what it was given."""
    store_in_keyring(SecretStr(KEY))
    keyring.is_locked = True
    with pytest.raises(ConfigurationError, match="cannot be used") as caught:
        signer_from_keyring()
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_keyring_package_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigurationError, match="`pip install keyring`, or set"):
        signer_from_keyring()


@given(st.integers(1, ORDER - 1))
@settings(max_examples=50, deadline=None)
def test_wallets_are_those_of_the_official_client(secret: int) -> None:
    """Every contract wallet's address, for any key."""
    address = signer_of(SecretStr(f"{secret:064x}")).address
    config = PRODUCTION_CONFIG.wallet_derivation
    assert [wallet.address for wallet in wallets_of(address)] == [
        address,
        official.derive_beacon_deposit_wallet_address(address, config),
        official.derive_uups_deposit_wallet_address(address, config),
        official.derive_proxy_wallet_address(address, config),
        official.derive_safe_wallet_address(address, config),
    ]
    for wallet in wallets_of(address):
        kind = official.classify_wallet_type(signer=address, wallet=wallet.address, config=config)
        assert wallet.signature_type == official.signature_type_for(kind)


def test_the_signature_type_follows_from_the_funder() -> None:
    """No guess: the address proves it."""
    for wallet in wallets_of(ADDRESS):
        account = account_of(
            ADDRESS,
            funder=wallet.address.lower(),
            signature_type=None,
            is_session_key=False,
        )
        assert (account.funder, account.signature_type) == (wallet.address, wallet.signature_type)
    own = account_of(ADDRESS, funder=None, signature_type=None, is_session_key=False)
    assert (own.funder, own.signature_type) == (ADDRESS, SignatureType.EOA)


@pytest.mark.parametrize(
    ("funder", "signature_type", "is_session_key", "problem"),
    [
        (wallets_of(ADDRESS)[3].address, 3, False, "is the key's proxy wallet: set 1"),
        (None, 3, False, "is the key's the key's own address: set 0"),
        ("0x" + "11" * 20, None, False, "is no wallet of key"),
        ("0x" + "11" * 20, 3, False, "set live.session_key to true"),
        (wallets_of(ADDRESS)[1].address, 3, True, "it could withdraw"),
        (
            wallets_of(ADDRESS)[1].address[:6].lower()
            + "00" * 16
            + wallets_of(ADDRESS)[1].address[-4:].lower(),
            None,
            False,
            "looks like the key's deposit wallet",
        ),
    ],
)
def test_an_account_that_does_not_fit_together_is_refused(
    funder: str | None, signature_type: int | None, is_session_key: bool, problem: str
) -> None:
    """The message says what would agree; an address that only looks right is named so."""
    with pytest.raises(ConfigurationError) as caught:
        account_of(
            ADDRESS, funder=funder, signature_type=signature_type, is_session_key=is_session_key
        )
    assert problem in str(caught.value)


def test_a_session_key_signs_for_the_wallet_that_lent_it() -> None:
    wallet = "0x" + "11" * 20
    account = account_of(ADDRESS, funder=wallet, signature_type=None, is_session_key=True)
    assert account.is_session_key
    assert account.signature_type is SignatureType.DEPOSIT_WALLET
    assert account.order_signer == wallet


def merged(document: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return a document with some of its values, at any depth, replaced."""
    return {
        **document,
        **{
            name: merged(document[name], value)
            if isinstance(value, dict) and isinstance(document.get(name), dict)
            else value
            for name, value in change.items()
        },
    }
