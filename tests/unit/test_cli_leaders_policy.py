"""`polybot leaders add` and `set`: how a leader is copied, option by option."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from polybot.cli.leaders_policy import changed_policy
from polybot.copy_trading.policy_rules import problems_of
from polybot.domain.leaders import CopyPolicy, Sizing, SmallCopies
from polybot.domain.modes import Mode
from polybot.domain.orders import Side
from tests.cli_steps import WALLET, empty_home, fails, ledger_of, run_json, run_ok


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return empty_home(tmp_path, monkeypatch)


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
        (leader,) = ledger.leaders()
        assert leader.policy == expected


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
