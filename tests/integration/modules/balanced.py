# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Target groups behind what `groups` and `fleets` make, for the tests of what drains and of what replaces."""

from __future__ import annotations

from typing import Any

from ansible_collections.spot.platform.tests.integration.modules.groups import REGION


DRAINING = {"Key": "deregistration_delay.timeout_seconds", "Value": "3"}
"""Short, for nobody waits for requests here."""


def target_group(sandbox: Any, name: str = "web", region: str = REGION) -> str:
    """A target group; returns its ARN."""
    elbv2 = sandbox.client("elbv2", region)
    vpc = sandbox.client("ec2", region).describe_vpcs()["Vpcs"][0]["VpcId"]
    made = elbv2.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc)
    arn = str(made["TargetGroups"][0]["TargetGroupArn"])
    elbv2.modify_target_group_attributes(TargetGroupArn=arn, Attributes=[DRAINING])
    return arn


def balance(sandbox: Any, group: str = "sandbox-web", name: str = "web", region: str = REGION) -> str:
    """Put a group behind a target group of its own; returns its ARN."""
    arn = target_group(sandbox, name, region)
    sandbox.client("autoscaling", region).attach_load_balancer_target_groups(
        AutoScalingGroupName=group, TargetGroupARNs=[arn]
    )
    return arn


def targets(sandbox: Any, arn: str) -> dict[str, str]:
    """The state of each target by id."""
    region = arn.split(":")[3]
    found = sandbox.client("elbv2", region).describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    return {one["Target"]["Id"]: one["TargetHealth"]["State"] for one in found}


def serving(sandbox: Any, arn: str) -> set[str]:
    """Those that get requests."""
    return {name for name, state in targets(sandbox, arn).items() if state != "draining"}


def calls(sandbox: Any) -> dict[str, int]:
    """How often each operation was called since the last reset."""
    return {
        name: count
        for names in sandbox.get("/sandbox/calls")["services"].values()
        for name, count in names.items()
    }
