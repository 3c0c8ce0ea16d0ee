# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe the fleets that maintain themselves, EC2 Fleets and Spot Fleets, in the words of neither API.

AWS cannot filter them by tag, so each API is asked for all fleets of a region. What their pools refuse is in the fleet's
history, which is read only while a fleet has less Spot than it is to keep.

Required IAM actions: ``ec2:DescribeFleets``, ``ec2:DescribeFleetHistory``, ``ec2:DescribeSpotFleetRequests``,
``ec2:DescribeSpotFleetRequestHistory``, ``ec2:DescribeInstances``; `memberships`: ``ec2:DescribeFleetInstances``,
``ec2:DescribeSpotFleetRequests``, ``ec2:DescribeSpotFleetInstances``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.aws.autoscaling import FILTER_VALUES, shortened, time_of
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import chunks, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import Errors
from ansible_collections.spot.platform.plugins.module_utils.aws.instances import (
    HEALTHY,
    UNHEALTHY,
    Membership,
    describe_instances,
)
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import EC2_FLEET, SPOT_FLEET

MEMBER_TAGS = {EC2_FLEET: "aws:ec2:fleet-id", SPOT_FLEET: "aws:ec2spot:fleet-request-id"}
"""The tag that AWS puts on the instances of a fleet, by its kind."""
ACTIVE = "active"
LIVING = ("submitted", ACTIVE, "modifying")
DRAINING = "draining"
"""What we call the state of a Spot Fleet that is about to go: it is told of, and not steered any more."""
KEEPS_EXCESS = ("no-termination", "noTermination")
"""What either API calls it that a lower target ends nothing."""
PATIENCE = 60.0
"""Seconds that a fleet has to launch, after it or its instances changed, until its silence counts as a refusal."""
ERRORS = ("service-error", "error", "information")
"""The types of events that say why there are fewer instances than are to be kept."""
OF_A_POOL = ("spotFleetRequestConfigurationInvalid", "launchSpecTemporarilyBlacklisted", "launchSpecUnusable")
OF_ALL_POOLS = ("allLaunchSpecsTemporarilyBlacklisted", "fleetProgressHalted", "spotInstanceCountLimitExceeded")
OF_THE_FLEET = ("iamFleetRoleInvalid", "invalidSpotFleetRequestConfiguration")
"""What keeps a fleet from launching anything, until somebody mends it."""
INSTANCE_TYPE = re.compile(r"\b[a-z][a-z0-9-]*\.[a-z0-9-]+\b")
ZONE = re.compile(r"\b[a-z]{2}(?:-[a-z0-9]+)+-\d+[a-z]\b")


@dataclass(frozen=True)
class Fleet:
    """A fleet of type maintain. ``overrides``: its pools, as both APIs write them. Capacities are in its unit."""

    kind: str
    id: str
    name: str
    region: str
    tags: Mapping[str, str]
    now: datetime
    created: datetime
    state: str
    desired: int
    on_demand_base: int
    template: Mapping[str, str]
    overrides: Sequence[Mapping[str, Any]]
    keeps_excess: bool
    target_groups: Sequence[str] = ()

    @property
    def subnets(self) -> set[str]:
        return {one["SubnetId"] for one in self.overrides if one.get("SubnetId")}

    @property
    def weights(self) -> dict[str, int]:
        return {
            one["InstanceType"]: int(one.get("WeightedCapacity") or 1) for one in self.overrides if "InstanceType" in one
        }


def fleets(
    client: Any,
    kind: str,
    names: Collection[str] | None = None,
    apps: Sequence[str] = (),
    environment: str | None = None,
) -> list[Fleet]:
    """The living fleets of a kind that the platform manages, called ``names``, or of ``apps`` and ``environment``; the
    newest of each name, sorted by name."""
    region = client.meta.region_name
    if kind == EC2_FLEET:
        found = [_of_ec2(item, region, time_of(page)) for page in describe_fleets(client) for item in page["Fleets"]]
    else:
        pages = describe_spot_fleet_requests(client)
        found = [_of_spot(item, region, time_of(page)) for page in pages for item in page["SpotFleetRequestConfigs"]]
    wanted = {
        one.name: one
        for one in sorted(found, key=lambda fleet: fleet.created)
        if one.state in (*LIVING, DRAINING)
        and ours.MANAGED_BY in one.tags
        and (names is None or one.name in names)
        and (not apps or one.tags.get(ours.APP) in apps)
        and environment in (None, one.tags.get(ours.ENVIRONMENT))
    }
    return [wanted[name] for name in sorted(wanted)]


