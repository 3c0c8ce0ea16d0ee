"""Batches leave the inbox for the rules, and are done when their receipt is removed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.dispatch import Dispatcher, Gathering
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.envelope import EMPTY
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.inbox import Arrival, Inbox


def event(name, kind="instance.state"):
    return {**EMPTY, "id": name, "kind": kind, "ids": [], "received_at": "", "source": "x"}


class Desk:
    """A dispatcher with all around it."""

    def __init__(self, folder=None, feedback=None, **gathering):
        rules = {"window": 0, "most": 10, "done": "handled", "seconds": 3600, "attempts": 2, "at_once": 2, **gathering}
        self.inbox, self.queue, self.settled = Inbox(folder and str(folder), "x"), asyncio.Queue(), []
        self.dispatcher = Dispatcher(
            self.inbox, self.queue, Gathering(**rules), "x", folder and str(folder), self.settle, feedback
        )

    async def settle(self, handles):
        self.settled += handles

    def add(self, *names, kind="instance.state"):
        self.inbox.add([Arrival(event(name, kind), f"h {name}") for name in names], 0)

    def offered(self):
        return [self.queue.get_nowait() for _number in range(self.queue.qsize())]


@pytest.fixture
def run(tmp_path):
    """``run(work, **gathering)``: what ``work(desk)`` does."""

    def do(work, **more):
        async def within():
            desk = Desk(tmp_path / "inbox", **more)
            try:
                return await work(desk)
            finally:
                desk.inbox.close()

        return asyncio.run(within())

    return do


def test_a_batch_is_done_when_its_receipt_is_removed(run):
    async def work(desk):
        desk.add("a", "b")
        await desk.dispatcher.look()
        (told,) = desk.offered()
        receipt = Path(told["receipt"])
        assert json.loads(receipt.read_text(encoding="utf-8")) == told
        assert receipt.stat().st_mode & 0o777 == 0o600 and receipt.parent.stat().st_mode & 0o777 == 0o700
        await desk.dispatcher.look()
        assert (desk.settled, desk.inbox.waiting()) == ([], 2)
        receipt.unlink()
        await desk.dispatcher.look()
        assert (sorted(desk.settled), desk.inbox.waiting(), desk.offered()) == (["h a", "h b"], 0, [])

    run(work)


def test_a_batch_whose_receipt_stays_is_offered_again_and_then_dead_and_that_is_told_once(run):
    async def work(desk):
        desk.add("a")
        told = []
        for _number in range(12):
            await desk.dispatcher.look()
            told += desk.offered()
        attempts = [one["attempt"] for one in told if one["kind"] == "instance.state"]
        dead = [one for one in told if one["kind"] == "event.dead"]
        assert attempts == [1, 2]
        assert len(dead) == 2 and len({one["events"][0]["id"] for one in dead}) == 1  # offered twice itself, as nobody took it
        assert dead[0]["events"][0]["after"]["events"][0]["id"] == "a"
        assert (desk.settled, sorted(one["kind"] for one in desk.inbox.dead())) == ([], ["event.dead", "instance.state"])
        assert list(desk.dispatcher.receipts.iterdir()) == []

    run(work, seconds=0)


def test_a_receipt_that_is_removed_too_late_finishes_nothing(run):
    async def work(desk):
        desk.add("a")
        await desk.dispatcher.look()
        (told,) = desk.offered()
        await desk.dispatcher.look()
        assert not Path(told["receipt"]).exists()
        (again,) = desk.offered()
        assert again["batch"] != told["batch"]
        assert desk.inbox.waiting() == 1 and desk.settled == []

    run(work, seconds=0, attempts=9)


def test_no_more_batches_are_out_at_once_than_may_be(run):
    async def work(desk):
        for kind in "abcd":
            desk.add(kind, kind=f"k.{kind}")
        await desk.dispatcher.look()
        out = desk.offered()
        assert len(out) == 2
        await desk.dispatcher.look()
        assert desk.offered() == []
        Path(out[0]["receipt"]).unlink()
        await desk.dispatcher.look()
        assert len(desk.offered()) == 1

    run(work)


def test_a_notice_waits_for_no_slot_that_other_kinds_hold(run):
    async def work(desk):
        for kind in "abcd":
            desk.add(kind, kind=f"k.{kind}")
        await desk.dispatcher.look()
        assert len(desk.offered()) == 2
        for name in "abc":
            desk.add(f"n{name}", kind="spot.interruption")
        for _number in range(3):  # of one app and region a batch leaves at a time
            await desk.dispatcher.look()
        assert [one["kind"] for one in desk.offered()] == ["spot.interruption"] * 2

    run(work, most=1)


def test_a_batch_that_only_needs_to_be_taken_is_done_at_once(run):
    async def work(desk):
        desk.add("a")
        await desk.dispatcher.look()
        (told,) = desk.offered()
        assert (desk.settled, desk.inbox.waiting(), Path(told["receipt"]).exists()) == (["h a"], 0, False)

    run(work, done="taken")


def test_a_batch_is_taken_when_the_rules_say_so(run):
    feedback: asyncio.Queue = asyncio.Queue(1)

    async def work(desk):
        desk.add("a")
        look = asyncio.create_task(desk.dispatcher.look())
        told = await desk.queue.get()
        await asyncio.sleep(0.05)
        assert (desk.settled, look.done()) == ([], False)
        await feedback.put({"batch": "of one before"})
        await feedback.put(told)
        await look
        assert desk.settled == ["h a"]

    run(work, done="taken", feedback=feedback)


def test_rules_that_say_nothing_hold_nothing_up_and_the_batch_is_offered_again(run):
    async def work(desk):
        desk.add("a")
        await asyncio.wait_for(desk.dispatcher.look(), 5)
        await asyncio.wait_for(desk.dispatcher.look(), 5)
        assert [one["attempt"] for one in desk.offered()] == [1, 2]
        assert desk.settled == []

    run(work, done="taken", feedback=asyncio.Queue(1), seconds=0.05)


def test_a_receipt_keeps_letters_of_all_scripts(run):
    async def work(desk):
        desk.inbox.add([Arrival({**event("a"), "summary": "é \U0001f600"})], 0)
        await desk.dispatcher.look()
        (told,) = desk.offered()
        assert json.loads(Path(told["receipt"]).read_text(encoding="utf-8"))["events"][0]["summary"] == "é \U0001f600"

    run(work)


@pytest.mark.parametrize("handled", [True, False])
def test_what_was_handled_while_no_listener_was_there_is_done_and_what_was_not_is_offered_again(tmp_path, handled):
    async def work():
        killed = Desk(tmp_path)
        killed.add("a")
        await killed.dispatcher.look()
        (told,) = killed.offered()
        killed.inbox.close()
        if handled:
            Path(told["receipt"]).unlink()
        desk = Desk(tmp_path)
        await desk.dispatcher.look()
        assert desk.settled == (["h a"] if handled else [])
        assert [one["attempt"] for one in desk.offered()] == ([] if handled else [2])
        assert not Path(told["receipt"]).exists()
        desk.inbox.close()

    asyncio.run(work())


def test_what_was_taken_but_not_offered_when_the_listener_was_killed_is_offered(tmp_path):
    async def work():
        killed = Desk(tmp_path)
        killed.add("a")
        killed.inbox.take(1, 0, 10, 10)
        killed.inbox.close()
        desk = Desk(tmp_path)
        await desk.dispatcher.look()
        assert len(desk.offered()) == 1 and desk.settled == []
        desk.inbox.close()

    asyncio.run(work())


def test_what_a_killed_listener_left_is_cleared_and_what_is_others_is_not(tmp_path):
    receipts = tmp_path / "receipts"
    receipts.mkdir()
    for name in ("x-1.json", "x-2-abc.part", "y-1.json"):
        (receipts / name).touch()
    desk = Desk(tmp_path)
    assert [path.name for path in receipts.iterdir()] == ["y-1.json"]
    desk.inbox.close()


def test_without_a_folder_receipts_are_where_nobody_else_sees_them_and_go_with_the_dispatcher():
    async def work():
        desk = Desk()
        desk.add("a")
        running = asyncio.create_task(desk.dispatcher.run())
        told = await asyncio.wait_for(desk.queue.get(), 10)
        folder = Path(told["receipt"]).parent
        assert Path(told["receipt"]).exists() and folder.stat().st_mode & 0o777 == 0o700
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert not folder.exists()
        desk.inbox.close()

    asyncio.run(work())


def test_a_recommendation_is_settled_when_the_notice_is_there():
    async def work():
        desk = Desk(most=1, at_once=1)
        ids = {"ids": ["i-12345678"]}
        desk.inbox.add([Arrival({**event("r", "spot.rebalance"), **ids}, "h r")], 0)
        desk.inbox.add([Arrival({**event("n", "spot.interruption"), **ids}, "h n")], 0)
        await desk.dispatcher.look()
        assert [one["kind"] for one in desk.offered()] == ["spot.interruption"]
        assert desk.settled == ["h r"]
        desk.inbox.close()

    asyncio.run(work())
