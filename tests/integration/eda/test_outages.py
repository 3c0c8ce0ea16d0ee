"""What the sources stand on fails for a while: senders are asked to come again, and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ansible_collections.spot.platform.extensions.eda.plugins.event_source import sns, sqs, webhook
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.source import Source
from ansible_collections.spot.platform.tests.unit.eda.signing import TOPIC, URL, Authority, body, message, new_key, pem

from .conftest import Mailbox
from .sources import Rules, Sns, running, serving, until
from .test_http import EVENTS, SECRET, stamped
from .test_sqs import empty, interruption, options

ROOT, KEY = Authority("root"), new_key("sns")


def topic(folder: Path, endpoint: str, **options: Any) -> Any:
    """The SNS source that asks ``endpoint``."""
    (folder / "ca.pem").write_bytes(pem(ROOT.certificate))
    return serving(sns, folder, topics=[TOPIC], ca_file=str(folder / "ca.pem"), endpoint_url=endpoint, **options)


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer nothing."""
    await reader.read(-1)
    writer.close()


@pytest.mark.parametrize("status, answer", [(500, 503), (503, 503), (429, 503), (404, 403), (302, 403)])
def test_sns_is_asked_to_come_again_while_its_certificate_cannot_be_had_and_not_where_there_is_none(tmp_path, status, answer):
    """SNS gives a message up that is answered with 4xx."""

    async def work():
        api = Sns(pem(ROOT.leaf(KEY)))
        async with api.at() as endpoint, topic(tmp_path, endpoint) as server:
            api.status, sent = status, body(message(), KEY)
            assert await server.post(sent) == answer
            assert (await server.health())["waiting"] == 0
            api.status = 200
            assert await server.post(sent) == 200
            await server.rules.expect(1)

    asyncio.run(work())


def test_sns_is_asked_to_come_again_while_nobody_is_at_the_address_of_its_certificate(tmp_path):
    async def work():
        async with topic(tmp_path, "http://127.0.0.1:9") as server:
            assert await server.post(body(message(), KEY)) == 503

    asyncio.run(work())


def test_a_certificate_that_comes_too_late_is_no_fault_of_the_sender_and_forged_ones_neither_let_in_nor_lose_anything(tmp_path):
    async def work():
        silent = await asyncio.start_server(silence, "127.0.0.1", 0)
        endpoint = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        async with topic(tmp_path, endpoint, request_seconds=1.0) as server:
            assert await server.post(body(message(), KEY)) == 503
            others = [URL.replace("0123456789abcdef0123456789abcdef", f"{number:032x}") for number in range(20)]
            forged = [asyncio.create_task(server.post(body(message(SigningCertURL=url), KEY))) for url in others]
            await asyncio.sleep(0.2)
            assert await server.post(body(message(), KEY)) == 503
            assert set(await asyncio.gather(*forged)) == {503}
            assert (await server.health())["waiting"] == 0
        silent.close()

    asyncio.run(work())


def test_a_request_that_takes_too_long_to_handle_may_come_again_and_one_that_takes_too_long_to_send_is_refused(tmp_path, monkeypatch):
    receive, slow = Source.receive, True

    async def stuck(*arguments: Any, **more: Any) -> None:
        if slow:
            await asyncio.sleep(30)
        await receive(*arguments, **more)

    monkeypatch.setattr(Source, "receive", stuck)

    async def work():
        nonlocal slow
        async with serving(webhook, tmp_path, secret=SECRET, request_seconds=0.5) as server:
            headers = stamped(EVENTS)
            assert await server.post(EVENTS, headers) == 503
            assert (await server.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"))[0] == 408
            slow = False
            assert await server.post(EVENTS, headers) == 200
            await server.rules.expect(1)

    asyncio.run(work())


STRANGE_ANSWERS = {
    "a page": (200, "text/html", b"<html>log in</html>"),
    "an object without what was asked": (200, "application/x-amz-json-1.0", b"{}"),
    "an array": (200, "application/x-amz-json-1.0", b"[]"),
    "no text": (200, "text/html", b"\xff\xfe\x00"),
    "an error that is a page": (400, "text/html", b"<html>"),
    "a redirect": (302, "text/html", b""),
}


@pytest.mark.parametrize("name", STRANGE_ANSWERS)
def test_what_answers_in_the_place_of_sqs_ends_nothing_and_loses_nothing(fresh, tmp_path, caplog, name):
    """Such as the page of a proxy, at the start, and when messages are to be deleted."""
    box, there, broken = Mailbox(fresh, "us-east-1"), urlsplit(fresh.url), True
    asked = 0
    status, kind, content = STRANGE_ANSWERS[name]
    box.send(interruption(1))

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        if broken:
            head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + content)
            await writer.drain()
        else:
            other, sink = await asyncio.open_connection(there.hostname, there.port)
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            sink.write(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + await reader.readexactly(length))
            writer.write(await other.read())
            sink.close()
        writer.close()

    async def work():
        nonlocal broken, asked
        server = await asyncio.start_server(proxy, "127.0.0.1", 0)
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        rules = Rules()
        async with running(sqs, rules, **{**options(fresh, box, inbox=str(tmp_path / "inbox")), "endpoint_url": endpoint}):
            await until(lambda: "tried again in" in caplog.text, "it says that it cannot receive", 20)
            assert rules.take() == []
            broken = False
            await until(rules.take, "the event comes", 20)
            broken = True
            Path(rules.batches[0]["receipt"]).unlink()
            await until(lambda: "cannot be deleted" in caplog.text, "it says that it cannot delete", 20)
            asked = 0
            await asyncio.sleep(2)
            assert asked < 40, f"it asked {asked} times in two seconds"
            broken = False
            await asyncio.to_thread(fresh.post, "/sandbox/clock", advance=11)
            await empty(box)
            assert rules.take() == []
        server.close()

    with caplog.at_level("WARNING"):
        asyncio.run(work())


def test_a_clock_that_is_set_back_holds_no_event_up(tmp_path, monkeypatch):
    """As when a machine starts with a wrong clock, and learns the time."""
    ahead = 3000.0
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + ahead)

    async def work():
        nonlocal ahead
        async with serving(webhook, tmp_path, secret=SECRET, window=0.5) as server:
            assert await server.post(EVENTS, stamped(EVENTS)) == 200
            ahead = 0.0
            await server.rules.expect(1, 5)

    asyncio.run(work())
