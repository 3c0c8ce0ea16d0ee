# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the autoscaler keeps between steps, and the lease by which one controller acts at a time: a DynamoDB table.

An environment has one table in each region of its own, so that no region depends on another. An item is a group:
``memory`` is what was learned of its pools, ``version`` rises with every write. Whoever wants to act writes its name and
the end of its lease, on the condition that the version is the one that its observation was made with and that nobody
else's lease holds: a controller that looked before another one acted cannot act on what it saw.

Required IAM actions: ``dynamodb:BatchGetItem``, ``dynamodb:UpdateItem``, on the table alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.aws.clients import chunks, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors

KEYS = 100
"""BatchGetItem takes at most this many."""
LOST_RACE = "ConditionalCheckFailedException"
NO_TABLE = "ResourceNotFoundException"


@dataclass(frozen=True)
class State:
    """An item as it was read; version 0: there is none yet. ``holder`` acts until ``until``, seconds since the epoch."""

    id: str
    version: int = 0
    memory: str | None = None
    holder: str | None = None
    until: float = 0.0


def table_of(environment: str) -> str:
    """The name of an environment's table."""
    return f"spot-platform-{environment}"


def read(client: Any, table: str, ids: Iterable[str]) -> dict[str, State]:
    """The state of each of ``ids``. Raises `AwsError`, with the code `NO_TABLE` where there is no such table."""
    wanted = sorted(set(ids))
    parts = side_by_side(lambda part: batch_get_item(client, table, part), chunks(wanted, KEYS))
    found = {state.id: state for part in parts for state in map(of_item, part)}
    return {one: found.get(one, State(one)) for one in wanted}


def of_item(item: Mapping[str, Any]) -> State:
    return State(
        item["id"]["S"],
        int(item["version"]["N"]),
        item.get("memory", {}).get("S"),
        item.get("holder", {}).get("S"),
        float(item.get("until", {}).get("N", 0)),
    )


@Errors.common_error_handler("read the autoscaler's state")
def batch_get_item(client: Any, table: str, ids: Iterable[str]) -> list[dict[str, Any]]:
    """BatchGetItem, consistent, until every key is answered."""
    found: list[dict[str, Any]] = []
    keys = [{"id": {"S": one}} for one in ids]
    while keys:
        answer = client.batch_get_item(RequestItems={table: {"Keys": keys, "ConsistentRead": True}})
        found += answer["Responses"].get(table, ())
        keys = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
    return found


def acquire(client: Any, table: str, state: State, holder: str, now: float, seconds: float) -> State | None:
    """The state with the lease of ``holder`` for ``seconds``; ``None`` where another controller was faster, or acts."""
    taken = State(state.id, state.version + 1, state.memory, holder, now + seconds)
    return taken if _write(client, table, taken, state.version, now) else None


def release(client: Any, table: str, held: State, memory: str | None, now: float) -> State | None:
    """Write ``memory`` and end the lease ``held``; ``None`` where it had run out and another controller took it."""
    done = State(held.id, held.version + 1, memory)
    return done if _write(client, table, done, held.version, now) else None


def remember(client: Any, table: str, state: State, memory: str, now: float) -> State | None:
    """Write ``memory`` without a lease; ``None`` where another controller has written, or acts."""
    done = State(state.id, state.version + 1, memory)
    return done if _write(client, table, done, state.version, now, free=True) else None


def _write(client: Any, table: str, state: State, version: int, now: float, free: bool = False) -> bool:
    try:
        update_item(client, table, state, version, now, free or state.holder is not None)
    except AwsError as error:
        if error.code != LOST_RACE:
            raise
        # A call whose answer was lost is repeated by botocore, and fails on what it wrote itself.
        return read(client, table, [state.id])[state.id] == replace(state, until=float(f"{state.until:.0f}"))
    return True


@Errors.common_error_handler("write the autoscaler's state")
def update_item(client: Any, table: str, state: State, version: int, now: float, free: bool) -> None:
    """UpdateItem, if the item is still of ``version`` and, with ``free``, nobody's lease holds at ``now``.

    Raises `AwsError` with the code `LOST_RACE` where it is not.
    """
    values = {
        ":version": {"N": str(state.version)},
        ":seen": {"N": str(version)},
        ":until": {"N": f"{state.until:.0f}"},
    }
    sets = ["version = :version", "#until = :until"]
    removes = []
    for name, value in (("memory", state.memory), ("holder", state.holder)):
        if value is None:
            removes.append(f"#{name}")
        else:
            values[f":{name}"] = {"S": value}
            sets.append(f"#{name} = :{name}")
    condition = "version = :seen" if version else "attribute_not_exists(version)"
    if free and version:
        condition += " AND #until <= :now"
        values[":now"] = {"N": f"{now:.0f}"}
    if not version:
        del values[":seen"]
    client.update_item(
        TableName=table,
        Key={"id": {"S": state.id}},
        UpdateExpression=f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(removes)}" if removes else ""),
        ConditionExpression=condition,
        ExpressionAttributeNames={"#until": "until", "#memory": "memory", "#holder": "holder"},
        ExpressionAttributeValues=values,
    )
