"""After a run that was killed half-way, the next one completes; one that may not do its work says so at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import WORKER, Project, check_nothing_is_there_twice


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
