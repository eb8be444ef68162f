"""The files of settings: read exactly, refused with the place, and shown by true examples."""

import os
import re
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from polybot.config import Settings, load_settings
from polybot.config.page import configuration_page
from polybot.config.sources import setting_names, variable_name
from polybot.domain.modes import Mode
from tests.config_steps import empty_folder, refusal

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return empty_folder(tmp_path, monkeypatch)


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
