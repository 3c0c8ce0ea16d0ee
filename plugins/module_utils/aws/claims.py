# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who handles what was told of an instance, so that it is handled once: an item of the environment's DynamoDB table.

One item has the instances of an environment in a region, so that a storm of hundreds is a read and a write. It is written
on the condition that nobody else wrote meanwhile (see `state`). A claim holds for `LEASE_SECONDS` and is renewed while its
controller works, so that what a killed one left is taken up.

Required IAM actions: ``dynamodb:BatchGetItem``, ``dynamodb:UpdateItem``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.aws import state
from ansible_collections.spot.platform.plugins.module_utils.aws.autoscaling import time_of
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors
from ansible_collections.spot.platform.plugins.module_utils.engine.interruptions import INTERRUPTION

ITEM = "/told"
"""The key of the item; no group of ours has such a name."""
LEASE_SECONDS = 30.0
KEPT_SECONDS = 900.0
"""How long it is known that an instance was handled: an interrupted one is long gone then."""
ATTEMPTS = 20

Entries = dict[str, list[Any]]
"""By instance: what it was told, who handles it, until when that holds, and whether it is done."""


@dataclass(frozen=True)
class Taken:
    """Of the instances asked for: ``mine`` are claimed now, ``done`` were handled, of ``busy`` another's claim holds until
    that time. ``now``: AWS's time, seconds since the epoch."""

    mine: frozenset[str] = frozenset()
    done: frozenset[str] = frozenset()
    busy: Mapping[str, float] = field(default_factory=dict)
    now: float = 0.0


class Claims:
    """The claims of one controller in an environment's table in a region."""

    def __init__(self, client: Any, environment: str, holder: str, act: bool) -> None:
        """``act`` false: check mode, nothing is written."""
        self._client = client
        self._table = state.table_of(environment)
        self._holder = holder
        self._act = act

    def take(self, told: Mapping[str, str]) -> Taken:
        """Claim instances, each with what it was told; an interruption comes before whatever else was handled. Raises
        `AwsError`, with the code ``state.NO_TABLE`` where there is no table."""

        def change(entries: Entries, now: float) -> Taken:
            mine, done, busy = set(), set(), {}
            for name, what in told.items():
                present, holder, until, finished = entries.get(name, (None, None, 0.0, False))
                if present not in (what, INTERRUPTION) or (not finished and (until <= now or holder == self._holder)):
                    mine.add(name)
                    entries[name] = [what, self._holder, round(now + LEASE_SECONDS), False]
                elif finished:
                    done.add(name)
                else:
                    busy[name] = until
            return Taken(frozenset(mine), frozenset(done), busy, now)

        return self._change(change)

    def renew(self, names: Collection[str]) -> None:
        """Hold on to them."""
        self._set(names, lambda entry, now: [*entry[:2], round(now + LEASE_SECONDS), False])

    def finish(self, names: Collection[str]) -> None:
        """They are handled."""
        self._set(names, lambda entry, now: [*entry[:2], round(now), True])

    def give_back(self, names: Collection[str]) -> None:
        """They could not be handled: whoever tries next may do so at once."""
        self._set(names, lambda entry, now: None)

    def _set(self, names: Collection[str], changed: Callable[[list[Any], float], list[Any] | None]) -> None:
        def change(entries: Entries, now: float) -> None:
            for name in names:
                if name in entries and entries[name][1] == self._holder:
                    entry = changed(entries.pop(name), now)
                    if entry is not None:
                        entries[name] = entry

        if names:
            self._change(change)

    def _change(self, change: Callable[[Entries, float], Any]) -> Any:
        """Read, change and write, until nobody wrote in between."""
        for attempt in range(ATTEMPTS):
            held, now = _read(self._client, self._table)
            entries = {name: entry for name, entry in _entries(held.memory).items() if now - entry[2] < KEPT_SECONDS}
            before = json.dumps(entries)
            answer = change(entries, now)
            text = json.dumps(entries)
            if not self._act or text == before:
                return answer
            if state.remember(self._client, self._table, held, text, now) is not None:
                return answer
            time.sleep(0.05 * (attempt + 1))
        raise AwsError(f"cannot claim instances in {self._table}: {ATTEMPTS} times others wrote at the same time; try again")


def _entries(text: str | None) -> Entries:
    try:
        return {name: [what, holder, float(until), done] for name, (what, holder, until, done) in json.loads(text or "").items()}
    except (ValueError, TypeError, AttributeError):
        return {}


@Errors.common_error_handler("read who handles which instance")
def _read(client: Any, table: str) -> tuple[state.State, float]:
    """BatchGetItem, consistent: the item, and AWS's time."""
    request = {table: {"Keys": [{"id": {"S": ITEM}}], "ConsistentRead": True}}
    while True:
        answer = client.batch_get_item(RequestItems=request)
        if not answer.get("UnprocessedKeys"):
            break
    found = [state.of_item(item) for item in answer["Responses"].get(table, ())]
    return (found[0] if found else state.State(ITEM)), time_of(answer).timestamp()
