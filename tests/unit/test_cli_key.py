"""`polybot key` takes, makes and names keys; none is ever printed or left behind in plain text."""

import contextlib
import json
import os
import pty
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from polybot.adapters import keystore, logs
from polybot.adapters.keystore import unlock_keystore
from polybot.config import load_settings
from polybot.errors import ConfigurationError
from polybot.trading_key import load_signer, trading_account
from tests.cli_steps import empty_home, run, run_json
from tests.leaks import printed, spellings
from tests.unit.test_keystore import ADDRESS, KEY, ORDER, PASSPHRASE

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, no setting of this machine, and a passphrase that takes no second."""
    home = empty_home(tmp_path, monkeypatch)
    monkeypatch.setattr(keystore.create_keystore, "__kwdefaults__", {"work_factor": 2})
    yield home
    logs._secrets.clear()


@pytest.fixture
def passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYBOT_KEY_PASSPHRASE", PASSPHRASE)


def imported(home: Path, text: str = KEY) -> None:
    result = run("key", "import", text=f"{text}\n")
    assert result.exit_code == 0, result.output
    assert (home / "keystore.json").exists()


@pytest.mark.usefixtures("passphrase")
@pytest.mark.parametrize("text", [KEY, f"0x{KEY}", KEY.upper()])
def test_a_piped_key_is_kept_encrypted(home: Path, text: str) -> None:
    """Only the address is printed, and it can be asked for again."""
    result = run("key", "import", text=f"{text}\n")
    assert result.exit_code == 0
    assert result.stdout == f"{ADDRESS}\n"
    assert not [one for one in (*spellings(KEY), PASSPHRASE) if one in result.output]
    assert unlock_keystore(home / "keystore.json", SecretStr(PASSPHRASE)).address == ADDRESS
    assert run("key", "show-address").stdout == f"{ADDRESS}\n"


@pytest.mark.usefixtures("passphrase")
@pytest.mark.parametrize(
    "text",
    ["", KEY[:-1], KEY + "a", f" {KEY}", "0x", "0" * 64, f"{ORDER:x}", f"0x0x{KEY[4:]}", "x" * 999],
)
def test_what_is_no_key_is_refused_and_not_repeated(home: Path, text: str) -> None:
    """In one sentence, with nothing kept."""
    result = run("key", "import", text=f"{text}\n")
    assert result.exit_code == 1
    assert result.output.startswith("polybot: private key must be 64 hexadecimal digits")
    assert len(text) < 5 or text[:20] not in result.output
    assert not home.exists() or not list(home.iterdir())


@pytest.mark.usefixtures("passphrase")
def test_a_new_key_prints_its_address_only(home: Path) -> None:
    result = run("key", "new")
    assert result.exit_code == 0
    signer = unlock_keystore(home / "keystore.json", SecretStr(PASSPHRASE))
    assert result.stdout == f"{signer.address}\n"
    again = run("key", "new")
    assert again.exit_code == 1
    assert "exists already and is not overwritten" in again.output
    assert unlock_keystore(home / "keystore.json", SecretStr(PASSPHRASE)).address == signer.address


@pytest.mark.usefixtures("passphrase")
def test_documents_name_address_source_and_wallets(home: Path) -> None:
    document = run_json("key", "new")
    assert document["kept_in"] == ".polybot/keystore.json"
    shown = run_json("key", "show-address", "--verify")
    assert (shown["address"], shown["is_verified"]) == (document["address"], True)
    assert [wallet["signature_type"] for wallet in shown["wallets"]] == [3, 3, 1, 2]


def test_the_address_needs_no_passphrase_and_verifying_does(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYBOT_KEY_PASSPHRASE", PASSPHRASE)
    imported(home)
    monkeypatch.delenv("POLYBOT_KEY_PASSPHRASE")
    assert run("key", "show-address").stdout == f"{ADDRESS}\n"
    monkeypatch.setattr("polybot.cli.key._TERMINAL", "/dev/no-such-terminal")
    result = run("key", "show-address", "--verify")
    assert result.exit_code == 1
    assert "there is no terminal to ask at" in result.output


@pytest.mark.parametrize("option", [(), ("--verify",)])
def test_where_there_is_no_key_it_says_how_to_get_one(option: tuple[str, ...]) -> None:
    result = run("key", "show-address", *option)
    assert result.exit_code == 1
    assert "there is no key in" in result.stderr
    assert "`polybot key import` or `key new`" in result.stderr


def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """A passphrase is never read from the pipe that the key came from."""
    monkeypatch.setattr("polybot.cli.key._TERMINAL", "/dev/no-such-terminal")
    result = run("key", "import", text=f"{KEY}\n{PASSPHRASE}\n{PASSPHRASE}\n")
    assert result.exit_code == 1
    assert "there is no terminal to ask at" in result.output
    assert not (home / "keystore.json").exists()


def test_a_passphrase_file_serves(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is its owner's alone, as the keystore is."""
    file = home.parent / "passphrase"
    file.write_text(f"{PASSPHRASE}\n")
    file.chmod(0o600)
    monkeypatch.setenv("POLYBOT_LIVE__PASSPHRASE_FILE", str(file))
    imported(home)
    assert load_signer(load_settings()).address == ADDRESS
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="must be its owner's alone"):
        load_signer(load_settings())