def members(client: Any, found: Sequence[Fleet]) -> dict[str, list[dict[str, Any]]]:
    """The instances of the fleets, those that ended lately too, by the fleet's id: AWS tags them with it. All fleets of a
    kind are asked for at once."""
    own: dict[str, list[dict[str, Any]]] = {}
    for kind, tag in MEMBER_TAGS.items():
        ids = sorted(fleet.id for fleet in found if fleet.kind == kind)
        for part in chunks(ids, FILTER_VALUES):
            for one in describe_instances(client, [{"Name": f"tag:{tag}", "Values": list(part)}]):
                own.setdefault(one["tags"][tag], []).append(one)
    return own


def memberships(client: Any, found: Iterable[Mapping[str, Any]]) -> dict[str, Membership]:
    """Those of the instances ``found`` that run in a fleet, by id, as `instances.memberships` has those of groups.

    Each fleet is asked for the health of its instances. The type instant knows none: what it launched is a group's.
    """
    running = {
        one["instance_id"]: (kind, one["tags"][tag])
        for one in found
        for kind, tag in MEMBER_TAGS.items()
        if tag in one["tags"] and ours.GROUP not in one["tags"] and one["state"]["name"] == "running"
    }
    ids = sorted(set(running.values()))
    target_groups: dict[str, Sequence[str]] = {}
    if any(kind == SPOT_FLEET for kind, _id in ids):
        items = [item for page in describe_spot_fleet_requests(client) for item in page["SpotFleetRequestConfigs"]]
        target_groups = {item["SpotFleetRequestId"]: _target_groups(item) for item in items}

    def look(one: tuple[str, str]) -> dict[str, Membership]:
        kind, name = one
        describe = describe_fleet_instances if kind == EC2_FLEET else describe_spot_fleet_instances
        return {
            member["InstanceId"]: Membership(
                None,
                UNHEALTHY if member.get("InstanceHealth") == "unhealthy" else HEALTHY,
                tuple(target_groups.get(name, ())),
            )
            for member in describe(client, name)
            if member["InstanceId"] in running
        }

    return {name: member for part in side_by_side(look, ids) for name, member in part.items()}


@Errors.common_error_handler("list the instances of the EC2 Fleet")
def describe_fleet_instances(client: Any, fleet_id: str) -> list[dict[str, Any]]:
    """DescribeFleetInstances, all pages; botocore has no paginator for it."""
    return _all_pages(client.describe_fleet_instances, "ActiveInstances", FleetId=fleet_id)


@Errors.common_error_handler("list the instances of the Spot Fleet")
def describe_spot_fleet_instances(client: Any, fleet_id: str) -> list[dict[str, Any]]:
    """DescribeSpotFleetInstances, all pages."""
    return _all_pages(client.describe_spot_fleet_instances, "ActiveInstances", SpotFleetRequestId=fleet_id)


def _all_pages(ask: Callable[..., dict[str, Any]], key: str, **request: Any) -> list[dict[str, Any]]:
    """What ``ask`` answers under ``key``, over all pages."""
    found, token = [], {}
    while True:
        answer = ask(**request, **token)
        found += answer[key]
        if not answer.get("NextToken"):
            return found
        token = {"NextToken": answer["NextToken"]}


@Errors.common_error_handler("describe the EC2 Fleets")
def describe_fleets(client: Any) -> list[dict[str, Any]]:
    """DescribeFleets, all pages, whole, for their time: the living fleets of type maintain."""
    filters = [{"Name": "fleet-state", "Values": list(LIVING)}, {"Name": "type", "Values": ["maintain"]}]
    return list(client.get_paginator("describe_fleets").paginate(Filters=filters))


@Errors.common_error_handler("describe the Spot Fleets")
def describe_spot_fleet_requests(client: Any) -> list[dict[str, Any]]:
    """DescribeSpotFleetRequests, all pages, whole, for their time; it filters by nothing."""
    return list(client.get_paginator("describe_spot_fleet_requests").paginate())


