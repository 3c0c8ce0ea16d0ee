"""The sources in this process, each with a queue in place of ansible-rulebook, and clients that behave and misbehave."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.door import Door
from ansible_collections.spot.platform.tests.unit.eda.signing import PEM

from .conftest import free_port


@contextmanager
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing in here logs an error, or leaves an exception that nobody took."""
    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: problems.append(context))
    with caplog.at_level(logging.INFO):
        yield
    gc.collect()
    assert problems == []
    assert [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR] == []


async def until(what: Callable[[], Any], words: str, seconds: float = 30) -> Any:
    """What ``what`` returns, once it is true."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while loop.time() < end:
        if found := what():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"{words}: not within {seconds} s")


class Rules:
    """What a rulebook would be: takes the batches of a source, and has them handled."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.batches: list[dict[str, Any]] = []

    @property
    def events(self) -> list[dict[str, Any]]:
        return [one for batch in self.batches for one in batch["events"]]

    def take(self) -> list[dict[str, Any]]:
        """The batches that came since."""
        came = [self.queue.get_nowait() for _number in range(self.queue.qsize())]
        self.batches += came
        return came

    def handle(self) -> None:
        """Take what came, and remove its receipts."""
        for batch in self.take():
            Path(batch["receipt"]).unlink(missing_ok=True)

    async def expect(self, events: int, seconds: float = 30) -> list[dict[str, Any]]:
        """Handle what comes until there are so many events; then see that no more come."""

        def enough() -> bool:
            self.handle()
            return len(self.events) >= events

        await until(enough, f"{events} events come", seconds)
        await asyncio.sleep(0.3)
        self.handle()
        assert len(self.events) == events
        return self.events


@asynccontextmanager
async def running(plugin: Any, rules: Rules, **arguments: Any) -> AsyncIterator[asyncio.Task[None]]:
    """A source that runs while the context lasts; it must not end by itself."""
    task = asyncio.create_task(plugin.main(rules.queue, {"window": 0, **arguments}))
    try:
        yield task
        assert not task.done(), f"the source ended: {task!r}"
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), repr(ended)


class Server:
    """An HTTP source that runs in this process."""

    def __init__(self, port: int, rules: Rules) -> None:
        self.port, self.rules = port, rules

    async def send(self, head: str | bytes, body: bytes = b"", seconds: float = 30) -> tuple[int, bytes]:
        """Send bytes as they are, wait for the end, and return the status (0: none) and the body of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write((head.encode() if isinstance(head, str) else head) + body)
            async with asyncio.timeout(seconds):
                answer = await reader.read()
        except ConnectionError:
            return 0, b""
        finally:
            writer.transport.abort()
        return status_of(answer), answer.partition(b"\r\n\r\n")[2]

    async def post(self, body: bytes | str, headers: dict[str, str] | None = None, path: str = "/") -> int:
        content = body if isinstance(body, bytes) else body.encode()
        return (await self.send(head(len(content), headers, path), content))[0]

    async def health(self) -> dict[str, Any]:
        status, body = await self.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status == 200
        return json.loads(body)

    @property
    def connections(self) -> int:
        """How many are open now."""
        (door,) = (one for one in gc.get_objects() if isinstance(one, Door) and one.port == self.port)
        return len(door._inside)


def head(length: int | None, headers: dict[str, str] | None = None, path: str = "/", method: str = "POST") -> str:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *(f"{key}: {value}" for key, value in (headers or {}).items())]
    return "\r\n".join([*lines, *([f"Content-Length: {length}"] if length is not None else []), "", ""])


def status_of(answer: bytes) -> int:
    """The status of the first answer in these bytes."""
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0


@asynccontextmanager
async def serving(plugin: Any, folder: Path, **arguments: Any) -> AsyncIterator[Server]:
    """An HTTP source that answers while the context lasts."""
    rules, port = Rules(), free_port()
    given = {"port": port, "inbox": str(folder / "inbox"), "rate_limit": 1e6, **arguments}
    async with running(plugin, rules, **given) as task:
        server = Server(port, rules)
        for _number in range(500):
            if task.done():
                await task
            try:
                _reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            except OSError:
                await asyncio.sleep(0.02)
        yield server


class Sns:
    """Serves what the source asks of SNS: the signing certificate, and ConfirmSubscription."""

    def __init__(self, certificate: bytes) -> None:
        self.certificate, self.status, self.headers = certificate, 200, {}
        self.fetched, self.confirmed, self.confirming = 0, [], 200

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "GET":
            self.fetched += 1
            if request.path != PEM:
                return web.Response(status=404)
            return web.Response(body=self.certificate, status=self.status, headers=self.headers)
        form = await request.post()
        assert form["Action"] == "ConfirmSubscription" and "Authorization" not in request.headers
        self.confirmed.append((form["TopicArn"], form["Token"]))
        return web.Response(status=self.confirming, content_type="text/xml", text=CONFIRMED)

    @asynccontextmanager
    async def at(self) -> AsyncIterator[str]:
        """Its address, while the context lasts."""
        inner = web.Server(self._answer, access_log=None)
        server = await asyncio.get_running_loop().create_server(inner, "127.0.0.1", 0)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            await inner.shutdown(1)


CONFIRMED = (
    '<ConfirmSubscriptionResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><ConfirmSubscriptionResult><SubscriptionArn>'
    "arn:aws:sns:us-east-1:123456789012:t:c9135db0-26c4-47ec-8998-413945fb5a96</SubscriptionArn></ConfirmSubscriptionResult>"
    "<ResponseMetadata><RequestId>x</RequestId></ResponseMetadata></ConfirmSubscriptionResponse>"
)
