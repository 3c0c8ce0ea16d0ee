# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What rules on events run: interruption_handle and instance_replace, with the receipt that says that a batch was handled."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.spot.platform.tests.integration.modules.balanced import balance
from ansible_collections.spot.platform.tests.integration.modules.groups import REGION, make, settle

from .conftest import WEB, Project

GONE = "i-0123456789abcdef0"
SERVING = 4


@pytest.fixture
def web(project: Project, run_module: Callable[..., dict[str, Any]], tmp_path: Path) -> Project:
    """An application behind its target group, as onboarding leaves it, at rest."""
    project.write("targets.spot.yml", {"plugin": "spot.platform.targets", "environment": "sandbox"})
    project.app({**WEB, "regions": [REGION]})
    make(project.sandbox)
    balance(project.sandbox)
    options = {"regions": [REGION], "cache_dir": str(tmp_path), "run_seconds": 10}
    settle(project.sandbox, lambda: run_module("spot_autoscale", options))
    return project


@pytest.fixture
def receipt(tmp_path: Path) -> Path:
    path = tmp_path / "receipt"
    path.write_text("{}")
    return path


def spot(project: Project) -> list[str]:
    filters = [{"Name": "instance-lifecycle", "Values": ["spot"]}, {"Name": "instance-state-name", "Values": ["running"]}]
    found = project.sandbox.client("ec2", REGION).describe_instances(Filters=filters)["Reservations"]
    return sorted(one["InstanceId"] for part in found for one in part["Instances"])


def targets(project: Project) -> set[str]:
    """Those that get requests."""
    client = project.sandbox.client("elbv2", REGION)
    (group,) = client.describe_target_groups()["TargetGroups"]
    found = client.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
    return {one["Target"]["Id"] for one in found if one["TargetHealth"]["State"] != "draining"}


def members(project: Project) -> set[str]:
    found = project.sandbox.client("autoscaling", REGION).describe_auto_scaling_groups()["AutoScalingGroups"]
    return {one["InstanceId"] for group in found for one in group["Instances"] if one["LifecycleState"] == "InService"}


def advance(project: Project, seconds: float) -> None:
    project.sandbox.post("/sandbox/clock", advance=seconds)


def test_interrupted_instances_are_replaced_drained_and_the_receipt_goes(web: Project, receipt: Path) -> None:
    victim, hinted, *_others = spot(web)
    before = members(web)
    web.sandbox.post("/sandbox/interrupt", instance_ids=[victim])

    run = web.play("interruption_handle", notices=[victim, GONE], rebalances=[hinted, victim], receipt=str(receipt))

    assert run.code == 0, run.output
    assert not receipt.exists()
    assert victim not in targets(web) and len(targets(web)) >= SERVING
    assert members(web) - before, "what replaces it is attached already"
    assert "1 instance told to go by AWS: 1 taken out of their target groups" in run.words
    assert "the risk of their pools rises" in run.words and f"{GONE}: EC2 does not know it" in run.words

    receipt.write_text("{}")
    web.sandbox.post("/sandbox/calls/reset")
    again = web.play("interruption_handle", notices=[victim], receipt=str(receipt))
    assert again.code == 0 and not receipt.exists()
    assert "it was handled already" in again.words or "it is already" in again.words
    assert set(web.writes()) <= {"BatchGetItem"}, "nothing is done twice"


def test_where_something_fails_the_receipt_stays_for_the_next_run(web: Project, receipt: Path) -> None:
    victim = spot(web)[0]
    web.sandbox.post("/sandbox/interrupt", instance_ids=[victim])
    rule = {"kind": "denied", "service": "elbv2", "operation": "DeregisterTargets"}
    web.sandbox.post("/sandbox/faults", rules=[rule])
    run = web.play("interruption_handle", notices=[victim], receipt=str(receipt))
    assert run.code != 0 and receipt.exists() and "elasticloadbalancing:DeregisterTargets" in run.words

    web.sandbox.post("/sandbox/faults", rules=[{"kind": "throttle", "rate": 0.3}])
    again = web.play("interruption_handle", notices=[victim], receipt=str(receipt))
    web.sandbox.post("/sandbox/faults", rules=[])
    assert again.code == 0, again.output
    assert not receipt.exists() and victim not in targets(web)


def test_killed_half_way_the_next_run_completes(
    web: Project, receipt: Path, until: Callable[[str, str], None]
) -> None:
    victim = spot(web)[0]
    web.sandbox.post("/sandbox/interrupt", instance_ids=[victim])
    rule = {"kind": "latency", "service": "elbv2", "operation": "DeregisterTargets", "seconds": 5}
    web.sandbox.post("/sandbox/faults", rules=[rule])
    web.sandbox.post("/sandbox/calls/reset")
    killed = web.start("interruption_handle", notices=[victim], receipt=str(receipt))
    until("ec2", "CreateFleet")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert receipt.exists()

    web.sandbox.post("/sandbox/faults", rules=[])
    run = web.play("interruption_handle", notices=[victim], receipt=str(receipt))
    assert run.code == 0, run.output
    assert not receipt.exists() and victim not in targets(web)


def test_an_unhealthy_instance_is_replaced_and_goes_when_the_replacement_serves(web: Project, receipt: Path) -> None:
    victim = spot(web)[0]
    run = web.play("instance_replace", unhealthy=[victim], receipt=str(receipt))
    assert run.code == 0, run.output
    assert not receipt.exists() and len(members(web)) >= 4  # at once, where there is more than the target already
    assert f"sandbox-web@{REGION}: health.replaced" in run.words and "is named by an alert" in run.words
    for _minute in range(3):
        advance(web, 60)
        assert len(members(web)) >= 4
        assert web.play("capacity_reconcile").code == 0
    assert victim not in members(web) and len(members(web)) >= 4


def test_a_whole_group_that_is_unhealthy_is_left_alone(web: Project, receipt: Path) -> None:
    before = members(web)
    web.sandbox.post("/sandbox/calls/reset")
    run = web.play("instance_replace", unhealthy=sorted(before), receipt=str(receipt))
    assert run.code == 0, run.output
    assert not receipt.exists() and members(web) == before and "nothing is touched" in run.words
    assert set(web.writes()) <= {"BatchGetItem"}


@pytest.mark.parametrize("playbook", ["interruption_handle", "instance_replace"])
def test_an_inventory_without_targets_is_refused(project: Project, receipt: Path, playbook: str) -> None:
    run = project.play(playbook, receipt=str(receipt))
    assert run.code != 0 and receipt.exists() and "The inventory has no targets" in run.words


def test_without_access_the_receipt_stays(web: Any, receipt: Path) -> None:
    web.sandbox.post("/sandbox/faults", rules=[{"kind": "expired", "rate": 1.0}])
    run = web.play("instance_replace", receipt=str(receipt))
    web.sandbox.post("/sandbox/faults", rules=[])
    assert run.code != 0 and receipt.exists() and "expired" in run.words
