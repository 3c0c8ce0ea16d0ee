"""HTTP on loopback, a thread for each connection, connections kept open between requests."""

from __future__ import annotations

import socket

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, ThreadedWSGIServer

from spot_sandbox import clock
from spot_sandbox.app import Application


class Handler(MotoRequestHandler):
    """HTTP/1.1. Werkzeug closes after each answer because an application may leave a body unread; ours never does."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: the second must not wait for an acknowledgement

    def send_header(self, keyword: str, value: str) -> None:
        if keyword.lower() != "connection":
            super().send_header(keyword, value)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The Date of an answer is the sandbox's time, so that a client which goes by AWS's clock goes by it."""
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
