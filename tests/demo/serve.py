# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve the demo's page on loopback until Ctrl-C, with the headers that the role dashboard's README recommends."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADER = re.compile(r'^\s*add_header (\S+) "?(.+?)"? always;$', re.MULTILINE)
PREFERRED = 8000
SERVED = re.compile(r"/(index\.html|page\.js|style\.css|icon\.svg|data/snapshot\.(json|js))?")
"""The page, and nothing else of the demo's output, such as its SSH keys and logs."""


def headers() -> dict[str, str]:
    """The headers that the README has for a web server. Raises ``ValueError`` where it has none."""
    found = dict(HEADER.findall((ROOT / "roles/dashboard/README.md").read_text("utf-8")))
    if "Content-Security-Policy" not in found:
        raise ValueError("roles/dashboard/README.md names no Content-Security-Policy in its example for nginx")
    return found


class Handler(SimpleHTTPRequestHandler):
    """The files of the page, with ``added`` headers."""

    added = headers()

    def send_head(self):
        """Refuse what is not of the page."""
        if not SERVED.fullmatch(self.path.partition("?")[0]):
            self.send_error(404)
            return None
        return super().send_head()

    def end_headers(self) -> None:
        for name, value in self.added.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def listen(folder: Path, port: int) -> ThreadingHTTPServer:
    """A server on 127.0.0.1 at ``port``, or at any free one where that is taken."""
    handler = partial(Handler, directory=os.fspath(folder))
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError:
        return ThreadingHTTPServer(("127.0.0.1", 0), handler)


def main() -> int:
    """Serve; 1 where there is no page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "demo", help="where the page is")
    parser.add_argument("--port", type=int, default=PREFERRED, help="the preferred port (default: %(default)s)")
    options = parser.parse_args()
    if not (options.folder / "index.html").is_file():
        print(f"There is no page in {options.folder}: run `make demo` first.", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell that began it in the background has it ignored
    with listen(options.folder, options.port) as server:
        print(f"The page of the demo: http://127.0.0.1:{server.server_port}/  (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
