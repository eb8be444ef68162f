"""Logs: one event a line, no secret in any of them, safe to set up twice."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from polybot.adapters import logs
from polybot.adapters.logs import KEPT_DAYS, hide, setup_logging
from polybot.config import load_settings

KEY = "0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
CONDITION = "0x" + "c0" * 32


@pytest.fixture(autouse=True)
def undo() -> Iterator[None]:
    """Leave logging as it was found."""
    loggers = [logging.getLogger(), *map(logging.getLogger, logs.OUR_LOGGERS)]
    before = [(logger, list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagate in before:
        for handler in set(logger.handlers) - set(handlers):
            handler.close()
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate
    logs._secrets.clear()
    structlog.reset_defaults()


def lines_of(home: Path) -> list[str]:
    files = list((home / "logs").glob("polybot-*.log"))
    assert len(files) == 1
    return files[0].read_text().splitlines()


def last_event(home: Path) -> dict[str, object]:
    event = json.loads(lines_of(home)[-1])
    assert isinstance(event, dict)
    return event


def test_an_event_is_one_line_in_the_file_and_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Name, level, instant and values; nothing on standard output."""
    setup_logging(tmp_path)
    structlog.get_logger("polybot.execution").info("order accepted", order_id="o1", size="5.5")
    line = lines_of(tmp_path)[0]
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info polybot\.execution "
        r"order accepted order_id=o1 size=5\.5",
        line,
    )
    out, err = capsys.readouterr()
    assert err == f"{line}\n"
    assert out == ""


def test_json_lines_keep_the_fields(tmp_path: Path) -> None:
    """A machine reads back what was logged; field names cannot forge the head."""
    setup_logging(tmp_path, line_format="json")
    structlog.get_logger("flows.run").warning("skipped", reason="a b", count=3, level="fine")
    event = last_event(tmp_path)
    assert event["event"] == "skipped"
    assert event["reason"] == "a b"
    assert event["count"] == 3
    assert event["level"] == "warning"
    assert event["logger"] == "flows.run"


@pytest.mark.parametrize("line_format", ["text", "json"])
def test_hostile_text_stays_on_one_line(tmp_path: Path, line_format: logs.LineFormat) -> None:
    """Line breaks, escapes, invisible characters, percent signs and lone surrogates."""
    # pytest's own handlers would put the raw text into a report, which no surrogate survives.
    logging.getLogger().handlers.clear()
    setup_logging(tmp_path, line_format=line_format)
    hostile = "a\nb\r\x1b[31m\u2028\u202e\x00\ud800 %s %(x)d {}"
    log = structlog.get_logger("polybot")
    log.info("found", title=hostile)
    log.info(hostile, title="x" * 1_000_000)
    logging.getLogger("polybot.other").info("plain %s", hostile)
    files = list((tmp_path / "logs").iterdir())
    content = files[0].read_bytes()
    assert content.count(b"\n") == 3
    assert not re.search(rb"[\x00-\x09\x0b-\x1f]", content)
    assert "\u202e" not in content.decode()
    assert len(content) < 40_000


