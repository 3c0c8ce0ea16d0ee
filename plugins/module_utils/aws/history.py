# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe what an Auto Scaling group saw of the Spot market: prices, launches, refusals and losses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling as groups
from ansible_collections.spot.platform.plugins.module_utils.aws import estate
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.engine.history import (
    History,
    Sighting,
    events_of,
    stood_in,
    told,
)
from ansible_collections.spot.platform.plugins.module_utils.engine.market import GRANTED, LOST, REFUSED

MOST_ACTIVITIES = 20_000
"""A group that is refused every two minutes for four weeks has as many."""
REMEMBERED = timedelta(hours=2)
"""EC2 forgets an instance about an hour after it ended: of older ones it need not be asked."""
NO_ROOM = re.compile(r"InsufficientInstanceCapacity|UnfulfillableCapacity|no Spot capacity|sufficient \S+ capacity")
NAMED_TYPE = re.compile(r"sufficient (\S+) capacity")
TAKEN = re.compile(r"terminated or stopped|Spot (instance )?interruption", re.IGNORECASE)
"""The cause of a termination that the group did not want. A Spot interruption is told as an EC2 health check."""
INTERRUPTED = "Server.SpotInstanceTermination"


def observe(
    clients: Clients, group: groups.Group, since: datetime, events: Sequence[Mapping[str, Any]] = ()
) -> History:
    """The group's history from ``since``, or from when it was made or what AWS tells of it begins; ``events``: activity.

    Raises `AwsError`, and ``ValueError`` for a group without a list of instance types.
    """
    raw = group.raw
    overrides = raw.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {}).get("Overrides", ())
    weights = estate.weights_of(overrides)
    if not weights:
        raise ValueError(
            f"the group {group.name} in {group.region} has no instance types in a mixed instances policy, so its Spot "
            "pools are not known: replay a folder of traces instead"
        )
    since = max(since, raw["CreatedTime"])
    activities = groups.describe_scaling_activities(
        clients.get("autoscaling", group.region), group.name, since, MOST_ACTIVITIES
    )
    if len(activities) >= MOST_ACTIVITIES:
        since = activities[-1]["StartTime"]
    known = groups.instances(clients, group.region, {*group.instance_ids, *lately_ended(activities, group.now)})
    zones = sorted(raw["AvailabilityZones"])
    timed = events_of(events, group.region, group.name)
    return History(
        name=f"{group.name}@{group.region}",
        since=since,
        until=group.now,
        zones=zones,
        weights=weights,
        prices=estate.spot_history(clients.get("ec2", group.region), sorted(weights), since, zones),
        sightings=[*sightings(activities, known), *told(timed)],
        stays=estate.stays_of(estate.of_group(group), activities, known),
        stood_in=stood_in(timed, group.now),
    )


def lately_ended(activities: Iterable[Mapping[str, Any]], now: datetime) -> set[str]:
    """The instances that EC2 may still remember, of those that the activities ended."""
    lately = [one for one in activities if one["StartTime"] > now - REMEMBERED and ended(one)]
    return {name for one in lately if (name := groups.instance_of(one))}


def ended(activity: Mapping[str, Any]) -> bool:
    """Whether it took an instance out of the group."""
    return activity["Description"].startswith("Terminating")


def sightings(activities: Iterable[Mapping[str, Any]], known: Mapping[str, Mapping[str, Any]]) -> list[Sighting]:
    """What the activities tell of Spot in the group's zones, in order of time; ``known``: instances as EC2 gives them."""
    found = [one for activity in activities if (one := sighting(activity, known))]
    return sorted(found, key=lambda one: one.time)


def sighting(activity: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> Sighting | None:
    """What an activity tells of Spot; ``None`` where it is nothing, or about On-Demand."""
    zone = json.loads(activity.get("Details") or "{}").get("Availability Zone")
    if zone is None:
        return None
    time, instance = activity["StartTime"], known.get(groups.instance_of(activity) or "")
    if instance and groups.lifecycle_of(instance) != "spot":
        return None
    kind = instance["instance_type"] if instance else None
    if ended(activity):
        if instance:
            lost = instance.get("state_reason", {}).get("code") == INTERRUPTED
        else:
            lost = bool(TAKEN.search(activity.get("Cause") or ""))
        return Sighting(time, zone, kind, LOST) if lost else None
    if groups.instance_of(activity):
        return Sighting(time, zone, kind, GRANTED) if activity["Description"].startswith(groups.LAUNCHED) else None
    message = activity.get("StatusMessage") or ""
    # Only a message that names On-Demand is about On-Demand; any other tells that the group does not get Spot.
    if activity["StatusCode"] != "Failed" or not NO_ROOM.search(message) or "On-Demand" in message.split(".")[0]:
        return None
    named = NAMED_TYPE.search(message)
    return Sighting(time, zone, named and named[1], REFUSED)
