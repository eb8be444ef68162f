"""Settings: safe without any, refused as a whole when anything is wrong, silent about secrets."""

import importlib.util
import os
import re
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from polybot.config import KNOWN_EXCHANGES, Settings, key_variable, load_settings
from polybot.config.page import configuration_page
from polybot.config.sources import setting_names, variable_name
from polybot.domain.modes import Mode
from polybot.domain.signals import StrategyParams
from polybot.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]
SECRET = "hunter2-very-secret"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, without any of our variables."""
    for name in os.environ:
        if name.upper().startswith("POLYBOT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(**overrides: object) -> list[str]:
    """Return the lines of what load_settings refuses."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(**overrides)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("the settings are not usable")
    return [line.strip() for line in lines[1:]]


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


def test_a_named_yaml_must_exist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forgotten default file is fine, a named one that is missing is a mistake."""
    monkeypatch.setenv("POLYBOT_CONFIG", "elsewhere.yaml")
    assert refusal() == ["elsewhere.yaml: cannot be read: No such file or directory"]
    (folder / "elsewhere.yaml").write_text("series: [eth-15m, btc-15m]\n")
    (folder / "polybot.yaml").write_text("series: [sol-15m]\n")
    assert load_settings().series == ("eth-15m", "btc-15m")


def test_a_named_env_file_takes_the_place_of_the_default(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stack names the file absolutely, whether or not there is one."""
    (folder / ".env").write_text("POLYBOT_SERIES=sol-15m\n")
    monkeypatch.setenv("POLYBOT_ENV_FILE", str(folder / "other.env"))
    assert load_settings().series == ("btc-15m",)
    (folder / "other.env").write_text("POLYBOT_SERIES=eth-15m\n")
    assert load_settings().series == ("eth-15m",)


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


@pytest.mark.parametrize(
    ("content", "start"),
    [
        (b"risk: [", "polybot.yaml line 1: is not valid YAML"),
        (b"mode: paper\nrisk: &a {}\ntiming: *a\n", "polybot.yaml line 3: must not use anchors"),
        (b"- mode\n", "polybot.yaml: must be a mapping"),
        (b"paper\n", "polybot.yaml: must be a mapping"),
        (b"mode: paper\nmode: live\n", "polybot.yaml line 2: sets 'mode' twice"),
        (b"risk:\n  max_spread: 0.1\n  max_spread: 0.2\n", "polybot.yaml line 3: sets"),
        (b"? [a]\n: b\n", "polybot.yaml line 1: must have plain names"),
        (b"~: b\n", "polybot.yaml line 1: must have plain names"),
        (b"a: !!python/object/apply:os.system [id]\n", "polybot.yaml line 1: is not valid YAML"),
        (b"a: 1\n--- \nb: 2\n", "polybot.yaml line 2: is not valid YAML"),
        (b"\x00", "polybot.yaml: is not valid YAML"),
        (b"mode: paper\n\xff\xfe", "polybot.yaml line 2: is not UTF-8"),
        (b"[" * 60_000, "polybot.yaml"),
        (b"{a: " * 10_000, "polybot.yaml"),
        (b"# " + b"x" * 65_536, "polybot.yaml: must be at most 65536 bytes"),
        (b"risk: yes\n", "risk: must be set field by field"),
        (b"risk: {stake_usdc: yes}\n", "risk.stake_usdc: must be a plain decimal number; was yes"),
        (b"risk: {stake_usdc: 0x5}\n", "risk.stake_usdc: must be a plain decimal number; was 0x5"),
        (b"risk: {stake_usdc: 1:30}\n", "risk.stake_usdc: must be a plain decimal number"),
        (b"risk: {stake_usdc: .inf}\n", "risk.stake_usdc: must be a plain decimal number"),
        (b"risk: {stake_usdc: 1e9}\n", "risk.stake_usdc: must be a plain decimal number"),
        (b"risk: {stake_usdc: -5}\n", "risk.stake_usdc: must be greater than 0; was -5"),
        (b"risk: {stake_usdc: }\n", "risk.stake_usdc: must be"),
        (b"mode: [paper, live]\n", "mode: must be"),
    ],
)
def test_bad_yaml_is_one_clear_sentence(folder: Path, content: bytes, start: str) -> None:
    """Broken, bombed, doubled or mistyped: refused with the place."""
    (folder / "polybot.yaml").write_bytes(content)
    lines = refusal()
    assert len(lines) == 1
    assert lines[0].startswith(start)


