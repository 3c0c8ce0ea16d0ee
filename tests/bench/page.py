"""The page with 5,000 instances, in Debian's Chromium: how soon it is seen, and how soon it answers.

``python tests/bench/page.py`` puts the site beside a snapshot of 5,000 instances, serves it on loopback, and opens it in a fresh browser
context each time. *First view* is from the start of the navigation until the Overview is painted; *interaction* is the longest of a filter, a
sort, a scroll to the end and a change of view, each until the frame after it. The size is that of all files but the data.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / ".collections"), str(ROOT / "tests" / "page")]

import snapshots  # noqa: E402 - its folder has to be on the path first
from ansible_collections.spot.platform.plugins.module_utils.engine.snapshot import as_json, as_script  # noqa: E402 - the same
from conftest import run  # noqa: E402 - the same
from playwright.sync_api import Browser, Page, sync_playwright  # noqa: E402 - the imports stay together

from tests.bench.common import record, table  # noqa: E402 - the same

RUNS = 7
FIRST, ANSWER, BYTES = 1.0, 0.1, 1_500_000

WATCH = """new MutationObserver((_changes, watch) => {
  if (!document.querySelector("main h1")) return;
  watch.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.seen = performance.now(); }));
}).observe(document, { childList: true, subtree: true });"""
"""When the frame with the first heading of a view is there."""
DONE = "new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"
ACTS = {
    "filter": "const box = document.getElementById('filter-health'); box.value = 'problem'; box.dispatchEvent(new Event('change'));",
    "filter off": "const box = document.getElementById('filter-health'); box.value = ''; box.dispatchEvent(new Event('change'));",
    "sort": "document.querySelectorAll('thead th button')[2].click();",
    "scroll": "const place = document.querySelector('.scroll'); place.scrollTop = place.scrollHeight;",
}
GO = "location.hash = '#/%s'; await new Promise((done) => addEventListener('hashchange', done, { once: true }));"


def timed(page: Page, act: str) -> float:
    """The seconds from an act until the frame after it."""
    script = f"(async () => {{ const start = performance.now(); {act} return await {DONE} - start; }})()"
    return float(page.evaluate(script)) / 1000


def site(folder: Path) -> int:
    """The site with the data; returns the size of all else in bytes."""
    done = run(folder / "play.json", {"dashboard_directory": str(folder / "site"), "dashboard_snapshot": {"made_at": "2026-11-26T09:00:00.000Z"}})
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:])
    size = sum(path.stat().st_size for path in (folder / "site").glob("*") if path.is_file())
    text = as_json(snapshots.estate(5000, 2000))
    (folder / "site/data/snapshot.json").write_text(text, encoding="utf-8")
    (folder / "site/data/snapshot.js").write_text(as_script(text), encoding="utf-8")
    return size


class Quiet(SimpleHTTPRequestHandler):
    """Files, without a word."""

    def log_message(self, *args: Any) -> None:  # pylint: disable=arguments-differ # the names differ, not the call
        """Say nothing."""


def opened(browser: Browser, address: str) -> tuple[Page, float]:
    """A page in a context of its own, and the seconds until it was painted."""
    page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
    page.add_init_script(WATCH)
    page.goto(address)
    page.wait_for_function("window.seen !== undefined")
    return page, float(page.evaluate("window.seen")) / 1000


def main() -> None:
    first: list[float] = []
    acts: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as driver:
        folder = Path(temporary)
        size = site(folder)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder / "site")))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/index.html"
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-quic"])
        for _run in range(RUNS):
            page, seconds = opened(browser, address)
            first.append(seconds)
            for view in ("resources", "app/web", "costs", "activity"):
                acts.setdefault(f"to {view}", []).append(timed(page, GO % view))
                if view == "resources":
                    for name, act in ACTS.items():
                        acts.setdefault(name, []).append(timed(page, act))
            page.context.close()
        browser.close()
        server.shutdown()
    figures: dict[str, Any] = {
        "first view, median s": round(statistics.median(first), 3),
        "first view, worst s": round(max(first), 3),
        "bytes without data": size,
    }
    figures |= {f"{name}, median s": round(statistics.median(times), 3) for name, times in acts.items()}
    met = statistics.median(first) < FIRST and all(statistics.median(times) < ANSWER for times in acts.values()) and size < BYTES
    record("page", figures, "5,000 instances: first view under 1 s, interaction under 100 ms, under 1.5 MB without the data", met)
    print(table())


if __name__ == "__main__":
    main()
