"""Faults end in a clear error or in what was wanted, never in an orphan."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import REGION, WEB, WORKER, Project


def check_nothing_is_there_twice(project: Project, before: dict[str, list[str]]) -> None:
    now = project.resources()
    for kind, number in {"Vpcs": 1, "InternetGateways": 1, "Subnets": 3, "AutoScalingGroups": 1}.items():
        assert len(now[f"{REGION} {kind}"]) == len(before[f"{REGION} {kind}"]) + number, kind
    assert all(len(names) == len(set(names)) for names in project.ours().values())
    assert not [name for name in now[f"{REGION} LaunchTemplates"] if name.endswith("-lock")]


def test_onboarding_survives_throttling_of_every_third_call(project: Project) -> None:
    before = project.resources()
    project.app(WORKER)
    project.sandbox.post("/sandbox/faults", rules=[{"kind": "throttle", "rate": 0.3}])
    project.onboard()
    project.sandbox.post("/sandbox/faults", rules=[])
    check_nothing_is_there_twice(project, before)


def test_after_an_error_in_the_middle_the_next_run_completes(project: Project) -> None:
    before = project.resources()
    project.app(WEB)
    broken = {"service": "elbv2", "operation": "CreateTargetGroup", "kind": "error", "rate": 1.0}
    project.sandbox.post("/sandbox/faults", rules=[broken])
    run = project.play("app_onboard")
    assert run.code != 0
    assert "CreateTargetGroup" in run.words
    project.sandbox.post("/sandbox/faults", rules=[])
    project.onboard()
    check_nothing_is_there_twice(project, before)
    assert set(project.onboard().changed.values()) == {0}


def test_two_onboardings_at_once_make_one_application(project: Project) -> None:
    before = project.resources()
    project.app(WORKER)
    both = [project.start("app_onboard") for _run in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(outputs)
    check_nothing_is_there_twice(project, before)


@pytest.mark.parametrize(
    ("service", "operation"), [("ec2", "CreateVpc"), ("iam", "CreateRole")], ids=["network", "application"]
)
def test_after_a_kill_the_next_run_completes(
    project: Project, until: Callable[[str, str], None], service: str, operation: str
) -> None:
    before = project.resources()
    project.app(WORKER)
    killed = project.start("app_onboard")
    until(service, operation)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()

    project.onboard(network_lock_seconds=3)

    check_nothing_is_there_twice(project, before)


@pytest.mark.parametrize(
    ("rules", "connection", "words"),
    [
        ([], {}, "credentials"),
        ([{"kind": "expired", "rate": 1.0}], None, "expired"),
        (
            [{"kind": "denied", "service": "ec2", "operation": "DescribeSpotPriceHistory", "rate": 1.0}],
            None,
            "ec2:DescribeSpotPriceHistory",
        ),
    ],
    ids=["missing", "expired", "denied"],
)
def test_bad_credentials_are_named_before_anything_is_touched(
    project: Project, rules: list[dict[str, Any]], connection: dict[str, str] | None, words: str
) -> None:
    project.app(WORKER)
    if connection is not None:
        project.connect(**connection)
    project.sandbox.post("/sandbox/faults", rules=rules)
    run = project.play("app_onboard")
    assert run.code != 0
    assert words in run.words, run.output
    assert project.writes() == []


def test_an_action_that_is_denied_half_way_is_named(project: Project) -> None:
    project.app(WORKER)
    project.sandbox.post(
        "/sandbox/faults", rules=[{"kind": "denied", "service": "iam", "operation": "CreateRole", "rate": 1.0}]
    )
    run = project.play("app_onboard")
    assert run.code != 0
    assert "iam:CreateRole" in run.words, run.output