def test_a_yaml_bomb_costs_nothing(folder: Path) -> None:
    """Nested anchors are refused before anything grows."""
    levels = [f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * 9)}]" for n in range(1, 9)]
    (folder / "polybot.yaml").write_text("\n".join(["k0: &k0 [lol]", *levels]))
    assert refusal() == ["polybot.yaml line 2: must not use anchors and aliases (& and *)"]


def test_yaml_values_are_exact(folder: Path) -> None:
    """0.1 in YAML is a tenth, not the nearest float; empty sections and files mean nothing."""
    (folder / "polybot.yaml").write_text("risk: {max_spread: 0.1}\nvenue:\n  # all default\n")
    assert load_settings().risk.max_spread == Decimal("0.1")
    (folder / "polybot.yaml").write_text("# nothing\n")
    assert load_settings() == Settings()


@pytest.mark.parametrize("name", [".env", "polybot.yaml"])
def test_files_that_cannot_be_read_are_refused(folder: Path, name: str) -> None:
    """A folder or a dangling link in a file's place is not silently the same as no file."""
    (folder / name).mkdir()
    assert refusal() == [f"{name}: cannot be read: not a file"]
    (folder / name).rmdir()
    (folder / name).symlink_to(folder / "nowhere")
    assert refusal() == [f"{name}: cannot be read: No such file or directory"]
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert refusal() == [f"{name}: cannot be read: not a file"]


def test_a_dot_env_that_is_not_text_is_refused(folder: Path) -> None:
    """Bytes that are no UTF-8 are named by their line and not shown."""
    (folder / ".env").write_bytes(b"POLYBOT_MODE=paper\nPOLYBOT_HOME=\xff\n")
    assert refusal() == [".env line 2: is not UTF-8 text"]


def test_dot_env_may_hold_prefect_variables(folder: Path) -> None:
    """Prefect reads the same file."""
    (folder / ".env").write_text("PREFECT_API_URL=http://127.0.0.1:4200/api\nPOLYBOT_MODE=live\n")
    assert load_settings().mode is Mode.LIVE


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


def test_the_page_of_settings_is_up_to_date() -> None:
    """docs/configuration.md is what `python -m polybot.config` prints, and it is complete."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert page == configuration_page(), "run: python -m polybot.config > docs/configuration.md"
    paths = list(setting_names(Settings))
    rows = [line for line in page.splitlines() if "`POLYBOT_" in line and line.startswith("|")]
    assert len(rows) == len(paths) > 40
    for path, row in zip(paths, rows, strict=True):
        _, _, variable, default, _, unit, meaning, _ = row.split(" | ".strip())
        assert variable.strip() == f"`{variable_name(path)}`"
        assert default.strip()
        assert unit.strip()
        assert len(meaning.strip()) > 5


def test_the_example_yaml_is_the_defaults() -> None:
    """The example loads, and what it shows is what one gets without it."""
    example = ROOT / "docs" / "polybot.example.yaml"
    os.environ["POLYBOT_CONFIG"] = str(example)
    try:
        assert load_settings() == Settings()
    finally:
        del os.environ["POLYBOT_CONFIG"]
    assert set(yaml.safe_load(example.read_text())) >= {"mode", "series", "strategy", "risk"}


def test_the_example_dot_env_loads_when_uncommented(folder: Path) -> None:
    """Every line of .env.example that can be uncommented is a setting with a usable value."""
    text = (ROOT / ".env.example").read_text()
    assert not [line for line in text.splitlines() if line and not line.startswith("#")]
    uncommented = re.sub(r"^# (POLYBOT_|PREFECT_)", r"\1", text, flags=re.MULTILINE)
    assert uncommented.count("\nPOLYBOT_") >= 8
    (folder / ".env").write_text(uncommented)
    settings = load_settings()
    assert settings.database_url is not None
    assert [url.get_secret_value().split(":")[0] for url in settings.alerts.urls] == [
        "tgram",
        "mailtos",
        "discord",
    ]
    assert settings.copying.node_url is not None
    for name in ("POLYBOT_DATABASE_URL", "POLYBOT_ALERTS__URLS", "POLYBOT_COPYING__NODE_URL"):
        assert name in text


CHECKED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # of the list in EIP-55


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
