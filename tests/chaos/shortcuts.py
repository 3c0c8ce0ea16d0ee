# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls that most steps consist of, answered from the sandbox's state without the way over the wire.

A week has a hundred thousand of them, and most of their time is writing and reading XML. They answer as botocore would
have read it, DescribeInstances as the product's own reader would. A call that is not just as the controller makes it is not
answered here, and none is while the sandbox is told to fail. A test compares a run with them and one without.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import formatdate
from functools import partial
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.exceptions import ServiceException
from moto.dynamodb.models import dynamodb_backends
from spot_sandbox import app, clock, market
from spot_sandbox.services.autoscaling.shown import group_shown
from spot_sandbox.services.autoscaling.state import GROUPS
from spot_sandbox.services.events import ACCOUNT
from spot_sandbox.services.instances.answers import xml_time
from spot_sandbox.services.instances.filters import filtered, listed
from spot_sandbox.services.instances.records import RECORDS, backend_of
from spot_sandbox.services.instances.spot_requests import REQUESTS

Answer = dict[str, Any] | None
UNCHANGED = "version = :seen"
FREE = "version = :seen AND #until <= :now"
NEW = "attribute_not_exists(version)"


def describe_auto_scaling_groups(region: str, asked: dict[str, Any]) -> Answer:
    if "NextToken" in asked or any(not one["Name"].startswith("tag:") for one in asked.get("Filters", ())):
        return None
    names = asked.get("AutoScalingGroupNames")
    found = sorted((g for g in GROUPS.values() if g.region == region and (not names or g.name in names)), key=lambda g: g.name)
    for one in asked.get("Filters", ()):
        found = [g for g in found if g.tags.get(one["Name"][4:], (None,))[0] in one["Values"]]
    return {"AutoScalingGroups": [group_shown(group) for group in found]}


def describe_availability_zones(region: str, asked: dict[str, Any]) -> Answer:
    shared = {"State": "available", "OptInStatus": "opt-in-not-required", "RegionName": region, "ZoneType": "availability-zone"}
    found = [{**shared, "ZoneName": name, "ZoneId": zone} for name, zone in market.zones(region).items()]
    return {"AvailabilityZones": found}


def describe_instances(region: str, asked: dict[str, Any]) -> Answer:
    if asked.keys() - {"Filters", "InstanceIds", "MaxResults"}:
        return None
    backend = backend_of(region)
    found = []
    for one in filtered(backend, listed(region, asked.get("InstanceIds")), asked.get("Filters", [])):
        record = RECORDS[one.id]
        shown = {
            "instance_id": one.id,
            "state": {"code": one._state.code, "name": one._state.name},
            "instance_type": one.instance_type,
            "launch_time": xml_time(one.launch_time),
            "placement": {"availability_zone": record.pool[1]},
            "tags": [{"key": key, "value": value} for key, value in backend.tags.get(one.id, {}).items()],
        }
        if record.spot_request:
            shown["instance_lifecycle"] = "spot"
        if one.state_reason.code:
            shown["state_reason"] = {"code": one.state_reason.code, "message": one.state_reason.message}
        found.append({"reservation_id": record.reservation, "owner_id": ACCOUNT, "instances": [shown]})
    return {"Reservations": found}


def describe_spot_instance_requests(region: str, asked: dict[str, Any]) -> Answer:
    filters = asked.get("Filters", [])
    if "NextToken" in asked or [one["Name"] for one in filters] != ["status-code"]:
        return None
    found = [one for one in REQUESTS.values() if one.pool[0] == region and one.code in filters[0]["Values"]]
    return {"SpotInstanceRequests": [{"SpotInstanceRequestId": one.id, "InstanceId": one.instance_id} for one in found]}


def describe_spot_price_history(region: str, asked: dict[str, Any]) -> Answer:
    if asked.keys() - {"InstanceTypes", "ProductDescriptions", "StartTime", "MaxResults"}:
        return None
    now = clock.now()
    start = min(max(asked["StartTime"], now - market.HISTORY), now)
    return {
        "SpotPriceHistory": [
            {"AvailabilityZone": zone, "InstanceType": name, "SpotPrice": f"{price:f}", "Timestamp": moment}
            for name in sorted(asked["InstanceTypes"])
            for zone in sorted(market.zones(region))
            for moment, price in market.history(region, zone, name, start, now)
        ]
    }


