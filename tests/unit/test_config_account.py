"""Settings of the account, and secrets: checked before anything is signed, and never shown."""

from pathlib import Path

import pytest

from polybot.config import key_variable, load_settings
from polybot.errors import ConfigurationError
from tests.config_steps import CHECKED, SECRET, empty_folder, refusal


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return empty_folder(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "name",
    [
        "POLYBOT_DATABASE_URL",
        "POLYBOT_DATABSE_URL",
        "POLYBOT_MODE",
        "POLYBOT_ALERTS__URL",
        "POLYBOT_ALERTS",
        "POLYBOT_SANDBOX__URL",
        "POLYBOT_SERIES",
        "POLYBOT_RISK__STAKE_USDC",
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        f"postgresq://bot:{SECRET}@db/polybot",
        f'["tgram://{SECRET}',
        "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318",
    ],
)
def test_secrets_in_the_wrong_place_are_never_shown(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt name or a value in the wrong variable does not end up in a terminal or log."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert SECRET not in str(caught.value)
    assert "4c0883a6" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_secrets_are_masked_wherever_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither repr nor JSON shows a secret."""
    monkeypatch.setenv("POLYBOT_DATABASE_URL", f"postgresql+psycopg://bot:{SECRET}@db/polybot")
    monkeypatch.setenv("POLYBOT_ALERTS__URLS", f"tgram://{SECRET}/1")
    settings = load_settings()
    assert settings.database_url is not None
    assert SECRET in settings.database_url.get_secret_value()
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize("text", [CHECKED, CHECKED.lower()])
def test_a_funder_is_kept_with_its_checksum(text: str) -> None:
    """All small letters are taken, and compared in one form ever after."""
    assert load_settings(live={"funder": text}).live.funder == CHECKED


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (CHECKED.replace("5aA", "5aa"), "must have a valid checksum"),
        (CHECKED.replace("d", "e"), "must have a valid checksum"),
        (CHECKED.upper().replace("0X", "0x"), "must have a valid checksum"),
        (CHECKED.replace("0x", "0X"), "must begin with 0x, with a small x"),
        (CHECKED[:-1], "must have 40 hexadecimal digits after 0x, these are 39"),
        (CHECKED + "0", "must have 40 hexadecimal digits after 0x, these are 41"),
        ("0x" + "4c" * 32, "must have 40 hexadecimal digits after 0x"),
        (CHECKED[2:], "must be an address: 0x and 40"),
        ("vitalik.eth", "must be an address, names are not looked up"),
        (CHECKED.replace("a", "\u0430", 1), "hexadecimal digits alone after 0x; \\u0430 is none"),
        (f" {CHECKED}", "must be an address: 0x and 40"),
        ("0x" + "0" * 40, "must not be the zero address"),
        ("", "must be an address"),
    ],
)
def test_a_funder_that_is_no_address_is_refused_with_what_is_wrong(text: str, problem: str) -> None:
    """A near miss says how near; what was typed is not repeated, it may be a key."""
    (line,) = refusal(live={"funder": text})
    assert line.startswith("live.funder: must")
    assert problem in line
    assert len(text) < 20 or text not in line


@pytest.mark.parametrize(
    ("values", "start"),
    [
        ({"session_key": "true"}, "live.funder: must name the deposit wallet"),
        ({"session_key": "yes"}, "live.session_key: must be true or false"),
        ({"accept_plain_key": "1"}, "live.accept_plain_key: must be true or false"),
        ({"signature_type": "4"}, "live.signature_type: must be less than or equal to 3"),
        ({"signature_type": "2"}, "live.funder: must be set with signature_type 2"),
        (
            {"signature_type": "1", "funder": CHECKED, "session_key": "true"},
            "live.signature_type: must be 3 with a session key",
        ),
        ({"chain_id": "80002"}, "live.chain_id: must be 137"),
        ({"relayer_address": CHECKED}, "live.relayer_address: must be set together"),
        ({"max_clock_difference_s": "3"}, "live.max_clock_difference_s: must be less than"),
        ({"key_source": "dotenv"}, "live.key_source: must be 'keystore', 'keyring'"),
        (
            {"trades_overlap_s": "7200", "trades_deep_overlap_s": "3600"},
            "live.trades_deep_overlap_s: must be at least trades_overlap_s (7200); was 3600",
        ),
        (
            {"trades_lag_s": "300", "arrival_grace_s": "299"},
            "live.arrival_grace_s: must be at least trades_lag_s (300); was 299",
        ),
        (
            {"late_fill_watch_s": "100"},
            "live.late_fill_watch_s: must be at least arrival_grace_s (120); was 100",
        ),
    ],
)
def test_account_settings_that_contradict_each_other_are_refused(
    values: dict[str, object], start: str
) -> None:
    """Bounds, and rules that span several settings of live trading."""
    (line,) = refusal(live=values)
    assert line.startswith(start)


def test_the_key_is_no_part_of_the_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the object nor anything made from it knows the key's variables."""
    monkeypatch.setenv("POLYBOT_PRIVATE_KEY", SECRET)
    (folder / ".env").write_text(f"POLYBOT_KEY_PASSPHRASE={SECRET}\n")
    assert SECRET not in repr(load_settings()) + load_settings().model_dump_json()


def test_key_variables_come_from_the_environment_before_dot_env(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it was found is kept: a file is easier to steal."""
    assert key_variable("POLYBOT_PRIVATE_KEY") is None
    (folder / ".env").write_text(f"polybot_private_key='{SECRET}'\nPOLYBOT_SERIES=btc-15m\n")
    found = key_variable("POLYBOT_PRIVATE_KEY")
    assert found is not None
    assert (found.value.get_secret_value(), found.file) == (SECRET, Path(".env"))
    assert SECRET not in repr(found)
    monkeypatch.setenv("POLYBOT_PRIVATE_KEY", "other")
    found = key_variable("POLYBOT_PRIVATE_KEY")
    assert found is not None
    assert (found.value.get_secret_value(), found.file) == ("other", None)
    (folder / ".env").write_bytes(b"\xff" + SECRET.encode())
    with pytest.raises(ConfigurationError) as caught:
        key_variable("POLYBOT_KEY_PASSPHRASE")
    assert str(caught.value) == ".env is not UTF-8 text"
