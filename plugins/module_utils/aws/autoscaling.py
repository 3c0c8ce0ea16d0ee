# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Auto Scaling groups and their instances, as AWS describes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, chunks, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import Errors
from ansible_collections.spot.platform.plugins.module_utils.aws.instances import describe_instances
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import AUTO_SCALING_GROUP

FILTER_VALUES = 200
"""EC2 and Auto Scaling take at most this many values in one filter."""
PAGE = 100
RUNNING = ("pending", "running")
SPOT, ON_DEMAND = "spot", "on_demand"
IN_SERVICE = "InService"
LAUNCHED = ("Launching", "Attaching")
"""How the activity of an instance that came into the group begins."""
INSTANCE_ID = re.compile(r"\bi-[0-9a-f]{8,17}\b")


@dataclass(frozen=True)
class Group:
    """A group as DescribeAutoScalingGroups gives it, its tags, and AWS's time when it said so."""

    raw: Mapping[str, Any]
    tags: Mapping[str, str]
    region: str
    now: datetime

    @property
    def name(self) -> str:
        return self.raw["AutoScalingGroupName"]

    @property
    def kind(self) -> str:
        return AUTO_SCALING_GROUP

    @property
    def subnets(self) -> set[str]:
        return {one for one in self.raw.get("VPCZoneIdentifier", "").split(",") if one}

    @property
    def instance_ids(self) -> list[str]:
        return [one["InstanceId"] for one in self.raw.get("Instances", ())]

    @property
    def on_demand_base(self) -> int:
        """The On-Demand base in force; a group without a mixed instances policy is On-Demand throughout."""
        policy = self.raw.get("MixedInstancesPolicy")
        if policy is None:
            return self.raw["DesiredCapacity"]
        return policy.get("InstancesDistribution", {}).get("OnDemandBaseCapacity") or 0

    def number(self, tag: str) -> int:
        """The whole number in a tag that spot_capacity wrote; raises ``ValueError`` that says what is wrong with it."""
        if tag not in self.tags:
            raise ValueError(f"the group {self.name} has no tag {tag}: apply spot.platform.spot_capacity to it first")
        try:
            return int(self.tags[tag])
        except ValueError:
            raise ValueError(
                f"the tag {tag} of the group {self.name} is {self.tags[tag]!r}, not a whole number"
            ) from None


def groups(
    clients: Clients,
    region: str,
    names: Iterable[str] | None = None,
    apps: Sequence[str] = (),
    environment: str | None = None,
) -> list[Group]:
    """The groups called ``names``, or all that the platform manages, narrowed by app and environment; by name."""
    client = clients.get("autoscaling", region)
    if names is None:
        filters = [{"Name": f"tag:{ours.MANAGED_BY}", "Values": ["spot.platform"]}]
        if apps:
            filters.append({"Name": f"tag:{ours.APP}", "Values": list(apps)})
        if environment:
            filters.append({"Name": f"tag:{ours.ENVIRONMENT}", "Values": [environment]})
        pages = describe_auto_scaling_groups(client, Filters=filters)
    else:
        parts = [{"AutoScalingGroupNames": list(part)} for part in chunks(sorted(set(names)), PAGE)]
        pages = [page for part in parts for page in describe_auto_scaling_groups(client, **part)]
    found = [
        Group(raw, {tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", ())}, region, time_of(page))
        for page in pages
        for raw in page["AutoScalingGroups"]
    ]
    return sorted(found, key=lambda group: group.name)


def time_of(response: Mapping[str, Any]) -> datetime:
    """AWS's own time: what it says happened is compared with it, and this machine's clock may be wrong."""
    stamp = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return parsedate_to_datetime(stamp) if stamp else datetime.now(timezone.utc)


@Errors.common_error_handler("describe the Auto Scaling groups")
def describe_auto_scaling_groups(client: Any, **request: Any) -> list[dict[str, Any]]:
    """All pages of DescribeAutoScalingGroups, whole, for their time."""
    pages = client.get_paginator("describe_auto_scaling_groups").paginate(
        **request, PaginationConfig={"PageSize": PAGE}
    )
    return list(pages)


def instances(clients: Clients, region: str, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What EC2 says of ``ids`` (see `describe_instances`), by id; instances that it has forgotten are missing."""
    client = clients.get("ec2", region)
    # By filter, not by InstanceIds: one id that is gone would fail them all.
    filters = [[{"Name": "instance-id", "Values": part}] for part in chunks(sorted(set(ids)), FILTER_VALUES)]
    parts = side_by_side(lambda one: describe_instances(client, one), filters)
    return {one["instance_id"]: one for part in parts for one in part}


def moment(text: str) -> datetime:
    """The time that EC2 writes as ``2026-01-31T12:00:00.000Z``."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@Errors.common_error_handler("describe the scaling activities")
def describe_scaling_activities(client: Any, group: str, since: datetime, limit: int = 1000) -> list[dict[str, Any]]:
    """The activities of ``group`` that began after ``since``, newest first, at most about ``limit``."""
    found: list[dict[str, Any]] = []
    paginator = client.get_paginator("describe_scaling_activities")
    for page in paginator.paginate(AutoScalingGroupName=group, PaginationConfig={"PageSize": PAGE, "MaxItems": limit}):
        recent = [activity for activity in page["Activities"] if activity["StartTime"] >= since]
        found += recent
        if len(recent) < len(page["Activities"]):
            break
    return found


def lifecycle_of(instance: Mapping[str, Any]) -> str:
    """``spot`` or ``on_demand``."""
    return SPOT if instance.get("instance_lifecycle") == "spot" else ON_DEMAND


def instance_of(activity: Mapping[str, Any]) -> str | None:
    """The id of the instance that an activity launched or terminated."""
    found = INSTANCE_ID.search(activity.get("Description", ""))
    return found.group() if found else None


def launches(activities: Iterable[Mapping[str, Any]]) -> dict[str, datetime]:
    """When each instance that was launched or attached went into service."""
    return {
        instance: activity["EndTime"]
        for activity in activities
        if activity["Description"].startswith(LAUNCHED)
        and activity["StatusCode"] == "Successful"
        and activity.get("EndTime")
        and (instance := instance_of(activity))
    }


def shortened(message: str, length: int = 160) -> str:
    """``message`` on one line of at most ``length`` characters: as many of its sentences as fit."""
    line = " ".join(message.split())
    if len(line) <= length:
        return line
    whole = line.rfind(". ", 0, length)
    return line[: whole + 1] if whole > 0 else line[: length - 3].rstrip() + "..."


def weight(instance: Mapping[str, Any]) -> int:
    """An instance's capacity in the group's unit."""
    return int(instance.get("WeightedCapacity") or 1)


def serves(instance: Mapping[str, Any]) -> bool:
    """Whether the group counts on it."""
    return instance["LifecycleState"] == IN_SERVICE and instance["HealthStatus"] == "Healthy"