def test_the_environment_serves_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment is not used just because it is there."""
    monkeypatch.setenv("POLYBOT_PRIVATE_KEY", KEY)
    with pytest.raises(ConfigurationError, match=r"there is no key in \.polybot"):
        load_signer(load_settings())
    monkeypatch.setenv("POLYBOT_LIVE__KEY_SOURCE", "environment")
    signer = load_signer(load_settings())
    assert signer.address == ADDRESS
    assert trading_account(load_settings(), signer).funder == ADDRESS
    monkeypatch.delenv("POLYBOT_PRIVATE_KEY")
    with pytest.raises(ConfigurationError, match="POLYBOT_PRIVATE_KEY is not set"):
        load_signer(load_settings())


@pytest.mark.parametrize("source", ["environment", "keystore"])
@pytest.mark.parametrize("name", ["POLYBOT_PRIVATE_KEY", "POLYBOT_KEY_PASSPHRASE"])
def test_a_plain_secret_in_dot_env_is_refused_unless_accepted_by_name(
    name: str, source: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Used or not: whoever steals the file has it."""
    monkeypatch.setenv("POLYBOT_KEY_PASSPHRASE", PASSPHRASE)
    imported(home)
    monkeypatch.delenv("POLYBOT_KEY_PASSPHRASE")
    value = KEY if name == "POLYBOT_PRIVATE_KEY" else PASSPHRASE
    Path(".env").write_text(f"{name}='{value}'\n")
    other = {"POLYBOT_PRIVATE_KEY": KEY, "POLYBOT_KEY_PASSPHRASE": PASSPHRASE}
    monkeypatch.setenv("POLYBOT_LIVE__KEY_SOURCE", source)
    for one in set(other) - {name}:
        monkeypatch.setenv(one, other[one])
    with pytest.raises(ConfigurationError) as caught:
        load_signer(load_settings())
    assert f".env holds {name} in plain text" in str(caught.value)
    assert "POLYBOT_LIVE__ACCEPT_PLAIN_KEY=true" in str(caught.value)
    assert not [one for one in (*spellings(KEY), PASSPHRASE) if one in printed(caught.value)]
    monkeypatch.setenv("POLYBOT_LIVE__ACCEPT_PLAIN_KEY", "true")
    assert load_signer(load_settings()).address == ADDRESS


@pytest.mark.usefixtures("passphrase")
def test_a_key_that_lies_in_dot_env_can_be_imported(home: Path) -> None:
    """The way out of the refusal is open."""
    Path(".env").write_text(f"POLYBOT_PRIVATE_KEY={KEY}\n")
    imported(home)


@pytest.mark.parametrize("arguments", [("key",), ("key", "--help"), ("key", "import", "--help")])
def test_help_of_keys_says_what_is_done_with_them(arguments: tuple[str, ...]) -> None:
    assert "key" in run(*arguments).output


