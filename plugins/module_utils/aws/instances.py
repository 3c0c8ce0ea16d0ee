# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe instances: what they are, the group that each belongs to, and whether it serves."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary
from xml.etree import ElementTree

try:
    from botocore import exceptions as boto_errors
except ImportError:
    pass  # AnsibleAWSModule and the inventory say which library is missing

from ansible.module_utils.common.dict_transformations import camel_dict_to_snake_dict
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import Errors

Reader = Callable[[ElementTree.Element], Any]

HEALTHY, UNHEALTHY, STARTING, DRAINING, UNKNOWN = "healthy", "unhealthy", "starting", "draining", "unknown"
OF_TARGET = {
    "healthy": HEALTHY,
    "unhealthy": UNHEALTHY,
    "initial": STARTING,
    "draining": DRAINING,
    "unhealthy.draining": DRAINING,
}
"""What the states of a load balancer's target mean; the others (unused, unavailable) say nothing of its health."""
CHECKS = ("instance-status.status", "system-status.status")
"""The filters of the two status checks of an instance."""
IMPAIRED = "impaired"
WORST_FIRST = (UNHEALTHY, DRAINING, STARTING, UNKNOWN, HEALTHY)


def describe_instances(client: Any, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """DescribeInstances, all pages: each instance as AWS describes it, in snake_case, sorted by its id.

    ``tags`` is a mapping, ``owner_id``, ``requester_id`` and ``reservation_id`` come from its reservation and
    ``placement.region`` is added; times are the strings that AWS sends. Raises `AwsError`.
    """
    read_quickly(client)
    found = _describe_instances(client, filters)
    return sorted(found, key=lambda instance: instance["instance_id"])


@Errors.common_error_handler("list the instances")
def _describe_instances(client: Any, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pages = client.get_paginator("describe_instances").paginate(Filters=filters, MaxResults=1000)
    region = client.meta.region_name
    return [instance for page in pages for instance in instances_in(page, region)]


def instances_in(page: Mapping[str, Any], region: str) -> list[dict[str, Any]]:
    """The instances of a page that was read quickly."""
    return [
        _instance(instance, reservation, region)
        for reservation in page.get("Reservations", ())
        for instance in reservation["instances"]
    ]


def _instance(instance: dict[str, Any], reservation: Mapping[str, Any], region: str) -> dict[str, Any]:
    instance["tags"] = {tag["key"]: tag["value"] for tag in instance.get("tags", ())}
    instance["owner_id"] = reservation.get("owner_id", "")
    instance["requester_id"] = reservation.get("requester_id", "")
    instance["reservation_id"] = reservation["reservation_id"]
    instance["placement"]["region"] = region
    return instance


_QUICK: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
"""The operations that each client reads quickly already: walking the model takes as long as reading some tens of instances."""
_LOCK = threading.Lock()
"""Who asks while another one walks the model waits for it, or its answer would be read by botocore."""


def read_quickly(client: Any) -> None:
    """Read this EC2 client's answers to DescribeInstances by `reader_of` instead of botocore's parser."""
    read_list_quickly(client, "DescribeInstances", "Reservations", snake)


def read_list_quickly(
    client: Any, operation: str, member: str, name: Callable[[str], str] = lambda name: name
) -> None:
    """Read the list ``member`` of an EC2 client's answers to ``operation`` by `reader_of`, its keys called by ``name``.

    botocore takes about half a millisecond for each instance, as long as all the rest of an inventory, and ten times as long as
    this for each volume. Its event ``before-parse`` lets an answer be read here; signing, retries, errors and paging stay its own.
    """
    with _LOCK:
        done = _QUICK.setdefault(client, set())
        if operation not in done:
            _register(client, operation, member, name)
            done.add(operation)


def _register(client: Any, operation: str, member: str, name: Callable[[str], str]) -> None:
    shape = client.meta.service_model.operation_model(operation).output_shape.members[member]
    read = reader_of(shape, name)
    key = shape.serialization["name"]

    def before_parse(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_event: Any) -> None:
        if response_dict["status_code"] >= 300:
            return
        body = re.sub(rb'\sxmlns="[^"]*"', b"", response_dict["body"], count=1)
        try:
            root = ElementTree.fromstring(body)
        except ElementTree.ParseError:
            return  # botocore reports it, as it does for every other operation
        found = root.find(key)
        customized_response_dict[member] = [] if found is None else read(found)
        token = root.findtext("nextToken")
        if token:
            customized_response_dict["NextToken"] = token
        response_dict["body"] = f"<{operation}Response/>".encode()

    client.meta.events.register(f"before-parse.ec2.{operation}", before_parse, unique_id=f"spot-platform-{operation}")


def reader_of(shape: Any, name: Callable[[str], str]) -> Reader:
    """A function that reads an XML element of botocore's ``shape``, as its parser would but with keys called by ``name``.

    Walking the model once for all instances, not once for each, is what makes it quick. Elements that the model
    does not know are left out; times stay strings.
    """
    if shape.type_name == "structure":
        return _structure_reader(shape, name)
    if shape.type_name == "list":
        read_item = reader_of(shape.member, name)
        return lambda element: [read_item(item) for item in element]
    return {
        "integer": lambda element: int(element.text),
        "long": lambda element: int(element.text),
        "float": lambda element: float(element.text),
        "double": lambda element: float(element.text),
        "boolean": lambda element: element.text == "true",
    }.get(shape.type_name, lambda element: element.text or "")


def _structure_reader(shape: Any, name: Callable[[str], str]) -> Reader:
    members = {
        member.serialization.get("name", own): (name(own), reader_of(member, name))
        for own, member in shape.members.items()
    }

    def read(element: ElementTree.Element) -> dict[str, Any]:
        result = {}
        for child in element:
            member = members.get(child.tag)
            if member:
                result[member[0]] = member[1](child)
        return result

    return read


def snake(name: str) -> str:
    """``instance_id`` of ``InstanceId``, by amazon.aws's rule, so that all inventories call a thing the same."""
    return next(iter(camel_dict_to_snake_dict({name: None})))


@dataclass(frozen=True)
class Membership:
    """An instance's place in its Auto Scaling group or fleet: the group's name (a fleet has none), and its health as the
    group or fleet sees it."""

    group: str | None
    health: str
    target_groups: tuple[str, ...]


def memberships(client: Any, filters: list[dict[str, Any]]) -> dict[str, Membership]:
    """The members of the Auto Scaling groups that match ``filters``, by instance id. Raises `AwsError`."""
    return {
        member["InstanceId"]: Membership(
            group["AutoScalingGroupName"], health_in_group(member), tuple(group.get("TargetGroupARNs", ()))
        )
        for group in describe_groups(client, filters)
        for member in group["Instances"]
    }


@Errors.common_error_handler("list the Auto Scaling groups")
def describe_groups(client: Any, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """DescribeAutoScalingGroups, all pages."""
    pages = client.get_paginator("describe_auto_scaling_groups").paginate(Filters=filters, MaxRecords=100)
    return [group for page in pages for group in page["AutoScalingGroups"]]


def health_in_group(member: Mapping[str, Any]) -> str:
    """The health of a group's member, of its ``HealthStatus`` and ``LifecycleState``."""
    state = member["LifecycleState"]
    if member["HealthStatus"].lower() != "healthy":
        return UNHEALTHY
    if state.startswith("Pending"):
        return STARTING
    if state.startswith(("Terminat", "Detach")):
        return DRAINING
    return HEALTHY if state == "InService" else UNKNOWN


def health(client: Any, members: Mapping[str, Membership]) -> dict[str, str]:
    """Whether each member serves, by instance id: what its target groups say where it has any, else what its group says.

    ``client``: of ELBv2; each target group is asked once, side by side. In several target groups the worst
    counts; a member not (or not yet) registered in them counts as its group sees it. Raises `AwsError`.
    """
    arns = sorted({arn for member in members.values() for arn in member.target_groups})
    states: dict[str, list[str]] = {}
    for targets in side_by_side(lambda arn: describe_target_health(client, arn), arns):
        for instance_id, state in targets.items():
            states.setdefault(instance_id, []).append(state)
    return {
        instance_id: worst(states[instance_id]) if instance_id in states else member.health
        for instance_id, member in members.items()
    }


def worst(states: Iterable[str]) -> str:
    return min(states, key=WORST_FIRST.index)


@Errors.common_error_handler("read the health of the targets")
def describe_target_health(client: Any, arn: str) -> dict[str, str]:
    """DescribeTargetHealth: the health of a target group's targets by id; none for a target group that is gone."""
    try:
        found = client.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    except boto_errors.ClientError as error:
        if error.response["Error"]["Code"] == "TargetGroupNotFound":
            return {}  # deleted since the group was listed
        raise
    return {item["Target"]["Id"]: OF_TARGET.get(item["TargetHealth"]["State"], UNKNOWN) for item in found}


def impaired_since(client: Any) -> dict[str, float | None]:
    """The instances that fail a status check, by id, with the time since when, seconds since the epoch. Raises `AwsError`."""
    found: dict[str, float | None] = {}
    for part in side_by_side(lambda name: describe_instance_status(client, name), CHECKS):
        for status in part:
            failed = [one for one in (status["InstanceStatus"], status["SystemStatus"]) if one["Status"] == IMPAIRED]
            details = [detail for one in failed for detail in one.get("Details", ())]
            times = [one["ImpairedSince"].timestamp() for one in details if one.get("ImpairedSince")]
            if failed:
                found[status["InstanceId"]] = min(times, default=None)
    return found


@Errors.common_error_handler("read the status checks of the instances")
def describe_instance_status(client: Any, check: str) -> list[dict[str, Any]]:
    """DescribeInstanceStatus, all pages: those that fail one of the two checks."""
    pages = client.get_paginator("describe_instance_status").paginate(
        Filters=[{"Name": check, "Values": [IMPAIRED]}], PaginationConfig={"PageSize": 1000}
    )
    return [one for page in pages for one in page["InstanceStatuses"]]
