"""Data volumes of the manifest: each instance is launched with them, and whoever looks for a volume by its mount finds it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ENVIRONMENT, REGION, WORKER, Project, Run, cloud_config_of

NAME = f"{ENVIRONMENT}-worker"
VOLUMES: list[dict[str, Any]] = [
    {"mount": "/"},
    {"mount": "/srv/data/logs", "size": 5, "filesystem": "xfs"},
    {"mount": "/srv/data", "size": 20, "iops": 4000, "throughput": 250, "kms_key": "alias/data", "max_size": 100},
]


def versions(project: Project) -> list[dict[str, Any]]:
    """The launch template's versions, the oldest first."""
    ec2 = project.sandbox.client("ec2", REGION)
    found = ec2.describe_launch_template_versions(LaunchTemplateName=NAME)["LaunchTemplateVersions"]
    return sorted(found, key=lambda one: one["VersionNumber"])


def test_each_instance_is_launched_with_its_volumes_and_they_are_found_by_mount(project: Project, run_module: Callable[..., Any]) -> None:
    project.app({**WORKER, "volumes": VOLUMES})
    project.onboard()

    (template,) = versions(project)
    disks = {one["DeviceName"]: one["Ebs"] for one in template["LaunchTemplateData"]["BlockDeviceMappings"]}
    made = {"Encrypted": True, "DeleteOnTermination": True}
    assert disks == {
        "/dev/xvda": {**made, "VolumeType": "gp3", "VolumeSize": 10},
        "/dev/sdf": {**made, "VolumeType": "gp3", "VolumeSize": 5},
        "/dev/sdg": {**made, "VolumeType": "gp3", "VolumeSize": 20, "Iops": 4000, "Throughput": 250, "KmsKeyId": "alias/data"},
    }
    check_start(cloud_config_of(template["LaunchTemplateData"]["UserData"]))

    ec2 = project.sandbox.client("ec2", REGION)
    volumes = ec2.describe_volumes(Filters=[{"Name": "tag:spot.platform/app", "Values": ["worker"]}])["Volumes"]
    sizes = sorted((one["Attachments"][0]["Device"], one["Size"], one["Encrypted"]) for one in volumes)
    assert sizes == [(device, size, True) for device, size in (("/dev/sdf", 5), ("/dev/sdg", 20), ("/dev/xvda", 10)) for _instance in range(2)]

    wish = {"app": "worker", "mount": "/srv/data", "size": 30}
    grown = run_module("ebs_volume_resize", {"region": REGION, "environment": ENVIRONMENT, "volumes": [wish], "wait": "none"})
    assert not grown.get("failed"), grown
    assert [(one["mount"], one["device"], one["outcome"]) for one in grown["volumes"]] == [("/srv/data", "/dev/sdg", "changed")] * 2
    nowhere = run_module("ebs_volume_resize", {"region": REGION, "volumes": [{"app": "worker", "mount": "/srv", "size": 30}]})
    assert "there is no volume of worker for /srv" in nowhere["msg"]

    project.sandbox.post("/sandbox/calls/reset")
    again = project.onboard()
    assert set(again.changed.values()) == {0}, again.output
    assert project.writes() == []

    ids = {one["VolumeId"] for one in volumes}
    project.app({**WORKER, "volumes": [*VOLUMES[:2], {**VOLUMES[2], "size": 40}]})
    project.onboard()
    assert [one["DefaultVersion"] for one in versions(project)] == [False, True]
    assert {one["Ebs"]["VolumeSize"] for one in versions(project)[1]["LaunchTemplateData"]["BlockDeviceMappings"]} == {10, 5, 40}
    assert {one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]} >= ids, "what runs keeps its volumes"

    group = project.sandbox.client("autoscaling", REGION).describe_auto_scaling_groups()["AutoScalingGroups"][0]
    ec2.terminate_instances(InstanceIds=[group["Instances"][0]["InstanceId"]])
    gone = {one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]}
    assert len(ids & gone) == 3, "the volumes go with their instance"


