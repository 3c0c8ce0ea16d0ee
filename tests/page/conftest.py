# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page as the role writes it, in Debian's Chromium, from files and from a web server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import snapshots
from ansible_collections.spot.platform.plugins.module_utils.engine.snapshot import as_json, as_script
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "build" / "page"


def write(folder: Path, snapshot: dict[str, Any]) -> dict[str, Any]:
    """Run the role into a folder; returns the counts of the run. Raises ``AssertionError`` with what Ansible said."""
    source = folder.parent / f"{folder.name}.json"
    source.write_text(json.dumps(snapshot), encoding="utf-8")
    given = {
        "dashboard_directory": str(folder),
        "dashboard_snapshot": f"{{{{ lookup('ansible.builtin.file', '{source}') | from_json }}}}",
    }
    done = run(folder.parent / f"{folder.name}.play.json", given)
    assert done.returncode == 0, done.stdout[-4000:]
    recap = re.search(r"ok=(\d+) +changed=(\d+)", done.stdout)
    assert recap, done.stdout
    return {"changed": int(recap[2]), "output": done.stdout}


def run(playbook: Path, given: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """The role with these inputs. What is in ``given`` is the author's, so that templates in it count; what a snapshot has is not."""
    roles = [{"role": "spot.platform.dashboard", "vars": given}]
    return played(playbook, {"hosts": "localhost", "gather_facts": False, "roles": roles})


def played(playbook: Path, play: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """One play on this machine."""
    playbook.write_text(json.dumps([play]), encoding="utf-8")
    command = [
        "ansible-playbook",
        "-i",
        "localhost,",
        "-c",
        "local",
        "-e",
        f"ansible_python_interpreter={sys.executable}",
        str(playbook),
    ]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=300)


@pytest.fixture(name="site", scope="session")
def written_by_the_role(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the small snapshot."""
    folder = tmp_path_factory.mktemp("page") / "site"
    write(folder, snapshots.estate())
    return folder


@pytest.fixture(name="of", scope="session")
def page_of_another_snapshot(site: Path, tmp_path_factory: pytest.TempPathFactory):
    """The page with other data, written as the role writes them."""
    made = tmp_path_factory.mktemp("pages")

    def of(name: str, snapshot: dict[str, Any] | None) -> Path:
        folder = made / name
        if not folder.exists():
            shutil.copytree(site, folder, ignore=shutil.ignore_patterns("data"))
            if snapshot is not None:
                put(folder, snapshot)
        return folder

    return of


def put(folder: Path, snapshot: dict[str, Any]) -> None:
    """Write the data of a page."""
    (folder / "data").mkdir(exist_ok=True)
    text = as_json(snapshot)
    (folder / "data" / "snapshot.json").write_text(text, encoding="utf-8")
    (folder / "data" / "snapshot.js").write_text(as_script(text), encoding="utf-8")


@pytest.fixture(name="browser", scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-quic"]
        )
        yield browser
        browser.close()


def header() -> str:
    """The policy that the role's documentation tells servers to send."""
    words = (ROOT / "roles" / "dashboard" / "README.md").read_text("utf-8")
    found = re.search(r'Content-Security-Policy "([^"]+)"', words)
    assert found, "the README shows the header"
    return found[1]


class Handler(SimpleHTTPRequestHandler):
    """Files with the header, and a connection each."""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", header())
        super().end_headers()

    def log_message(self, *args: Any) -> None:  # pylint: disable=arguments-differ # the names differ, not the call
        """Say nothing."""


@pytest.fixture(name="serve")
def web_server():
    """Serve a folder on loopback; returns its address."""
    started = []

    def serve(folder: Path) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture(name="look")
def looked_at(browser: Browser):
    """Open a page at a route; at the end, whatever the browser complained of or asked of another origin is a failure."""
    contexts, complaints = [], []

    def look(
        where: Path | str, route: str = "", width: int = 1400, scheme: str = "light", quiet: bool = True, **options: Any
    ) -> Page:
        base = where if isinstance(where, str) else where.as_uri()
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        if quiet:
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url.startswith((base, "blob:")) or complaints.append(request.url))
        page.goto(f"{base}/index.html#/{route}")
        page.wait_for_selector("main h1")
        return page

    yield look
    for context in contexts:
        context.close()
    assert complaints == []
