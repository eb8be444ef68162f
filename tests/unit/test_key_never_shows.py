"""A marked key and passphrase go through everything that live mode does, and appear nowhere."""

import copy
import io
import logging
import pickle
import traceback
from collections.abc import Iterator
from contextlib import redirect_stderr
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog

from polybot.adapters import logs
from polybot.adapters.health_file import installed_version, write_health
from polybot.adapters.logs import hide, setup_logging
from polybot.alerts import run_failed_alert
from polybot.bootstrap import Access, Bot, open_bot
from polybot.config import load_settings
from polybot.domain.decisions import RunRecord
from polybot.domain.health import HealthRecord
from polybot.domain.modes import Mode
from polybot.domain.reconciliation import ReconcileVerdict, ReconciliationRecord
from polybot.trading_key import load_signer
from tests.builders import build_approved, build_order
from tests.cli_steps import run
from tests.config_steps import empty_folder
from tests.leaks import printed, spellings
from tests.live_home import KEY, PASSPHRASE, LiveHome, live_home


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveHome]:
    empty_folder(tmp_path, monkeypatch)
    loggers = [logging.getLogger(), *map(logging.getLogger, logs.OUR_LOGGERS)]
    before = [(logger, list(logger.handlers), logger.propagate) for logger in loggers]
    with live_home(tmp_path / "home", monkeypatch) as found:
        yield found
    for logger, handlers, propagate in before:
        for handler in set(logger.handlers) - set(handlers):
            handler.close()
        logger.handlers[:] = handlers
        logger.propagate = propagate
    logs._secrets.clear()
    structlog.reset_defaults()


def found_in(text: str | bytes) -> list[str]:
    """Return the spellings of key and passphrase that a text contains."""
    raw = text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text
    marks = [*(one.encode() for one in spellings(KEY)), PASSPHRASE.encode(), bytes.fromhex(KEY)]
    return [repr(mark) for mark in marks if mark.lower() in raw.lower()]


def test_the_search_finds_what_it_looks_for() -> None:
    """A test of leaks that finds none must be able to find one."""
    for leak in (KEY, f"x {KEY.upper()}", str(int(KEY, 16)), repr(bytes.fromhex(KEY)), PASSPHRASE):
        assert found_in(leak)
    assert found_in(b"\0" + bytes.fromhex(KEY))
    assert not found_in("0x" + "7e57" * 16)

    def lose(key: str) -> None:
        raise ValueError(len(key))

    lose.__code__ = lose.__code__.replace(co_filename="elsewhere.py")
    with pytest.raises(ValueError, match="64") as caught:
        lose(KEY)
    assert found_in(printed(caught.value)), "a local variable of a frame below the tests is seen"


