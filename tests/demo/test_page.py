# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's report and page, looked at in a browser; run after the demo (``make demo-check``)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

OUTPUT = Path(__file__).resolve().parents[2] / "build" / "demo"


@pytest.fixture(name="report", scope="module")
def report_of_the_demo():
    """What the demo wrote."""
    return json.loads((OUTPUT / "report.json").read_text("utf-8"))


@pytest.fixture(name="browser", scope="module")
def a_browser():
    """Debian's Chromium."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-quic"])
        yield browser
        browser.close()


@pytest.fixture(name="look")
def looked_at(browser):
    """Opens the page at a width; fails on anything that the browser complains of or fetches."""
    pages = []

    def look(width: int):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: request.url.startswith("file:") or page.complaints.append(request.url))
        page.goto((OUTPUT / "index.html").as_uri())
        pages.append(page)
        return page

    yield look
    for page in pages:
        page.close()


def test_the_report_has_what_others_read(report):
    for app in report["apps"]:
        for region in app["regions"]:
            assert {"on_demand", "spot", "target", "serving_min"} <= region.keys()
    assert {"spot_platform", "all_on_demand", "savings_percent"} <= report["cost"].keys()
    assert report["duration_seconds"] > 0


def test_the_events_are_in_the_shared_form(report):
    keys = {"id", "time", "app", "region", "kind", "resource", "summary", "reasons", "before", "after", "actor", "run", "changed"}
    assert report["events"]
    for event in report["events"]:
        assert keys == event.keys()


def test_the_cost_is_the_sum_of_its_parts(report):
    for key in ("spot_platform", "all_on_demand"):
        parts = [region["cost"][key] for app in report["apps"] for region in app["regions"]]
        assert report["cost"][key] == pytest.approx(sum(parts), abs=1e-6)


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_the_page_fits_its_window(look, report, width):
    page = look(width)
    assert page.complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("article").count() == sum(len(app["regions"]) for app in report["apps"])
    page.screenshot(path=OUTPUT / f"page-{width}.png", full_page=True)


def test_the_page_shows_the_savings_and_the_fallback(look, report):
    page = look(1280)
    text = page.locator("body").inner_text()
    assert f"{report['cost']['savings_percent']} %" in text
    assert "capacity.fallback" in text
    assert "capacity.returned" in text


def test_the_chart_shows_spot_and_on_demand(look):
    page = look(1280)
    box = page.locator("svg path.on-demand").first.bounding_box()
    assert box["width"] > 100
    assert box["height"] > 1
