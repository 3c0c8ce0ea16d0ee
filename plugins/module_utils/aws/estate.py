# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe the estate: every app's group or fleet in every region, what it serves, what it costs and what it saves."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.activity import rfc3339
from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling as groups
from ansible_collections.spot.platform.plugins.module_utils.aws import steered_fleets
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.market import (
    PRICING_REGION,
    describe_spot_price_history,
    on_demand_prices,
)
from ansible_collections.spot.platform.plugins.module_utils.engine import costs, overrides, supply, timeline
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import EC2_FLEET, SPOT_FLEET

RECENT_ACTIVITIES = 100
BASIS = "estimated from instance hours, Spot price history and On-Demand list prices; no storage, no traffic"
INTERRUPTED = "Server.SpotInstanceTermination"
"""EC2's code for an instance that Spot took away."""
ENDED_AT = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")


@dataclass(frozen=True)
class Question:
    """What to observe: ``apps`` (all, if empty) of ``environment`` (any, if None) over the last ``hours``. ``committed_rates``: USD an hour
    by type, of a Savings Plan or of Reserved Instances, to compare with."""

    apps: Sequence[str]
    environment: str | None
    hours: int
    committed_rates: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Fleet:
    """A group, an EC2 Fleet or a Spot Fleet alike. ``members``: its instances, each with whether it serves; ``weights``:
    by type.

    ``on_demand_base`` is the one in force; ``past`` are instances that it had and that no scaling activity tells of;
    ``remembered`` is since when AWS tells of all that it had.
    """

    name: str
    kind: str
    region: str
    now: datetime
    created: datetime
    remembered: datetime
    desired: int
    bounds: tuple[int, int]
    on_demand_base: int
    members: Mapping[str, bool]
    past: frozenset[str]
    weights: Mapping[str, int]
    tags: Mapping[str, str]

    def number(self, tag: str, otherwise: int) -> int:
        """The whole number in a tag; ``otherwise`` where it is not there or is none."""
        text = self.tags.get(tag, "")
        return int(text) if text.isdigit() else otherwise


def of_group(group: groups.Group) -> Fleet:
    """An Auto Scaling group as a `Fleet`."""
    raw = group.raw
    overrides = raw.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("Overrides", ())
    return Fleet(
        name=group.name,
        kind="auto_scaling_group",
        region=group.region,
        now=group.now,
        created=raw["CreatedTime"],
        remembered=raw["CreatedTime"],
        desired=raw["DesiredCapacity"],
        bounds=(raw["MinSize"], raw["MaxSize"]),
        on_demand_base=group.on_demand_base,
        members={one["InstanceId"]: groups.serves(one) for one in raw["Instances"]},
        past=frozenset(),
        # An instance whose type has left the overrides keeps the weight that it was launched with.
        weights={**weights_of(overrides), **weights_of(raw["Instances"])},
        tags=group.tags,
    )


def of_fleet(fleet: steered_fleets.Fleet, own: Iterable[Mapping[str, Any]]) -> Fleet:
    """An EC2 Fleet or Spot Fleet as a `Fleet`; ``own``: its instances, also those that ended lately."""
    states = {one["instance_id"]: one["state"]["name"] for one in own}
    return Fleet(
        name=fleet.name,
        kind=fleet.kind,
        region=fleet.region,
        now=fleet.now,
        created=fleet.created,
        remembered=max(fleet.created, fleet.now - timedelta(hours=1)),  # it keeps no list of those that ended
        desired=fleet.desired,
        bounds=(0, fleet.desired),
        on_demand_base=fleet.on_demand_base,
        members={name: state == "running" for name, state in states.items() if state in groups.RUNNING},
        past=frozenset(name for name, state in states.items() if state not in groups.RUNNING),
        weights=fleet.weights,
        tags=fleet.tags,
    )


