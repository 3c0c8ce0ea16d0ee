# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sources share: an inbox with its dispatcher, and for those that listen a door."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.arguments import FEEDBACK
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.dispatch import (
    Dispatcher,
    Gathering,
    Queue,
    nothing,
)
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.door import Door, Handler, Limits, tls_of
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.envelope import (
    envelopes,
    now_text,
)
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.inbox import Arrival, Inbox

log = logging.getLogger("spot.platform.events")


class Source:
    """One source: what it receives goes through its inbox to the rules. ``options``: as `arguments.checked` gives them."""

    def __init__(
        self,
        name: str,
        queue: Queue,
        options: dict[str, Any],
        given: dict[str, Any],
        settle: Callable[[Sequence[str]], Awaitable[None]] = nothing,
    ) -> None:
        for key in ("window", "handle_seconds"):
            if not 0 <= options[key] < math.inf:
                raise ValueError(f"spot.platform.{name}: {key} is {options[key]}, not a number of seconds")
        for key in ("most", "attempts", "at_once"):
            if options[key] < 1:
                raise ValueError(f"spot.platform.{name}: {key} is {options[key]}, below 1")
        self.name, self.options = name, options
        self.inbox = Inbox(options["inbox"], name)
        self._settle = settle
        self.dispatcher = Dispatcher(
            self.inbox,
            queue,
            Gathering(
                window=options["window"],
                most=options["most"],
                done=options["acknowledge"],
                seconds=options["handle_seconds"],
                attempts=options["attempts"],
                at_once=options["at_once"],
            ),
            name,
            options["inbox"],
            settle,
            given.get(FEEDBACK),
        )

    async def receive(
        self, messages: Iterable[tuple[Any, str]], source: str, handles: Sequence[str | None] = (None,), again: Collection[str] = ()
    ) -> None:
        """Take in messages, each with its id, for events that have none, and its handle. When it returns, they are kept, or
        were known. ``source``: where they are from. ``again``: the handles of messages that were delivered before."""
        arrivals, settled = [], []
        for (message, name), handle in zip(messages, handles):
            told = envelopes(message, source, now_text(), self.options["environment"] or "", name)
            wanted = [one for one in told if any(fnmatchcase(one["kind"], kind) for kind in self.options["kinds"])]
            if not wanted and handle:
                settled.append(handle)
            arrivals += [Arrival(one, handle, handle in again) for one in wanted]
        settled += self.inbox.add(arrivals, time.time())
        if settled:
            await self._settle(settled)

    async def listen(self, handle: Handler) -> None:
        """Serve HTTP, and bring what comes to the rules, until it is cancelled."""
        options, door = self.options, None
        try:
            limits = Limits(options["body_limit"], options["rate_limit"], options["connection_limit"], options["request_seconds"])
            if not 0 <= options["port"] <= 65535:
                raise ValueError(f"spot.platform.{self.name}: port is {options['port']}, not from 0 to 65535")
            door = Door(self.name, handle, limits, self.inbox.waiting)
            await door.start(options["host"], options["port"], tls_of(options["certfile"], options["keyfile"]))
            log.info("spot.platform.%s listens on %s:%d", self.name, options["host"], door.port)
            await self.dispatcher.run()
        finally:
            if door:
                await door.close()
            self.close()

    def close(self) -> None:
        self.inbox.close()


async def idle(name: str, missing: str) -> None:
    """What a source does that is not wanted: nothing, until it is cancelled."""
    log.info("spot.platform.%s does nothing: no %s is given", name, missing)
    await asyncio.Event().wait()


async def together(*works: Awaitable[None]) -> None:
    """All of them, until one fails or it is cancelled; then none is left."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
