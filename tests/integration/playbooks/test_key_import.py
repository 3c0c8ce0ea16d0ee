"""key_import: a user's public key as a key pair in all regions, what is refused, and the manifest that names it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from .conftest import REGION, WORKER, Project

OTHER = "us-east-1"
TAGS = {"spot.platform/environment": "it", "spot.platform/managed-by": "spot.platform", "spot.platform/user": "alice"}


@pytest.fixture(name="keys")
def pairs_of_alice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two pairs, ``one`` and ``two``, and one that EC2 does not take, ``ecdsa``."""
    folder = tmp_path_factory.mktemp("keys")
    for name, kind in (("one", "ed25519"), ("two", "rsa"), ("ecdsa", "ecdsa")):
        subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "alice@home", "-t", kind, "-f", str(folder / name)], check=True)
    return folder


def pairs(project: Project, region: str) -> dict[str, Any]:
    found = project.sandbox.client("ec2", region).describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
    return {one["KeyName"]: one for one in found}


def fingerprint(file: Path) -> str:
    return subprocess.run(["ssh-keygen", "-l", "-f", str(file)], check=True, capture_output=True, text=True).stdout.split()[1]


def test_a_key_is_imported_everywhere_once_and_removed(project: Project, keys: Path) -> None:
    project.app({**WORKER, "regions": [REGION, OTHER]})
    project.app({**WORKER, "name": "local"})
    asked = {"key_user": "alice", "public_key_file": str(keys / "one.pub")}

    made = project.play("key_import", **asked)
    assert made.code == 0, made.output
    for region in (REGION, OTHER):
        pair = pairs(project, region)["it-alice"]
        assert {one["Key"]: one["Value"] for one in pair["Tags"]} == TAGS and pair["KeyType"] == "ed25519"
    assert f"it-alice is {fingerprint(keys / 'one.pub')} in {REGION}, {OTHER}" in made.words

    project.sandbox.post("/sandbox/calls/reset")
    again = project.play("key_import", key_user="alice", public_key=(keys / "one.pub").read_text("utf-8"))
    assert (again.code, again.changed["localhost"]) == (0, 0) and project.writes() == [], again.output

    other = project.play("key_import", **{**asked, "public_key_file": str(keys / "two.pub")})
    assert other.code != 0 and project.writes() == []
    for words in ("The key pair it-alice in", fingerprint(keys / "one.pub"), fingerprint(keys / "two.pub"), "Give another key_user, or remove that one first"):
        assert words in other.words, other.output

    alone = project.play("key_import", key_user="bob", app="local", public_key_file=str(keys / "two.pub"))
    assert alone.code == 0 and "it-bob" in pairs(project, REGION) and "it-bob" not in pairs(project, OTHER)

    gone = project.play("key_import", key_user="alice", state="absent")
    assert (gone.code, gone.changed["localhost"]) == (0, 1), gone.output
    assert "it-alice" not in pairs(project, REGION) and "it-alice" not in pairs(project, OTHER)
    assert project.play("key_import", key_user="alice", state="absent").changed["localhost"] == 0


def test_what_is_no_key_to_import_is_refused_and_a_private_key_is_never_shown(project: Project, keys: Path) -> None:
    project.app(WORKER)
    body = [line for name in ("one", "two") for line in (keys / name).read_text("utf-8").splitlines()[1:-1]]
    cases: list[tuple[dict[str, Any], str]] = [
        ({"key_user": "alice", "public_key_file": str(keys / "one")}, "THIS IS A PRIVATE KEY"),
        ({"key_user": "alice", "public_key": (keys / "two").read_text("utf-8")}, "THIS IS A PRIVATE KEY"),
        ({"key_user": "alice", "public_key_file": str(keys / "ecdsa.pub")}, "is of the type ecdsa-sha2-nistp256, which EC2 does not take"),
        ({"key_user": "alice smith", "public_key_file": str(keys / "one.pub")}, "key_user is alice smith"),
        ({"key_user": "alice"}, "for present one of public_key and public_key_file"),
        ({"key_user": "alice", "app": "nobody", "public_key_file": str(keys / "one.pub")}, "No manifest for nobody in the inventory"),
    ]
    for variables, words in cases:
        run = project.play("key_import", "-vvv", **variables)
        assert run.code != 0 and words in run.words, run.output
        assert not [line for line in body if line in run.output]
    assert pairs(project, REGION) == {}


def test_a_manifest_that_names_it_launches_with_it_and_then_it_stays(project: Project, keys: Path) -> None:
    named = {**WORKER, "access": {"key_pair": "it-alice"}}
    project.app(named)
    early = project.play("app_onboard")
    assert early.code != 0 and f"access.key_pair is it-alice, which {REGION} does not have: make it with spot.platform.key_import" in early.words, early.output
    assert project.ours() == {}

    both = {**named, "access": {"key_pair": "it-alice", "ssh_public_key": (keys / "one.pub").read_text("utf-8")}}
    project.app(both)
    assert "access has both ssh_public_key and key_pair, it-alice: keep one" in project.play("app_onboard").words

    project.app(named)
    assert project.play("key_import", key_user="alice", public_key_file=str(keys / "one.pub")).code == 0
    project.onboard()
    ec2 = project.sandbox.client("ec2", REGION)
    found = ec2.describe_launch_template_versions(LaunchTemplateName="it-worker", Versions=["$Default"])
    (template,) = found["LaunchTemplateVersions"]
    assert template["LaunchTemplateData"]["KeyName"] == "it-alice" and set(pairs(project, REGION)) == {"it-alice"}
    assert not (project.directory / ".keys").exists()
    assert set(project.onboard().changed.values()) == {0}

    kept = project.play("key_import", key_user="alice", state="absent")
    assert kept.code != 0 and "it-worker launches instances with the key pair it-alice" in kept.words, kept.output
    assert "it-alice" in pairs(project, REGION)

    assert project.play("app_offboard", app_offboard_confirm="yes").code == 0
    assert "it-alice" in pairs(project, REGION), "it is its user's"
    assert project.play("key_import", key_user="alice", state="absent").code == 0
    assert pairs(project, REGION) == {}


def test_a_key_pair_of_somebody_else_is_not_removed(project: Project, keys: Path) -> None:
    project.app(WORKER)
    material = (keys / "one.pub").read_bytes()
    project.sandbox.client("ec2", REGION).import_key_pair(KeyName="it-alice", PublicKeyMaterial=material)
    run = project.play("key_import", key_user="alice", state="absent")
    assert run.code != 0 and "it is somebody else's" in run.words, run.output
    assert "it-alice" in pairs(project, REGION)
