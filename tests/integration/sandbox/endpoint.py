"""An HTTP endpoint as a subscriber has one: it keeps what it was sent and answers what it is told to."""

from __future__ import annotations

import json
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Endpoint:
    """``posts`` holds (headers, body) of each request; ``answers`` is used up from the front, then it is 200.

    ``certificate``: a file with a key and its certificate, for TLS.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.posts: list[tuple[dict[str, str], str]] = []
        self.answers: list[int] = []
        self.closed = False
        self.hold = threading.Event()
        self.hold.set()
        self._arrived = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                if outer.closed:
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                with outer._arrived:
                    outer.posts.append(({k.lower(): v for k, v in self.headers.items()}, body))
                    status = outer.answers.pop(0) if outer.answers else 200
                    outer._arrived.notify_all()
                outer.hold.wait(30)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self._server.server_port}/sns"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def wait(self, number: int) -> list[tuple[dict[str, str], str]]:
        """The posts, once there are so many."""
        until = time.monotonic() + 20
        with self._arrived:
            while len(self.posts) < number:
                left = until - time.monotonic()
                assert left > 0, f"{len(self.posts)} of {number} requests came"
                self._arrived.wait(left)
            return list(self.posts)

    def message(self, number: int) -> dict[str, Any]:
        """The message in the request with this number, counted from 1."""
        return json.loads(self.wait(number)[number - 1][1])

    def close(self) -> None:
        self.closed = True
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()
