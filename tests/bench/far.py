"""A server that stands far away: it answers as the sandbox does, but after a latency, and any number of calls at a time.

The sandbox answers one call after the other, and slowly where thousands of resources are listed; a client that asks in parallel
would be measured by that. Here an answer is fetched from the sandbox once, and from then on given from memory, the latency after the
question came. What is asked is told apart by region, service, operation and parameters; times in the parameters do not count.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

TIMES = re.compile(rb"(?:StartTime|EndTime)=[^&]*&?|\"(?:StartTime|EndTime)\": ?[^,}]*,?")


@dataclass(frozen=True)
class Call:
    """A call that was answered; times are of the process's monotonic clock. ``known``: from memory."""

    region: str
    service: str
    operation: str
    began: float
    ended: float
    known: bool
    size: int


class Far:
    """The server, in a thread of its own, while the context lasts; ``url`` is its address, ``calls`` what it answered."""

    def __init__(self, sandbox: str, latency: float) -> None:
        self._sandbox, self._latency = urlsplit(sandbox), latency
        self._answers: dict[Any, tuple[bytes, bytes]] = {}
        self.calls: list[Call] = []
        self.url = ""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Far:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_problem: Any) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def forget_calls(self) -> None:
        """Count anew; the answers stay."""
        self.calls.clear()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connection, "127.0.0.1", 0, limit=2**24))
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                began = time.monotonic()
                line, *rest = head.decode("latin-1").split("\r\n")
                method, path, _version = line.split(" ", 2)
                headers = {
                    name.lower(): value.strip() for name, _colon, value in (one.partition(":") for one in rest if one)
                }
                if headers.get("expect", "").lower() == "100-continue":
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(int(headers.get("content-length") or 0))
                scope = headers.get("authorization", "").partition("Credential=")[2].partition(",")[0].split("/")
                region, service = (scope[2], scope[3]) if len(scope) > 4 else ("", "")
                key = (region, service, method, path, headers.get("x-amz-target"), TIMES.sub(b"", body))
                known = key in self._answers
                if not known:
                    self._answers[key] = await self._loop.run_in_executor(
                        None, self._fetch, method, path, headers, body
                    )
                await asyncio.sleep(max(0.0, began + self._latency - time.monotonic()))
                writer.writelines(self._answers[key])
                await writer.drain()
                named = operation(method, path, headers, body)
                ended = time.monotonic()
                self.calls.append(Call(region, service, named, began, ended, known, len(self._answers[key][1])))
        writer.close()

    def _fetch(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[bytes, bytes]:
        connection = http.client.HTTPConnection(self._sandbox.hostname or "", self._sandbox.port or 0, timeout=300)
        passed = {
            name: value for name, value in headers.items() if name not in ("connection", "expect", "content-length")
        }
        connection.request(method, path, body or None, {**passed, "Content-Length": str(len(body))})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        kept = [
            f"{name}: {value}"
            for name, value in answer.getheaders()
            if name.lower() not in ("connection", "content-length")
        ]
        head = "\r\n".join([f"HTTP/1.1 {answer.status} {answer.reason}", *kept, f"Content-Length: {len(text)}", "", ""])
        return head.encode("latin-1"), text


def operation(method: str, path: str, headers: dict[str, str], body: bytes) -> str:
    """What a request asks for, as far as it says."""
    if "x-amz-target" in headers:
        return headers["x-amz-target"].rpartition(".")[2]
    if headers.get("content-type", "").startswith("application/x-www-form"):
        return parse_qs(body.decode()).get("Action", [""])[0]
    if "rpc-v2-cbor" in headers.get("smithy-protocol", ""):
        return path.rpartition("/")[2]
    return f"{method} {path.partition('?')[0]}"
