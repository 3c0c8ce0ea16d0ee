# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The snapshot as metrics.

Nothing is told of a single instance or volume: those come and go with Spot, and each would leave series behind. Series are by application and
region, and besides by mount, pool, certificate or quota; the node exporter of a host tells of the host. What is not known has no series; nor has
a sum of which a part is not known.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.exposition import Family, Sample, text

DAY = 86400.0
GIB = 1024**3
PLACE = ("app", "region")
CAPACITY = (
    ("target", "What an application is to have, in units of its label unit."),
    ("desired", "What its group is told to have."),
    ("serving", "What serves."),
    ("spot", "What serves on Spot."),
    ("on_demand", "What serves On-Demand."),
    ("fallback", "What is On-Demand because Spot is short."),
    ("min", "The least target."),
    ("max", "The largest target."),
)
"""Keys of a fleet, and what they mean."""
LIFECYCLES = ("spot", "on_demand")
HEALTH = ("healthy", "unhealthy", "unknown")
EVENTS = (
    ("interruption_notices", ("interruption.handled",), "Instances that AWS told to go"),
    ("rebalance_recommendations", ("rebalance.noted", "rebalance.replaced"), "Instances that AWS recommended to leave"),
    ("fallbacks", ("capacity.fallback",), "Steps in which On-Demand took the place of Spot"),
    ("returns", ("capacity.returned",), "Steps in which Spot took its place again"),
)
"""Of what is counted: its name, the kinds of events, and what it means."""


def metrics(snapshot: Mapping[str, Any]) -> str:
    """The snapshot, whose schema is that of the page, in Prometheus's text format. Raises ``ValueError`` where ``made_at`` is no time."""
    environment = snapshot.get("environment")
    families = [
        *fleets(snapshot.get("fleets") or ()),
        *instances(snapshot),
        *pools((snapshot.get("market") or {}).get("pools") or ()),
        *volumes(snapshot.get("volumes") or ()),
        *events(snapshot),
        *certificates(snapshot.get("certificates") or ()),
        *quotas(snapshot.get("quotas") or ()),
        Family("snapshot_errors", "What could not be read for the snapshot.", [({}, len(snapshot.get("errors") or ()))]),
        Family("snapshot_timestamp_seconds", "When the snapshot was made.", [({}, moment(snapshot["made_at"]))]),
    ]
    return text(families, {"environment": environment} if environment else {})


def fleets(found: Sequence[Mapping[str, Any]]) -> list[Family]:
    """Capacity and cost of each application in each region."""
    capacity = [
        Family(f"fleet_{name}", meaning, summed(found, (*PLACE, "unit"), lambda fleet, name=name: fleet.get(name)))
        for name, meaning in CAPACITY
    ]
    return [
        *capacity,
        Family("fleet_cost_usd_per_hour", "What the running instances cost.", summed(found, PLACE, lambda one: one.get("cost_per_hour"))),
        Family(
            "fleet_on_demand_cost_usd_per_hour",
            "What the same instances would cost On-Demand.",
            summed(found, PLACE, lambda one: one.get("on_demand_cost_per_hour")),
        ),
    ]


def instances(snapshot: Mapping[str, Any]) -> list[Family]:
    """How many instances there are by lifecycle and health; where an application has any, those that it has none of are 0."""
    if snapshot.get("instances") is None:
        return []
    counted = Counter((*labels_of(one, PLACE).values(), one.get("lifecycle") or "", one.get("health") or "unknown") for one in snapshot["instances"])
    for app, region in {key[:2] for key in counted}:
        counted.update({(app, region, lifecycle, health): 0 for lifecycle in LIFECYCLES for health in HEALTH})
    samples = [(dict(zip((*PLACE, "lifecycle", "health"), key)), count) for key, count in sorted(counted.items())]
    return [Family("instances", "Instances by lifecycle and health.", samples)]


def pools(found: Iterable[Mapping[str, Any]]) -> list[Family]:
    """The Spot pools that are held or looked at. A pool is a zone and an instance type."""

    def family(name: str, meaning: str, key: str, factor: float = 1) -> Family:
        return Family(f"pool_{name}", meaning, summed(rows, ("region", "zone", "type"), lambda pool: times(pool.get(key), factor)))

    rows = list(found)
    return [
        family("held", "Spot capacity in the pool, in the units of the applications.", "held"),
        family("wanted", "Spot capacity that is to be in the pool.", "wanted"),
        family("price_usd_per_hour", "Spot price of an instance.", "price"),
        family("open_ratio", "Chance that the pool gives an instance.", "chance_open"),
        family("loss_seconds", "Mean time until the pool takes an instance away.", "hours_to_a_loss", 3600),
    ]


