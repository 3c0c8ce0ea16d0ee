"""Bad input ends in a clear error before anything is touched: with the file, the key, the reason and the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import REGION, WEB, WORKER, Project


def changed(manifest: dict[str, Any], name: str, **parts: dict[str, Any]) -> dict[str, Any]:
    """The manifest under another name, with keys of some of its parts replaced."""
    return {**manifest, "name": name, **{part: {**manifest[part], **keys} for part, keys in parts.items()}}


UNKNOWN_KEY = changed(WORKER, "unknown-key", capacity={"instances_types": ["m5.large"]})
WRONG_TYPE = changed(WORKER, "wrong-type", capacity={"min": "one"})
WRONG_CHOICE = changed(WORKER, "wrong-choice", capacity={"unit": "cpus"})
MISSING = {key: value for key, value in changed(WORKER, "missing").items() if key != "owner"}
TOO_LONG = changed(WEB, "n23456789-123456789")
TOO_MUCH = changed(WORKER, "too-much", capacity={"desired": 9})
FLOATING = changed(WORKER, "floating", runtime={"kind": "docker", "image": "nginx:latest"})
TOO_SLOW = changed(WORKER, "too-slow", runtime={"drain": {"command": "sync", "seconds": 120}})
UNKNOWN_TYPE = changed(WORKER, "unknown-type", capacity={"instance_types": ["m5.large", "m99.large"]})
IMPOSSIBLE = changed(
    WORKER,
    "impossible",
    capacity={"instance_types": None, "requirements": {"vcpus": {"min": 2, "max": 2}, "memory_mib": {"min": 10**9}}},
)

CASES = {
    "what the schema says": (
        [UNKNOWN_KEY, WRONG_TYPE, WRONG_CHOICE, MISSING],
        [
            "apps/unknown-key.yml: unknown key capacity.instances_types: did you mean capacity.instance_types?",
            "apps/wrong-type.yml: capacity.min is 'one': it must be a whole number",
            "apps/wrong-choice.yml: capacity.unit must be one of: vcpus, instances, got: cpus",
            "apps/missing.yml: owner is missing: add it",
        ],
    ),
    "what a schema cannot say": (
        [TOO_LONG, TOO_MUCH, FLOATING, TOO_SLOW],
        [
            "the name of the load balancer would be environment-it-n23456789-123456789",
            "AWS allows 32; shorten name, or the environment's name",
            "capacity.desired is 9: it must be from capacity.min, 1, to capacity.max, 4",
            "runtime.image is nginx:latest: it must name an image with a tag other than latest",
            "runtime.drain.seconds is 120: it must be from 1 to 100",
        ],
    ),
    "what the region has": (
        [UNKNOWN_TYPE, IMPOSSIBLE],
        [
            f"{REGION} has no m99.large: take the region out of regions, or the type out of capacity.instance_types",
            f"no instance type in {REGION} meets capacity.requirements",
        ],
    ),
    "a name that another file has": (
        [WORKER],
        ["the name worker is also used by"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_manifest_is_refused_before_anything_is_touched(project: Project, case: str) -> None:
    manifests, messages = CASES[case]
    project.write("targets.spot.yml", {"plugin": "spot.platform.targets", "environment": "environment-it"})
    for manifest in manifests:
        project.app(manifest)
    if case == "a name that another file has":
        project.write("apps/copy.yml", WORKER)
    else:
        project.app({**WORKER, "name": "good"})

    run = project.play("app_onboard")

    assert run.code != 0
    assert [message for message in messages if message not in run.words] == [], run.output
    assert project.writes() == []


def test_an_application_without_a_manifest_is_named(project: Project) -> None:
    project.app(WORKER)
    run = project.play("app_onboard", apps="worker,wrker")
    assert run.code != 0
    assert "No manifest for wrker in the inventory; there is worker." in run.words
    assert project.writes() == []


def test_a_vpc_with_private_subnets_only_is_refused(project: Project) -> None:
    ec2 = project.sandbox.client("ec2", REGION)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone=f"{REGION}a")
    project.app(WORKER)
    project.sandbox.post("/sandbox/calls/reset")

    run = project.play("app_onboard", network_vpc_id=vpc)

    assert run.code != 0
    assert f"{vpc} in {REGION} has public subnets in 0 zones, of 1 subnets" in run.words
    assert "MapPublicIpOnLaunch" in run.words
    assert project.writes() == []
