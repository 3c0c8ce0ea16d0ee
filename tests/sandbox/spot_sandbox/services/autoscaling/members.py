"""The way of a member: launched, held by hooks, booted, in service, and out again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import ServiceException
from spot_sandbox import clock, faults
from spot_sandbox.services import events, instances
from spot_sandbox.services.autoscaling import state
from spot_sandbox.services.autoscaling.activities import details, launch_cause, record_failure, tell
from spot_sandbox.services.autoscaling.allocation import override_weight
from spot_sandbox.services.autoscaling.state import LAUNCHING, RETRY, TERMINATING, Activity, Group, Member, Wait
from spot_sandbox.services.autoscaling.targets import deregister, register
from spot_sandbox.services.events import ACCOUNT, stamp
from spot_sandbox.services.instances import launches

moved_hooks: list[Callable[[Group], None]] = []
"""Called as ``hook(group)`` when a member went on by itself: it serves now, or leaves after its lifecycle hooks."""


def _moved(group: Group) -> None:
    for hook in moved_hooks:
        hook(group)


def launch_one(group: Group, lifecycle: str, choice: tuple[dict[str, Any], str], before: int) -> Member | None:
    """Launch one instance; ``None`` (and a failed activity) if EC2 refuses."""
    override, zone = choice
    specification = override.get("LaunchTemplateSpecification") or group.specification
    try:
        version = instances.template_version(group.region, specification)
        template = {
            "LaunchTemplateId": version.template.id,
            "LaunchTemplateName": version.template.name,
            "Version": str(version.number),
        }
        request: dict[str, Any] = {"InstanceType": override["InstanceType"]}
        if lifecycle == "spot" and group.distribution.get("SpotMaxPrice"):
            options = {"MaxPrice": group.distribution["SpotMaxPrice"]}
            request["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": options}
        spec = instances.from_template(group.region, specification, request)
        if spec.get("IamInstanceProfile"):
            instances.check_profile(group.region, spec["IamInstanceProfile"])
        tags = {k: v for k, (v, propagate) in group.tags.items() if propagate}
        tags["aws:autoscaling:groupName"] = group.name
        subnet = group.subnet_in(zone)
        made = instances.start(group.region, spec, 1, zone, subnet, lifecycle, tags)[0]
    except ServiceException as refused:
        record_failure(group, lifecycle, zone, refused.code, refused.message)
        return None
    activity = Activity(
        group.name,
        group.arn,
        f"Launching a new EC2 instance: {made.id}",
        launch_cause(group, before),
        details(group, zone),
    )
    activity.status, activity.progress = "PreInService", 30
    group.activities.insert(0, activity)
    member = Member(
        id=made.id,
        instance_type=override["InstanceType"],
        zone=zone,
        subnet=subnet,
        lifecycle=lifecycle,
        weight=override_weight(override),
        template=template,
        weighted=override.get("WeightedCapacity"),
        protected=bool(group.plain["NewInstancesProtectedFromScaleIn"]),
        activity=activity,
    )
    _join(group, member)
    return member


def attach(group: Group, member: Member, cause: str) -> None:
    """Take in an instance that runs already; launching hooks hold it as they hold one that the group launched."""
    activity = Activity(
        group.name, group.arn, f"Attaching an EC2 instance: {member.id}", cause, details(group, member.zone)
    )
    group.activities.insert(0, activity)
    member.attached, member.activity = True, activity
    instances.backend_of(group.region).tags[member.id]["aws:autoscaling:groupName"] = group.name
    _join(group, member)


def _join(group: Group, member: Member) -> None:
    group.members[member.id] = member
    if not _wait(group, member, LAUNCHING):
        _boot(group, member)


def _boot(group: Group, member: Member) -> None:
    if member.attached:
        _in_service(group, member)
    else:
        seconds = max(state.boot_seconds, launches.pending_seconds)
        member.boot = clock.call_later(seconds, _in_service, group, member)


def _in_service(group: Group, member: Member) -> None:
    if group.members.get(member.id) is not member or not member.state.startswith("Pending"):
        return
    member.state = "InService"
    register(group, member)
    if member.activity:
        member.activity.close("Successful")
        tell(group, "EC2 Instance Launch Successful", member.activity, member.id)
    _moved(group)


def leave(group: Group, member: Member, cause: str) -> Activity:
    """Take a member out of service and terminate it, after the hooks if there are any."""
    activity = Activity(
        group.name,
        group.arn,
        f"Terminating EC2 instance: {member.id}",
        cause,
        details(group, member.zone),
        progress=50,
    )
    group.activities.insert(0, activity)
    if member.activity and member.activity.ended is None:
        member.activity.close("Cancelled")
    cancel(member)
    member.state, member.activity = "Terminating", activity
    deregister(group, [member])
    if not _wait(group, member, TERMINATING):
        terminate(group, member)
    return activity


def cancel(member: Member) -> None:
    if member.boot:
        member.boot.cancel()
    for wait in member.waits.values():
        wait.deadline.cancel()
    member.waits.clear()


def terminate(group: Group, member: Member) -> None:
    """End it; a fault of ``Terminate`` lets it run, tells of that, and it is tried again."""
    record = instances.RECORDS.get(member.id)
    runs = record is not None and record.ended is None
    if runs and member.activity and faults.strike("autoscaling", "Terminate", group.region, named=True):
        failed, message = member.activity, "Terminating EC2 instance failed: EC2 could not end the instance."
        failed.close("Failed", message)
        failed.description = f"{failed.description}.  Status Reason: {message}"
        tell(group, "EC2 Instance Terminate Unsuccessful", failed, member.id)
        member.state = "Terminating"
        clock.call_later(RETRY[0], _terminate_again, group, member, failed.cause)
        return
    group.members.pop(member.id, None)
    cancel(member)
    if member.activity:
        member.activity.close("Successful")
        tell(group, "EC2 Instance Terminate Successful", member.activity, member.id)
    instances.end(group.region, [member.id], "group")


def _terminate_again(group: Group, member: Member, cause: str) -> None:
    if group.members.get(member.id) is not member:
        return
    where, what = details(group, member.zone), f"Terminating EC2 instance: {member.id}"
    member.activity = Activity(group.name, group.arn, what, cause, where, progress=50)
    group.activities.insert(0, member.activity)
    terminate(group, member)
    _moved(group)


# Lifecycle hooks


def _wait(group: Group, member: Member, transition: str) -> bool:
    """Let a member wait for the hooks of a transition; whether there are any."""
    hooks = [h for h in group.hooks.values() if h.transition == transition]
    for hook in hooks:
        deadline = clock.call_later(hook.timeout, complete, group, member, hook.name, hook.default)
        wait = Wait(str(uuid.uuid4()), deadline)
        member.waits[hook.name] = wait
        member.state = "Pending:Wait" if transition == LAUNCHING else "Terminating:Wait"
        if member.activity:
            member.activity.status = "MidLifecycleAction"
        detail = {
            "LifecycleActionToken": wait.token,
            "AutoScalingGroupName": group.name,
            "LifecycleHookName": hook.name,
            "EC2InstanceId": member.id,
            "LifecycleTransition": transition,
            "Origin": "EC2" if transition == LAUNCHING else "AutoScalingGroup",
            "Destination": "AutoScalingGroup" if transition == LAUNCHING else "EC2",
        }
        if hook.metadata:
            detail["NotificationMetadata"] = hook.metadata
        kind = "launch" if transition == LAUNCHING else "terminate"
        events.emit(group.region, "aws.autoscaling", f"EC2 Instance-{kind} Lifecycle Action", detail, [group.arn])
        if hook.target:
            notice = {
                "Service": "AWS Auto Scaling",
                "Time": stamp(),
                "RequestId": wait.token,
                "AccountId": ACCOUNT,
                **detail,
            }
            events.send(hook.target, json.dumps(notice))
    return bool(hooks)


def complete(group: Group, member: Member, hook_name: str, result: str) -> None:
    """A hook was completed, or ran out of time with its default result."""
    wait = member.waits.pop(hook_name, None)
    if wait is None or group.members.get(member.id) is not member:
        return
    wait.deadline.cancel()
    if member.state == "Pending:Wait":
        if result == "ABANDON":
            group.retry_at = max(group.retry_at, clock.time() + RETRY[0])
            leave(
                group,
                member,
                f"At {stamp()} an instance was taken out of service in response to a lifecycle action that was"
                " abandoned.",
            )
            _moved(group)
        elif not member.waits:
            member.state = "Pending:Proceed"
            _boot(group, member)
    elif result == "ABANDON" or not member.waits:
        member.state = "Terminating:Proceed"
        terminate(group, member)
        _moved(group)
