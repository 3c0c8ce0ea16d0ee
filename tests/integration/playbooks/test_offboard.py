"""Offboarding: it asks, removes all that onboarding made and nothing else, and can be interrupted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from .conftest import ENVIRONMENT, REGION, WEB, WORKER, Project


def hosted_zone(project: Project) -> str:
    """A zone with a record that is another's; returns its id."""
    route53 = project.sandbox.client("route53")
    zone = route53.create_hosted_zone(Name="example.com", CallerReference="one")["HostedZone"]["Id"]
    record = {"Name": "other.example.com", "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}
    changes = [{"Action": "CREATE", "ResourceRecordSet": record}]
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    return zone


def names(project: Project, zone: str) -> set[str]:
    """The names in the zone, but for its own."""
    found = project.sandbox.client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return {f"{one['Name']} {one['Type']}" for one in found if one["Type"] not in ("NS", "SOA")}


def test_offboarding_removes_all_that_was_made_and_nothing_else(
    project: Project, until: Callable[[str, str], None]
) -> None:
    ec2 = project.sandbox.client("ec2", REGION)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ec2.create_security_group(GroupName=f"{ENVIRONMENT}-web", Description="another's of the same name", VpcId=vpc)
    before = project.resources()
    zone = hosted_zone(project)
    project.app({**WEB, "routing": {"dns": {"zone": "example.com", "name": "web.example.com"}}})
    project.app(WORKER)
    project.onboard()
    reconciled = project.play("capacity_reconcile")
    assert reconciled.code == 0, reconciled.output
    assert names(project, zone) == {"web.example.com. A", "other.example.com. A"}

    asked = project.play("app_offboard")
    assert asked.code != 0
    assert "Nothing was removed" in asked.words
    assert len(project.ours()[f"{REGION} AutoScalingGroups"]) == 2

    project.sandbox.post("/sandbox/calls/reset")
    killed = project.start("app_offboard", apps="web", app_offboard_confirm=True)
    until("elbv2", "DeleteLoadBalancer")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()

    run = project.play("app_offboard", apps="web", app_offboard_confirm=True)
    assert run.code == 0, run.output
    assert names(project, zone) == {"other.example.com. A"}
    left = project.ours()
    assert {name for names in left.values() for name in names if name.startswith(f"{ENVIRONMENT}-web")} == {
        f"{ENVIRONMENT}-web"  # the other's
    }
    assert left[f"{REGION} AutoScalingGroups"] == [f"{ENVIRONMENT}-worker"]
    vpcs = f"{REGION} Vpcs"
    assert len(project.resources()[vpcs]) == len(before[vpcs]) + 1, "the worker still uses the network"
    assert len(project.resources()[f"{REGION} Queues"]) == 4, "and its events must still be heard"

    run = project.play("app_offboard", app_offboard_confirm=True)
    assert run.code == 0, run.output
    assert project.resources() == before
    assert not [key for key in (project.directory / ".keys").iterdir() if key.name != ".gitignore"]

    again = project.play("app_offboard", app_offboard_confirm=True)
    assert again.code == 0, again.output
    assert set(again.changed.values()) == {0}, again.output
