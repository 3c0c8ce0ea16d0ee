# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load balancers that a group's target groups stand behind.

IAM actions: ``elasticloadbalancing:DescribeTargetGroups``, ``elasticloadbalancing:DescribeLoadBalancers``; `deregister`:
``elasticloadbalancing:DeregisterTargets``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, chunks
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors

BY_ARN = 20
"""ARNs that AWS takes in one request; for more, all pages of 400 are fewer requests."""
PAGE = 400
TARGETS = 100
"""So many targets are taken out of a target group in one call."""
GONE = ("TargetGroupNotFound", "LoadBalancerNotFound")


@dataclass(frozen=True, slots=True)
class Balancer:
    """A load balancer. An alias record needs its DNS name, and the hosted zone that AWS keeps that in."""

    dns_name: str
    zone_id: str
    arn: str = ""


def balancers(clients: Clients, region: str, target_groups: Iterable[str]) -> dict[str, Balancer]:
    """The load balancer of each of ``target_groups`` (ARNs of ``region``); those that have none are left out.

    Two requests for up to 20 target groups, and a request for each 400 there are beyond that.
    """
    wanted = sorted(set(target_groups))
    if not wanted:
        return {}
    client = clients.get("elbv2", region)
    found = _chosen(describe_target_groups, client, "TargetGroupArns", "TargetGroupArn", wanted)
    behind = {arn: min(one["LoadBalancerArns"]) for arn, one in found.items() if one.get("LoadBalancerArns")}
    if not behind:
        return {}
    arns = sorted(set(behind.values()))
    known = _chosen(describe_load_balancers, client, "LoadBalancerArns", "LoadBalancerArn", arns)
    return {
        arn: Balancer(known[balancer]["DNSName"], known[balancer]["CanonicalHostedZoneId"], balancer)
        for arn, balancer in behind.items()
        if balancer in known
    }


def deregister(client: Any, arn: str, ids: Sequence[str]) -> list[Sequence[str]]:
    """Take instances out of the target group: they get no new requests, and finish those that they have. Returns the parts
    in which it was done."""
    parts = chunks(ids, TARGETS)
    for part in parts:
        deregister_targets(client, arn, part)
    return parts


def _chosen(describe: Any, client: Any, parameter: str, key: str, arns: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Those of ``arns`` that are there, by ARN. One that is gone fails a request by ARN, so all are listed then."""
    if len(arns) <= BY_ARN:
        try:
            return {one[key]: one for one in describe(client, **{parameter: list(arns)})}
        except AwsError as error:
            if error.code not in GONE:
                raise
    return {one[key]: one for one in describe(client, PaginationConfig={"PageSize": PAGE}) if one[key] in set(arns)}


@Errors.common_error_handler("describe the target groups")
def describe_target_groups(client: Any, **request: Any) -> list[dict[str, Any]]:
    """DescribeTargetGroups, all pages."""
    pages = client.get_paginator("describe_target_groups").paginate(**request)
    return [one for page in pages for one in page["TargetGroups"]]


@Errors.common_error_handler("describe the load balancers")
def describe_load_balancers(client: Any, **request: Any) -> list[dict[str, Any]]:
    """DescribeLoadBalancers, all pages."""
    pages = client.get_paginator("describe_load_balancers").paginate(**request)
    return [one for page in pages for one in page["LoadBalancers"]]


@Errors.common_error_handler("take instances out of the target group")
def deregister_targets(client: Any, arn: str, ids: Sequence[str]) -> None:
    """DeregisterTargets."""
    client.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": one} for one in ids])