def _tags(item: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", ())}


def _of_ec2(item: Mapping[str, Any], region: str, now: datetime) -> Fleet:
    capacity, carried = item["TargetCapacitySpecification"], _tags(item)
    configuration = (item.get("LaunchTemplateConfigs") or [{}])[0]
    return Fleet(
        kind=EC2_FLEET,
        id=item["FleetId"],
        name=carried.get("Name", item["FleetId"]),
        region=region,
        tags=carried,
        now=now,
        created=item["CreateTime"],
        state=item["FleetState"],
        desired=capacity["TotalTargetCapacity"],
        on_demand_base=capacity.get("OnDemandTargetCapacity", 0),
        template=configuration.get("LaunchTemplateSpecification", {}),
        overrides=configuration.get("Overrides", ()),
        keeps_excess=item.get("ExcessCapacityTerminationPolicy") in KEEPS_EXCESS,
    )


def _of_spot(item: Mapping[str, Any], region: str, now: datetime) -> Fleet:
    given, carried = item["SpotFleetRequestConfig"], _tags(item)
    state = item["SpotFleetRequestState"] if given.get("Type") == "maintain" else ""
    configuration = (given.get("LaunchTemplateConfigs") or [{}])[0]
    return Fleet(
        kind=SPOT_FLEET,
        id=item["SpotFleetRequestId"],
        name=carried.get("Name", item["SpotFleetRequestId"]),
        region=region,
        tags=carried,
        now=now,
        created=item["CreateTime"],
        state=DRAINING if ours.DRAINING in carried and state in LIVING else state,
        desired=given["TargetCapacity"],
        on_demand_base=given.get("OnDemandTargetCapacity", 0),
        template=configuration.get("LaunchTemplateSpecification", {}),
        overrides=configuration.get("Overrides", ()),
        keeps_excess=given.get("ExcessCapacityTerminationPolicy") in KEEPS_EXCESS,
        target_groups=_target_groups(item),
    )


def _target_groups(item: Mapping[str, Any]) -> tuple[str, ...]:
    """The target groups of a Spot Fleet, by ARN."""
    balanced = item["SpotFleetRequestConfig"].get("LoadBalancersConfig", {}).get("TargetGroupsConfig", {})
    return tuple(one["Arn"] for one in balanced.get("TargetGroups", ()))


# What its pools refuse


@dataclass(frozen=True)
class Refusals:
    """``pools``: those that gave no Spot, as (zone, type). ``troubles``: what keeps the fleet from launching at all."""

    pools: frozenset[tuple[str, str]] = frozenset()
    troubles: tuple[str, ...] = ()


def refusals(client: Any, fleet: Fleet, pools: Collection[tuple[str, str]], since: datetime) -> Refusals:
    """What a fleet that is short of Spot was refused after ``since``, of its ``pools``, (zone, type)."""
    if fleet.kind == EC2_FLEET:
        events = describe_fleet_history(client, fleet.id, since)
    else:
        events = describe_spot_fleet_request_history(client, fleet.id, since)
    return refusals_in(events, pools, fleet.now)


def refusals_in(
    events: Iterable[Mapping[str, Any]], pools: Collection[tuple[str, str]], now: datetime
) -> Refusals:
    """What the ``events`` of a fleet that is short of Spot say. Their texts are for people, and need not be there: a fleet
    that has changed nothing for a while has asked all its pools in vain."""
    refused: set[tuple[str, str]] = set()
    troubles: dict[str, None] = {}
    quiet_since = datetime.fromtimestamp(0, timezone.utc)
    for event in events:
        what = event["EventInformation"].get("EventSubType", "")
        text = event["EventInformation"].get("EventDescription", "")
        if event["EventType"] not in ERRORS:
            quiet_since = max(quiet_since, event["Timestamp"])
        elif what in OF_THE_FLEET:
            troubles[f"{what}: {shortened(text)}"] = None
        elif what in OF_ALL_POOLS:
            refused |= set(pools)
        elif what in OF_A_POOL:
            kind, zone = INSTANCE_TYPE.search(text), ZONE.search(text)
            refused |= {
                (where, name)
                for where, name in pools
                if kind and name == kind.group() and (zone is None or where == zone.group())
            }
    if (now - quiet_since).total_seconds() >= PATIENCE:
        refused |= set(pools)
    return Refusals(frozenset(refused), tuple(troubles))


@Errors.common_error_handler("read the history of the EC2 Fleet")
def describe_fleet_history(client: Any, fleet_id: str, since: datetime) -> list[dict[str, Any]]:
    """DescribeFleetHistory, all pages; botocore has no paginator for it."""
    return _all_pages(client.describe_fleet_history, "HistoryRecords", FleetId=fleet_id, StartTime=since)


@Errors.common_error_handler("read the history of the Spot Fleet")
def describe_spot_fleet_request_history(client: Any, fleet_id: str, since: datetime) -> list[dict[str, Any]]:
    """DescribeSpotFleetRequestHistory, all pages; botocore has no paginator for it."""
    return _all_pages(client.describe_spot_fleet_request_history, "HistoryRecords", SpotFleetRequestId=fleet_id, StartTime=since)
