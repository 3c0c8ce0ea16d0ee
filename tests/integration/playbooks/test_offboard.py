"""Offboarding: it asks, removes all that onboarding made and nothing else, and can be interrupted."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from .conftest import ENVIRONMENT, REGION, WEB, WORKER, Project


def test_offboarding_removes_all_that_was_made_and_nothing_else(
    project: Project, until: Callable[[str, str], None]
) -> None:
    ec2 = project.sandbox.client("ec2", REGION)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ec2.create_security_group(GroupName=f"{ENVIRONMENT}-web", Description="another's of the same name", VpcId=vpc)
    before = project.resources()
    project.app(WEB)
    project.app(WORKER)
    project.onboard()

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
    left = project.ours()
    assert {name for names in left.values() for name in names if name.startswith(f"{ENVIRONMENT}-web")} == {
        f"{ENVIRONMENT}-web"  # the other's
    }
    assert left[f"{REGION} AutoScalingGroups"] == [f"{ENVIRONMENT}-worker"]
    vpcs = f"{REGION} Vpcs"
    assert len(project.resources()[vpcs]) == len(before[vpcs]) + 1, "the worker still uses the network"

    run = project.play("app_offboard", app_offboard_confirm=True)
    assert run.code == 0, run.output
    assert project.resources() == before
    assert not [key for key in (project.directory / ".keys").iterdir() if key.name != ".gitignore"]

    again = project.play("app_offboard", app_offboard_confirm=True)
    assert again.code == 0, again.output
    assert set(again.changed.values()) == {0}, again.output
