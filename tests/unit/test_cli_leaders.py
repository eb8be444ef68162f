"""`polybot leaders` and `polybot copy`, on real ledgers; `show` on a real sandbox."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from polybot.adapters.health_file import write_health
from polybot.adapters.polymarket.keccak import parse_address
from polybot.adapters.polymarket.wallets import wallets_of
from polybot.cli.leaders_policy import changed_policy
from polybot.cli.leaders_show import _rate, habits_of, series_of
from polybot.copy_trading.policy_rules import problems_of
from polybot.domain.health import HealthRecord
from polybot.domain.leaders import (
    CopyPolicy,
    CopyRecord,
    CopyVerdict,
    LeaderAddress,
    LeaderHolding,
    LeaderState,
    Sizing,
    SmallCopies,
)
from polybot.domain.modes import Mode
from polybot.domain.money import Shares
from polybot.domain.orders import Side
from polybot.sandbox.leaders.wallets import LeaderOptions
from tests.builders import NOW
from tests.cli_steps import HOSTILE, ledger_of, run, run_json, run_ok
from tests.copy_builders import build_holding, build_trade
from tests.live_home import KEY
from tests.sandbox.conftest import SLUG
from tests.sandbox.leader_wire import QUIET, Wire, open_stage, serve_stage

WALLET = "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"
CHECKED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
OTHER_WALLET = "0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, without any setting of this machine."""
    for name in os.environ:
        if name.startswith("POLYBOT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".polybot"


def fails(*arguments: str, code: int = 1) -> str:
    """Run a command that must fail, and return what it says on standard error."""
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.stderr
    return " ".join(result.stderr.replace("│", " ").split())


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


# How -------------------------------------------------------------------------------------------


def test_every_policy_field_can_be_given() -> None:
    document = run_json(
        "leaders", "add", WALLET, "--sizing", "equity_ratio", "--scale", "0.25",
        "--fixed", "7.5", "--leader-equity", "90000", "--max-trade", "8", "--max-market", "16",
        "--max-leader", "32", "--max-day", "64", "--min-leader-stake", "2", "--max-age", "7.5",
        "--max-price-above", "0.02", "--max-price-fraction", "0.04", "--max-from-book", "0.06",
        "--side", "buy", "--series", "btc-15m", "--series", "eth-5m", "--tag", "btc,15m",
        "--slug", "btc-updown-*", "--min-price", "0.1", "--max-price", "0.9",
        "--min-time-left", "120", "--small-copies", "skip", "--accumulate", "30",
        "--max-repeats", "5", "--repeat-window", "30", "--flip", "3",
    )  # fmt: skip
    expected = CopyPolicy(
        sizing=Sizing.EQUITY_RATIO,
        scale=Decimal("0.25"),
        fixed_usdc=Decimal("7.5"),
        leader_equity_usdc=Decimal(90_000),
        max_trade_usdc=Decimal(8),
        max_market_usdc=Decimal(16),
        max_leader_usdc=Decimal(32),
        max_day_usdc=Decimal(64),
        min_leader_stake_usdc=Decimal(2),
        max_age_s=7.5,
        max_price_above=Decimal("0.02"),
        max_price_fraction=Decimal("0.04"),
        max_from_book=Decimal("0.06"),
        sides=frozenset({Side.BUY}),
        series=("btc-15m", "eth-5m"),
        tags=("btc", "15m"),
        slugs=("btc-updown-*",),
        min_price=Decimal("0.1"),
        max_price=Decimal("0.9"),
        min_time_left_s=120,
        small_copies=SmallCopies.SKIP,
        accumulate_s=30.0,
        max_repeats=5,
        repeat_window_s=30.0,
        flip_s=3.0,
    )
    assert set(document["policy"]) == set(CopyPolicy.__dataclass_fields__)
    with ledger_of(Path(".polybot"), Mode.PAPER) as ledger:
        (leader,) = copying(ledger).leaders()
        assert leader.policy == expected


def copying(ledger: Any) -> Any:
    """Return a ledger with its half about leaders."""
    return ledger


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--scale", "0"), "scale must be above 0"),
        (("--scale", "-1"), "scale must be above 0"),
        (("--scale", "nan"), "plain decimal number"),
        (("--scale", "1_0"), "plain decimal number"),
        (("--scale", "１"), "plain decimal number"),
        (("--scale", "1e400"), "must be"),
        (("--max-trade", "30"), "max_trade_usdc must be at most max_market_usdc"),
        (("--max-market", "60"), "max_market_usdc must be at most max_leader_usdc"),
        (("--max-day", "5"), "max_trade_usdc must be at most max_day_usdc"),
        (("--max-trade", "0.0000001"), "max_trade_usdc must be above 0"),
        (("--sizing", "equity_ratio"), "needs the leader's equity"),
        (("--sizing", "fixed", "--fixed", "11"), "above the cap on a trade"),
        (("--side", "HOLD"), "must be BUY or SELL"),
        (("--series", "doge-15m"), "market series must be one of"),
        (("--tag", "doge"), "tag must be one of"),
        (("--slug", "../etc"), "slug must be a pattern"),
        (("--slug", "all", "--slug", "btc-*"), "stands alone"),
        (("--slug", "nba-*"), "nothing could be copied"),
        (("--slug", "btc-updown-15m"), "nothing could be copied"),
        (("--slug", "doge-updown-*,btc-updown-1h-*"), "nothing could be copied"),
        (("--series", "btc-15m", "--tag", "eth"), "nothing could be copied"),
        (("--series", "btc-15m", "--slug", "*-5m-*"), "nothing could be copied"),
        (("--min-price", "0.9", "--max-price", "0.1"), "the least below the most"),
        (("--max-price", "1"), "inside (0, 1)"),
        (("--max-price-above", "2"), "max_price_above must be 0 to 1"),
        (("--max-age", "nan"), "max_age_s must be"),
        (("--max-age", "0"), "max_age_s must be"),
        (("--max-age", "100000"), "max_age_s must be"),
        (("--max-repeats", "1001"), "max_repeats must be 1 to 1000"),
        (("--min-time-left", "-1"), "min_time_left_s must be"),
        (("--repeat-window", "0"), "repeat_window_s must be"),
    ],
)
def test_policy_that_makes_no_sense_is_refused(
    home: Path, options: tuple[str, ...], why: str
) -> None:
    assert why in fails("leaders", "add", WALLET, *options, code=2)
    assert not home.exists()


