"""What happened since the start: the life and the price of each instance, and what of each group was in service when."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from spot_sandbox import clock, market
from spot_sandbox.services.autoscaling.state import GROUPS
from spot_sandbox.services.instances import records

HOUR = 3600.0
TARGET = "spot.platform/target"
TAGS_OF_GROUP = ("aws:autoscaling:groupName", "spot.platform/group")

Row = dict[str, Any]
_groups: dict[tuple[str, str], list[list[float]]] = {}
"""By region and name: [time, target, Spot units in service, On-Demand units in service], at each change."""


def note() -> None:
    """Write down what changed in the groups."""
    now = clock.time()
    for key, group in GROUPS.items():
        units = {"spot": 0, "on_demand": 0}
        for member in group.members.values():
            record = records.RECORDS.get(member.id)
            if member.state == "InService" and record is not None and record.ended is None:
                units[member.lifecycle] += member.weight
        text = group.tags.get(TARGET, ("0", False))[0]
        target = int(text) if text.isdigit() else 0
        row = [now, target, units["spot"], units["on_demand"]]
        rows = _groups.setdefault(key, [])
        if rows and rows[-1][0] == now:
            rows.pop()  # what changes and changes back in one moment was not there
        if not rows or rows[-1][1:] != row[1:]:
            rows.append(row)


def cost(region: str, zone: str, kind: str, lifecycle: str, begin: float, end: float) -> float:
    """USD for an instance of the pool from ``begin`` to ``end``, by the second."""
    if lifecycle == "on_demand":
        return (market.on_demand_price(region, kind) or 0.0) * (end - begin) / HOUR
    start, until = (datetime.fromtimestamp(one, timezone.utc) for one in (begin, end))
    total, later = 0.0, end
    for moment, price in market.history(region, zone, kind, start, until):
        since = max(begin, moment.timestamp())
        total += price * max(0.0, later - since) / HOUR
        later = since
    return total


def group_of(record: records.Record) -> str | None:
    """The group that it was launched for or by."""
    return next((record.tags[tag] for tag in TAGS_OF_GROUP if tag in record.tags), None)


def control(query: dict[str, Any]) -> dict[str, Any]:
    """All of it, of one region where the query names it."""
    note()
    now, region = clock.time(), query.get("region")
    return {
        "now": now,
        "instances": [
            {
                "id": one.id,
                "region": one.region,
                "zone": one.pool[1],
                "instance_type": one.pool[2],
                "lifecycle": one.pool[3],
                "group": group_of(one),
                "launched": one.launched,
                "warned": one.warned_at,
                "ended": one.ended,
                "cause": one.cause,
                "cost": round(cost(*one.pool, one.launched, one.ended or now), 6),
            }
            for one in records.ALL
            if region in (None, one.region)
        ],
        "groups": [
            {"region": place, "name": name, "rows": rows}
            for (place, name), rows in sorted(_groups.items())
            if region in (None, place)
        ],
    }


def warned(query: dict[str, Any]) -> dict[str, Any]:
    """Who has a notice and is not gone yet."""
    return {
        "instances": [
            {"id": one.id, "region": one.region, "warned": one.warned_at}
            for one in records.RECORDS.values()
            if one.warned and one.ended is None
        ]
    }


def reset() -> None:
    """Nothing happened yet."""
    _groups.clear()


clock.changed_hooks.append(note)
CONTROL = {"GET /sandbox/history": control, "GET /sandbox/notices": warned}
