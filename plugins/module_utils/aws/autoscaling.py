# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Auto Scaling groups as the autoscaler sees them, and the one call by which it acts on them."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import Errors
from ansible_collections.spot.platform.plugins.module_utils.aws.instances import describe_instances
from ansible_collections.spot.platform.plugins.module_utils.engine import autoscaling as engine

FILTER_VALUES = 200
"""EC2 and Auto Scaling take at most this many values in one filter."""
PAGE = 100
RUNNING = ("pending", "running")
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


def chunks(values: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """``values`` in parts of at most ``size``."""
    return [values[start : start + size] for start in range(0, len(values), size)]


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
    return engine.SPOT if instance.get("instance_lifecycle") == "spot" else engine.ON_DEMAND


def instance_of(activity: Mapping[str, Any]) -> str | None:
    """The id of the instance that an activity launched or terminated."""
    found = INSTANCE_ID.search(activity.get("Description", ""))
    return found.group() if found else None


def launches(activities: Iterable[Mapping[str, Any]]) -> dict[str, datetime]:
    """When each instance that was launched went into service."""
    return {
        instance: activity["EndTime"]
        for activity in activities
        if activity["Description"].startswith("Launching")
        and activity["StatusCode"] == "Successful"
        and activity.get("EndTime")
        and (instance := instance_of(activity))
    }


def failures(activities: Iterable[Mapping[str, Any]]) -> tuple[engine.FailedLaunch, ...]:
    """The launches that failed, with AWS's reason cut to a line."""
    found = []
    for activity in activities:
        if activity["StatusCode"] not in ("Failed", "Cancelled") or not activity["Description"].startswith("Launching"):
            continue
        message = activity.get("StatusMessage") or "no reason given"
        # Only a message that names On-Demand is about On-Demand; any other tells that the group does not get Spot.
        on_demand = "On-Demand" in message.split(".")[0]
        found.append(
            engine.FailedLaunch(
                activity.get("EndTime") or activity["StartTime"],
                engine.ON_DEMAND if on_demand else engine.SPOT,
                shortened(message),
            )
        )
    return tuple(found)


def shortened(message: str, length: int = 160) -> str:
    """``message`` on one line of at most ``length`` characters: as many of its sentences as fit."""
    line = " ".join(message.split())
    if len(line) <= length:
        return line
    whole = line.rfind(". ", 0, length)
    return line[: whole + 1] if whole > 0 else line[: length - 3].rstrip() + "..."


def observe(
    clients: Clients, group: Group, known: Mapping[str, Mapping[str, Any]], policy: engine.Policy
) -> engine.Observation:
    """``group`` with its instances (``known``: what EC2 says of them).

    Scaling activities are asked for only where something is amiss: a group that has all it wants, on Spot, needs none.
    """
    raw = group.raw
    short = sum(weight(one) for one in raw["Instances"] if serves(one)) < raw["DesiredCapacity"]
    activities: list[dict[str, Any]] = []
    if short or group.on_demand_base != policy.on_demand_base:
        # A page is enough: the newest launches and failures are what counts.
        activities = describe_scaling_activities(
            clients.get("autoscaling", group.region), group.name, raw["CreatedTime"], limit=PAGE
        )
    in_service = launches(activities)
    members = tuple(member(one, known.get(one["InstanceId"]), in_service, group.now) for one in raw["Instances"])
    acted = [moment for one in activities for moment in (one["StartTime"], one.get("EndTime")) if moment]
    return engine.Observation(
        group=group.name,
        region=group.region,
        app=group.tags.get(ours.APP),
        unit=group.tags.get(ours.UNIT, "instances"),
        now=group.now,
        target=group.number(ours.TARGET),
        desired=raw["DesiredCapacity"],
        on_demand_base=group.on_demand_base,
        max_size=raw["MaxSize"],
        instances=members,
        active_at=max([raw["CreatedTime"], *acted, *(one.launched_at for one in members)]),
        failed_launches=failures(activities),
        suspended=tuple(process["ProcessName"] for process in raw.get("SuspendedProcesses", ())),
        updating=raw.get("Status") is not None,
    )


def weight(instance: Mapping[str, Any]) -> int:
    """An instance's capacity in the group's unit."""
    return int(instance.get("WeightedCapacity") or 1)


def serves(instance: Mapping[str, Any]) -> bool:
    """Whether the group counts on it."""
    return instance["LifecycleState"] == engine.IN_SERVICE and instance["HealthStatus"] == "Healthy"


def member(
    raw: Mapping[str, Any], known: Mapping[str, Any] | None, in_service: Mapping[str, datetime], now: datetime
) -> engine.Instance:
    """A group's instance, joined with what EC2 knows of it.

    EC2 may not know an instance yet that its group has just launched: that is taken for Spot on its way.
    """
    launched = moment(known["launch_time"]) if known else now
    alive = known["state"]["name"] in RUNNING if known else raw["LifecycleState"] in engine.PENDING
    return engine.Instance(
        id=raw["InstanceId"],
        instance_type=raw["InstanceType"],
        zone=raw["AvailabilityZone"],
        lifecycle=lifecycle_of(known) if known else engine.SPOT,
        capacity=weight(raw),
        state=raw["LifecycleState"] if alive else "Terminating",
        healthy=alive and raw["HealthStatus"] == "Healthy",
        launched_at=launched,
        serving_since=in_service.get(raw["InstanceId"], launched),
    )


def apply(clients: Clients, group: Group, decision: engine.Decision) -> None:
    """Set the desired capacity and the On-Demand base together, in one call: there is no state between the two."""
    request: dict[str, Any] = {"AutoScalingGroupName": group.name, "DesiredCapacity": decision.desired}
    if decision.on_demand_base != decision.on_demand_base_before:
        policy = copy.deepcopy(dict(group.raw["MixedInstancesPolicy"]))
        policy["InstancesDistribution"]["OnDemandBaseCapacity"] = decision.on_demand_base
        template = policy["LaunchTemplate"]
        for part in (template, *template.get("Overrides", ())):
            # AWS answers with name and id of a launch template, and accepts one of them.
            if "LaunchTemplateId" in part.get("LaunchTemplateSpecification", {}):
                part["LaunchTemplateSpecification"].pop("LaunchTemplateName", None)
        request["MixedInstancesPolicy"] = policy
    update_auto_scaling_group(clients.get("autoscaling", group.region), request)


@Errors.common_error_handler("update the Auto Scaling group")
def update_auto_scaling_group(client: Any, request: Mapping[str, Any]) -> None:
    """UpdateAutoScalingGroup; the answer is empty."""
    client.update_auto_scaling_group(**request)
