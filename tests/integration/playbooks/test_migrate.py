"""Migrating an application to a fleet and back: never less than the target serves, whenever it is looked at."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from .conftest import ENVIRONMENT, REGION, WEB, WORKER, Project

SERVING = 2
SPEED = 20
"""A minute of the sandbox takes three seconds."""


def serving(project: Project, name: str) -> int:
    """The healthy targets of an application with a load balancer, else its running instances."""
    elb, ec2 = project.sandbox.client("elbv2", REGION), project.sandbox.client("ec2", REGION)
    arns = [group["TargetGroupArn"] for group in elb.describe_target_groups()["TargetGroups"]]
    if arns:
        found = elb.describe_target_health(TargetGroupArn=arns[0])["TargetHealthDescriptions"]
        return sum(one["TargetHealth"]["State"] == "healthy" for one in found)
    filters = [
        {"Name": "tag:spot.platform/app", "Values": [name]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    return sum(len(part["Instances"]) for page in pages for part in page["Reservations"])


@contextmanager
def watched(project: Project, name: str) -> Iterator[list[int]]:
    """What serves, looked at all the time."""
    seen: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.5):
            seen.append(serving(project, name))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def standing(project: Project) -> dict[str, list[str]]:
    """The living groups and fleets, by kind."""
    ec2, autoscaling = project.sandbox.client("ec2", REGION), project.sandbox.client("autoscaling", REGION)
    fleets = ec2.describe_fleets(Filters=[{"Name": "type", "Values": ["maintain"]}])["Fleets"]
    requests = ec2.describe_spot_fleet_requests()["SpotFleetRequestConfigs"]
    found = {
        "auto_scaling_group": [
            group["AutoScalingGroupName"] for group in autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
        ],
        "ec2_fleet": [name_of(one) for one in fleets if one["FleetState"] == "active"],
        "spot_fleet": [name_of(one) for one in requests if one["SpotFleetRequestState"] == "active"],
    }
    return {kind: names for kind, names in found.items() if names}


def name_of(fleet: dict[str, Any]) -> str:
    return str(next(tag["Value"] for tag in fleet["Tags"] if tag["Key"] == "Name"))


@pytest.fixture
def onboarded(project: Project) -> Iterator[Callable[[dict[str, Any]], str]]:
    """``onboarded(manifest)``: an application that serves; returns its name."""

    def onboard(manifest: dict[str, Any]) -> str:
        project.app(manifest)
        project.onboard()
        project.sandbox.post("/sandbox/clock", advance=120)
        project.sandbox.post("/sandbox/clock", speed=SPEED)
        assert serving(project, manifest["name"]) == SERVING
        return str(manifest["name"])

    yield onboard
    project.sandbox.post("/sandbox/clock", speed=1)


def migrate(project: Project, kind: str) -> Any:
    return project.play("capacity_migrate", kind=kind, app_migrate_delay=1)


def killed_half_way(project: Project, until: Callable[[str, str], None], kind: str, service: str, operation: str) -> None:
    """Migrate, and be killed as soon as the operation is called."""
    project.sandbox.post("/sandbox/calls/reset")
    killed = project.start("capacity_migrate", kind=kind, app_migrate_delay=1)
    until(service, operation)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()


def test_to_a_spot_fleet_and_back_and_killed_on_the_way(
    project: Project, onboarded: Callable[[dict[str, Any]], str], until: Callable[[str, str], None]
) -> None:
    app = onboarded(WEB)
    for kind in ("spot_fleet", "auto_scaling_group"):
        with watched(project, app) as seen:
            if kind == "spot_fleet":
                killed_half_way(project, until, kind, "ec2", "RequestSpotFleet")
            moved = migrate(project, kind)
        assert moved.code == 0, moved.output
        assert standing(project) == {kind: [f"{ENVIRONMENT}-{app}"]}
        assert min(seen) >= SERVING, f"the target did not serve all the time: {seen}"
        assert max(seen) >= 2 * SERVING, "the new one serves before the old one goes"
        # The new one may hold one more, where a step has launched what replaces another: that goes at the next step.
        assert SERVING <= serving(project, app) <= SERVING + 1
        assert (f"set capacity.kind to {kind}" in moved.words) == (kind == "spot_fleet"), "the manifest says the group"


def test_to_an_ec2_fleet_killed_while_the_old_one_goes(
    project: Project, onboarded: Callable[[dict[str, Any]], str], until: Callable[[str, str], None]
) -> None:
    app = onboarded(WORKER)
    # The autoscaler would update the group too.
    steady = project.play("capacity_reconcile")
    assert steady.code == 0, steady.output
    with watched(project, app) as seen:
        killed_half_way(project, until, "ec2_fleet", "autoscaling", "UpdateAutoScalingGroup")
        run = migrate(project, "ec2_fleet")
    assert run.code == 0, run.output
    only = {"ec2_fleet": [f"{ENVIRONMENT}-worker"]}
    assert standing(project) == only
    assert min(seen) >= SERVING, f"the target did not serve all the time: {seen}"

    again = migrate(project, "ec2_fleet")
    assert again.code == 0 and set(again.changed.values()) == {0}, again.output
    refused = project.play("app_onboard")
    assert refused.code != 0 and f"{ENVIRONMENT}-worker is there as ec2_fleet" in refused.words, refused.output
    assert standing(project) == only
    removed = project.play("app_offboard", app_offboard_confirm=True)
    assert removed.code == 0 and standing(project) == {}, removed.output


def test_what_cannot_be_is_refused_before_anything_is_touched(project: Project) -> None:
    project.app(WEB)
    for kind, words in (("ec2_fleet", "an EC2 Fleet cannot have a load balancer"), ("fleet", "auto_scaling_group")):
        refused = migrate(project, kind)
        assert refused.code != 0 and words in refused.words, refused.output
    refused = migrate(project, "spot_fleet")
    assert refused.code != 0 and f"{REGION} has no group or fleet {ENVIRONMENT}-web to migrate" in refused.words
    refused = project.play("capacity_migrate", kind="spot_fleet", apps="web,nosuch")
    assert refused.code != 0 and "No manifest for nosuch in the inventory; there is web" in refused.words
    assert project.writes() == []
