"""The load balancers of a group: which there are, and the members in their target groups."""

from __future__ import annotations

from collections.abc import Iterable

from moto.elbv2.models import elbv2_backends
from spot_sandbox.services.autoscaling.requests import invalid
from spot_sandbox.services.autoscaling.state import Group, Member
from spot_sandbox.services.events import ACCOUNT


def sources_of(group: Group) -> list[dict[str, str]]:
    return [{"Identifier": arn, "Type": "elbv2"} for arn in group.target_groups] + group.traffic_sources


def check_target_groups(region: str, arns: list[str]) -> None:
    known = elbv2_backends[ACCOUNT][region].target_groups
    if missing := [arn for arn in arns if arn not in known]:
        raise invalid(
            f"Provided Target Groups may not be valid. Please ensure they exist and try again. ({missing[0]})"
        )


def attach_sources(group: Group, sources: list[dict[str, str]]) -> None:
    arns = [s["Identifier"] for s in sources if ":targetgroup/" in s["Identifier"]]
    check_target_groups(group.region, arns)
    group.target_groups += [arn for arn in arns if arn not in group.target_groups]
    known = [s["Identifier"] for s in group.traffic_sources]
    group.traffic_sources += [{"Type": "elb", **s} for s in sources if s["Identifier"] not in [*arns, *known]]
    for member in group.members.values():
        if member.state == "InService":
            register(group, member)


def register(group: Group, member: Member) -> None:
    if "AddToLoadBalancer" in group.suspended:
        return
    backend = elbv2_backends[ACCOUNT][group.region]
    for arn in group.target_groups:
        if arn in backend.target_groups:
            backend.register_targets(arn, [{"Id": member.id}])


def deregister(group: Group, members: Iterable[Member], target_groups: Iterable[str] | None = None) -> None:
    backend = elbv2_backends[ACCOUNT][group.region]
    for arn in group.target_groups if target_groups is None else target_groups:
        target_group = backend.target_groups.get(arn)
        if target_group:
            for member in members:
                if member.id in target_group.targets:
                    target_group.deregister([{"Id": member.id}])