@pytest.mark.parametrize(
    "pattern",
    [
        "*",
        "btc-*",
        "*-updown-15m-*",
        "btc-updown-15m-17912412??",
        "btc-updown-15m-[12]*",
        "[!a]tc-updown-*",
        "*1791241200",
        "????updown*",
    ],
)
def test_pattern_that_some_window_fits_is_taken(pattern: str) -> None:
    assert problems_of(replace(CopyPolicy(), slugs=("nba-*", pattern))) == ()


def test_everything_that_is_wrong_is_said_at_once() -> None:
    policy = replace(CopyPolicy(), scale=Decimal(0), max_repeats=0, sides=frozenset())
    assert len(problems_of(policy)) == 3
    assert problems_of(CopyPolicy()) == ()


def test_policy_is_changed_option_by_option() -> None:
    run_ok("leaders", "add", WALLET, "--name", "whale", "--series", "btc-15m", "--scale", "0.2")
    document = run_json("leaders", "set", "whale", "--scale", "0.3", "--series", "all")
    assert document["changes"] == {"scale": ["0.2", "0.3"], "series": ["btc-15m", "all"]}
    (row,) = run_json("leaders", "list")["leaders"]
    assert (row["policy"]["scale"], row["policy"]["series"]) == ("0.3", [])
    assert "scale 0.3 → 0.4" in run_ok("leaders", "set", "whale", "--scale", "0.4")
    assert "nothing changes" in fails("leaders", "set", "whale", code=2)
    assert "nothing changes" in fails("leaders", "set", "whale", "--scale", "0.4", code=2)
    assert "must be above 0" in fails("leaders", "set", "whale", "--scale", "0", code=2)


