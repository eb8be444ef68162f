"""`polybot leaders`: whom to follow, and whether; `show` on a real sandbox."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from polybot.adapters.health_file import write_health
from polybot.adapters.polymarket.keccak import parse_address
from polybot.adapters.polymarket.wallets import wallets_of
from polybot.cli.leaders_show import _rate, habits_of, series_of
from polybot.domain.health import HealthRecord
from polybot.domain.leaders import LeaderAddress, LeaderHolding, LeaderState
from polybot.domain.modes import Mode
from polybot.domain.orders import Side
from polybot.sandbox.leaders.wallets import LeaderOptions
from tests.builders import NOW
from tests.cli_steps import HOSTILE, WALLET, empty_home, fails, ledger_of, run_json, run_ok
from tests.copy_builders import build_holding, build_trade
from tests.live_home import KEY
from tests.sandbox.conftest import SLUG
from tests.sandbox.leader_wire import QUIET, Wire, open_stage, serve_stage

CHECKED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
OTHER_WALLET = "0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return empty_home(tmp_path, monkeypatch)


# Whom ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [WALLET, CHECKED])
def test_leader_is_followed_by_address_with_cautious_defaults(text: str) -> None:
    """Small letters or a valid checksum; kept in small letters."""
    document = run_json("leaders", "add", text, "--name", "whale")
    assert (document["wallet"], document["state"]) == (WALLET, "active")
    assert document["policy"]["max_trade_usdc"] == "10"
    assert document["added_at"] == document["watermark"]
    (row,) = run_json("leaders", "list")["leaders"]
    assert (row["name"], row["open_usdc"], row["day_usdc"]) == ("whale", "0", "0")
    assert "whale" in run_ok("leaders", "list")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0X" + WALLET[2:], "small x"),
        (WALLET[:-1], "40 hexadecimal digits after 0x, these are 39"),
        (WALLET + "0", "40 hexadecimal digits after 0x, these are 41"),
        ("0x" + WALLET[2:].upper(), "checksum"),
        (CHECKED.replace("A", "a", 1), "checksum"),
        ("0x5\u0430" + WALLET[4:], "hexadecimal digits alone"),
        ("0x" + "0" * 40, "zero address"),
        ("vitalik.eth", "names are not looked up"),
        ("", "must"),
        (" " + WALLET, "must"),
        ("whale", "must"),
    ],
)
def test_near_miss_of_an_address_is_refused_with_the_reason(
    home: Path, text: str, why: str
) -> None:
    """A typing error would follow a stranger; nothing is recorded."""
    said = fails("leaders", "add", text)
    assert why in said
    assert said.startswith("polybot: WALLET must")
    assert not home.exists()


def test_own_wallet_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The funder, whatever its case, and in whatever mode."""
    monkeypatch.setenv("POLYBOT_LIVE__FUNDER", CHECKED)
    assert "nobody copies himself" in fails("leaders", "add", WALLET)
    monkeypatch.setenv("POLYBOT_LIVE__RELAYER_ADDRESS", OTHER_WALLET)
    monkeypatch.setenv("POLYBOT_LIVE__RELAYER_KEY", "a key")
    assert "nobody copies himself" in fails("leaders", "add", OTHER_WALLET)


