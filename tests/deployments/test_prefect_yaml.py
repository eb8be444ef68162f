"""`prefect deploy` accepts flows that do not import and parameters that do not exist; we do not."""

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect._vendor.croniter import croniter

from deployments.copying import FLOW as CRASHES_OF
from flows.names import COPY_DEPLOYMENT

ROOT = Path(__file__).resolve().parents[2]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
DEPLOYMENTS: list[dict[str, Any]] = CONFIG["deployments"]
EVERY = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda item: item["name"])


def flow_of(deployment: dict[str, Any]) -> Flow[..., Any]:
    path, _, name = deployment["entrypoint"].partition(":")
    assert (ROOT / path).is_file()
    flow = getattr(import_module(path.removesuffix(".py").replace("/", ".")), name)
    assert isinstance(flow, Flow)
    return flow


def parameters_of(deployment: dict[str, Any]) -> dict[str, Any]:
    merged = dict(deployment["parameters"])
    for schedule in deployment["schedules"]:
        merged |= schedule.get("parameters", {})
    return merged


def test_the_deployments_are_the_documented_ones() -> None:
    """README, alerts and the demo name them."""
    names = {f"{flow_of(item).name}/{item['name']}" for item in DEPLOYMENTS}
    assert names == {
        "trend/updown-15m",
        "settle/every-minute",
        "report/daily",
        "control/by-hand",
        "reconcile/by-hand",
        "follow/live",
        "copy-trading/leaders",
    }


@EVERY
def test_the_entrypoint_imports_and_is_async(deployment: dict[str, Any]) -> None:
    """A synchronous flow costs a second more a run."""
    assert inspect.iscoroutinefunction(flow_of(deployment).fn)


@EVERY
def test_the_parameters_fit_the_flow(deployment: dict[str, Any]) -> None:
    """Unknown names and wrong types would fail only in the run."""
    flow = flow_of(deployment)
    parameters = parameters_of(deployment)
    assert set(parameters) <= set(inspect.signature(flow.fn).parameters)
    if deployment["schedules"]:
        flow.validate_parameters(parameters)


@EVERY
def test_scheduled_runs_need_no_parameter_that_nobody_gives(deployment: dict[str, Any]) -> None:
    needed = {
        name
        for name, parameter in inspect.signature(flow_of(deployment).fn).parameters.items()
        if parameter.default is inspect.Parameter.empty
    }
    if deployment["schedules"]:
        assert needed <= set(parameters_of(deployment))


@EVERY
def test_schedules_have_valid_crons_in_utc(deployment: dict[str, Any]) -> None:
    for schedule in deployment["schedules"]:
        assert croniter.is_valid(schedule["cron"])
        assert schedule["timezone"] == "UTC"


def test_the_cadence_is_the_promised_one() -> None:
    crons = {item["name"]: [s["cron"] for s in item["schedules"]] for item in DEPLOYMENTS}
    assert crons == {
        "updown-15m": ["*/15 * * * *"],
        "every-minute": ["* * * * *"],
        "daily": ["5 0 * * *"],
        "by-hand": [],
        "live": ["0 * * * *"],
        "leaders": ["*/5 * * * *"],
    }


def test_whoever_starts_copying_names_its_deployment() -> None:
    (item,) = [item for item in DEPLOYMENTS if "copy_trading" in item["entrypoint"]]
    assert f"{flow_of(item).name}/{item['name']}" == COPY_DEPLOYMENT
    assert flow_of(item).name == CRASHES_OF


def test_only_a_person_lifts_a_cancel() -> None:
    """The default is what the UI's button sends; the schedule says that it is the schedule."""
    (item,) = [item for item in DEPLOYMENTS if "copy_trading" in item["entrypoint"]]
    assert item["parameters"]["start"] == "by hand"
    assert [schedule["parameters"] for schedule in item["schedules"]] == [{"start": "schedule"}]


def test_schedule_slugs_are_unique() -> None:
    """Without a slug a redeploy starts a paused schedule again."""
    slugs = [schedule["slug"] for item in DEPLOYMENTS for schedule in item["schedules"]]
    assert len(slugs) == len(set(slugs)) == 5


@EVERY
def test_scheduled_deployments_run_one_at_a_time(deployment: dict[str, Any]) -> None:
    if deployment["schedules"]:
        assert deployment["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}


@EVERY
def test_every_deployment_explains_itself_in_the_ui(deployment: dict[str, Any]) -> None:
    assert len(deployment["description"]) > 40
    assert "polybot" in deployment["tags"]


@EVERY
def test_runs_start_one_python_and_get_no_environment(deployment: dict[str, Any]) -> None:
    """What stands in job variables is readable in the UI."""
    variables = deployment["work_pool"]["job_variables"]
    assert set(variables) == {"command"}
    assert variables["command"].endswith(" -m prefect.engine")
    assert deployment["work_pool"]["name"] == "polybot"


def test_no_block_is_resolved_at_deploy_time() -> None:
    """A secret block named here would be stored in plain text."""
    text = (ROOT / "prefect.yaml").read_text(encoding="utf-8")
    assert not re.search(r"prefect\.(blocks|variables)\.", text)


def test_the_second_word_stands_false_where_it_is_asked_for_and_nowhere_else() -> None:
    """A deployment alone never trades; `polybot up` sets the word for one start."""
    from deployments.second_word import LISTENING, TRADING

    by_name = {f"{flow_of(item).name}/{item['name']}": item for item in DEPLOYMENTS}
    asking = {name for name, item in by_name.items() if "live" in item["parameters"]}
    assert asking == set(TRADING)
    assert all(by_name[name]["parameters"]["live"] is False for name in TRADING)
    idle = {
        name
        for name, item in by_name.items()
        if item["schedules"] and not any(one["active"] for one in item["schedules"])
    }
    assert set(LISTENING) <= idle
