"""What an operator sees of the demo in Prefect's UI, in a real browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.conftest import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

# A slow machine draws a page in many seconds.
SHOWN_WITHIN_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine: install it with apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    page = browser.new_page(
        base_url=stack.demo.ui_url, viewport={"width": 1280, "height": 1600}, locale="en-GB"
    )
    page.set_default_timeout(SHOWN_WITHIN_MS)
    # The UI asks elsewhere for a configuration that it does not need.
    page.route(lambda url: not url.startswith(stack.demo.ui_url), lambda route: route.abort())
    yield page
    page.close()


def trend_run(stack: Stack) -> tuple[str, dict[str, str]]:
    """Return the Prefect run of a window that was traded, and that window."""
    window = next(item for item in stack.result["windows"] if item["fill_price"])
    body = {"flow_runs": {"name": {"any_": [window["slug"]]}}}
    answer = httpx.post(f"{stack.demo.ui_url}/api/flow_runs/filter", json=body, timeout=30)
    (run,) = answer.raise_for_status().json()
    return run["id"], window


def test_it_shows_the_deployments(page: Page, stack: Stack, tmp_path: Path) -> None:
    page.goto("/deployments")
    for name in ("updown-15m", "every-minute", "daily", "by-hand", "leaders"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible(timeout=SHOWN_WITHIN_MS)
    page.screenshot(path=tmp_path / "deployments.png")
    assert (tmp_path / "deployments.png").stat().st_size > 10_000


def test_it_shows_a_completed_run_with_its_tasks(page: Page, stack: Stack, tmp_path: Path) -> None:
    run_id, window = trend_run(stack)
    page.goto(f"/runs/flow-run/{run_id}")
    expect(page.get_by_text(window["slug"]).first).to_be_visible(timeout=SHOWN_WITHIN_MS)
    expect(page.get_by_text("Completed").first).to_be_visible()
    expect(page.get_by_text("Finished in state Completed()").first).to_be_visible()
    page.screenshot(path=tmp_path / "run.png")


def test_it_shows_the_decision_card(page: Page, stack: Stack, tmp_path: Path) -> None:
    """Direction, verdict with its checks, and the price that was paid."""
    run_id, window = trend_run(stack)
    body = {
        "artifacts": {
            "flow_run_id": {"any_": [run_id]},
            "key": {"any_": ["decision-card"]},
        }
    }
    answer = httpx.post(f"{stack.demo.ui_url}/api/artifacts/filter", json=body, timeout=30)
    (artifact,) = answer.raise_for_status().json()
    page.goto(f"/artifacts/artifact/{artifact['id']}")
    expect(page.get_by_text(window["slug"]).first).to_be_visible(timeout=SHOWN_WITHIN_MS)
    shown = page.locator("body").inner_text()
    page.screenshot(path=tmp_path / "card.png", full_page=True)
    for text in (
        window["direction"],
        window["verdict"],
        "two-sided-book",
        "slippage",
        window["fill_price"],
    ):
        assert text.lower() in shown.lower()


def test_it_shows_the_daily_report(page: Page, stack: Stack, tmp_path: Path) -> None:
    body = {"artifacts": {"key": {"any_": ["daily-report"]}}}
    answer = httpx.post(f"{stack.demo.ui_url}/api/artifacts/filter", json=body, timeout=30)
    (artifact,) = answer.raise_for_status().json()
    page.goto(f"/artifacts/artifact/{artifact['id']}")
    expect(page.locator("img, svg[role=img]").first).to_be_visible(timeout=SHOWN_WITHIN_MS)
    page.screenshot(path=tmp_path / "report.png", full_page=True)
