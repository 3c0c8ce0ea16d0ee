"""Faults of AWS, and two runs at once, end in what was wanted, never in an orphan."""

from __future__ import annotations

from .conftest import WEB, WORKER, Project, check_nothing_is_there_twice


def test_onboarding_survives_throttling_of_every_third_call(project: Project) -> None:
    before = project.resources()
    project.app(WORKER)
    project.sandbox.post("/sandbox/faults", rules=[{"kind": "throttle", "rate": 0.3}])
    project.onboard()
    project.sandbox.post("/sandbox/faults", rules=[])
    check_nothing_is_there_twice(project, before)


def test_after_credentials_that_expired_in_the_middle_the_next_run_completes(project: Project) -> None:
    before = project.resources()
    project.app(WEB)
    broken = {"service": "elbv2", "operation": "CreateTargetGroup", "kind": "expired"}
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