@pytest.mark.parametrize("line_format", ["text", "json"])
def test_secrets_are_masked_by_name_and_by_value(
    tmp_path: Path, line_format: logs.LineFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under a telling name, registered, nested, inside errors, inside other packages' lines."""
    setup_logging(tmp_path, "debug", line_format=line_format)
    hide(["tgram://TheToken/1", "TheToken"])
    log = structlog.get_logger("polybot")
    log.info("loaded", private_key=KEY, api_key="abc-visible", signature="0xdead-visible")
    log.info("loaded", nested={"password": "abc-visible", "deep": [{"secret": "abc-visible"}]})
    log.info("sending to tgram://TheToken/1", url="https://api/botTheToken/send")
    log.info("connecting", address="postgresql://bot:abc-visible@db/polybot")
    try:
        raise RuntimeError("refused by tgram://TheToken/1")
    except RuntimeError:
        log.exception("failed")
        logging.getLogger("urllib3").warning("retrying %s", "https://api/botTheToken/")
        logging.getLogger("tasks").exception("failed")
    written = "\n".join(lines_of(tmp_path)) + capsys.readouterr().err
    assert "TheToken" not in written
    assert "visible" not in written
    assert KEY not in written
    assert "refused by ***" in written
    assert len(lines_of(tmp_path)) == 7


def test_public_ids_are_not_masked(tmp_path: Path) -> None:
    """Order and condition ids look like keys and are what one searches a log for."""
    setup_logging(tmp_path)
    structlog.get_logger("polybot").info(
        "order sent", order_id=CONDITION, condition_id=CONDITION, token_id="123", key="trend:x"
    )
    line = lines_of(tmp_path)[0]
    assert line.count(CONDITION) == 2
    assert "token_id=123" in line
    assert "key=trend:x" in line


def test_every_secret_of_the_settings_is_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole and in the parts that other packages put into their messages."""
    monkeypatch.chdir(tmp_path)
    token = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"
    monkeypatch.setenv("POLYBOT_ALERTS__URLS", f"tgram://{token}/1 mailtos://me:pass-word@x.y")
    monkeypatch.setenv("POLYBOT_DATABASE_URL", "postgresql+psycopg://bot:data-word@db/polybot")
    hide(load_settings().secret_values)
    setup_logging(tmp_path)
    structlog.get_logger("polybot").info(f"a {token} b pass-word c data-word d")
    assert lines_of(tmp_path)[0].endswith("*** b *** c *** d")


def test_setting_up_twice_writes_each_line_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second set-up replaces the first, in another folder and level too."""
    setup_logging(tmp_path / "a", "debug")
    setup_logging(tmp_path / "b", "warning")
    setup_logging(tmp_path / "b", "warning")
    log = structlog.get_logger("polybot")
    log.info("not this")
    log.warning("this")
    assert lines_of(tmp_path / "a") == []
    assert len(lines_of(tmp_path / "b")) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_foreign_handlers_are_left_alone(tmp_path: Path) -> None:
    """Prefect's handlers on our loggers stay, and get a readable message."""
    records: list[logging.LogRecord] = []

    class Page(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    page = Page()
    logging.getLogger("polybot").addHandler(page)
    setup_logging(tmp_path)
    setup_logging(tmp_path)
    structlog.get_logger("polybot").info("100 % filled", size=5)
    assert page in logging.getLogger("polybot").handlers
    assert [record.getMessage() for record in records] == ["100 % filled size=5"]


def test_other_packages_warnings_are_kept_and_their_chatter_is_not(tmp_path: Path) -> None:
    """The file tells what went wrong around us as well."""
    setup_logging(tmp_path)
    logging.getLogger("ccxt").warning("slow")
    logging.getLogger("ccxt").info("chatter")
    assert [line.split(" ", 1)[1] for line in lines_of(tmp_path)] == ["warning ccxt slow"]


def test_a_folder_that_cannot_be_written_costs_the_file_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Logging never stops a run."""
    (tmp_path / "logs").write_text("in the way")
    setup_logging(tmp_path)
    structlog.get_logger("polybot").error("still told")
    assert "still told" in capsys.readouterr().err


def test_a_new_day_begins_a_new_file_and_old_ones_go(tmp_path: Path) -> None:
    """Fourteen days are kept; other files in the folder are nobody's business."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for day in range(1, 29):
        (folder / f"polybot-2020-02-{day:02d}.log").write_text("old\n")
    (folder / "worker.log").write_text("not ours\n")
    setup_logging(tmp_path)
    assert len(list(folder.glob("polybot-*.log"))) == KEPT_DAYS
    assert not (folder / "polybot-2020-02-01.log").exists()
    assert (folder / "worker.log").exists()
    handler = next(h for h in logging.getLogger("polybot").handlers if isinstance(h, logs._DayFile))
    record = logging.LogRecord("polybot", logging.INFO, "", 0, "tomorrow", (), None)
    record.created = 4_102_444_800.0
    handler.emit(record)
    assert "tomorrow" in (folder / "polybot-2100-01-01.log").read_text()


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    """Lines tell positions and money."""
    setup_logging(tmp_path)
    (file,) = (tmp_path / "logs").iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_lines_of_many_processes_do_not_mix(tmp_path: Path) -> None:
    """Every flow run is a process of its own, all writing to one file."""
    program = (
        "import sys, structlog; from pathlib import Path\n"
        "from polybot.adapters.logs import setup_logging\n"
        "setup_logging(Path(sys.argv[1]), line_format='json')\n"
        "log = structlog.get_logger('polybot')\n"
        "for n in range(200): log.info('e', process=sys.argv[2], n=n, fill='x' * 500)\n"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path), str(number)], stderr=subprocess.DEVNULL
        )
        for number in range(3)
    ]
    assert [process.wait(30) for process in running] == [0, 0, 0]
    events = [json.loads(line) for line in lines_of(tmp_path)]
    assert {(event["process"], event["n"]) for event in events} == {
        (str(number), n) for number in range(3) for n in range(200)
    }
    assert len(events) == 600


def test_logging_is_light_to_import() -> None:
    """It is the first thing that every flow run loads."""
    program = (
        "import sys, polybot.adapters.logs;"
        "heavy = {'ccxt', 'pandas', 'apprise', 'sqlalchemy', 'aiohttp', 'pydantic'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.stdout.strip() == "[]"
