# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP door of the sources: one request a connection, and limits on body, rate, time and connections."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web, web_protocol

log = logging.getLogger("spot.platform.events")

HEALTH = "/health"
QUIET_SECONDS = 10.0
"""Between two lines of the log about one kind of refusal."""


@dataclass(frozen=True)
class Limits:
    """``body``: bytes. ``rate``: requests a second, as a mean over ten. ``connections`` at once. ``seconds``: for a whole request.
    Raises ``ValueError`` where one of them lets nothing in."""

    body: int
    rate: float
    connections: int
    seconds: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < math.inf:
                raise ValueError(f"the limit of {name} is {value}, and must be above 0")


@dataclass(frozen=True)
class Answer:
    """What a source says to a request. ``reason``: for the log, never for the sender."""

    status: int
    reason: str | None = None


Handler = Callable[[web.BaseRequest, bytes], Awaitable[Answer]]


class Door:
    """Listens. ``handle`` gets each POST with its whole body; what it raises is answered with 500."""

    def __init__(self, name: str, handle: Handler, limits: Limits, waiting: Callable[[], int]) -> None:
        self.name, self.limits = name, limits
        self._handle, self._waiting = handle, waiting
        self._inside: dict[Connection, None] = {}
        self._allowance, self._at = 10 * limits.rate, time.monotonic()
        self._said: dict[str, tuple[float, int]] = {}
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Raises ``OSError`` where the address cannot be had."""
        inner = web.Server(
            self._answer,
            keepalive_timeout=self.limits.seconds,  # so long it may take to send the headers
            lingering_time=min(1.0, self.limits.seconds),  # for a body that is refused, so that the answer is read
            access_log=None,
            max_line_size=4096,
            max_field_size=4096,
            auto_decompress=False,  # nobody sends compressed, and a small body could become a large one
            handler_cancellation=True,
        )
        kwargs = inner._kwargs

        def connect() -> asyncio.Protocol:
            return Connection(inner, self, **kwargs)

        patience = self.limits.seconds if tls else None
        self._server = await asyncio.get_running_loop().create_server(
            connect, host, port, ssl=tls, backlog=1024, ssl_handshake_timeout=patience
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._inner = inner

    async def close(self) -> None:
        if self._server:
            self._server.close()
            await self._inner.shutdown(1.0)

    def enter(self, connection: Connection) -> bool:
        """Whether one more connection is let in. Where there are too many, the oldest that has not asked anything yet makes room."""
        if len(self._inside) >= self.limits.connections:
            self.refused("connection", f"there are {len(self._inside)} connections already")
            idle = next((one for one in self._inside if one.idle()), None)
            if idle is None:
                return False
            self.leave(idle)
            idle.drop()
        self._inside[connection] = None
        return True

    def leave(self, connection: Connection) -> None:
        self._inside.pop(connection, None)

    def refused(self, kind: str, reason: str) -> None:
        """Log a refusal, in a storm one line for many."""
        at, more = self._said.get(kind, (0.0, 0))
        if time.monotonic() - at < QUIET_SECONDS:
            self._said[kind] = (at, more + 1)
            return
        log.warning("%s: refused: %s%s", self.name, reason, f" (and {more} more like it before)" if more else "")
        self._said[kind] = (time.monotonic(), 0)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._decide(request)
        if answer.reason:
            self.refused(str(answer.status), f"{answer.status} to {request.remote}: {answer.reason}")
        words = {200: "ok"}.get(answer.status, "refused")
        body = {"status": words, "waiting": self._waiting()} if answer.status == 200 and request.path == HEALTH else {"status": words}
        return closing(body, answer.status)

    async def _decide(self, request: web.BaseRequest) -> Answer:
        if request.path == HEALTH and request.method in ("GET", "HEAD"):
            return Answer(200)
        if request.method != "POST":
            return Answer(405, f"the method is {request.method}")
        if not self._allowed():
            return Answer(429, f"more than {self.limits.rate:g} requests a second")
        body = None
        try:
            async with asyncio.timeout(self.limits.seconds):
                body = await self._body(request)
                if body is None:
                    return Answer(413, f"the body is larger than {self.limits.body} bytes")
                return await self._handle(request, body)
        except TimeoutError:
            if body is None:
                return Answer(408, f"sending it took longer than {self.limits.seconds:g} s")
            return Answer(503, f"handling it took longer than {self.limits.seconds:g} s")  # the sender tries again
        except (web.HTTPException, ConnectionError, web.RequestPayloadError):
            return Answer(400, "the request broke off")
        except Exception:  # the sender tries again, and the log says why
            log.exception("%s failed", self.name)
            return Answer(500, "it failed")

    async def _body(self, request: web.BaseRequest) -> bytes | None:
        if (request.content_length or 0) > self.limits.body:
            return None
        parts, size = [], 0
        async for part in request.content.iter_any():
            size += len(part)
            if size > self.limits.body:
                return None
            parts.append(part)
        return b"".join(parts)

    def _allowed(self) -> bool:
        """A bucket that fills at the rate, and holds ten seconds of it."""
        now = time.monotonic()
        self._allowance = min(10 * self.limits.rate, self._allowance + (now - self._at) * self.limits.rate)
        self._at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True


def closing(body: dict[str, Any], status: int) -> web.Response:
    """A response after which the connection ends."""
    response = web.json_response(body, status=status)
    response.force_close()
    return response


class Connection(web_protocol.RequestHandler):
    """A connection that is let in by the door, and ends when its time is up, whatever the client does."""

    __slots__ = ("_door", "_end", "_inside")

    def __init__(self, server: web.Server, door: Door, **kwargs: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **kwargs)
        self._door, self._inside = door, False
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self._door.enter(self):
            transport.abort()
            return
        self._inside = True
        self._end = asyncio.get_running_loop().call_later(2 * self._door.limits.seconds, transport.abort)
        super().connection_made(transport)

    def idle(self) -> bool:
        """Whether it has not sent the headers of a request yet."""
        return self._current_request is None and not self._messages

    def drop(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._inside:
            super().data_received(data)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What is no HTTP is refused like all else, without a traceback for each."""
        if status != 400 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        self._door.refused("400", f"400 to {request.remote}: it is not HTTP ({type(exc).__name__})")
        return closing({"status": "refused"}, 400)

    def connection_lost(self, error: BaseException | None) -> None:
        if self._end:
            self._end.cancel()
        if self._inside:
            self._inside = False
            self._door.leave(self)
            super().connection_lost(error)


def tls_of(certificate: str | None, key: str | None) -> ssl.SSLContext | None:
    """TLS 1.2 or newer with this certificate, or none. Raises ``OSError``, ``ValueError``."""
    if certificate is None:
        if key is not None:
            raise ValueError("keyfile is given without certfile: give both or neither")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context