async def test_a_live_run_shows_its_key_nowhere(
    home: LiveHome, capsys: pytest.CaptureFixture[str]
) -> None:
    """Logs, ledger, files, alerts, reprs, tracebacks with local variables, standard streams."""
    home.open_account(cash_usdc=500)
    settings = load_settings()
    hide(settings.secret_values)
    setup_logging(settings.home, "debug")
    shown: list[str] = []
    await live_run(settings.home, home, shown)
    captured = capsys.readouterr()
    shown += [captured.out, captured.err, repr(settings), str(settings.model_dump())]
    assert len(shown) > 10
    for text in shown:
        assert not found_in(text), text
    files = [path for path in home.path.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert {"keystore.json", "live.db", "doctor-live.json"} <= names
    assert any(name.startswith("polybot-") for name in names), "the log was written"
    assert {str(path): leaks for path in files if (leaks := found_in(path.read_bytes()))} == {}


async def live_run(path: Path, home: LiveHome, shown: list[str]) -> None:
    """Do what a live trend run does, and everything that may go wrong on the way."""
    log = structlog.get_logger("polybot.test")
    now = datetime.now(UTC)
    write_health(
        path,
        HealthRecord(
            checked_at=now,
            mode=Mode.LIVE,
            fingerprint=load_settings().fingerprint,
            key_address=home.address,
            version=installed_version(),
            is_complete=True,
            failures=(),
        ),
    )
    async with open_bot(access=Access.ORDERS) as bot:
        bot.require_orders()
        bot.ledger.record_reconciliation(
            ReconciliationRecord(
                reconciled_at=now,
                attempted_at=now,
                verdict=ReconcileVerdict.AGREED,
                trades_since=None,
                agreed_fill_count=0,
            )
        )
        market = await bot.market_data.find_market(bot.series[0].window_at(now))
        prepared = bot.exchange.prepare(
            build_approved(build_order(market=market)), created_at=datetime.now(UTC)
        )
        answer = await bot.exchange.submit(prepared)
        # Somebody careless logs everything there is, the secrets' own texts included.
        log.info("placed", bot=bot, exchange=bot.exchange, prepared=prepared, answer=answer)
        log.warning(" ".join((KEY, f"0x{KEY.upper()}", PASSPHRASE)), number=str(int(KEY, 16)))
        shown += [repr(bot), repr(answer), str(prepared), repr(vars(bot.exchange))]
        await go_wrong(bot, shown)


async def go_wrong(bot: Bot, shown: list[str]) -> None:
    """Fail in every way that reaches a traceback, a run's record or an alert."""
    signer = load_signer(bot.settings)
    failures = (
        lambda: pickle.dumps(signer),
        lambda: copy.deepcopy(signer),
        lambda: signer.sign_digest(b"too short"),
        lambda: load_signer(load_settings(live={"keystore": "/dev/null"})),
        lambda: load_signer(load_settings(live={"key_source": "environment"})),
        lambda: misplace("POLYBOT_LIVE__FUNDER", f"0x{KEY}"),
        lambda: misplace("POLYBOT_LIVE__SESSION_KEY", KEY),
        lambda: misplace("POLYBOT_MODE", KEY),
        lambda: misplace("POLYBOT_LIVE__RELAYER_KEY", KEY),
        lambda: misplace("POLYBOT_PRIVAT_KEY", KEY),
    )
    for number, fail in enumerate(failures):
        with pytest.raises(Exception, match=r".+") as caught:
            fail()
        error = caught.value
        note = f"{type(error).__name__}: {error}"[:300]
        structlog.get_logger("polybot.test").exception("failed", exc_info=error)
        at = datetime.now(UTC)
        bot.ledger.record_run(
            RunRecord(
                run_id=str(number),
                flow="trend",
                name="x",
                state="failed",
                started_at=at,
                ended_at=at,
                note=note,
            )
        )
        alert = run_failed_alert("trend", note, at=at, mode=bot.mode)
        bot.ledger.add_alert(alert, at=at)
        text = io.StringIO()
        with redirect_stderr(text):
            traceback.print_exception(error)
        # The tests' own frames hold the key; their lines of source do not name its value.
        shown += [printed(error), text.getvalue(), note, alert.title, alert.body]


def misplace(variable: str, value: str) -> None:
    """Load the settings with a secret in a variable that is not for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(variable, value)
        load_settings()


@pytest.mark.parametrize(
    "arguments",
    [
        ("doctor", "--offline"),
        ("doctor", "--json"),
        ("key", "show-address", "--verify"),
        ("key", "new"),
        ("key", "import"),
        ("status",),
        ("trades",),
        ("reconcile",),
        ("reconcile", "--json"),
        ("--debug", "reconcile"),
        ("--debug", "key", "import"),
    ],
)
def test_no_command_prints_a_secret(arguments: tuple[str, ...], home: LiveHome) -> None:
    """Whether it works or not; with its traceback too."""
    result = run(*arguments, text=f"{KEY}\n")
    assert not found_in(result.output)
    if result.exception is not None:
        assert not found_in(printed(result.exception))
