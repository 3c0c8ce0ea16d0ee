"""The SQS source against the sandbox: nothing is lost, and nothing comes twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ansible_collections.spot.platform.extensions.eda.plugins.event_source import sqs

from .conftest import ROOT, Mailbox, free_port
from .sources import Rules, quiet, running, until

FIXTURES = Path(__file__).parent / "fixtures"
INTERRUPTION = json.loads((FIXTURES / "aws" / "spot_interruption.json").read_text(encoding="utf-8"))


def interruption(number: int, region: str = "us-east-1") -> dict[str, Any]:
    """The notice for another instance."""
    name = f"i-{number:017x}"
    return {
        **INTERRUPTION,
        "id": f"notice-{number}",
        "region": region,
        "detail": {"instance-id": name, "instance-action": "terminate"},
    }


def options(sandbox: Any, *mailboxes: Mailbox, **more: Any) -> dict[str, Any]:
    keys = {"access_key": sandbox.env["AWS_ACCESS_KEY_ID"], "secret_key": sandbox.env["AWS_SECRET_ACCESS_KEY"]}
    queues = [one.as_variable for one in mailboxes]
    return {"queues": queues, "endpoint_url": sandbox.url, **keys, "wait": 1, "visibility": 10, "window": 0.3, **more}


@pytest.fixture
def run(caplog: pytest.LogCaptureFixture) -> Any:
    def do(work: Any) -> None:
        async def within() -> None:
            with quiet(caplog):
                await work

        asyncio.run(within())

    return do


async def left(mailbox: Mailbox, url: str | None = None) -> int:
    return await asyncio.to_thread(mailbox.left, url)


async def empty(*mailboxes: Mailbox, seconds: float = 30) -> None:
    """Wait until nothing is left in the queues."""
    end = time.monotonic() + seconds
    while counts := [count for one in mailboxes if (count := await left(one))]:
        assert time.monotonic() < end, f"{counts} messages are left"
        await asyncio.sleep(0.2)


def test_events_of_two_regions_are_batches_and_deleted_only_when_they_were_handled(fresh, tmp_path, run):
    one, other = Mailbox(fresh, "us-east-1"), Mailbox(fresh, "eu-west-1")
    one.send(*(interruption(number) for number in range(30)), *(interruption(number) for number in range(30)))
    other.send(*(interruption(number, "eu-west-1") for number in range(100, 120)))

    async def work():
        rules = Rules()
        async with running(sqs, rules, **options(fresh, one, other, inbox=str(tmp_path / "inbox"), most=50)):
            await until(lambda: rules.take() is not None and len(rules.events) >= 50, "all come")
            assert {batch["region"] for batch in rules.batches} == {"us-east-1", "eu-west-1"}
            assert len(rules.batches) < 20
            await asyncio.sleep(0.5)
            assert (await left(one), await left(other)) == (60, 20)
            for batch in rules.batches:
                Path(batch["receipt"]).unlink()
            await empty(one, other)
            rules.handle()
            assert Counter(event["id"] for event in rules.events) == {
                f"notice-{number}": 1 for number in (*range(30), *range(100, 120))
            }
            assert {event["source"] for event in rules.events} == {f"sqs {box.region} {box.name}" for box in (one, other)}
        assert await left(one, one.dead) == 0

    run(work())


def test_a_message_is_hidden_for_as_long_as_it_is_being_handled(fresh, tmp_path, run):
    box = Mailbox(fresh, "us-east-1", receives=1)  # received twice, it would be dead
    box.send(interruption(1))

    async def work():
        rules = Rules()
        async with running(sqs, rules, **options(fresh, box, inbox=str(tmp_path / "inbox"))):
            await until(rules.take, "it comes")
            await asyncio.sleep(15)
            assert (rules.take(), await left(box), await left(box, box.dead)) == ([], 1, 0)
            Path(rules.batches[0]["receipt"]).unlink()
            await empty(box)
        assert await left(box, box.dead) == 0

    run(work())


def test_what_nobody_can_handle_comes_to_the_dead_letters_of_its_queue(fresh, tmp_path, caplog):
    box = Mailbox(fresh, "us-east-1", receives=2)
    box.send(interruption(1), interruption(2))

    async def work():
        rules = Rules()
        given = options(fresh, box, inbox=str(tmp_path / "inbox"), handle_seconds=0.5, attempts=2, kinds=["spot.*", "event.*"])
        async with running(sqs, rules, **given):
            await until(
                lambda: rules.take() is not None and any(one["kind"] == "event.dead" for one in rules.batches), "they are dead"
            )
            assert [one["attempt"] for one in rules.batches if one["kind"] != "event.dead"] == [1, 2]
            told = next(one for one in rules.batches if one["kind"] == "event.dead")
            assert sorted(told["ids"]) == [f"i-{number:017x}" for number in (1, 2)]
            Path(told["receipt"]).unlink(missing_ok=True)
            end = time.monotonic() + 30
            while await left(box, box.dead) < 2:
                assert time.monotonic() < end, f"{await left(box)} messages are in the queue yet"
                await asyncio.to_thread(fresh.post, "/sandbox/clock", advance=11)
                await asyncio.sleep(0.5)
            rules.take()
            assert sum(one["kind"] == "spot.interruption" for one in rules.batches) == 2

            box.redrive()
            end = time.monotonic() + 30
            while await left(box):
                assert time.monotonic() < end, "what was moved back is not offered"
                rules.handle()
                await asyncio.sleep(0.1)
            assert sum(one["kind"] == "spot.interruption" for one in rules.batches) > 2
        assert (await left(box), await left(box, box.dead)) == (0, 0)

    asyncio.run(work())
    assert "2 events of kind spot.interruption were not handled in 2 attempts" in caplog.text


def test_a_message_with_several_events_goes_with_the_last_of_them(fresh, tmp_path, run):
    box = Mailbox(fresh, "us-east-1")
    box.send({"events": [{"kind": "a.one", "id": "1"}, {"kind": "b.two", "id": "2"}, {"kind": "c.three", "id": "3"}]})

    async def work():
        rules = Rules()
        async with running(sqs, rules, **options(fresh, box, inbox=str(tmp_path / "inbox"))):
            await until(lambda: rules.take() is not None and len(rules.batches) == 3, "all come")
            for number, batch in enumerate(rules.batches):
                assert await left(box) == 1, f"it is gone after {number} of 3"
                Path(batch["receipt"]).unlink()
                await asyncio.sleep(0.5)
            await empty(box)

    run(work())


def test_poison_ends_nothing(fresh, tmp_path, run):
    box = Mailbox(fresh, "us-east-1")
    poison = ['{"kind": "a.b", "id": "\\ud800", "region": "\\udfff"}', "[" * 20_000,
              '{"a":' * 20_000 + "1" + "}" * 20_000, '{"kind":"a.b","after":' + "[" * 800 + "]" * 800 + "}",
              '{"kind": "a.b", "after": [NaN, 1e999]}', "x", "{{ x }}", "null", '{"alerts": []}', '{"Type": "Notification", "Message": "{}"}']  # fmt: skip
    box.send(*poison, interruption(1))

    async def work():
        rules = Rules()
        async with running(sqs, rules, **options(fresh, box, inbox=str(tmp_path / "inbox"))):
            await rules.expect(len(poison))  # all but the one without an alert
            json.dumps(rules.events, allow_nan=False).encode()
            await empty(box)
        assert await left(box, box.dead) == 0

    run(work())


@pytest.mark.parametrize("kind", ["error", "denied", "throttle"])
def test_a_queue_that_fails_for_a_while_is_asked_again_and_nothing_is_lost(fresh, tmp_path, caplog, kind):
    box = Mailbox(fresh, "us-east-1")
    numbers = range(40)

    async def work():
        rules = Rules()
        async with running(sqs, rules, **options(fresh, box, inbox=str(tmp_path / "inbox"))):
            await asyncio.to_thread(box.send, *(interruption(number) for number in numbers[:20]))
            await until(lambda: rules.take() is not None and len(rules.events) == 20, "the first come")
            await asyncio.to_thread(
                fresh.post, "/sandbox/faults", rules=[{"kind": kind, "service": "sqs", "operation": name} for name in OPERATIONS]
            )
            for batch in rules.batches:
                Path(batch["receipt"]).unlink(missing_ok=True)
            await asyncio.to_thread(box.send, *(interruption(number) for number in numbers[20:]))
            await asyncio.sleep(4)
            await asyncio.to_thread(fresh.post, "/sandbox/faults", rules=[])

            def all_there() -> bool:
                rules.handle()
                return len(rules.events) >= 40

            await until(all_there, "the others come", 60)
            await asyncio.to_thread(fresh.post, "/sandbox/clock", advance=11)  # what could not be deleted comes again
            await empty(box, seconds=60)
            rules.handle()
            assert Counter(event["id"] for event in rules.events) == {f"notice-{number}": 1 for number in numbers}

    asyncio.run(work())
    assert "tried again in" in caplog.text


OPERATIONS = ("ReceiveMessage", "DeleteMessageBatch", "ChangeMessageVisibilityBatch", "GetQueueUrl")


def test_a_source_may_start_before_its_queue_can_be_reached(fresh, tmp_path, caplog):
    box, port = Mailbox(fresh, "us-east-1"), free_port()
    box.send(interruption(1))
    there = urlsplit(fresh.url)

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection(there.hostname, there.port)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while part := await source.read(65536):
                sink.write(part)
            sink.close()

        await asyncio.gather(pump(reader, other_writer), pump(other_reader, writer))

    async def work():
        rules = Rules()
        given = {**options(fresh, box, inbox=str(tmp_path / "inbox")), "endpoint_url": f"http://127.0.0.1:{port}"}
        async with running(sqs, rules, **given):
            await until(lambda: "tried again in" in caplog.text, "it says that it cannot reach it")
            assert rules.take() == []
            server = await asyncio.start_server(forward, "127.0.0.1", port)
            await rules.expect(1, 60)
            await empty(box)
            server.close()

    with caplog.at_level("WARNING"):
        asyncio.run(work())


def test_an_inbox_may_hold_messages_of_a_queue_that_is_no_longer_asked(fresh, tmp_path, run):
    old, new = Mailbox(fresh, "us-east-1"), Mailbox(fresh, "eu-west-1", "other")
    old.send(interruption(1))

    async def work():
        rules = Rules()
        async with running(sqs, rules, **options(fresh, new, old, inbox=str(tmp_path / "inbox"))):
            await until(rules.take, "it comes")
        new.send(interruption(2))
        after = Rules()
        async with running(sqs, after, **options(fresh, new, inbox=str(tmp_path / "inbox"))):
            await asyncio.sleep(4)  # it is prolonged, or would be
            await after.expect(2)
            await empty(new)

    run(work())


def test_two_sources_on_one_queue_share_its_messages(fresh, tmp_path, run):
    box = Mailbox(fresh, "us-east-1")
    box.send(*(interruption(number) for number in range(300)))

    async def work():
        rules = [Rules(), Rules()]
        given = [options(fresh, box, inbox=str(tmp_path / f"inbox-{number}")) for number in range(2)]
        async with running(sqs, rules[0], **given[0]), running(sqs, rules[1], **given[1]):

            def all_there() -> bool:
                for one in rules:
                    one.handle()
                return sum(len(one.events) for one in rules) >= 300

            await until(all_there, "all come", 60)
            await empty(box)
            for one in rules:
                one.handle()
            assert Counter(event["id"] for one in rules for event in one.events) == {
                f"notice-{number}": 1 for number in range(300)
            }
        assert await left(box, box.dead) == 0

    run(work())


@contextmanager
def child(arguments: dict[str, Any]) -> Iterator[subprocess.Popen[bytes]]:
    """The source in a process of its own, killed on the spot in the end."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("child.py")), "sqs", json.dumps(arguments)],
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
            "PYTHONPATH": str(ROOT / ".collections"),
        },
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


