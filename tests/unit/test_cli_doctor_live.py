"""The doctor of live mode, against a sandbox venue in real time: every check, and every refusal."""

import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from polybot.adapters import logs
from polybot.adapters.health_file import read_health
from polybot.cli import doctor
from polybot.cli.doctor_local import check_prefect
from polybot.cli.findings import Examination
from polybot.config import load_settings
from polybot.domain.markets import Outcome
from polybot.domain.modes import Mode
from tests.builders import NOW
from tests.cli_steps import ledger_of, run
from tests.config_steps import empty_folder
from tests.live_home import PASSPHRASE, LiveHome, live_home

_OF_THE_ACCOUNT = ("account at the venue", "redeemable at the venue")
EXCHANGES = (
    "0xe111180000d2663c0091e4f400237545b87b996b",
    "0xe2222d279d744050d28e00520010520000310f59",
    "0xe3333700ca9d93003f00f0f71f8515005f6c00aa",
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveHome]:
    empty_folder(tmp_path, monkeypatch)
    with live_home(tmp_path / "home", monkeypatch) as found:
        yield found
    logs._secrets.clear()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without asking Prefect, which takes seconds in a process of its own."""
    left = tuple(check for check in doctor.CHECKS if check is not check_prefect)
    monkeypatch.setattr(doctor, "CHECKS", left)


def examined(*options: str) -> dict[str, dict[str, Any]]:
    """Run the doctor and return its checks by name."""
    result = run("doctor", "--json", *options)
    document = json.loads(result.stdout)
    assert result.exit_code == (0 if document["healthy"] else 1)
    return {check["name"]: check for check in document["checks"]}


def failed(checks: dict[str, dict[str, Any]]) -> set[str]:
    for check in checks.values():
        assert check["passed"] or check["mend"], f"{check['name']} says how to mend it"
    return {name for name, check in checks.items() if not check["passed"]}


def test_a_healthy_live_installation_is_green_and_recorded(home: LiveHome) -> None:
    """Key, account, endpoints, socket, clock, borders, market: and the gate learns of it."""
    home.open_account(cash_usdc=500)
    checks = examined()
    assert failed(checks) == set()
    assert {
        "settings",
        "prefect version",
        "prefect exposure",
        "sqlite",
        "ledger",
        "access to keystore.json",
        "key",
        "account",
        "market discovery",
        "order book and clock",
        "market data",
        "relayer",
        "user socket",
        "market socket",
        "reference prices",
        "geoblock",
        "market of btc-15m",
        "stake for btc-15m",
        "API credentials",
        "collateral",
        "allowances",
        "approvals",
        "redeemable",
        "redeemable at the venue",
    } <= set(checks)
    assert home.address in checks["key"]["detail"]
    assert checks["market of btc-15m"]["detail"].endswith("signed for with type 0")
    assert checks["account"]["grade"] == "warn", "this key can withdraw"
    record = read_health(home.path, Mode.LIVE)
    assert record is not None
    assert record.is_green
    assert (record.key_address, record.fingerprint) == (home.address, load_settings().fingerprint)


@pytest.mark.usefixtures("quick")
def test_the_doctor_sends_no_order_and_changes_nothing(home: LiveHome) -> None:
    home.open_account(cash_usdc=500)
    examined()
    asked = {path for path, count in home.requests().items() if count}
    assert not [path for path in asked if path.startswith(("/order", "/cancel", "/v1/"))]


@pytest.mark.usefixtures("quick")
def test_too_little_cash_is_found(home: LiveHome) -> None:
    """Less than must remain, with a stake on top."""
    home.open_account(cash_usdc=54)
    checks = examined()
    assert failed(checks) == {"collateral"}
    assert "need 55" in checks["collateral"]["detail"]
    record = read_health(home.path, Mode.LIVE)
    assert record is not None
    assert record.failures == ("collateral",)


@pytest.mark.usefixtures("quick")
def test_a_missing_allowance_is_found(home: LiveHome) -> None:
    home.open_account(cash_usdc=500)
    home.change_account(allowances=dict.fromkeys(EXCHANGES, 9_999_999))
    checks = examined()
    assert failed(checks) == {"allowances"}
    assert "may move less than risk.max_stake_usdc, 10 USDC" in checks["allowances"]["detail"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("name", "value", "broken"),
    [
        ("KEY_PASSPHRASE", "another passphrase", {"key", *_OF_THE_ACCOUNT}),
        ("LIVE__FUNDER", "0x" + "11" * 20, {"account", *_OF_THE_ACCOUNT}),
        ("LIVE__KEYSTORE", "elsewhere.json", {"key", *_OF_THE_ACCOUNT}),
        ("LIVE__KEY_SOURCE", "environment", {"key", *_OF_THE_ACCOUNT}),
        ("RISK__STAKE_USDC", "0.9", {"stake for btc-15m"}),
        ("VENUE__USER_SOCKET_URL", "ws://127.0.0.1:9/ws/user", {"user socket"}),
        ("VENUE__MARKET_SOCKET_URL", "ws://127.0.0.1:9/ws/market", {"market socket"}),
        ("VENUE__RPC_URL", "http://127.0.0.1:9/secret-node-key", {"Polygon node"}),
        ("PRICES__BASE_URL", "http://127.0.0.1:9", {"reference prices"}),
        ("VENUE__RELAYER_URL", "http://127.0.0.1:9", {"relayer"}),
        ("VENUE__GEOBLOCK_URL", "http://127.0.0.1:9/api/geoblock", {"geoblock"}),
    ],
)
def test_one_broken_thing_is_one_failure(
    name: str, value: str, broken: set[str], home: LiveHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other checks still run and still pass."""
    home.open_account(cash_usdc=500)
    monkeypatch.setenv(f"POLYBOT_{name}", value)
    checks = examined()
    assert failed(checks) == broken
    record = read_health(home.path, Mode.LIVE)
    assert record is not None
    assert not record.is_green


