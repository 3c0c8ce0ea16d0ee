# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Act on an Auto Scaling group as decided: attach what was launched for it, end what may go, keep its figures in line.

The group stays what AWS and people look at: health checks, target groups, deployments. It goes on replacing what it
loses, by its own means, while no controller runs; `figures` sees to it that it has no reason to do anything else.

A backend of `control`, as ``steering_fleets`` is another.

Required IAM actions: ``autoscaling:AttachInstances``, ``autoscaling:TerminateInstanceInAutoScalingGroup``,
``autoscaling:UpdateAutoScalingGroup``, ``autoscaling:SuspendProcesses``, ``autoscaling:ResumeProcesses``,
``autoscaling:CreateOrUpdateTags``, ``autoscaling:DeleteTags``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling, groups
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, chunks, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors
from ansible_collections.spot.platform.plugins.module_utils.aws.launches import Order, terminate_instances
from ansible_collections.spot.platform.plugins.module_utils.aws.steering import Steered, counts
from ansible_collections.spot.platform.plugins.module_utils.engine.autoscaling import Decision
from ansible_collections.spot.platform.plugins.module_utils.engine.commitments import Place

ATTACHED = 20
"""AttachInstances takes at most this many."""
BUSY = ("ResourceContention", "ScalingActivityInProgress")
"""What a group answers that is changing something itself just now."""
NO_MEMBER = "No managed instance found"
"""What AWS says of an instance that is in no group."""
FIGHTING = ("AZRebalance", "AlarmNotification", "ScheduledActions")
"""What a group does by itself that moves instances or sets its size: suspended while the autoscaler steers it."""


def orders(one: Steered, decision: Decision, places: Sequence[Place]) -> list[Order]:
    """What is to be launched for the group, one order for each pool; On-Demand first at the ``places`` that are paid for."""
    moves = decision.moves
    found = [Order(pool, units, one.weights, one.subnets) for pool, units in sorted(moves.spot.items())]
    missing = moves.on_demand
    for place in places:
        weight = one.weights.get(place.instance_type, 0)
        subnets = {zone: subnet for zone, subnet in one.subnets.items() if place.zone in (None, zone)}
        units = min(missing, place.count * weight)
        if units > 0 and subnets and decision.rooms is None:  # what is paid for elsewhere has no data
            found.append(Order(None, units, {place.instance_type: weight}, subnets, paid=True))
            missing -= units
    shares = [(None, missing)] if decision.rooms is None else decision.rooms.split(missing, one.subnets)
    for zone, units in shares:
        if units:
            found.append(Order(None, units, one.weights, one.subnets if zone is None else {zone: one.subnets[zone]}))
    return found


def attach(clients: Clients, one: Steered, ids: Sequence[str]) -> None:
    """Attach running instances; the group's desired capacity rises by theirs, and it registers them as targets."""
    client = clients.get("autoscaling", one.region)
    for part in chunks(sorted(ids), ATTACHED):
        attach_instances(client, one.name, part)


def fitting(one: Steered, desired: int, units: Mapping[str, int]) -> list[str]:
    """Those of ``units`` that can be attached where ``desired`` is wanted now: AWS attaches none of a call that would go
    beyond the group's maximum. The others are attached at a later step, when something has gone, or go themselves."""
    found, room = [], one.raw.get("MaxSize", math.inf) - desired
    for name, each in units.items():
        if each <= room:
            found.append(name)
            room -= each
    return found


def end(clients: Clients, one: Steered, ids: Sequence[str]) -> None:
    """End instances, and lower the group's desired capacity by theirs, so that it does not replace them."""
    members = {each["InstanceId"] for each in one.raw.get("Instances", ())}
    loose = [each for each in ids if each not in members]
    if loose:
        terminate_instances(clients.get("ec2", one.region), loose)
    client = clients.get("autoscaling", one.region)
    side_by_side(
        lambda each: terminate_instance(client, each), [each for each in ids if each in members], threads=8
    )


def figures(one: Steered, decision: Decision, coming: int) -> dict[str, int]:
    """The desired capacity and On-Demand base that make the group do nothing by itself, before ``coming`` units are
    attached to it, where they differ from those in force.

    It is to want what it has: a lost instance that was replaced must not be replaced again. What nothing could be had
    for stays wanted, so that the group goes on asking for it too. The base is the On-Demand that it will have, or its own
    rules would replace that by Spot. What is to end counts until it is ended, which lowers the figure by as much.
    """
    least = one.raw.get("MinSize", 0)  # below it AWS takes no desired capacity: the group then asks for that much too
    desired = min(max(one.counted, decision.target - coming, least), one.raw.get("MaxSize", math.inf))
    wanted = {"desired": desired, "on_demand_base": decision.on_demand}
    present = {"desired": one.desired, "on_demand_base": one.on_demand_base}
    return {name: value for name, value in wanted.items() if value != present[name]}