def test_two_thousand_messages_and_a_source_that_is_killed_again_and_again(fresh, tmp_path):
    box, count, dice = Mailbox(fresh, "us-east-1", receives=1000), 2000, random.Random(2)
    arguments = options(fresh, box, inbox=str(tmp_path / "inbox"), most=40, window=0.1, at_once=4)
    handled: Counter[str] = Counter()
    begun, kills = time.monotonic(), 0
    box.send(*(interruption(number) for number in range(count)))
    while sum(handled.values()) < count:
        assert time.monotonic() - begun < 120, f"{len(handled)} of {count} were handled"
        with child(arguments) as process:
            batches, buffer = dice.randint(4, 14), b""
            until_then = time.monotonic() + 20
            while batches and sum(handled.values()) < count and time.monotonic() < until_then:
                if not select.select([process.stdout], [], [], 0.2)[0]:
                    continue
                buffer += os.read(process.stdout.fileno(), 1 << 16)
                *lines, buffer = buffer.split(b"\n")
                for line in lines[:batches]:
                    batch = json.loads(line)
                    handled.update(event["id"] for event in batch["events"])
                    Path(batch["receipt"]).unlink()
                batches -= len(lines[:batches])
        kills += 1
        fresh.post("/sandbox/clock", advance=11)  # what it had received and not kept may be received again
    assert handled == {f"notice-{number}": 1 for number in range(count)}
    assert kills >= 3

    async def rest() -> None:
        rules = Rules()
        async with running(sqs, rules, **arguments):
            await asyncio.to_thread(fresh.post, "/sandbox/clock", advance=11)
            await empty(box, seconds=60)
            assert rules.take() == []

    asyncio.run(rest())
    assert box.left(box.dead) == 0
