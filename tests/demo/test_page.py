# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's report and page, looked at in a browser; run after the demo (``make demo-check``)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "build" / "demo"


@pytest.fixture(name="report", scope="module")
def report_of_the_demo():
    """What the demo wrote."""
    return json.loads((OUTPUT / "report.json").read_text("utf-8"))


@pytest.fixture(name="snapshot", scope="module")
def snapshot_of_the_page():
    """What the page shows."""
    return json.loads((OUTPUT / "data" / "snapshot.json").read_text("utf-8"))


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

    def look(width: int, route: str = "overview"):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: request.url.startswith("file:") or page.complaints.append(request.url))
        page.goto(f"{(OUTPUT / 'index.html').as_uri()}#/{route}")
        page.wait_for_selector("h1")
        pages.append(page)
        return page

    yield look
    for page in pages:
        assert page.complaints == []
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
        assert keys <= event.keys() <= keys | {"source", "principal"}


def test_the_cost_is_the_sum_of_its_parts(report):
    for key in ("spot_platform", "all_on_demand"):
        parts = [region["cost"][key] for app in report["apps"] for region in app["regions"]]
        assert report["cost"][key] == pytest.approx(sum(parts), abs=1e-6)


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_the_page_fits_its_window(look, report, width):
    page = look(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("article").count() == len(report["apps"])
    assert page.locator("article tbody tr").count() == sum(len(app["regions"]) for app in report["apps"])
    page.screenshot(path=OUTPUT / f"page-{width}.png", full_page=True)


def test_an_application_has_a_chart_and_its_pools_in_each_region(look, report):
    for app in report["apps"]:
        page = look(1280, f"app/{app['name']}")
        assert page.locator("article h3").all_inner_texts() == [region["region"] for region in app["regions"]]
        for card, region in zip(page.locator("article").all(), app["regions"], strict=True):
            words = card.inner_text()
            assert f"Serving {region['serving']} of {region['target']} {region['unit']}" in words
            assert all(pool["instance_type"] in words and pool["zone"] in words for pool in region["pools"])
            card.locator("canvas").scroll_into_view_if_needed()


def test_the_page_shows_the_savings_and_the_fallback(look, snapshot):
    text = look(1280).locator("body").inner_text()
    saved = snapshot["costs"]
    assert f"{100 * saved['saved_share']:.1f} %" in text and f"${saved['saved_usd']:,.2f} on instances since" in text
    for kind in ("capacity.fallback", "capacity.returned"):
        assert kind in look(1280, f"activity?kind={kind}").locator("ol.time").first.inner_text()


def test_the_costs_by_day_show_the_month(look):
    page = look(1100, "costs")
    page.set_viewport_size({"width": 1100, "height": 1080})
    card = page.locator("section, article, div").filter(has=page.locator("canvas")).last
    spot, on_demand = card.locator("canvas").first.evaluate(PIXELS, [[11, 138, 125], [212, 130, 15]])
    assert spot > 1000 and on_demand > 1000
    page.screenshot(path=OUTPUT / "picture.png")  # docs/images/demo.png is a copy of it
    page.get_by_text("The figures as a table").first.click()
    days = page.locator("table tbody tr").all_inner_texts()
    assert len(days) >= 28, days


def test_the_page_tells_of_the_certificate_the_volumes_and_the_deployments(look):
    assert "21 days" in look(1280, "certificates").locator("body").inner_text()
    assert "/srv/uploads" in look(1280, "volumes").locator("body").inner_text()
    assert "deployment.succeeded" in look(1280, "activity?kind=deployment.succeeded").locator("ol.time").first.inner_text()


PIXELS = """(canvas, colours) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const found = colours.map(() => 0);
  for (let at = 0; at < data.length; at += 4) {
    const which = colours.findIndex((colour) => colour.every((part, index) => data[at + index] === part));
    if (which >= 0) found[which] += 1;
  }
  return found;
}"""


def test_the_chart_shows_spot_and_on_demand(look):
    page = look(1280, "app/web")
    card = page.locator("article").filter(has_text="us-east-1").first
    spot, on_demand = card.locator("canvas").evaluate(PIXELS, [[11, 138, 125], [212, 130, 15]])
    assert spot > 1000
    assert on_demand > 100
    card.get_by_text("The figures as a table").click()
    table = card.get_by_role("region", name="as a table")
    assert table.locator("thead th").all_inner_texts() == ["From (UTC)", "Spot", "On-Demand", "Target"]
    assert max(int(cell) for cell in table.locator("tbody td:nth-child(3)").all_inner_texts()) > 0


def test_the_snapshot_of_the_demo_fits_its_schema():
    schema = json.loads((ROOT / "roles/dashboard/files/snapshot.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(json.loads((OUTPUT / "data/snapshot.json").read_text("utf-8")))
