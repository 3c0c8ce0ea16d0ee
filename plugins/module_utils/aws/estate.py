# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe the estate: every app's group in every region, what it serves, what it costs and what it saves."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.activity import rfc3339
from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling as groups
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.market import (
    PRICING_REGION,
    describe_spot_price_history,
    on_demand_prices,
)
from ansible_collections.spot.platform.plugins.module_utils.engine import costs, timeline

RECENT_ACTIVITIES = 20
BASIS = "estimated from instance hours, Spot price history and On-Demand list prices; no storage, no traffic"
ENDED_AT = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")


@dataclass(frozen=True)
class Question:
    """What to observe: ``apps`` (all, if empty) of ``environment`` (any, if None) over the last ``hours``."""

    apps: Sequence[str]
    environment: str | None
    hours: int


@dataclass(frozen=True)
class Prices:
    """Of one region: Spot by (zone, type) over time, On-Demand by type, USD an hour."""

    spot: costs.SpotHistory
    on_demand: Mapping[str, float]

    def now(self, stay: timeline.Stay) -> float | None:
        """What an instance costs an hour at present."""
        if stay.lifecycle == "spot":
            history = self.spot.get((stay.zone, stay.instance_type))
            return history[-1][1] if history else None
        return self.on_demand.get(stay.instance_type)