def test_wallets_of_our_own_key_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address and every wallet that the venue makes for it: no passphrase is asked."""
    from pydantic import SecretStr

    from polybot.adapters.keystore import create_keystore

    address = create_keystore(home / "keystore.json", SecretStr(KEY), SecretStr("a passphrase"))
    for wallet in wallets_of(address):
        assert "our own key" in fails("leaders", "add", wallet.address)


def test_wallets_of_the_key_that_the_doctor_saw_are_refused(home: Path) -> None:
    """A key in the keyring or the environment is not read; its address was noted."""
    home.mkdir()
    record = HealthRecord(
        mode=Mode.LIVE,
        is_complete=True,
        failures=(),
        checked_at=NOW,
        fingerprint="f",
        version="1",
        key_address=CHECKED,
    )
    write_health(home, record)
    for wallet in wallets_of(parse_address(CHECKED)):
        assert "our own key" in fails("leaders", "add", wallet.address)


def test_wallet_is_followed_once_and_a_removed_one_comes_back() -> None:
    run_ok("leaders", "add", WALLET, "--name", "whale")
    assert "followed already" in fails("leaders", "add", WALLET, "--name", "another")
    assert "named 'whale' is followed already" in fails(
        "leaders", "add", OTHER_WALLET, "--name", "whale"
    )
    run_ok("leaders", "remove", "whale")
    assert run_json("leaders", "list")["leaders"] == []
    run_ok("leaders", "add", WALLET, "--name", "whale again")
    assert [one["state"] for one in run_json("leaders", "list")["leaders"]] == ["active"]


@pytest.mark.parametrize("name", ["", "0xabc", "a\x1b[31mb", "x" * 41, "two\nlines", "e\u202ed"])
def test_name_must_be_printable(name: str) -> None:
    assert "--name must be" in fails("leaders", "add", WALLET, "--name", name, code=2)


def test_nobody_is_followed_at_first(home: Path) -> None:
    """Looking makes no ledger, and says what to do."""
    assert "nobody is followed" in run_ok("leaders", "list")
    assert run_json("leaders", "list") == {"mode": "paper", "leaders": []}
    for verb in ("pause", "resume", "remove", "set"):
        more = ("--scale", "0.5") if verb == "set" else ()
        assert "nobody is followed" in fails("leaders", verb, WALLET, *more)
    assert not home.exists()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("minnow", "nobody named 'minnow'"),
        (OTHER_WALLET, "is not followed"),
        ("0X" + WALLET[2:], "small x"),
    ],
)
def test_leader_is_named_by_address_or_name(text: str, why: str) -> None:
    run_ok("leaders", "add", WALLET, "--name", "whale")
    run_ok("leaders", "pause", CHECKED)
    run_ok("leaders", "resume", "whale")
    assert why in fails("leaders", "pause", text)


# Whether ---------------------------------------------------------------------------------------


def test_pause_and_resume_say_what_was_and_why() -> None:
    run_ok("leaders", "add", WALLET, "--name", "whale")
    document = run_json("leaders", "pause", "whale", "strange trades")
    assert (document["state"], document["before"]) == ("paused", "active")
    assert "strange trades" in run_ok("leaders", "list")
    assert "paused already" in fails("leaders", "pause", "whale", "again")
    assert run_json("leaders", "resume", "whale", "it is fine")["before"] == "paused"
    assert "say why" in fails("leaders", "pause", "whale", " ", code=2)


class HoldingThrough:
    """The ledger's part that a pause asks, with shares held through the leader."""

    def __init__(self, ledger: Any) -> None:
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def holdings(self, address: LeaderAddress) -> tuple[LeaderHolding, ...]:
        return (replace(build_holding("100", "10"), leader=address),)


def test_pause_says_what_becomes_of_what_we_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """His exits are not mirrored meanwhile, and there is a way to leave with him."""
    run_ok("leaders", "add", WALLET, "--name", "whale")
    assert "exits" not in run_ok("leaders", "pause", "whale", "enough")
    run_ok("leaders", "resume", "whale", "back")
    monkeypatch.setattr("polybot.cli.leaders._copying", HoldingThrough)
    said = " ".join(run_ok("leaders", "pause", "whale", "enough").split())
    assert "we still hold shares through it in 1 markets" in said
    assert "its exits are not mirrored" in said
    assert "`polybot leaders set whale --side SELL`" in said


def test_what_stops_entries_alone_can_be_said_and_taken_back() -> None:
    run_ok("leaders", "add", WALLET, "--name", "whale")
    assert run_json("leaders", "set", "whale", "--side", "SELL")["policy"]["sides"] == ["SELL"]
    both = run_json("leaders", "set", "whale", "--side", "BUY", "--side", "SELL")
    assert both["policy"]["sides"] == ["BUY", "SELL"]


def test_resume_lifts_the_throttle() -> None:
    run_ok("leaders", "add", WALLET, "--name", "whale")
    with ledger_of(Path(".polybot"), Mode.PAPER) as ledger:
        ledger.set_leader_state(
            LeaderAddress(WALLET), LeaderState.THROTTLED, reason="21 copies", at=NOW
        )
    assert run_json("leaders", "resume", "whale")["before"] == "throttled"
    (row,) = run_json("leaders", "list")["leaders"]
    assert row["state"] == "active"