def volumes(rows: Sequence[Mapping[str, Any]]) -> list[Family]:
    """The volumes of each mount of an application in a region, all together."""
    keys = (*PLACE, "mount")

    def total(name: str, meaning: str, value: Callable[[Mapping[str, Any]], float | None]) -> Family:
        return Family(f"volumes{name}", meaning, summed(rows, keys, value))

    soonest: dict[tuple[str, ...], float] = {}
    for row in rows:
        if row.get("days_left") is not None:
            key = tuple(labels_of(row, keys).values())
            soonest[key] = min(soonest.get(key, row["days_left"] * DAY), row["days_left"] * DAY)
    return [
        total("", "Volumes.", lambda row: 1),
        total("_size_bytes", "Their size.", lambda row: times(row.get("size_gib"), GIB)),
        total("_used_bytes", "What is used of them.", lambda row: row.get("used_bytes")),
        total("_growth_bytes_per_second", "How fast they fill.", lambda row: times(row.get("growth_bytes_per_day"), 1 / DAY)),
        total("_changeable", "Volumes that may be modified now.", lambda row: row.get("may_change")),
        Family("volumes_full_seconds", "Time until the first of them is full.", [(dict(zip(keys, key)), soonest[key]) for key in sorted(soonest)]),
    ]


def events(snapshot: Mapping[str, Any]) -> list[Family]:
    """What happened in the day before the snapshot.

    Without an event of the platform its log may not have been read, so that there is no count at all; with one, what did not happen in a
    region of an application is 0. A step that was not taken does not count; a notice does, even where nothing had to be done about it.
    """
    activity = snapshot.get("activity") or ()
    if not any(event.get("source") == "platform" for event in activity):
        return []
    begin = moment(snapshot["made_at"]) - DAY
    recent = [event for event in activity if moment(event["time"]) >= begin]
    places = sorted({tuple(labels_of(one, PLACE).values()) for one in (*(snapshot.get("fleets") or ()), *recent) if one.get("app")})
    found = []
    for name, kinds, meaning in EVENTS:
        counted = Counter({place: 0 for place in places})
        for event in recent:
            if event["kind"] in kinds and (event.get("changed") is not False or not event["kind"].startswith("capacity.")):
                counted[tuple(labels_of(event, PLACE).values())] += len((event.get("after") or {}).get("ids") or (event,))
        found.append(
            Family(
                f"{name}_last_day",
                f"{meaning} in the 24 hours before the snapshot.",
                [(dict(zip(PLACE, place)), count) for place, count in sorted(counted.items())],
            )
        )
    areas = Counter((*labels_of(event, PLACE).values(), event["kind"].partition(".")[0]) for event in recent)
    samples = [(dict(zip((*PLACE, "area"), key)), count) for key, count in sorted(areas.items())]
    whole = "activity" not in (snapshot.get("truncated") or {}) or moment(activity[0]["time"]) < begin
    return [
        *found,
        Family("events_last_day", "Events in the 24 hours before the snapshot, by what their kind begins with.", samples),
        Family("events_complete", "1 where the snapshot has all events of these hours; 0: the counts are the least.", [({}, whole)]),
    ]


def certificates(rows: Iterable[Mapping[str, Any]]) -> list[Family]:
    """When certificates end: the first of those with one name."""
    ends: dict[tuple[str, ...], float] = {}
    for row in rows:
        if row.get("expires_at"):
            used = {True: "true", False: "false"}.get(row.get("in_use"), "unknown")
            key = (*labels_of(row, (*PLACE, "name")).values(), used)
            ends[key] = min(ends.get(key, float("inf")), moment(row["expires_at"]))
    samples = [(dict(zip((*PLACE, "name", "in_use"), key)), ends[key]) for key in sorted(ends)]
    return [Family("certificate_expiry_timestamp_seconds", "When the certificate ends.", samples)]


def quotas(rows: Iterable[Mapping[str, Any]]) -> list[Family]:
    """Of each quota of AWS what is used, and the limit."""
    keys = ("region", "service", "name")
    unique = {tuple(labels_of(row, keys).values()): row for row in rows}
    return [
        Family(f"quota_{name}", meaning, [(labels_of(row, keys), row.get(name)) for _key, row in sorted(unique.items())])
        for name, meaning in (("used", "What is used of a quota."), ("limit", "The quota."))
    ]


def summed(rows: Iterable[Mapping[str, Any]], keys: Sequence[str], value: Callable[[Mapping[str, Any]], float | None]) -> list[Sample]:
    """The sums of ``value`` over rows of the same ``keys``; ``None`` where one of the parts is."""
    parts: dict[tuple[str, ...], list[float | None]] = defaultdict(list)
    for row in rows:
        parts[tuple(labels_of(row, keys).values())].append(value(row))
    return [
        (dict(zip(keys, key)), None if any(one is None for one in some) else sum(one for one in some if one is not None))
        for key, some in sorted(parts.items())
    ]


def labels_of(row: Mapping[str, Any], keys: Sequence[str]) -> dict[str, str]:
    """Labels of a row; what it does not have is empty, which is to Prometheus as if there were none."""
    return {key: str(row.get(key) or "") for key in keys}


def times(value: float | None, factor: float) -> float | None:
    """``value`` in another unit."""
    return None if value is None else value * factor


def moment(when: str) -> float:
    """Seconds since 1970 of a time of RFC 3339. Raises ``ValueError``."""
    return datetime.fromisoformat(when.replace("Z", "+00:00")).timestamp()
