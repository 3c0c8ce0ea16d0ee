"""app_scale: temporary bounds of an application, and the step that acts on them."""

from __future__ import annotations

import json

from .conftest import REGION, WORKER, Project

KEY = "spot.platform/override"


def tags(project: Project) -> dict[str, str]:
    (group,) = project.sandbox.client("autoscaling", REGION).describe_auto_scaling_groups()["AutoScalingGroups"]
    return {one["Key"]: one["Value"] for one in group["Tags"]}


def test_a_minimum_for_two_hours_its_end_and_what_is_refused(project: Project) -> None:
    project.app(WORKER)
    project.app({**WORKER, "name": "other"})
    project.onboard(apps="worker")
    project.sandbox.post("/sandbox/clock", advance=200)
    assert project.play("capacity_reconcile", apps="worker").code == 0

    refused = {
        "No application is named: give -e app=NAME, one of other, worker": {"minimum": 3, "hours": 2},
        "No manifest for nobody in the inventory": {"app": "nobody", "minimum": 3, "hours": 2},
        f"region is mars-1, but worker runs in {REGION}": {"app": "worker", "region": "mars-1", "minimum": 3, "hours": 2},
        f"minimum is 5, but capacity.max of worker in {REGION} is 4 instances": {"app": "worker", "minimum": 5, "hours": 2},
        f"other has no group in {REGION}: run spot.platform.app_onboard": {"app": "other", "minimum": 3, "hours": 2},
    }
    for words, variables in refused.items():
        run = project.play("app_scale", **variables)
        assert run.code != 0 and words in run.words, run.output
    assert KEY not in tags(project)

    asked = {"app": "worker", "minimum": "4", "hours": "2", "until": "", "region": "", "reason": "many jobs", "awx_user_name": "alice"}
    project.sandbox.post("/sandbox/calls/reset")
    looked = project.play("app_scale", "--check", "--diff", **asked)
    assert (looked.code, looked.changed["localhost"], project.writes()) == (0, 1, []) and '"minimum": 4' in looked.output, looked.output
    made = project.play("app_scale", **asked)
    assert made.code == 0, made.output
    held = json.loads(tags(project)[KEY])
    assert (held["min"], held["before"], held["by"]) == (4, 2, "alice")
    assert tags(project)["spot.platform/target"] == "4", "the step was taken in the same run"
    assert "temporarily at least 4 instances" in made.words

    project.sandbox.post("/sandbox/clock", advance=120)
    before = tags(project)[KEY]
    again = project.play("app_scale", **asked)
    assert again.code == 0 and tags(project)[KEY] == before, again.output

    explained = project.play("capacity_explain", apps="worker")
    assert "temporarily at least 4 instances" in explained.words, explained.output
    status = project.play("platform_status", apps="worker")
    assert "temporarily at least 4 instances" in status.words, status.output

    ended = project.play("app_scale", app="worker", state="absent")
    assert ended.code == 0 and KEY not in tags(project), ended.output
    assert tags(project)["spot.platform/target"] == "2"