def set_figures(clients: Clients, one: Steered, wanted: Mapping[str, int]) -> None:
    """Set those of the desired capacity and the On-Demand base that are ``wanted``, in one call."""
    request: dict[str, Any] = {"AutoScalingGroupName": one.name}
    if "desired" in wanted:
        request["DesiredCapacity"] = wanted["desired"]
    if "on_demand_base" in wanted:
        policy = copy.deepcopy(dict(one.raw["MixedInstancesPolicy"]))
        policy["InstancesDistribution"]["OnDemandBaseCapacity"] = wanted["on_demand_base"]
        template = policy["LaunchTemplate"]
        for part in (template, *template.get("Overrides", ())):
            # AWS answers with name and id of a launch template, and accepts one of them.
            if "LaunchTemplateId" in part.get("LaunchTemplateSpecification", {}):
                part["LaunchTemplateSpecification"].pop("LaunchTemplateName", None)
        request["MixedInstancesPolicy"] = policy
    groups.update_auto_scaling_group(clients.get("autoscaling", one.region), request)


def again(clients: Clients, one: Steered) -> Steered | None:
    """The group's figures and members as they are now: AWS counts weights in its own way when instances come and go.
    ``None`` where it is gone."""
    (found,) = autoscaling.groups(clients, one.region, [one.name]) or (None,)
    if found is None:
        return None
    return replace(
        one,
        desired=found.raw["DesiredCapacity"],
        on_demand_base=found.on_demand_base,
        counted=sum(autoscaling.weight(each) for each in found.raw["Instances"] if counts(each)),
        raw=found.raw,
    )


def fighting(one: Steered) -> list[str]:
    """The processes that are still to be suspended."""
    return [name for name in FIGHTING if name not in one.suspended]


def suspend(clients: Clients, one: Steered, processes: Sequence[str]) -> None:
    """Suspend them, and write down which, so that `resume` restores what was."""
    client = clients.get("autoscaling", one.region)
    tag(clients, one, {ours.SUSPENDED: " ".join(sorted({*suspended(one), *processes}))})
    suspend_processes(client, one.name, processes)


def suspended(one: Steered) -> list[str]:
    """The processes that `suspend` wrote down."""
    return sorted(filter(None, one.tags.get(ours.SUSPENDED, "").split(" ")))


def resume(clients: Clients, one: Steered) -> list[str]:
    """Resume the processes that `suspend` wrote down; returns them."""
    processes = suspended(one)
    if processes:
        client = clients.get("autoscaling", one.region)
        resume_processes(client, one.name, processes)
        delete_tags(client, one.name, [ours.SUSPENDED])
    return processes


def tag(clients: Clients, one: Steered, wanted: Mapping[str, str]) -> None:
    """Set tags of the group that its instances do not get."""
    groups.create_or_update_tags(clients.get("autoscaling", one.region), _tags(one.name, wanted))


def untag(clients: Clients, one: Steered, keys: Sequence[str]) -> None:
    """Remove tags of the group."""
    delete_tags(clients.get("autoscaling", one.region), one.name, keys)


def _tags(name: str, wanted: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "ResourceId": name,
            "ResourceType": "auto-scaling-group",
            "Key": key,
            "Value": value,
            "PropagateAtLaunch": False,
        }
        for key, value in sorted(wanted.items())
    ]


@Errors.common_error_handler("attach instances to the Auto Scaling group")
@AWSRetry.jittered_backoff(retries=5, delay=2, max_delay=10, catch_extra_error_codes=BUSY)
def attach_instances(client: Any, name: str, ids: Sequence[str]) -> None:
    """AttachInstances."""
    client.attach_instances(AutoScalingGroupName=name, InstanceIds=list(ids))


def terminate_instance(client: Any, instance_id: str) -> None:
    """End a member, and lower the group's desired capacity by it; one that is gone already is no error."""
    try:
        terminate_instance_in_auto_scaling_group(client, instance_id)
    except AwsError as error:
        # A call whose answer was lost is repeated by botocore, and finds the instance gone.
        if error.code != "ValidationError" or NO_MEMBER not in str(error):
            raise


@Errors.common_error_handler("end an instance of the Auto Scaling group")
@AWSRetry.jittered_backoff(retries=5, delay=2, max_delay=10, catch_extra_error_codes=BUSY)
def terminate_instance_in_auto_scaling_group(client: Any, instance_id: str) -> None:
    """TerminateInstanceInAutoScalingGroup, with the desired capacity lowered."""
    client.terminate_instance_in_auto_scaling_group(InstanceId=instance_id, ShouldDecrementDesiredCapacity=True)


@Errors.common_error_handler("suspend processes of the Auto Scaling group")
def suspend_processes(client: Any, name: str, processes: Sequence[str]) -> None:
    """SuspendProcesses."""
    client.suspend_processes(AutoScalingGroupName=name, ScalingProcesses=list(processes))


@Errors.common_error_handler("resume processes of the Auto Scaling group")
def resume_processes(client: Any, name: str, processes: Sequence[str]) -> None:
    """ResumeProcesses."""
    client.resume_processes(AutoScalingGroupName=name, ScalingProcesses=list(processes))


@Errors.common_error_handler("remove tags of the Auto Scaling group")
def delete_tags(client: Any, name: str, keys: Sequence[str]) -> None:
    """DeleteTags."""
    client.delete_tags(Tags=[{"ResourceId": name, "ResourceType": "auto-scaling-group", "Key": key} for key in keys])
