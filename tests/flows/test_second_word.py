"""`polybot up` in live mode: what is missing is named, and a person says the second word."""

import io
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow

from deployments import up
from deployments.second_word import (
    LISTENING,
    TRADING,
    give_second_word,
    require_second_word,
)
from polybot.config import load_settings
from polybot.errors import ConfigurationError
from tests.flows.live import LiveDesk, open_live_desk


class Terminal(io.StringIO):
    """A person who types one line."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveDesk]:
    with open_live_desk(tmp_path, monkeypatch) as found:
        yield found


async def test_without_a_green_doctor_no_word_is_even_asked_for(desk: LiveDesk) -> None:
    with pytest.raises(ConfigurationError, match="no `polybot doctor` of live mode"):
        await require_second_word(load_settings(), is_given=True)


async def test_word_on_the_command_line_is_the_second_one(desk: LiveDesk) -> None:
    """With mode, key and doctor in order, and without a terminal."""
    desk_is_green(desk)
    await require_second_word(load_settings(), is_given=True)


@pytest.mark.parametrize("typed", ["", "yes\n", "LIVE\n", "live now\n"])
async def test_anything_but_the_word_starts_nothing(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    desk_is_green(desk)
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    with pytest.raises(ConfigurationError, match="not confirmed"):
        await require_second_word(load_settings(), is_given=False)


async def test_typed_word_confirms_whose_money_and_how_much(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk_is_green(desk)
    monkeypatch.setattr(sys, "stdin", Terminal("live\n"))
    await require_second_word(load_settings(), is_given=False)
    asked = capsys.readouterr().err
    assert desk.account.funder in asked.lower()
    assert "5 USDC a trade" in asked


async def test_nobody_at_the_terminal_is_told_of_the_option(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk_is_green(desk)
    monkeypatch.setattr(sys, "stdin", io.StringIO("live\n"))
    with pytest.raises(ConfigurationError, match="polybot up --live"):
        await require_second_word(load_settings(), is_given=False)


def test_second_word_without_the_first_is_refused(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--live on paper is a mistake that must not pass for paper trading, nor for live."""
    monkeypatch.setenv("POLYBOT_MODE", "paper")
    assert up.run(sandbox=False, live=True) == 1
    assert up.run(sandbox=True, live=True) == 1
    said = capsys.readouterr().err
    assert "POLYBOT_MODE=live is the first" in said
    assert "exclude each other" in said


async def test_word_reaches_the_deployments_and_wakes_the_listener(prefect_api: None) -> None:
    """As a parameter beside the others; what has no such word is left alone."""
    from prefect import get_client
    from prefect.client.schemas.schedules import CronSchedule

    @flow
    async def any_flow() -> None:
        """Do nothing."""

    async with get_client() as client:
        for name in (*TRADING, *LISTENING, "report/daily"):
            flow_name, _, deployment = name.partition("/")
            any_flow.name = flow_name
            await client.create_deployment(
                flow_id=await client.create_flow(any_flow),
                name=deployment,
                parameters={"live": False, "series": ["btc-15m"]} if name in TRADING else {},
                schedules=[{"schedule": CronSchedule(cron="0 * * * *"), "active": False}],
                enforce_parameter_schema=False,
            )
        await give_second_word(client)
        found = {
            name: await client.read_deployment_by_name(name)
            for name in (*TRADING, *LISTENING, "report/daily")
        }
    for name in TRADING:
        assert found[name].parameters == {"live": True, "series": ["btc-15m"]}
    assert found["report/daily"].parameters == {}
    awake = {name for name, one in found.items() if one.schedules[0].active}
    assert awake == set(LISTENING)


def desk_is_green(desk: LiveDesk) -> None:
    """Let the doctor leave its record, in a thread: it has an event loop of its own."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        checks = pool.submit(desk.doctor).result()
    assert all(check["passed"] for check in checks.values())
