"""HTTP on loopback, a thread for each connection, connections kept open between requests."""

from __future__ import annotations

import socket
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, ThreadedWSGIServer

from spot_sandbox import clock
from spot_sandbox.app import Application


class Handler(MotoRequestHandler):
    """HTTP/1.1 with connections that stay open, which werkzeug's own handler does not offer.

    Werkzeug closes after each answer, because an application may leave a body unread; ours reads every body to its end.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: the second must not wait for an acknowledgement

    def run_wsgi(self) -> None:
        environ = self.make_environ()
        began: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
            began[:] = [status, headers]

        try:
            answer = self.server.app(environ, start_response)
            body = b"".join(answer)
            if hasattr(answer, "close"):
                answer.close()
        except ConnectionError:
            self.close_connection = True
            return
        status, headers = began
        code, _space, reason = status.partition(" ")
        self.send_response(int(code), reason)
        names = set()
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
            names.add(name.lower())
        if self.command == "HEAD":
            length = next((value for name, value in headers if name.lower() == "content-length"), "0")
        else:
            length = str(len(body))
        if int(code) not in (204, 304):
            self.send_header("Content-Length", length)
        if "date" not in names:
            self.send_header("Date", self.date_time_string())
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_response(self, code: int, message: str | None = None) -> None:
        self.log_request(code)
        self.send_response_only(code, message)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date of an answer is the sandbox's time: a client that goes by AWS's clock, not its own, goes by it."""
        return super().date_time_string(clock.time() if timestamp is None else timestamp)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        if self.server.verbose:  # type: ignore[attr-defined]
            super().log_request(code, size)


def listen(port: int, verbose: bool = False) -> BaseWSGIServer:
    """A server on 127.0.0.1; ``OSError`` where the port is taken."""
    with socket.socket() as probe:  # werkzeug would print advice and exit
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as taken:
            raise OSError(f"port {port} cannot be used: {taken.strerror}; choose another with --port") from None
    server = ThreadedWSGIServer("127.0.0.1", port, Application(), handler=Handler)
    server.verbose = verbose  # type: ignore[attr-defined]
    return server