def get_metric_data(region: str, asked: dict[str, Any]) -> Answer:
    if "NextToken" in asked:
        return None
    start, end = (datetime.fromtimestamp(asked[key].timestamp(), timezone.utc) for key in ("StartTime", "EndTime"))
    found = cloudwatch_backends[ACCOUNT][region].get_metric_data(
        asked["MetricDataQueries"], start.replace(tzinfo=None), end.replace(tzinfo=None), asked.get("ScanBy", "TimestampDescending")
    )
    return {
        "MetricDataResults": [
            {
                "Id": one["id"],
                "Label": one["label"],
                "Values": one["values"],
                "Timestamps": [moment.replace(tzinfo=timezone.utc) for moment in one["timestamps"]],
                "StatusCode": one["status_code"],
            }
            for one in found
        ]
    }


def put_metric_data(region: str, asked: dict[str, Any]) -> None:
    cloudwatch_backends[ACCOUNT][region].put_metric_data(asked["Namespace"], asked["MetricData"])


def batch_get_item(region: str, asked: dict[str, Any]) -> Answer:
    backend = dynamodb_backends[ACCOUNT][region]
    ((table, wanted),) = asked["RequestItems"].items()
    if table not in backend.tables:
        return None
    found = [backend.get_item(table, key) for key in wanted["Keys"]]
    return {"Responses": {table: [one.to_json()["Attributes"] for one in found if one]}, "UnprocessedKeys": {}}


def update_item(region: str, asked: dict[str, Any]) -> Answer:
    """The writes of `state.update_item`, by their words."""
    backend = dynamodb_backends[ACCOUNT][region]
    table, condition = asked["TableName"], asked["ConditionExpression"]
    if table not in backend.tables or condition not in (UNCHANGED, FREE, NEW):
        return None
    names, values = asked["ExpressionAttributeNames"], asked["ExpressionAttributeValues"]
    there = backend.get_item(table, asked["Key"])
    kept = there.to_json()["Attributes"] if there else {}
    holds = "version" not in kept if condition == NEW else kept.get("version") == values[":seen"]
    if condition == FREE and holds:
        holds = float(kept["until"]["N"]) <= float(values[":now"]["N"])
    if not holds:
        refused = {"Code": "ConditionalCheckFailedException", "Message": "The conditional request failed"}
        raise ClientError({"Error": refused, "ResponseMetadata": {"HTTPStatusCode": 400}}, "UpdateItem")
    sets, _remove, removes = asked["UpdateExpression"].removeprefix("SET ").partition(" REMOVE ")
    for name in filter(None, removes.split(", ")):
        kept.pop(names.get(name, name), None)
    for one in sets.split(", "):
        name, value = one.split(" = ")
        kept[names.get(name, name)] = values[value]
    backend.put_item(table, {**kept, **asked["Key"]})
    return {}


def carried_out(service: str, operation: str, region: str, asked: dict[str, Any]) -> Answer:
    """A write, by the sandbox's own code."""
    called = app.SERVICES[service]()
    called.params, called.uri_match, called.region, called.current_account = asked, {}, region, ACCOUNT
    try:
        result = getattr(called, xform_name(operation))()
    except ServiceException as refused:
        error = {"Code": refused.code, "Message": refused.message}
        raise ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}}, operation) from None
    finally:
        clock.tell_changed()
    return dict(result.result or {})


WRITES = {
    "autoscaling": (
        "AttachInstances",
        "CreateOrUpdateTags",
        "SuspendProcesses",
        "TerminateInstanceInAutoScalingGroup",
        "UpdateAutoScalingGroup",
    ),
    "ec2": ("CreateFleet", "TerminateInstances"),
}
KNOWN: dict[tuple[str, str], Callable[[str, dict[str, Any]], Answer]] = {
    ("autoscaling", "DescribeAutoScalingGroups"): describe_auto_scaling_groups,
    ("cloudwatch", "GetMetricData"): get_metric_data,
    ("dynamodb", "BatchGetItem"): batch_get_item,
    ("dynamodb", "UpdateItem"): update_item,
    ("ec2", "DescribeAvailabilityZones"): describe_availability_zones,
    ("ec2", "DescribeInstances"): describe_instances,
    ("ec2", "DescribeSpotInstanceRequests"): describe_spot_instance_requests,
    ("ec2", "DescribeSpotPriceHistory"): describe_spot_price_history,
    **{(service, one): partial(carried_out, service, one) for service, some in WRITES.items() for one in some},
}


def answer(service: str, operation: str, region: str, asked: dict[str, Any]) -> Answer:
    """The answer, or ``None`` where the call is to go over the wire."""
    known = KNOWN.get((service, operation))
    found = known(region, asked) if known else None
    if found is not None:
        found["ResponseMetadata"] = {
            "HTTPStatusCode": 200,
            "HTTPHeaders": {"date": formatdate(clock.time(), usegmt=True)},
            "RetryAttempts": 0,
        }
    return found