@pytest.mark.usefixtures("quick")
def test_shares_that_nobody_may_move_are_found(home: LiveHome) -> None:
    """Buying would work, selling and redeeming would not."""
    home.open_account(cash_usdc=500)
    home.change_account(unapproved=["0xE111180000d2663C0091e4f400237545B87B996B"])
    checks = examined()
    assert failed(checks) == {"approvals"}
    assert "0xE111180000d2663C0091e4f400237545B87B996B" in checks["approvals"]["detail"]


@pytest.mark.usefixtures("quick")
def test_an_approval_that_this_bot_does_not_need_is_only_told(home: LiveHome) -> None:
    home.open_account(cash_usdc=500)
    home.change_account(unapproved=["0x200000900045e3B6259600682756002200028933"])
    checks = examined()
    assert failed(checks) == set()
    assert checks["approvals"]["grade"] == "warn"


@pytest.mark.usefixtures("quick")
def test_winnings_that_only_the_venue_knows_of_are_named(home: LiveHome) -> None:
    """Won by hand, or by an earlier ledger: ours knows nothing of them."""
    home.open_account(cash_usdc=500)
    account = home.venue_account()
    account.tokens[home.resolved_token(Outcome.UP)] = 7_000_000
    account.tokens[home.resolved_token(Outcome.DOWN)] = 3_000_000
    check = examined()["redeemable at the venue"]
    assert check["grade"] == "warn"
    assert check["detail"] in (
        "1 resolved markets owe the wallet 7 USDC",
        "1 resolved markets owe the wallet 3 USDC",
    )


@pytest.mark.usefixtures("quick")
def test_a_node_of_another_chain_is_found_and_its_address_not_shown(
    home: LiveHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.open_account(cash_usdc=500)
    monkeypatch.setenv("POLYBOT_VENUE__RPC_URL", home.url)
    assert examined()["Polygon node"]["detail"] == "answers, chain 137"
    monkeypatch.setattr("polybot.sandbox.chain.CHAIN_ID", 1)
    checks = examined()
    assert failed(checks) == {"Polygon node"}
    assert home.url not in json.dumps(checks["Polygon node"])


@pytest.mark.usefixtures("quick")
def test_a_socket_that_is_no_socket_is_found(
    home: LiveHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYBOT_VENUE__USER_SOCKET_URL", f"ws{home.url[4:]}/time")
    checks = examined()
    assert "instead of a handshake" in checks["user socket"]["detail"]


@pytest.mark.usefixtures("quick")
def test_an_examination_without_the_network_opens_no_gate(home: LiveHome) -> None:
    """What was not asked is not known."""
    checks = examined("--offline")
    assert failed(checks) == set()
    record = read_health(home.path, Mode.LIVE)
    assert record is not None
    assert not record.is_green


@pytest.mark.usefixtures("quick")
def test_a_readable_keystore_is_found(home: LiveHome) -> None:
    (home.path / "keystore.json").chmod(0o644)
    checks = examined("--offline")
    assert {"access to keystore.json", "key"} <= failed(checks)


@pytest.mark.usefixtures("quick")
def test_a_plain_key_in_dot_env_is_found(home: LiveHome) -> None:
    Path(".env").write_text(f"POLYBOT_KEY_PASSPHRASE={PASSPHRASE}\n")
    Path(".env").chmod(0o600)
    os.environ.pop("POLYBOT_KEY_PASSPHRASE")
    checks = examined("--offline")
    assert "in plain text" in checks["key"]["detail"]


@pytest.mark.usefixtures("quick")
def test_live_books_are_always_recomputed(home: LiveHome) -> None:
    """Without --ledger too: real money rests on them."""

    with ledger_of(home.path, Mode.LIVE) as ledger:
        ledger.deposit(Decimal(5), reference="a", at=NOW)
    assert examined("--offline")["ledger audit"]["passed"]


@pytest.mark.usefixtures("quick")
def test_paper_keeps_no_verdict_and_reads_no_key(
    home: LiveHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYBOT_MODE", "paper")
    (home.path / "keystore.json").write_text("never opened")
    checks = examined("--offline")
    assert checks["key"]["detail"] == "not read: only live mode needs one"
    assert read_health(home.path, Mode.PAPER) is None


@pytest.mark.usefixtures("quick")
def test_whoever_copies_needs_the_stream_of_trades(
    home: LiveHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else is asked for it."""
    home.open_account(cash_usdc=500)
    assert "trade stream" not in examined()
    monkeypatch.setattr(Examination, "is_copying", True)
    assert examined()["trade stream"]["passed"]
    monkeypatch.setenv("POLYBOT_VENUE__STREAM_URL", "ws://127.0.0.1:9/")
    assert failed(examined()) == {"trade stream"}
