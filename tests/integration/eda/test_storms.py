"""The HTTP sources under what nobody should send: rubbish, too much, too slowly, too many."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import random
import resource
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.spot.platform.extensions.eda.plugins.event_source import alertmanager, sns, webhook
from ansible_collections.spot.platform.tests.unit.eda.signing import Authority, body, message, new_key, pem
from cryptography.hazmat.primitives import serialization

from .sources import head, quiet, serving, status_of, until
from .test_http import ALERTS, EVENTS, INTERRUPTION, SECRET, bearer, stamped, topic

BODIES, AT_ONCE, WARM = 10_000, 32, 1_000
PATIENCE = 0.5
PARTS = [b"{{", b"\x00", b"\xff\xfe", b"\\ud800", b"[" * 500, b'{"a":' * 500, b"NaN", b"1e999", b"9" * 5000, b'"', b"}", b"null", b"\r\n\r\n", b"A" * 3000,
         b"GET /health HTTP/1.1\r\n\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"\n", b" ", b"Content-Length: 99\r\n"]  # fmt: skip


def mutated(content: bytes, dice: random.Random) -> bytes:
    """Other bytes, made of these."""
    for _number in range(dice.randint(1, 3)):
        begin, long = dice.randrange(len(content) + 1), dice.choice((0, 1, 4, 200))
        part = dice.choice((dice.choice(PARTS), dice.randbytes(dice.randrange(1, 40)), b""))
        content = content[:begin] + part + content[begin + long :]
        if dice.random() < 0.05:
            content = content[: dice.randrange(len(content) + 1)]
    return dice.randbytes(dice.randrange(2000)) if dice.random() < 0.1 else content


def request(content: bytes, headers: dict[str, str], dice: random.Random) -> bytes:
    """A request with a mutated body, and one in ten with mutated headers too; headers of ``headers`` are there or not."""
    headers = headers if dice.random() < 0.7 else {}
    other = content
    while other == content:
        other = mutated(content, dice)
    sent = head(len(other), headers).encode()
    chunked = f"{head(None, {**headers, 'Transfer-Encoding': 'chunked'})}{len(other):x}\r\n".encode() + other + b"\r\n0\r\n\r\n"
    sent = chunked if dice.random() < 0.1 else sent + other
    return mutated(sent, dice) if dice.random() < 0.1 else sent


class Once(asyncio.Protocol):
    """Sends some bytes, and waits for the end, or for as long as a client does that breaks off."""

    def __init__(self, content: bytes) -> None:
        self.content, self.answer = content, b""
        self.end: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        transport.write(self.content)
        self.patience = asyncio.get_running_loop().call_later(PATIENCE, transport.abort)

    def data_received(self, data: bytes) -> None:
        self.answer += data

    def connection_lost(self, _error: BaseException | None) -> None:
        self.patience.cancel()
        self.end.set_result(self.answer)


async def storm(port: int, requests: list[bytes]) -> list[tuple[int, bytes]]:
    """The status of the answer to each of the requests, with the request."""
    loop, found, waiting = asyncio.get_running_loop(), [], iter(requests)

    async def client() -> None:
        for content in waiting:
            _transport, once = await loop.create_connection(lambda sent=content: Once(sent), "127.0.0.1", port)
            found.append((status_of(await asyncio.wait_for(once.end, 30)), content))

    await asyncio.gather(*(client() for _number in range(AT_ONCE)))
    return found


ROOT, FORGER = Authority("root"), new_key("forger")
FORGED = body(message(Subject="s", Message=json.dumps(INTERRUPTION)), FORGER)


@pytest.mark.parametrize("name", ["sns", "webhook", "alertmanager"])
def test_ten_thousand_bodies_crash_nothing_leak_nothing_and_none_is_accepted(tmp_path, caplog, name):
    dice = random.Random(name)
    content, headers = {
        "sns": (FORGED, {}),
        "webhook": (EVENTS, stamped(EVENTS)),
        "alertmanager": (ALERTS, bearer("right")),
    }[name]
    requests = [request(content, headers, dice) for _number in range(BODIES)]

    async def work() -> None:
        limits = {"kinds": ["none.*"], "request_seconds": 5.0}  # so that nothing gathers in the inbox that is meant to
        async with (
            topic(tmp_path, **limits)
            if name == "sns"
            else serving(
                webhook if name == "webhook" else alertmanager,
                tmp_path,
                **limits,
                **({"secret": SECRET} if name == "webhook" else {"token": "right"}),
            )
        ) as given:
            server = given[0] if name == "sns" else given
            answers = await storm(server.port, requests[:WARM])
            gc.collect()
            tasks, before = len(asyncio.all_tasks()), len(gc.get_objects())
            answers += await storm(server.port, requests[WARM:])
            await until(lambda: server.connections == 0, "the connections are closed")
            gc.collect()
            assert len(asyncio.all_tasks()) <= tasks
            grown = len(gc.get_objects()) - before - len(answers)  # each answer is a pair
            assert grown < 2_000, f"{grown} objects are left of {len(answers)} requests"
            statuses = {status for status, _content in answers}
            assert statuses <= {0, 200, 400, 401, 403, 405, 408, 413}
            assert sum(status == 0 for status, _content in answers) < BODIES / 10  # who broke off
            accepted = [sent for status, sent in answers if status == 200 and b"/health" not in sent]
            assert not accepted or (name == "alertmanager" and all(b"Bearer right" in one for one in accepted)), accepted[:1]
            assert await server.health() == {"status": "ok", "waiting": 0}
            assert server.rules.take() == []

    async def within() -> None:
        with quiet(caplog):
            await work()

    asyncio.run(within())


@pytest.fixture
def run(caplog: pytest.LogCaptureFixture) -> Any:
    def do(work: Any) -> None:
        async def within() -> None:
            with quiet(caplog):
                await work

        asyncio.run(within())

    return do


def test_a_body_that_is_too_large_is_refused_however_its_length_is_told(tmp_path, run):
    async def work():
        async with serving(webhook, tmp_path, secret=SECRET, body_limit=10_000, request_seconds=3.0) as server:
            exact, large = b" " * (10_000 - len(EVENTS)) + EVENTS, b" " * (10_001 - len(EVENTS)) + EVENTS
            assert await server.post(exact, stamped(exact)) == 200
            assert await server.post(large, stamped(large)) == 413
            assert (await server.send(head(10**15, stamped(large)), b"x"))[0] == 413
            for size, status in ((exact, 403), (large, 413)):
                chunks = b"".join(
                    b"%x\r\n%s\r\n" % (len(part), part)
                    for part in (size[begin : begin + 999] for begin in range(0, len(size), 999))
                )
                told = head(None, {"Transfer-Encoding": "chunked"})
                assert (await server.send(told, chunks + b"0\r\n\r\n"))[0] == status
            assert (await server.send(head(None, {"Transfer-Encoding": "chunked"}), b"fffffffffffffff\r\nx"))[0] in (
                400,
                408,
                413,
            )
            assert (await server.health())["status"] == "ok"

    run(work())


def test_a_small_body_that_would_become_a_large_one_stays_small(tmp_path, run):
    async def work():
        async with serving(webhook, tmp_path, secret=SECRET) as server:
            bomb = gzip.compress(b" " * 200_000_000)
            assert len(bomb) < 1_000_000
            tracemalloc.start()
            try:
                for coding in ("gzip", "deflate"):
                    assert await server.post(bomb, {**stamped(bomb), "Content-Encoding": coding}) == 400
                assert tracemalloc.get_traced_memory()[1] < 20_000_000
            finally:
                tracemalloc.stop()
            packed = gzip.compress(EVENTS)
            assert await server.post(packed, {**stamped(EVENTS), "Content-Encoding": "gzip"}) == 403

    run(work())


@pytest.mark.parametrize(
    "content",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"x" * 100_000,
        b"POST / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\n" + b"X: a\r\n" * 100_000,
        b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nX\x00: a\r\n\r\n",
        b"CONNECT evil.com:443 HTTP/1.1\r\nHost: evil.com\r\n\r\n" + b"x" * 100_000,
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n" + b"x" * 100_000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET http://evil.com/health HTTP/1.1\r\nHost: evil.com\r\n\r\n",
        b"GET //health HTTP/1.1\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\n\r\n",
    ],
    ids=range(18),
)
def test_what_is_no_http_ends_with_a_refusal_and_no_traceback(tmp_path, run, content):
    async def work():
        async with serving(webhook, tmp_path, secret=SECRET, request_seconds=1.0) as server:
            status, _body = await server.send(content)
            assert status in (0, 400, 403, 405, 408) or (status == 200 and b"/health" in content)
            assert await server.health() == {"status": "ok", "waiting": 0}
            await until(lambda: server.connections == 0, "the connections are closed")

    run(work())


def test_one_connection_is_one_request(tmp_path, run):
    async def work():
        async with serving(webhook, tmp_path, secret=SECRET) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
            answer = await asyncio.wait_for(reader.read(), 20)
            assert answer.count(b"HTTP/1.1 200") == 1
            writer.transport.abort()

    run(work())


SLOW = {
    "nothing": [],
    "half of its headers": [b"POST / HTTP/1.1\r\nHost: x\r\n"],
    "a byte of its headers at a time": [b"POST / HTTP/1.1\r\nHost: x\r\nX-Long: ", *[b"a"] * 10_000],
    "half of its body": [head(1000).encode() + b"x" * 500],
    "a byte of its body at a time": [head(10_000).encode(), *[b"x"] * 10_000],
    "a byte of a chunk at a time": [head(None, {"Transfer-Encoding": "chunked"}).encode(), *[b"1\r\nx\r\n"] * 10_000],
    "all in time but never reads": [head(2).encode() + b"{}"],
}


def test_slow_clients_are_cut_off_and_hold_up_nobody(tmp_path, run):
    async def slow(port: int, parts: list[bytes]) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def drip() -> None:
            for part in parts:
                writer.write(part)
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        try:
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            dripping.cancel()
            writer.transport.abort()

    async def work():
        async with serving(webhook, tmp_path, secret=SECRET, request_seconds=1.0) as server:
            clients = {
                name: asyncio.create_task(slow(server.port, parts)) for name, parts in SLOW.items() for _number in range(3)
            }
            await asyncio.sleep(0.3)
            assert await server.post(EVENTS, stamped(EVENTS)) == 200
            answers = await asyncio.wait_for(asyncio.gather(*clients.values()), 20)  # they would take minutes
            assert {status_of(one) for one in answers} <= {0, 403, 408}
            await until(lambda: server.connections == 0, "the connections are closed")
            await server.rules.expect(1)

    run(work())


def test_a_thousand_connections_at_once_are_no_end_of_it(tmp_path, run):
    resource.setrlimit(
        resource.RLIMIT_NOFILE,
        (max(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[0]), resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
    )

    async def work():
        async with serving(webhook, tmp_path, secret=SECRET, request_seconds=4.0, connection_limit=500) as server:
            held = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", server.port) for _number in range(1000)))
            await until(lambda: server.connections >= 499, "the limit is reached")
            assert server.connections <= 500
            for _number in range(20):  # idle ones make room, for health and for events
                assert (await server.health())["status"] == "ok"
            assert await server.post(EVENTS, stamped(EVENTS)) == 200
            assert server.connections <= 500
            ended = await asyncio.wait_for(
                asyncio.gather(*(reader.read() for reader, _writer in held), return_exceptions=True), 30
            )
            assert all(one == b"" or isinstance(one, ConnectionError) for one in ended)
            await until(lambda: server.connections == 0, "the connections are closed")
            assert await server.health() == {"status": "ok", "waiting": (await server.health())["waiting"]}
            for _reader, writer in held:
                writer.transport.abort()
            await server.rules.expect(1)

    run(work())


def test_connections_that_all_ask_something_are_waited_for_and_not_thrown_out(tmp_path, run):
    async def work():
        async with serving(webhook, tmp_path, secret=SECRET, request_seconds=2.0, connection_limit=5) as server:
            held = [await asyncio.open_connection("127.0.0.1", server.port) for _number in range(5)]
            for _reader, writer in held:
                writer.write(head(100).encode() + b"x")
            await asyncio.sleep(0.3)
            assert await server.post(EVENTS, stamped(EVENTS)) == 0
            answers = await asyncio.wait_for(asyncio.gather(*(reader.read() for reader, _writer in held)), 20)
            assert {status_of(one) for one in answers} == {408}
            for _reader, writer in held:
                writer.transport.abort()
            await until(lambda: server.connections == 0, "the connections are closed")
            assert await server.post(EVENTS, stamped(EVENTS)) == 200

    run(work())


def test_more_requests_than_the_rate_are_refused_but_health_answers(tmp_path, run):
    async def work():
        async with serving(webhook, tmp_path, secret=SECRET, rate_limit=1.0) as server:
            answers = [await server.post(b"x") for _number in range(40)]
            assert answers[:10] == [403] * 10 and 429 in answers
            assert (await server.health())["status"] == "ok"

    run(work())


def test_who_never_finishes_the_handshake_of_tls_is_cut_off(tmp_path, run):
    key = new_key("server")
    (tmp_path / "c.pem").write_bytes(pem(ROOT.leaf(key, ["localhost"])))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "k.pem").write_bytes(key.private_bytes(*form))
    files = {"certfile": str(tmp_path / "c.pem"), "keyfile": str(tmp_path / "k.pem")}

    async def work():
        import ssl

        trusting = ssl.create_default_context(cadata=pem(ROOT.certificate).decode())
        async with serving(alertmanager, tmp_path, token="right", request_seconds=1.0, **files) as server:
            silent = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", server.port) for _number in range(20)))
            for _reader, writer in silent[:10]:
                writer.write(b"\x16\x03\x01")
            await asyncio.wait_for(asyncio.gather(*(reader.read() for reader, _writer in silent), return_exceptions=True), 20)
            for _reader, writer in silent:
                writer.transport.abort()
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=trusting, server_hostname="localhost")
            writer.write(head(len(ALERTS), bearer("right")).encode() + ALERTS)
            assert status_of(await asyncio.wait_for(reader.read(), 20)) == 200
            writer.transport.abort()
            await server.rules.expect(2)

    run(work())


def test_a_storm_of_forged_messages_holds_up_no_good_one(tmp_path, run):
    good = [body(message(), new_key("sns")) for _number in range(20)]

    async def work():
        async with topic(tmp_path) as (server, api):
            raging = asyncio.create_task(storm(server.port, [head(len(FORGED)).encode() + FORGED] * 2000))
            assert [await server.post(one) for one in good] == [200] * 20
            assert {status for status, _content in await raging} == {403}
            assert api.fetched == 1
            await server.rules.expect(20)

    run(work())


def test_the_folder_of_an_inbox_is_for_one_source(tmp_path, run):
    async def work():
        async with serving(sns, tmp_path, topics=["arn:aws:sns:us-east-1:123456789012:t"]):
            with pytest.raises(BlockingIOError, match="give each source a folder of its own"):
                given = {"port": 0, "topics": ["arn:aws:sns:us-east-1:123456789012:t"], "inbox": str(tmp_path / "inbox")}
                await sns.main(asyncio.Queue(), given)
            assert sorted(path.name for path in Path(tmp_path / "inbox").glob("*.lock")) == ["sns.lock"]

    run(work())