def observe(
    clients: Clients, regions: Iterable[str], question: Question, cache: Cache
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The fleets, by app and region, and the errors; a region that fails leaves the others as they are."""
    parts = side_by_side(lambda region: observe_region(clients, region, question, cache), regions)
    fleets = [fleet for found, _errors in parts for fleet in found]
    errors = [error for _found, failed in parts for error in failed]
    return sorted(fleets, key=lambda fleet: (fleet["app"] or "", fleet["region"], fleet["group"])), errors


def observe_region(
    clients: Clients, region: str, question: Question, cache: Cache
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """One region's fleets. What may be missing without making the rest worthless is an error beside them."""
    errors: list[dict[str, Any]] = []

    def attempt(what: Any, otherwise: Any) -> Any:
        try:
            return what()
        except AwsError as error:
            errors.append({"region": region, "message": str(error)})
            return otherwise

    try:
        found = groups.groups(clients, region, None, question.apps, question.environment)
        if not found:
            return [], []
        since = found[0].now - timedelta(hours=question.hours)
        autoscaling = clients.get("autoscaling", region)
        activities = side_by_side(
            lambda group: attempt(lambda: groups.describe_scaling_activities(autoscaling, group.name, since), []), found
        )
        ids = {one for group in found for one in group.instance_ids}
        ids |= {groups.instance_of(activity) for part in activities for activity in part} - {None}
        known = groups.instances(clients, region, ids)
    except AwsError as error:
        return [], [{"region": region, "message": str(error)}]

    types = sorted({instance["instance_type"] for instance in known.values()})
    on_demand = attempt(lambda: on_demand_prices(clients.get("pricing", PRICING_REGION), region, cache), {})
    spot = attempt(lambda: spot_history(clients.get("ec2", region), types, since), {})
    prices = Prices(spot, on_demand)
    return [fleet(group, part, known, prices, since) for group, part in zip(found, activities)], errors


def spot_history(
    client: Any, types: Sequence[str], since: datetime
) -> dict[tuple[str, str], list[tuple[datetime, float]]]:
    """The Spot prices of ``types`` by (zone, type), in order of time, from the one that held at ``since``."""
    history: dict[tuple[str, str], list[tuple[datetime, float]]] = defaultdict(list)
    for row in describe_spot_price_history(client, types, since) if types else ():
        history[row["AvailabilityZone"], row["InstanceType"]].append((row["Timestamp"], float(row["SpotPrice"])))
    return {pool: sorted(rows) for pool, rows in history.items()}


def fleet(
    group: groups.Group,
    activities: Sequence[Mapping[str, Any]],
    known: Mapping[str, Mapping[str, Any]],
    prices: Prices,
    earliest: datetime,
) -> dict[str, Any]:
    """All that estate_info says of a group (its RETURN describes the keys)."""
    raw, now = group.raw, group.now
    target = int(group.tags.get(ours.TARGET) or raw["DesiredCapacity"])
    base = int(group.tags.get(ours.ON_DEMAND_BASE) or 0)
    stays = stays_of(group, activities, known)
    since = complete_since(group, activities, known, earliest)
    steps = timeline.serving(stays, since, now)
    cost = costs.cost(stays, prices.spot, prices.on_demand, since, now, target, base)
    running = [stay for stay in stays if stay.ended is None]
    spot, on_demand = serving_now(raw["Instances"], stays)
    lowest = timeline.minimum_since_reached(steps, target)
    healthy = sum(groups.serves(one) for one in raw["Instances"])
    hourly, instead = per_hour(running, prices)
    return {
        "app": group.tags.get(ours.APP),
        "environment": group.tags.get(ours.ENVIRONMENT),
        "region": group.region,
        "group": group.name,
        "kind": "auto_scaling_group",
        "unit": group.tags.get(ours.UNIT, "instances"),
        "target": target,
        "min": int(group.tags.get(ours.MINIMUM) or raw["MinSize"]),
        "max": int(group.tags.get(ours.MAXIMUM) or raw["MaxSize"]),
        "desired": raw["DesiredCapacity"],
        "on_demand_base": base,
        "fallback": max(0, group.on_demand_base - base),
        "spot": spot,
        "on_demand": on_demand,
        "serving": spot + on_demand,
        "serving_min": None if lowest is None else min(lowest, spot + on_demand),
        "health": {"healthy": healthy, "unhealthy": len(raw["Instances"]) - healthy},
        "pools": pools(running, prices),
        "cost_per_hour": hourly,
        "on_demand_cost_per_hour": instead,
        "savings_percent": saved(hourly, instead),
        "cost": {
            "since": rfc3339(since),
            "until": rfc3339(now),
            "spot_platform": costs.dollars(cost.spent),
            "all_on_demand": costs.dollars(cost.all_on_demand),
            "savings_percent": cost.savings_percent,
            "fallback_share": cost.fallback_share,
            "unpriced": list(cost.unpriced),
            "basis": BASIS,
        },
        "timeline": [{"time": rfc3339(step.time), "spot": step.spot, "on_demand": step.on_demand} for step in steps],
        "activities": [
            {
                "time": rfc3339(activity["StartTime"]),
                "status": activity["StatusCode"],
                "description": groups.shortened(activity["Description"]),
                "message": groups.shortened(activity.get("StatusMessage") or ""),
            }
            for activity in activities[:RECENT_ACTIVITIES]
        ],
    }


def serving_now(members: Iterable[Mapping[str, Any]], stays: Iterable[timeline.Stay]) -> tuple[int, int]:
    """The Spot and the On-Demand capacity that the group itself counts on at present."""
    in_service = {one["InstanceId"] for one in members if groups.serves(one)}
    now = [stay for stay in stays if stay.id in in_service]
    spot = sum(stay.capacity for stay in now if stay.lifecycle == "spot")
    return spot, sum(stay.capacity for stay in now) - spot


def stays_of(
    group: groups.Group, activities: Sequence[Mapping[str, Any]], known: Mapping[str, Mapping[str, Any]]
) -> list[timeline.Stay]:
    """The lives of the group's instances and of those that it lately had, by launch.

    An instance serves from the end of the activity that launched it. Where that is too long ago to be listed, it
    is in service since its launch.
    """
    members = {one["InstanceId"]: one for one in group.raw["Instances"]}
    in_service = groups.launches(activities)
    leaving = {
        instance: activity["StartTime"]
        for activity in activities
        if activity["Description"].startswith("Terminating") and (instance := groups.instance_of(activity))
    }
    weights = weights_of(group.raw)
    stays = []
    for name in {*members, *(groups.instance_of(one) for one in activities)} & set(known):
        instance, member = known[name], members.get(name)
        launched = groups.moment(instance["launch_time"])
        served_from = in_service.get(name)
        if served_from is None and member and groups.serves(member):
            served_from = launched
        if served_from is None and name in leaving and not launched_lately(name, activities):
            served_from = launched
        # The group notices an interruption only after EC2 has ended the instance.
        ended = min((one for one in (leaving.get(name), ended_at(instance)) if one), default=None)
        if ended is None and instance["state"]["name"] not in groups.RUNNING:
            ended = group.now
        stays.append(
            timeline.Stay(
                id=name,
                zone=instance["placement"]["availability_zone"],
                instance_type=instance["instance_type"],
                lifecycle=groups.lifecycle_of(instance),
                capacity=groups.weight(member) if member else weights.get(instance["instance_type"], 1),
                launched=launched,
                in_service=served_from,
                ended=ended,
            )
        )
    return sorted(stays, key=lambda stay: (stay.launched, stay.id))


def launched_lately(name: str, activities: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the activities go back to the launch of the instance."""
    return any(one["Description"].startswith("Launching") and groups.instance_of(one) == name for one in activities)


def weights_of(raw: Mapping[str, Any]) -> dict[str, int]:
    """The capacity of an instance of each type, by the group's overrides."""
    overrides = raw.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("Overrides", ())
    return {one["InstanceType"]: int(one.get("WeightedCapacity") or 1) for one in overrides if "InstanceType" in one}


def ended_at(instance: Mapping[str, Any]) -> datetime | None:
    """When an instance was told to end, from EC2's reason; ``None`` if it runs, or if the reason names no time."""
    if instance["state"]["name"] in groups.RUNNING:
        return None
    found = ENDED_AT.search(instance.get("state_transition_reason") or "")
    return datetime.strptime(found.group(1), "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc) if found else None


def complete_since(
    group: groups.Group,
    activities: Sequence[Mapping[str, Any]],
    known: Mapping[str, Mapping[str, Any]],
    earliest: datetime,
) -> datetime:
    """Since when every instance that the group had is known.

    EC2 forgets an instance about an hour after it ended. An older one is only an id in an activity, without type or
    price, and so the account begins after the last of those.
    """
    forgotten = [
        activity.get("EndTime") or activity["StartTime"]
        for activity in activities
        if (instance := groups.instance_of(activity)) and instance not in known
    ]
    return max([earliest, group.raw["CreatedTime"], *forgotten])


def pools(running: Iterable[timeline.Stay], prices: Prices) -> list[dict[str, Any]]:
    """What runs where, by zone, type and lifecycle."""
    found: dict[tuple[str, str, str], list[timeline.Stay]] = defaultdict(list)
    for stay in running:
        found[stay.zone, stay.instance_type, stay.lifecycle].append(stay)
    return [
        {
            "zone": zone,
            "instance_type": instance_type,
            "lifecycle": lifecycle,
            "instances": len(stays),
            "capacity": sum(stay.capacity for stay in stays),
            "price_per_hour": prices.now(stays[0]),
        }
        for (zone, instance_type, lifecycle), stays in sorted(found.items())
    ]


def per_hour(running: Sequence[timeline.Stay], prices: Prices) -> tuple[float | None, float | None]:
    """USD an hour at present: what is paid, and the same instances On-Demand; ``None`` where a price is not known."""
    paid = [prices.now(stay) for stay in running]
    instead = [prices.on_demand.get(stay.instance_type) for stay in running]
    if None in paid or None in instead:
        return None, None
    return round(sum(paid), 6), round(sum(instead), 6)


def saved(paid: float | None, instead: float | None) -> float | None:
    """The share saved, in percent, to one place; ``None`` where there is nothing to compare."""
    return round(100 * (1 - paid / instead), 1) if paid is not None and instead else None
