# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the inbox to the rules: batches leave when they may, and are done when the playbook removed their receipt."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.envelope import EMPTY, NOTICE, now_text
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.inbox import Arrival, Batch, Inbox

log = logging.getLogger("spot.platform.events")

LOOK_SECONDS = 0.1
"""How often the inbox and the receipts are looked at."""
HANDLED, TAKEN = "handled", "taken"


class Queue(Protocol):
    """Where ansible-rulebook takes events from."""

    async def put(self, event: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Gathering:
    """How events become batches, and when a batch is done.

    ``window``: seconds that the first event waits for others. ``most``: events of a batch. ``done``: ``handled``, when the playbook
    removed the receipt, or ``taken``, when the rules have it. ``seconds``: after which a batch is offered again, ``attempts``
    times in all. ``at_once``: batches that are being handled at most, of interruption notices and of all other kinds each.
    """

    window: float
    most: int
    done: str
    seconds: float
    attempts: int
    at_once: int


async def nothing(_handles: Sequence[str]) -> None:
    """For sources that tell nobody that events were handled."""


class Dispatcher:
    """Brings what the inbox has to the rules of one source. ``settle`` is told the handles of what is done."""

    def __init__(
        self,
        inbox: Inbox,
        queue: Queue,
        gathering: Gathering,
        source: str,
        folder: str | None,
        settle: Callable[[Sequence[str]], Awaitable[None]] = nothing,
        feedback: asyncio.Queue[Any] | None = None,
    ) -> None:
        self.inbox, self.queue, self.gathering, self.source = inbox, queue, gathering, source
        self._settle, self._feedback = settle, feedback
        self._made = None if folder else tempfile.TemporaryDirectory(prefix="spot-receipts-")
        self.receipts = Path(self._made.name if self._made else f"{folder}/receipts")
        self.receipts.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._out: dict[str, tuple[Batch, Path, float]] = {}
        # of a listener that was killed: a batch whose receipt is gone was handled meanwhile, what else was offered waits again
        self._handled = [name for name in inbox.offered() if not self._receipt(name).exists()]
        for name in inbox.offered():
            if name not in self._handled:
                inbox.release(name)
        for left in self.receipts.glob(f"{source}-*.*"):
            left.unlink()

    def _receipt(self, name: str) -> Path:
        return self.receipts / f"{self.source}-{name}.json"

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            if self._made:
                self._made.cleanup()

    async def look(self) -> None:
        """Offer what may leave, and see to what was offered."""
        while self._handled:
            await self._finish(self._handled.pop())
        await self._see_to_receipts()
        settled = self.inbox.settle_hints(time.time())
        if settled:
            await self._settle(settled)
        for notices in (True, False):  # which have two minutes, and wait for no playbook that hangs over something else
            free = self.gathering.at_once - sum((batch.kind == NOTICE) is notices for batch, _receipt, _until in self._out.values())
            if free > 0:
                for batch in self.inbox.take(time.time(), self.gathering.window, self.gathering.most, free, notices):
                    await self._offer(batch)

    async def _offer(self, batch: Batch) -> None:
        receipt = self._receipt(batch.id)
        await asyncio.to_thread(_write, receipt, batch.as_event(str(receipt)))
        self.inbox.offer(batch.id)
        self._out[batch.id] = (batch, receipt, time.monotonic() + self.gathering.seconds)
        await self.queue.put(batch.as_event(str(receipt)))
        log.info("%s: %d events of kind %s, attempt %d", self.source, len(batch.events), batch.kind, batch.attempt)
        if self.gathering.done == TAKEN:
            if self._feedback is None or await self._taken(batch.id):
                receipt.unlink(missing_ok=True)
                await self._see_to_receipts()

    async def _taken(self, name: str) -> bool:
        """Whether the rules say in time that they have the batch. They say nothing where they failed on it."""
        try:
            async with asyncio.timeout(self.gathering.seconds):
                while (await self._feedback.get()).get("batch") != name:
                    pass  # of one that was given back meanwhile
        except TimeoutError:
            return False
        return True

    async def _see_to_receipts(self) -> None:
        for name, (batch, receipt, until) in list(self._out.items()):
            if not receipt.exists():
                del self._out[name]
                await self._finish(name)
            elif time.monotonic() >= until:
                del self._out[name]
                receipt.unlink(missing_ok=True)
                await self._give_back(batch)

    async def _finish(self, name: str) -> None:
        handles = self.inbox.finish(name, time.time())
        if handles:
            await self._settle(handles)

    async def _give_back(self, batch: Batch) -> None:
        dead = self.inbox.give_back(batch.id, time.time(), self.gathering.attempts)
        if not dead:
            log.warning("%s: %d events of kind %s were not handled, and are offered again", self.source, len(batch.events), batch.kind)
            return
        words = f"{len(dead)} events of kind {batch.kind} were not handled in {self.gathering.attempts} attempts"
        log.error("%s: %s", self.source, words)
        ids = list(dict.fromkeys(one for event in dead for one in event["ids"]))
        if batch.kind != "event.dead":  # of which no other is made
            told = {"id": f"dead/{batch.id}", "kind": "event.dead", "app": batch.app, "region": batch.region, "summary": words}
            told |= {"ids": ids, "time": now_text(), "received_at": now_text(), "source": self.source, "after": {"events": dead}}
            self.inbox.add([Arrival({**EMPTY, **told})], time.time())


def _write(path: Path, event: dict[str, Any]) -> None:
    """All of it or nothing, for a person who looks."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}-", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(event, file, ensure_ascii=False)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