def test_options_that_are_not_given_leave_the_policy_alone() -> None:
    policy = replace(CopyPolicy(), scale=Decimal("0.7"))
    assert changed_policy(policy, {"scale": None, "series": None, "side": []}) == policy


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
        copying(ledger).set_leader_state(
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


# Copy trading as a whole -----------------------------------------------------------------------


def test_pause_of_copying_stays_until_somebody_resumes() -> None:
    assert run_json("copy", "pause", "away")["changed"] is True
    assert run_json("copy", "pause", "still away")["changed"] is False
    status = run_json("copy", "status")
    assert (status["is_wanted"], status["wish"]["reason"]) == (False, "away")
    assert "copy trading is paused" in run_ok("copy", "status")
    assert run_json("copy", "resume", "back")["changed"] is True
    assert run_json("copy", "status")["is_wanted"] is True
    assert "nothing was changed" in run_ok("copy", "resume")


def test_looking_at_copies_before_there_are_any(home: Path) -> None:
    for command in ("status", "stats", "log"):
        assert "nobody is followed yet" in run_ok("copy", command)
    assert run_json("copy", "stats") == {"mode": "paper", "has_run": False}
    assert run_json("copy", "log") == {"mode": "paper", "trades": []}
    assert not home.exists()


def record(number: int, verdict: CopyVerdict, code: str, **changes: Any) -> CopyRecord:
    """Return a recorded trade: heard two seconds after its fill, decided 100 µs later."""
    at = NOW + timedelta(seconds=number)
    trade = build_trade(
        leader=LeaderAddress(WALLET),
        transaction_hash=f"0x{number:064x}",
        size=str(10 + number),
        traded_at=at,
        received_at=at + timedelta(seconds=2),
    )
    return CopyRecord(
        trade=trade,
        verdict=verdict,
        reason_code=code,
        reason=f"because of {number}",
        decided_at=trade.received_at + timedelta(microseconds=100),
        **changes,
    )


@pytest.fixture
def recorded() -> None:
    """A leader with three recorded trades: two skipped for a reason, one long after the fact."""
    run_ok("leaders", "add", WALLET, "--name", "whale")
    with ledger_of(Path(".polybot"), Mode.PAPER) as opened:
        ledger = copying(opened)
        lease = ledger.acquire_lease("copy-trading", "a loop", ttl_s=60, at=datetime.now(UTC))
        assert lease is not None
        late = record(3, CopyVerdict.SKIPPED, "too-old")
        late = replace(
            late,
            trade=replace(late.trade, received_at=late.trade.traded_at + timedelta(hours=1)),
        )
        ledger.record_leader_trades(
            [
                record(1, CopyVerdict.SKIPPED, "price-moved"),
                record(2, CopyVerdict.ACCUMULATED, "accumulated", accumulate_usdc=Decimal(1)),
                late,
            ],
            lease=lease,
        )


@pytest.mark.usefixtures("recorded")
def test_log_shows_what_was_made_of_each_trade_newest_last() -> None:
    rows = run_json("copy", "log")["trades"]
    assert [one["reason_code"] for one in rows] == ["price-moved", "accumulated", "too-old"]
    assert rows[0]["size"] == "11"
    assert {"traded_at", "received_at", "decided_at", "sent_at", "acknowledged_at"} <= set(rows[0])
    assert [one["size"] for one in run_json("copy", "log", "--limit", "1")["trades"]] == ["13"]
    text = run_ok("copy", "log", "--leader", "whale")
    assert "skipped price-moved" in text
    assert "because of 1" in text
    assert "--since must be" in fails("copy", "log", "--since", "yesterday", code=2)
    assert "nobody named" in fails("copy", "log", "--leader", "minnow")


@pytest.mark.usefixtures("recorded")
def test_stats_tell_feed_lag_and_our_own_time_apart() -> None:
    """What was read an hour after the fact says nothing about the feed."""
    document = run_json("copy", "stats")
    assert document["recorded"] == 3
    assert document["by_reason"] == {"accumulated": 1, "price-moved": 1, "too-old": 1}
    lag, decide = document["latency_s"]["feed_lag"], document["latency_s"]["decide"]
    assert (lag["count"], lag["p50"], lag["p99"]) == (2, 2.0, 2.0)
    assert decide["p50"] == pytest.approx(0.0001)
    assert document["latency_s"]["own_time"]["count"] == 0
    assert document["feed_lag_by_source_s"]["stream"]["count"] == 2
    (drift,) = document["drift"]
    assert Decimal(drift["leader_size"]) == Shares(Decimal(11 + 12 + 13))
    assert Decimal(drift["drift"]) == Decimal("-3.6")
    assert run_json("copy", "stats", "--since", "2030-01-01")["recorded"] == 0
    assert "Leader's fill" in run_ok("copy", "stats", "--leader", "whale")


@pytest.mark.usefixtures("recorded")
def test_status_shows_the_loop_and_the_counts() -> None:
    status = run_json("copy", "status")
    assert status["loop"]["is_running"] is True
    assert status["loop"]["holder"] == "a loop"
    assert status["trading_state"] == "active"
    (leader,) = status["leaders"]
    assert leader["name"] == "whale"
    assert "a loop runs: a loop" in run_ok("copy", "status")


@pytest.mark.parametrize(
    "command",
    [
        ("leaders",),
        *(("leaders", verb) for verb in ("add", "set", "list", "pause", "resume", "remove")),
        ("leaders", "show"),
        ("copy",),
        *(("copy", verb) for verb in ("stats", "log", "status", "pause", "resume")),
    ],
)
def test_every_command_explains_itself(command: tuple[str, ...]) -> None:
    text = run_ok(*command, "--help")
    assert "Usage:" in text
    if len(command) > 1:
        assert "--json" in text
        assert "Example: polybot" in " ".join(text.split())
