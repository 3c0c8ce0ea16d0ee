"""Scaling activities: what a group tried, why and how it went, and the events that tell of it."""

from __future__ import annotations

from typing import Any

from spot_sandbox.services import events, instances
from spot_sandbox.services.autoscaling.state import Activity, Group, weight_of
from spot_sandbox.services.events import ACCOUNT, stamp


def launch_cause(group: Group, before: int) -> str:
    why = f"At {stamp()} {group.because}.  " if group.because else ""
    return (
        f"{why}At {stamp()} an instance was started in response to a difference between desired and actual capacity,"
        f" increasing the capacity from {before} to {group.desired}."
    )


def details(group: Group, zone: str) -> dict[str, str]:
    subnet = group.subnet_in(zone)
    return {**({"Subnet ID": subnet} if subnet else {}), "Availability Zone": zone}


def record_scarcity(group: Group, lifecycle: str, zone: str, tried: list[dict[str, Any]]) -> None:
    if lifecycle == "spot" and len(tried) > 1:
        code = "UnfulfillableCapacity"
        text = "Unable to fulfill capacity due to your request configuration. Please adjust your request and try again."
    else:
        error = instances.scarce(group.region, zone, tried[0]["InstanceType"], lifecycle)
        code, text = error.code, error.message
    record_failure(group, lifecycle, zone, code, text)


def record_failure(group: Group, lifecycle: str, zone: str, code: str, text: str) -> None:
    shown = f"Could not launch Spot Instances. {code} - {text}" if lifecycle == "spot" else text
    message = f"{shown} Launching EC2 instance failed."
    activity = Activity(
        group.name,
        group.arn,
        f"Launching a new EC2 instance.  Status Reason: {message}",
        launch_cause(group, weight_of(group.counted())),
        details(group, zone),
    )
    activity.close("Failed", message)
    group.activities.insert(0, activity)
    tell(group, "EC2 Instance Launch Unsuccessful", activity, "")


def tell(group: Group, detail_type: str, activity: Activity, instance_id: str) -> None:
    leaving = "Terminate" in detail_type
    resources = [group.arn]
    if instance_id:
        resources.append(f"arn:aws:ec2:{group.region}:{ACCOUNT}:instance/{instance_id}")
    detail = {
        "StatusCode": "Failed" if activity.status == "Failed" else "InProgress",
        "Description": activity.description,
        "AutoScalingGroupName": group.name,
        "ActivityId": activity.id,
        "Details": activity.details,
        "RequestId": activity.id,
        "StatusMessage": activity.message,
        "EndTime": stamp(activity.ended.timestamp() if activity.ended else None),
        "EC2InstanceId": instance_id,
        "StartTime": stamp(activity.begun.timestamp()),
        "Cause": activity.cause,
        "Origin": "AutoScalingGroup" if leaving else "EC2",
        "Destination": "EC2" if leaving else "AutoScalingGroup",
    }
    events.emit(group.region, "aws.autoscaling", detail_type, detail, resources)