def weights_of(entries: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The capacity of an instance of each type, by a launch template's overrides or by a group's instances."""
    return {one["InstanceType"]: int(one.get("WeightedCapacity") or 1) for one in entries if "InstanceType" in one}


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
        ec2, autoscaling = clients.get("ec2", region), clients.get("autoscaling", region)
        asked = (None, question.apps, question.environment)
        found, *parts = side_by_side(
            lambda ask: ask(),
            (
                partial(groups.groups, clients, region, *asked),
                *(
                    partial(attempt, partial(steered_fleets.fleets, ec2, kind, *asked), [])
                    for kind in (EC2_FLEET, SPOT_FLEET)
                ),
            ),
        )
        fleets = [fleet for part in parts for fleet in part]
        if not found and not fleets:
            return [], errors
        now = max(one.now for one in (*found, *fleets))
        since = now - timedelta(hours=question.hours)
        activities = side_by_side(
            lambda group: attempt(lambda: groups.describe_scaling_activities(autoscaling, group.name, since), []), found
        )
        ids = {one for group in found for one in group.instance_ids}
        ids |= {groups.instance_of(activity) for part in activities for activity in part} - {None}
        known = groups.instances(clients, region, ids)
        members = steered_fleets.members(ec2, fleets)
        known |= {one["instance_id"]: one for own in members.values() for one in own}
    except AwsError as error:
        return [], [*errors, {"region": region, "message": str(error)}]

    types = sorted({instance["instance_type"] for instance in known.values()})
    on_demand = attempt(lambda: on_demand_prices(clients.get("pricing", PRICING_REGION), region, cache), {})
    spot = attempt(lambda: spot_history(ec2, types, since), {})
    prices = Prices(spot, on_demand)
    alike = [(of_group(group), part) for group, part in zip(found, activities)]
    alike += [(of_fleet(fleet, members.get(fleet.id, ())), []) for fleet in fleets]
    return [figures(fleet, part, known, prices, since, question.committed_rates) for fleet, part in alike], errors


def spot_history(
    client: Any, types: Sequence[str], since: datetime, zones: Sequence[str] = ()
) -> dict[tuple[str, str], list[tuple[datetime, float]]]:
    """The Spot prices of ``types`` in ``zones`` (all, if empty) by (zone, type), in order of time, from the one that held
    at ``since``."""
    history: dict[tuple[str, str], list[tuple[datetime, float]]] = defaultdict(list)
    for row in describe_spot_price_history(client, types, since, zones) if types else ():
        history[row["AvailabilityZone"], row["InstanceType"]].append((row["Timestamp"], float(row["SpotPrice"])))
    return {pool: sorted(rows) for pool, rows in history.items()}


def figures(
    fleet: Fleet,
    activities: Sequence[Mapping[str, Any]],
    known: Mapping[str, Mapping[str, Any]],
    prices: Prices,
    earliest: datetime,
    committed_rates: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """All that estate_info says of a fleet (its RETURN describes the keys)."""
    now, target, base = fleet.now, fleet.number(ours.TARGET, fleet.desired), fleet.number(ours.ON_DEMAND_BASE, 0)
    most, unit = fleet.number(ours.MAXIMUM, fleet.bounds[1]), fleet.tags.get(ours.UNIT, "instances")
    override = overrides.read(fleet.tags.get(ours.OVERRIDE))
    base = overrides.base_of(override, now.timestamp(), base, most)
    stays = stays_of(fleet, activities, known)
    since = complete_since(fleet, activities, known, earliest)
    steps = timeline.serving(stays, since, now)
    cost = costs.cost(stays, prices.spot, prices.on_demand, since, now, target, base, committed_rates)
    running = [stay for stay in stays if stay.ended is None]
    spot, on_demand = serving_now(fleet, stays)
    lowest = timeline.minimum_since_reached(steps, target)
    healthy = sum(fleet.members.values())
    hourly, instead = per_hour(running, prices)
    return {
        "app": fleet.tags.get(ours.APP),
        "environment": fleet.tags.get(ours.ENVIRONMENT),
        "region": fleet.region,
        "group": fleet.name,
        "kind": fleet.kind,
        "unit": unit,
        "target": target,
        "min": fleet.number(ours.MINIMUM, fleet.bounds[0]),
        "max": most,
        "override": overrides.bounds_of(override, now.timestamp(), unit),
        "desired": fleet.desired,
        "on_demand_base": base,
        "fallback": standing_in(fleet, running, base),
        "spot": spot,
        "on_demand": on_demand,
        "serving": spot + on_demand,
        "serving_min": None if lowest is None else min(lowest, spot + on_demand),
        "health": {"healthy": healthy, "unhealthy": len(fleet.members) - healthy},
        "pools": pools(running, prices),
        "cost_per_hour": hourly,
        "on_demand_cost_per_hour": instead,
        "savings_percent": saved(hourly, instead),
        "cost": {
            "since": rfc3339(since),
            "until": rfc3339(now),
            **sums(cost),
            "fallback_share": cost.fallback_share,
            "by_day": [{"day": str(day), **sums(part)} for day, part in cost.by(lambda one: one.day).items()],
            "by_pool": [
                {"zone": zone, "instance_type": kind, "lifecycle": lifecycle, **sums(part)}
                for (zone, kind, lifecycle), part in cost.by(lambda one: (one.zone, one.instance_type, one.lifecycle)).items()
            ],
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
                "cause": groups.shortened(activity.get("Cause") or "", 400),
            }
            for activity in activities[:RECENT_ACTIVITIES]
        ],
    }


def sums(cost: costs.Cost) -> dict[str, Any]:
    """What a cost comes to, in USD."""
    return {
        "spot_platform": costs.dollars(cost.spent),
        "all_on_demand": costs.dollars(cost.all_on_demand),
        "committed": None if cost.committed is None else costs.dollars(cost.committed),
        "savings_percent": cost.savings_percent,
        "fallback": costs.dollars(sum(one.fallback for one in cost.slices)),
        "interrupted": costs.dollars(sum(one.interrupted for one in cost.slices)),
    }


def standing_in(fleet: Fleet, running: Iterable[timeline.Stay], base: int) -> int:
    """The On-Demand capacity that the fleet is to have beyond the instances that its base needs, which may be larger than it."""
    own = timeline.on_demand_of(running)
    coming = max(0, fleet.on_demand_base - sum(own))
    return min(max(0, fleet.on_demand_base - base), supply.beyond_base(base, [*own, *[1] * coming]))


def serving_now(fleet: Fleet, stays: Iterable[timeline.Stay]) -> tuple[int, int]:
    """The Spot and the On-Demand capacity that the fleet itself counts on at present."""
    now = [stay for stay in stays if fleet.members.get(stay.id)]
    spot = sum(stay.capacity for stay in now if stay.lifecycle == "spot")
    return spot, sum(stay.capacity for stay in now) - spot


def stays_of(
    fleet: Fleet, activities: Sequence[Mapping[str, Any]], known: Mapping[str, Mapping[str, Any]]
) -> list[timeline.Stay]:
    """The lives of the fleet's instances and of those that it lately had, by launch.

    An instance serves from the end of the activity that launched it. Where that is too long ago to be listed, it
    is in service since its launch.
    """
    in_service = groups.launches(activities)
    leaving = {
        instance: activity["StartTime"]
        for activity in activities
        if activity["Description"].startswith("Terminating") and (instance := groups.instance_of(activity))
    }
    own = {*fleet.members, *fleet.past, *(groups.instance_of(one) for one in activities)} & set(known)
    stays = []
    for name in own:
        instance = known[name]
        launched = groups.moment(instance["launch_time"])
        served_from = in_service.get(name)
        if served_from is None and (fleet.members.get(name) or name in fleet.past):
            served_from = launched
        if served_from is None and name in leaving and not launched_lately(name, activities):
            served_from = launched
        # The group notices an interruption only after EC2 has ended the instance.
        ended = min((one for one in (leaving.get(name), ended_at(instance)) if one), default=None)
        if ended is None and instance["state"]["name"] not in groups.RUNNING:
            ended = fleet.now
        stays.append(
            timeline.Stay(
                id=name,
                zone=instance["placement"]["availability_zone"],
                instance_type=instance["instance_type"],
                lifecycle=groups.lifecycle_of(instance),
                capacity=fleet.weights.get(instance["instance_type"], 1),
                launched=launched,
                in_service=served_from,
                ended=ended,
                interrupted=(instance.get("state_reason") or {}).get("code") == INTERRUPTED,
            )
        )
    return sorted(stays, key=lambda stay: (stay.launched, stay.id))


def launched_lately(name: str, activities: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the activities go back to the launch of the instance."""
    return any(one["Description"].startswith("Launching") and groups.instance_of(one) == name for one in activities)


def ended_at(instance: Mapping[str, Any]) -> datetime | None:
    """When an instance was told to end, from EC2's reason; ``None`` if it runs, or if the reason names no time."""
    if instance["state"]["name"] in groups.RUNNING:
        return None
    found = ENDED_AT.search(instance.get("state_transition_reason") or "")
    return datetime.strptime(found.group(1), "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc) if found else None


def complete_since(
    fleet: Fleet,
    activities: Sequence[Mapping[str, Any]],
    known: Mapping[str, Mapping[str, Any]],
    earliest: datetime,
) -> datetime:
    """Since when every instance that the fleet had is known.

    EC2 forgets an instance about an hour after it ended. An older one is only an id in an activity, without type or
    price, and so the account begins after the last of those.
    """
    forgotten = [
        activity.get("EndTime") or activity["StartTime"]
        for activity in activities
        if activity["Description"].startswith("Terminating") and groups.instance_of(activity) not in known
    ]
    return max([earliest, fleet.created, fleet.remembered, *forgotten])


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
