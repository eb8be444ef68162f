"""Settings: safe without any, and refused as a whole when anything is wrong."""

import importlib.util
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from polybot.config import KNOWN_EXCHANGES, load_settings
from polybot.domain.modes import Mode
from polybot.domain.signals import StrategyParams
from tests.config_steps import CHECKED, SECRET, empty_folder, refusal


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return empty_folder(tmp_path, monkeypatch)


def test_nothing_configured_is_paper_with_small_stakes() -> None:
    """The defaults are complete and safe."""
    settings = load_settings()
    assert settings.mode is Mode.PAPER
    assert settings.series == ("btc-15m",)
    assert settings.risk.stake_usdc == 5
    assert settings.alerts.urls == ()


def test_the_strategy_params_have_the_same_fields_and_defaults() -> None:
    """The step's own parameters never drift from the settings they are made of."""
    assert StrategyParams(**load_settings().strategy.model_dump()) == StrategyParams()


def test_environment_beats_dot_env_beats_yaml(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each place is asked in turn, field by field, and arguments win over all."""
    (folder / "polybot.yaml").write_text(
        "risk:\n  stake_usdc: 1\n  max_stake_usdc: 6\n  max_spread: 0.1\nmode: sandbox\n"
    )
    (folder / ".env").write_text("POLYBOT_RISK__STAKE_USDC=2\nPOLYBOT_RISK__MAX_STAKE_USDC=7\n")
    monkeypatch.setenv("POLYBOT_RISK__STAKE_USDC", "3")
    settings = load_settings()
    assert settings.risk.stake_usdc == 3
    assert settings.risk.max_stake_usdc == 7
    assert settings.risk.max_spread == Decimal("0.1")
    assert settings.mode is Mode.SANDBOX
    assert load_settings(risk={"stake_usdc": "4"}).risk.stake_usdc == 4
    assert load_settings(mode="paper").mode is Mode.PAPER


@pytest.mark.parametrize("text", ["btc-15m,eth-4h", "btc-15m eth-4h", '["btc-15m", "eth-4h"]'])
def test_lists_are_written_as_people_write_them(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commas, spaces and JSON mean the same."""
    monkeypatch.setenv("POLYBOT_SERIES", text)
    assert load_settings().series == ("btc-15m", "eth-4h")


def test_alert_urls_may_contain_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only spaces separate addresses of channels."""
    monkeypatch.setenv("POLYBOT_ALERTS__URLS", "mailto://h?to=a@x.y,b@x.y  json://127.0.0.1/")
    urls = [url.get_secret_value() for url in load_settings().alerts.urls]
    assert urls == ["mailto://h?to=a@x.y,b@x.y", "json://127.0.0.1/"]


def test_everything_wrong_is_listed_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One refusal names every mistake, wherever it was made."""
    (folder / "polybot.yaml").write_text(
        f"venues: {{}}\nprices: {{exchanges: [mtgox]}}\ndatabase_url: {SECRET}\n"
        f"alerts:\n  urls: [{SECRET}]\n  per_minute: 0\n"
    )
    (folder / ".env").write_text("POLYBOT_RISK__MAX_SPREAD=2\nTELEGRAM_TOKEN=abc\nnonsense\n= 5\n")
    monkeypatch.setenv("POLYBOT_MOED", "live")
    monkeypatch.setenv("POLYBOT_RISK__STAKE", "3")
    monkeypatch.setenv("POLYBOT_RISK__STAKE_USDC", "-3")
    monkeypatch.setenv("POLYBOT_SERIES", "btc-1h")
    lines = refusal()
    for start in (
        "venues: is not a setting",
        "prices.exchanges: must be among binance",
        "polybot.yaml: database_url: is a secret: set POLYBOT_DATABASE_URL",
        "polybot.yaml: alerts.urls: is a secret: set POLYBOT_ALERTS__URLS",
        "alerts.per_minute: must be greater than or equal to 1; was 0",
        "risk.max_spread: must be less than 1; was 2",
        ".env: TELEGRAM_TOKEN: is not a setting",
        ".env line 4: is not of the form",
        "POLYBOT_MOED: is not a setting; did you mean POLYBOT_MODE?",
        "risk.stake: is not a setting; did you mean risk.stake_usdc?",
        "risk.stake_usdc: must be greater than 0; was -3",
        "series: must be market series",
    ):
        assert any(line.startswith(start) for line in lines), (start, lines)
    assert SECRET not in "\n".join(lines)


def test_known_other_variables_are_no_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Switches for tests are ours without being settings."""
    monkeypatch.setenv("POLYBOT_RUN_LIVE_TESTS", "1")
    monkeypatch.setenv("POLYBOT_TEST_POSTGRES_URL", "x")
    monkeypatch.setenv("POLYBOT_HOME", "")
    assert load_settings().home == Path(".polybot")


@pytest.mark.parametrize(
    ("section", "values", "start"),
    [
        ("risk", {"stake_usdc": "11"}, "risk.stake_usdc: must be at most max_stake_usdc (10)"),
        (
            "risk",
            {"max_stake_usdc": "11"},
            "risk.max_stake_usdc: must be at most max_window_exposure_usdc (10)",
        ),
        (
            "risk",
            {"max_window_exposure_usdc": "31"},
            "risk.max_window_exposure_usdc: must be at most max_exposure_usdc (30)",
        ),
        ("risk", {"min_time_left_s": "897"}, "risk.min_time_left_s: with timing.start_delay_s"),
        ("strategy", {"fast": "21"}, "strategy.fast: must be shorter than slow (21)"),
        ("strategy", {"macd_fast": "26"}, "strategy.macd_fast: must be shorter"),
        ("strategy", {"candle_count": "174"}, "strategy.candle_count: must be at least 175"),
        ("strategy", {"timeframe_s": "120"}, "strategy.timeframe_s: must be one of 60, 300, 900"),
        ("strategy", {"rsi_upper": "50"}, "strategy.rsi_upper: must be greater than 50"),
        ("strategy", {"rsi_lower": "50"}, "strategy.rsi_lower: must be less than 50"),
        ("strategy", {"rsi_upper": "nan"}, "strategy.rsi_upper: must be a plain decimal number"),
        ("strategy", {"rsi_upper": float("nan")}, "strategy.rsi_upper: must be"),
        ("timing", {"start_delay_s": float("inf")}, "timing.start_delay_s: must be"),
        ("risk", {"stake_usdc": Decimal("NaN")}, "risk.stake_usdc: must be a finite number"),
        ("risk", {"stake_usdc": "1e1"}, "risk.stake_usdc: must be a plain decimal number"),
        ("risk", {"stake_usdc": "1_0"}, "risk.stake_usdc: must be a plain decimal number"),
        ("risk", {"stake_usdc": "５"}, "risk.stake_usdc: must be a plain decimal number"),
        ("risk", {"stake_usdc": True}, "risk.stake_usdc: must be a plain decimal number"),
        ("risk", {"stake_usdc": "1000000001"}, "risk.stake_usdc: must be less than or equal"),
        ("risk", {"stake_usdc": "0.0000001"}, "risk.stake_usdc: must"),
        (
            "prices",
            {"exchanges": "kraken,kraken"},
            "prices.exchanges: must not name anything twice",
        ),
        ("prices", {"exchanges": "[]"}, "prices.exchanges: must"),
        ("venue", {"clob_url": "http://example.com"}, "venue.clob_url: must be https"),
        ("venue", {"clob_url": "ftp://127.0.0.1"}, "venue.clob_url: must be an address"),
        ("venue", {"clob_url": "https://a b"}, "venue.clob_url: must be an address"),
        ("venue", {"clob_url": "https://x:99999"}, "venue.clob_url: must be an address"),
        ("venue", {"clob_url": "https://x/?a=1"}, "venue.clob_url: must not contain ?"),
        ("venue", {"clob_url": f"https://u:{SECRET}@x"}, "venue.clob_url: must not contain a user"),
        ("sandbox", {"url": "https://example.com"}, "sandbox.url: must be on this machine"),
        ("logs", {"level": "loud"}, "logs.level: must be 'debug', 'info'"),
    ],
)
def test_values_that_make_no_sense_are_refused(
    section: str, values: dict[str, object], start: str
) -> None:
    """Bounds, and rules that span several settings."""
    lines = refusal(**{section: values})
    assert len(lines) == 1
    assert lines[0].startswith(start)
    assert SECRET not in lines[0]


def test_several_broken_rules_of_one_section_are_all_listed() -> None:
    """The first broken rule does not hide the second."""
    lines = refusal(strategy={"fast": "30", "macd_fast": "40", "candle_count": "100"})
    assert [line.split(":")[0] for line in lines] == [
        "strategy.fast",
        "strategy.macd_fast",
        "strategy.candle_count",
    ]


def test_short_windows_need_a_smaller_least_time() -> None:
    """A five-minute series with the default of 300 s left would never trade."""
    assert refusal(series="btc-5m")[0].startswith("risk.min_time_left_s: with")
    assert load_settings(series="btc-5m", risk={"min_time_left_s": "60"}).series == ("btc-5m",)


def test_settings_never_change() -> None:
    """A run keeps the settings it began with."""
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.mode = Mode.LIVE
    with pytest.raises(ValidationError):
        settings.risk.stake_usdc = Decimal(1)


def test_the_sandbox_takes_the_place_of_every_host() -> None:
    """In sandbox mode no address but the sandbox's is left."""
    sandboxed = load_settings(mode="sandbox", sandbox={"url": "http://127.0.0.1:9/"}).hosts
    assert {
        sandboxed.gamma_url,
        sandboxed.clob_url,
        sandboxed.data_url,
        sandboxed.prices_base_url,
    } == {"http://127.0.0.1:9"}
    paper = load_settings().hosts
    assert paper.gamma_url == "https://gamma-api.polymarket.com"
    assert paper.prices_base_url is None


def test_home_is_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the home's place is refused; ~ is the user's own."""
    (folder / "file").write_text("")
    assert refusal(home="file") == ["home: must be a folder, not a file; was file"]
    monkeypatch.setenv("HOME", str(folder))
    assert load_settings(home="~/bot").home == folder / "bot"


def test_every_known_exchange_exists_in_ccxt() -> None:
    """The list names only what the price adapter can open."""
    spec = importlib.util.find_spec("ccxt")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    package = Path(next(iter(spec.submodule_search_locations)))
    assert [name for name in KNOWN_EXCHANGES if not (package / f"{name}.py").exists()] == []


@pytest.mark.parametrize("url", ["https://x.example", "ws://x.example", "wss://u:p@x.example"])
def test_a_socket_is_encrypted_or_on_this_machine(url: str) -> None:
    """As with HTTP."""
    (line,) = refusal(venue={"user_socket_url": url})
    assert line.startswith("venue.user_socket_url: must")
    local = load_settings(venue={"user_socket_url": "ws://127.0.0.1:9/ws/user"})
    assert local.hosts.user_socket_url == "ws://127.0.0.1:9/ws/user"


def test_the_sandbox_is_the_live_hosts_too() -> None:
    """Nothing that is asked for in sandbox mode leaves this machine."""
    hosts = load_settings(mode="sandbox").hosts
    for address in (hosts.clob_url, hosts.relayer_url, hosts.user_socket_url):
        assert "://127.0.0.1:8640" in address
    assert hosts.geoblock_url is None


def test_the_fingerprint_is_of_what_decides_orders(folder: Path) -> None:
    """A changed limit, account or host needs a new examination; a log level does not."""
    plain = load_settings().fingerprint
    assert plain == load_settings(logs={"level": "debug"}, home="elsewhere").fingerprint
    changed = (
        load_settings(risk={"stake_usdc": "6"}),
        load_settings(live={"funder": CHECKED}),
        load_settings(mode="sandbox"),
        load_settings(series="eth-15m"),
        load_settings(venue={"clob_url": "https://elsewhere.example"}),
    )
    assert len({plain, *(settings.fingerprint for settings in changed)}) == len(changed) + 1
