# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo-open``: the page over HTTP, on loopback, with its headers and without the rest of the demo's output."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
PAGE = """<!doctype html><title>served</title><meta charset="utf-8">
<script src="page.js"></script><script>document.title = "inline ran"</script>"""


@pytest.fixture(name="folder")
def a_page(tmp_path):
    """A folder with a page, and with what is nobody's business."""
    (tmp_path / "data").mkdir()
    (tmp_path / "keys").mkdir()
    (tmp_path / "index.html").write_text(PAGE, encoding="utf-8")
    (tmp_path / "page.js").write_text("window.ran = true;", encoding="utf-8")
    (tmp_path / "data" / "snapshot.json").write_text("{}", encoding="utf-8")
    (tmp_path / "keys" / "web.pem").write_text("secret", encoding="utf-8")
    return tmp_path


@pytest.fixture(name="serve")
def served():
    """Starts the server and gives its process and address; ends it."""
    started = []

    def serve(folder, *arguments):
        command = [sys.executable, "tests/demo/serve.py", "--folder", str(folder), *arguments]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        return process, found and found[0]

    yield serve
    for process in started:
        process.terminate()
        process.communicate(timeout=10)


def status_of(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, dict(answer.headers)
    except urllib.error.HTTPError as refused:
        return refused.code, dict(refused.headers)


def test_without_a_page_it_says_what_to_do(tmp_path):
    command = [sys.executable, "tests/demo/serve.py", "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 1 and "run `make demo` first" in done.stderr


def test_the_page_and_nothing_else_with_the_headers_of_the_readme(serve, folder):
    _process, url = serve(folder, "--port", "0")
    for path in ("", "index.html", "data/snapshot.json?now=1"):
        status, headers = status_of(url + path)
        assert status == 200
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Cache-Control"] == "no-cache"
    for path in ("keys/web.pem", "keys/", "data/", "../Makefile", "%2e%2e/Makefile"):
        assert status_of(url + path)[0] == 404, path


def test_a_port_that_is_taken_is_not_insisted_on_and_ctrl_c_ends_it(serve, folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process, url = serve(folder, "--port", str(port))
        assert f":{port}/" not in url and status_of(url)[0] == 200
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0


def test_a_browser_obeys_the_policy(serve, folder):
    _process, url = serve(folder, "--port", "0")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-quic"])
        page = browser.new_page()
        page.goto(url)
        assert page.title() == "served" and page.evaluate("window.ran") is True
        browser.close()