@pytest.mark.parametrize(
    "arguments",
    [
        ("key", "import", "KEY"),
        ("key", "KEY"),
        ("KEY",),
        ("--KEY",),
        ("--mode", "KEY", "status"),
        ("key", "import", "--KEY"),
        ("key", "import", "--key=KEY"),
        ("key", "show-address", "KEY"),
        ("doctor", "KEY"),
        ("up", "--port", "KEY"),
        ("leaders", "add", "KEY"),
        ("leaders", "show", "KEY"),
        ("leaders", "pause", "KEY"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("spelt", [KEY, f"0x{KEY}", f"0x{KEY}0", KEY[:60].upper()])
def test_a_key_in_the_place_of_something_else_is_not_repeated(
    arguments: tuple[str, ...], spelt: str
) -> None:
    """The terminal, and what records it, must not learn more than a dozen of its digits."""
    result = run(*(one.replace("KEY", spelt) for one in arguments))
    assert result.exit_code != 0
    shown = "".join(character for character in result.output if character.isalnum()).lower()
    pieces = (spelt[start : start + 12].lower() for start in range(2, len(spelt) - 12))
    assert not [piece for piece in pieces if piece in shown]


def test_nothing_that_is_typed_is_echoed(tmp_path: Path) -> None:
    """At a real terminal: key and passphrase are asked for, and neither comes back."""
    process, terminal = at_a_terminal("key", "import", folder=tmp_path)
    try:
        seen = answer(terminal, "hexadecimal digits): ", KEY)
        seen += answer(terminal, "New passphrase for the keystore: ", PASSPHRASE)
        seen += answer(terminal, "The same once more: ", PASSPHRASE)
        seen += rest(terminal)
    finally:
        os.close(terminal)
        _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0, seen
    assert f"{ADDRESS}\r\n" in seen
    assert not [one for one in (*spellings(KEY), PASSPHRASE) if one in seen]
    document = json.loads((tmp_path / ".polybot" / "keystore.json").read_text())
    assert document["crypto"]["kdfparams"]["n"] == 1 << 18


def test_two_different_passphrases_keep_nothing(tmp_path: Path) -> None:
    process, terminal = at_a_terminal("key", "new", folder=tmp_path)
    try:
        seen = answer(terminal, "New passphrase for the keystore: ", PASSPHRASE)
        seen += answer(terminal, "The same once more: ", PASSPHRASE + "!")
        seen += rest(terminal)
    finally:
        os.close(terminal)
        _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    assert "the two passphrases differ; nothing was kept" in seen
    assert not (tmp_path / ".polybot" / "keystore.json").exists()


def at_a_terminal(*arguments: str, folder: Path) -> tuple[int, int]:
    """Start `polybot` with a terminal of its own; return its process and our end of the terminal.

    A child is forked without a test's threads and at once replaced by a new program.
    """
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "HOME": str(folder)}
    process, terminal = pty.fork()
    if process == 0:  # pragma: no cover - the child is another program
        os.chdir(folder)
        program = "from polybot.cli import main; main()"
        os.execve(sys.executable, [sys.executable, "-c", program, *arguments], environment)
    return process, terminal


def answer(terminal: int, prompt: str, text: str) -> str:
    """Type a line at a prompt and return what was shown up to there."""
    seen = ""
    deadline = time.monotonic() + 60
    while prompt not in seen:
        assert time.monotonic() < deadline, seen
        seen += shown(terminal)
    os.write(terminal, f"{text}\n".encode())
    return seen


def rest(terminal: int) -> str:
    """Return what is shown until the program ends."""
    seen, deadline = "", time.monotonic() + 60
    # Linux reports the other end's closing as an input error.
    with contextlib.suppress(OSError):
        while time.monotonic() < deadline:
            seen += shown(terminal)
    return seen


def shown(terminal: int) -> str:
    readable, _, _ = select.select([terminal], [], [], 1)
    return os.read(terminal, 4096).decode() if readable else ""
