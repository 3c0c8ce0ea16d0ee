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
    project.onboard()

    asked = project.play("app_offboard")
    assert asked.code != 0
    assert "Nothing was removed" in asked.words
    assert f"{ENVIRONMENT}-web" in project.ours()[f"{REGION} AutoScalingGroups"]

    project.sandbox.post("/sandbox/calls/reset")
    killed = project.start("app_offboard", app_offboard_confirm=True)
    until("elbv2", "DeleteLoadBalancer")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert project.resources() != before

    run = project.play("app_offboard", app_offboard_confirm=True)
    assert run.code == 0, run.output
    assert project.resources() == before
    assert not [key for key in (project.directory / ".keys").iterdir() if key.name != ".gitignore"]

    again = project.play("app_offboard", app_offboard_confirm=True)
    assert again.code == 0, again.output
    assert set(again.changed.values()) == {0}, again.output


def test_the_network_stays_while_another_application_uses_it(project: Project) -> None:
    before = project.resources()
    project.app(WORKER)
    project.app({**WORKER, "name": "other"})
    project.onboard()

    assert project.play("app_offboard", apps="worker", app_offboard_confirm=True).code == 0
    left = project.ours()
    assert left[f"{REGION} AutoScalingGroups"] == [f"{ENVIRONMENT}-other"]
    assert len(project.resources()[f"{REGION} Vpcs"]) == len(before[f"{REGION} Vpcs"]) + 1

    assert project.play("app_offboard", apps="other", app_offboard_confirm=True).code == 0
    assert project.resources() == before