def check_start(cloud_config: dict[str, Any]) -> None:
    files = {file["path"]: file["content"] for file in cloud_config["write_files"]}
    command = "/usr/bin/python3 /usr/local/lib/spot-volumes.py worker sdg:ext4:/srv/data sdf:xfs:/srv/data/logs"
    assert f"ExecStart={command}\n" in files["/etc/systemd/system/spot-volumes.service"]
    (boot,) = cloud_config["bootcmd"]
    assert boot.endswith(f"\nEND-OF-SCRIPT\n{command} || true\n")
    script = boot.split("'END-OF-SCRIPT'\n")[1].split("\nEND-OF-SCRIPT\n")[0]
    compile(script, "spot-volumes.py", "exec")
    assert len(script) < 7500 and '"""' not in script
    unit = files["/etc/systemd/system/worker.service"].splitlines()
    assert {"Requires=spot-volumes.service", "After=spot-volumes.service", "ReadWritePaths=/srv/data /srv/data/logs"} <= set(unit)
    assert "xfsprogs" in cloud_config["packages"]


def test_a_container_sees_the_volumes_and_a_report_says_where_each_is_mounted(project: Project, tmp_path: Path) -> None:
    stays = {"mount": "/srv/data/stays", "filesystem": "xfs", "affinity": {"device": "/dev/sdm"}}
    project.app({**WORKER, "runtime": {"kind": "docker", "image": "worker:1"}, "volumes": [{"mount": "/srv/data", "size": 20}, stays]})
    project.onboard()
    (template,) = versions(project)
    cloud_config = cloud_config_of(template["LaunchTemplateData"]["UserData"])
    files = {file["path"]: file["content"] for file in cloud_config["write_files"]}
    assert " --volume /srv/data:/srv/data --volume /srv/data/stays:/srv/data/stays " in files["/etc/systemd/system/worker.service"]
    assert " root sdf:ext4:/srv/data sdm+:xfs:/srv/data/stays\n" in files["/etc/systemd/system/spot-volumes.service"]
    assert cloud_config["bootcmd"][0].endswith(" root sdf:ext4:/srv/data || true\n"), "what is attached later is not waited for there"
    assert "xfsprogs" in cloud_config["packages"]
    assert cloud_config["runcmd"][-1] == ["systemctl", "enable", "--now", "--no-block", "worker.service", "spot-drain.service"]

    run = project.play("volume_report", volume_report_file=str(tmp_path / "volumes.json"))
    assert run.code == 0, run.output
    rows = yaml.safe_load((tmp_path / "volumes.json").read_text("utf-8"))
    assert sorted((row["mount"] or "", row["size_gib"]) for row in rows) == [("", 10)] * 2 + [("/srv/data", 20)] * 2


@pytest.mark.parametrize(
    ("volumes", "words"),
    [
        ([{"mount": "/opt/worker", "size": 1}], "volumes or file_systems has /opt/worker, where the files of the application are: mount it below /opt/worker"),
        ([{"mount": f"/srv/{one}", "size": 1} for one in range(12)], "volumes has 12 with a size: an instance is launched with 11 at most"),
        (
            [{"mount": "/srv", "size": 1, "kms_key": "arn:aws:kms:us-east-1:123456789012:key/1"}],
            f"kms_key is arn:aws:kms:us-east-1:123456789012:key/1, which is not of {REGION}: use an alias that each region has",
        ),
        ([{"mount": "/srv", "size": 1, "iops": 100}], "apps/worker.yml: volumes.iops is 100: gp3 of 1 GiB has from 3000 to 3000, at /srv"),
    ],
    ids=["hides the application", "too many", "key of another region", "beyond the type"],
)
def test_volumes_that_cannot_be_are_refused_before_anything_is_touched(project: Project, volumes: list[dict[str, Any]], words: str) -> None:
    project.app({**WORKER, "volumes": volumes})
    run: Run = project.play("app_onboard")
    assert run.code != 0
    assert words in run.words, run.output
    assert project.writes() == []