def test_hostile_reasons_are_shown_as_text() -> None:
    run_ok("leaders", "add", WALLET, "--name", "whale")
    run_ok("leaders", "pause", "whale", HOSTILE)
    shown = run_ok("leaders", "list")
    assert "\x1b" not in shown
    assert "\u202e" not in shown


# Showing a wallet ------------------------------------------------------------------------------


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """A sandbox with one leader who has done a few things."""
    stage = open_stage(LeaderOptions(noise=0, leaders=1, crowd=0, history_s=0, behaviour=QUIET))
    with serve_stage(stage) as found:
        monkeypatch.setenv("POLYBOT_MODE", "sandbox")
        monkeypatch.setenv("POLYBOT_SANDBOX__URL", found.url)
        yield found


def test_wallet_that_nobody_follows_can_be_looked_at(wire: Wire, home: Path) -> None:
    """Trades, positions, P&L, markets and rate, from the venue; nothing is recorded."""
    wire.act(slug=SLUG, kind="BUY", outcome="Up", size="100")
    wire.advance(60)
    wire.act(slug=SLUG, kind="SELL", outcome="Up", size="40")
    wire.advance(90)
    document = run_json("leaders", "show", wire.leader)
    assert document["followed"] is None
    assert [one["side"] for one in document["trades"]] == ["SELL", "BUY"]
    assert document["habits"]["trades"] == 2
    assert document["habits"]["buys"] == 1
    assert document["habits"]["copyable"] == 2
    assert [one["size"] for one in document["positions"] if one["is_open"]] == ["60"]
    earned = sum(Decimal(one["realised_pnl_usdc"]) for one in document["positions"])
    assert Decimal(document["realised_pnl_usdc"]) == earned != 0
    text = run_ok("leaders", "show", wire.leader)
    assert "not followed" in text
    assert "2 newest trades" in text
    assert "Open positions" in text
    assert not home.exists()


def test_followed_leader_can_be_shown_by_name(wire: Wire) -> None:
    """Following begins at the sandbox's own time."""
    added = run_json("leaders", "add", wire.leader, "--name", "whale")
    assert (
        datetime.fromisoformat(added["added_at"]).year
        == wire.stage.venue.now_s() // 31_556_952 + 1970
    )
    document = run_json("leaders", "show", "whale")
    assert document["followed"]["name"] == "whale"
    assert document["habits"]["trades"] == 0
    assert "shows no trade" in run_ok("leaders", "show", "whale")


def test_show_needs_an_address_or_a_name_that_is_followed() -> None:
    assert "nobody named" in fails("leaders", "show", "whale")
    assert "these are 39" in fails("leaders", "show", WALLET[:-1])


def test_sandbox_that_does_not_answer_is_said_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POLYBOT_MODE", "sandbox")
    monkeypatch.setenv("POLYBOT_SANDBOX__URL", "http://127.0.0.1:9")
    assert "does not answer" in fails("leaders", "add", WALLET)
    assert "polybot: " in fails("leaders", "show", WALLET)


def test_habits_are_counted_from_the_trades() -> None:
    trades = [
        build_trade(price="0.5", size="10"),
        build_trade(Side.SELL, price="0.5", size="30", traded_at=NOW - timedelta(hours=12)),
        build_trade(price="0.5", size="20", slug="will-it-rain"),
    ]
    habits = habits_of(trades)
    assert (habits.trades, habits.buys, habits.copyable) == (3, 2, 2)
    assert habits.median_stake_usdc == Decimal(10)
    assert habits.trades_per_day == Decimal("6.0")
    assert habits.markets == (("btc-15m", 2), ("other", 1))
    assert habits_of(trades[:1]).trades_per_day is None
    assert [_rate(Decimal(each)) for each in ("0.04", "9.9", "10", "36766.0")] == [
        "0.0",
        "9.9",
        "10",
        "36,766",
    ]
    assert habits_of([]).trades == 0
    assert series_of("<script>") == "other"
