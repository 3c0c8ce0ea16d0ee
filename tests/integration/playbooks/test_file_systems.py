"""File systems that instances share: onboarding makes and mounts them, once; offboarding keeps what they hold."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import ENVIRONMENT, REGION, WORKER, Project, cloud_config_of

NAME = f"{ENVIRONMENT}-worker"
TOKEN = f"{NAME}-media"
UTILS = {"x86_64": {"url": "https://packages.example.com/amazon-efs-utils.deb", "sha256": "0" * 64}}
SHARING: dict[str, Any] = {
    **WORKER,
    "file_systems": [{"name": "media", "mount": "/srv/media"}],
    "volumes": [{"mount": "/srv/data", "size": 5}],
}


def file_system(project: Project) -> dict[str, Any]:
    """The one file system that there is."""
    (found,) = project.sandbox.client("efs", REGION).describe_file_systems()["FileSystems"]
    assert found["CreationToken"] == TOKEN
    return found


def check_reach(project: Project, name: str) -> str:
    """A mount target in every zone, which only the instances reach; returns the access point."""
    ec2, efs = (project.sandbox.client(service, REGION) for service in ("ec2", "efs"))
    targets = efs.describe_mount_targets(FileSystemId=name)["MountTargets"]
    zones = {zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]}
    assert {target["AvailabilityZoneName"] for target in targets} == zones and len(targets) == len(zones)
    mine = [{"Name": "tag:spot.platform/app", "Values": ["worker"]}]
    groups = {group["GroupName"]: group for group in ec2.describe_security_groups(Filters=mine)["SecurityGroups"]}
    (rule,) = groups[f"{NAME}-efs"]["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == (2049, 2049, [])
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [groups[NAME]["GroupId"]]
    for target in targets:
        attached = efs.describe_mount_target_security_groups(MountTargetId=target["MountTargetId"])["SecurityGroups"]
        assert attached == [groups[f"{NAME}-efs"]["GroupId"]]
    (point,) = efs.describe_access_points(FileSystemId=name)["AccessPoints"]
    return str(point["AccessPointId"])


def check_start(project: Project, source: str) -> None:
    """The instances mount it before the application starts, after the packages are there."""
    ec2 = project.sandbox.client("ec2", REGION)
    versions = ec2.describe_launch_template_versions(LaunchTemplateName=NAME)["LaunchTemplateVersions"]
    assert len(versions) == 1
    cloud_config = cloud_config_of(versions[0]["LaunchTemplateData"]["UserData"])
    files = {file["path"]: file["content"] for file in cloud_config["write_files"]}
    unit = files["/etc/systemd/system/spot-volumes.service"].splitlines()
    command = "/usr/bin/python3 /usr/local/lib/spot-volumes.py worker sdf:ext4:/srv/data"
    assert f"ExecStart={command} {source}:efs:/srv/media" in unit and "Wants=network-online.target" in unit
    assert f"Environment=SPOT_EFS_UTILS={UTILS['x86_64']['url']} SPOT_EFS_UTILS_SHA256={'0' * 64}" in unit
    assert cloud_config["bootcmd"][0].endswith(f"\n{command} || true\n"), "what needs a package waits for the packages"
    application = files["/etc/systemd/system/worker.service"].splitlines()
    assert {"Requires=spot-volumes.service", "ReadWritePaths=/srv/data /srv/media"} <= set(application)


def test_it_is_made_and_mounted_once_and_outlives_the_application_unless_told_otherwise(project: Project) -> None:
    before = project.resources()
    project.app(SHARING)
    project.onboard(app_efs_utils=UTILS)
    found = file_system(project)
    assert (found["Encrypted"], found["ThroughputMode"]) == (True, "elastic")
    point = check_reach(project, found["FileSystemId"])
    check_start(project, f"{found['FileSystemId']}/{point}")
    (allowed,) = project.sandbox.client("iam").get_role_policy(RoleName=f"{NAME}-{REGION}", PolicyName="efs")["PolicyDocument"]["Statement"]
    assert (allowed["Action"], allowed["Resource"]) == (["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"], found["FileSystemArn"])
    assert allowed["Condition"]["StringEquals"]["elasticfilesystem:AccessPointArn"].endswith(f"access-point/{point}")

    project.sandbox.post("/sandbox/calls/reset")
    again = project.onboard(app_efs_utils=UTILS)
    assert set(again.changed.values()) == {0}, again.output
    assert project.writes() == []

    gone = project.play("app_offboard", app_offboard_confirm=True)
    assert gone.code == 0, gone.output
    assert f"{found['FileSystemId']} of worker stays, with all that it holds" in gone.words
    assert project.resources() == {**before, f"{REGION} FileSystems": [TOKEN]}

    deleted = project.play("app_offboard", app_offboard_confirm=True, app_delete_data=True)
    assert deleted.code == 0, deleted.output
    assert project.resources() == before


def test_after_a_kill_the_next_run_completes_and_a_manifest_without_it_leaves_it_alone(project: Project, until: Callable[[str, str], None]) -> None:
    project.app(SHARING)
    killed = project.start("app_onboard", app_efs_utils=UTILS)
    until("efs", "CreateMountTarget")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()

    project.onboard(app_efs_utils=UTILS, network_lock_seconds=3)
    name = file_system(project)["FileSystemId"]
    check_reach(project, name)

    project.app(WORKER)
    project.onboard()
    assert file_system(project)["FileSystemId"] == name, "what it holds is not lost by an edit"
    assert project.sandbox.client("iam").list_role_policies(RoleName=f"{NAME}-{REGION}")["PolicyNames"] == []


def test_an_action_that_is_denied_is_named(project: Project) -> None:
    project.app(SHARING)
    rule = {"kind": "denied", "service": "efs", "operation": "PutFileSystemPolicy", "rate": 1.0}
    project.sandbox.post("/sandbox/faults", rules=[rule])
    run = project.play("app_onboard", app_efs_utils=UTILS)
    assert run.code != 0
    assert "elasticfilesystem:PutFileSystemPolicy" in run.words, run.output


@pytest.mark.parametrize(
    ("entries", "variables", "words"),
    [
        ([{"name": "media", "mount": "/srv/media"}], {}, "file_systems needs amazon-efs-utils on the instances, which Debian does not have"),
        ([{"name": "media", "mount": "/srv/media"}], {"app_efs_utils": {"x86_64": {"url": "http://a", "sha256": "0" * 64}}}, "must have a url of https"),
        ([{"name": "Media", "mount": "/srv/media"}], {"app_efs_utils": UTILS}, "file_systems: the name 'Media' must start with a letter"),
        ([{"name": "media", "mount": "/opt/worker"}], {"app_efs_utils": UTILS}, "file_systems has /opt/worker, where the files of the application are"),
        (
            [{"name": "media", "mount": "/srv/media", "kms_key": "arn:aws:kms:us-east-1:123456789012:key/1"}],
            {"app_efs_utils": UTILS},
            f"which is not of {REGION}: use an alias",
        ),
    ],
    ids=["no mount helper", "not pinned", "name", "hides the application", "key of another region"],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(
    project: Project, entries: list[dict[str, Any]], variables: dict[str, Any], words: str
) -> None:
    project.app({**WORKER, "file_systems": entries})
    run = project.play("app_onboard", **variables)
    assert run.code != 0
    assert words in run.words, run.output
    assert project.writes() == []
