"""EFS in the sandbox: what takes its time, what is made once, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def efs(fresh: Any) -> Any:
    fresh.post("/sandbox/clock", speed=0)
    return fresh.client("efs")


def make(efs: Any, token: str = "one") -> str:
    return str(efs.create_file_system(CreationToken=token, Encrypted=True, ThroughputMode="elastic")["FileSystemId"])


def refusal(work: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as refused:
        work(**arguments)
    return str(refused.value.response["Error"]["Code"])


def subnet(fresh: Any) -> str:
    ec2 = fresh.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.6.0.0/16")["Vpc"]["VpcId"]
    return str(ec2.create_subnet(VpcId=vpc, CidrBlock="10.6.0.0/24", AvailabilityZone="us-east-1a")["Subnet"]["SubnetId"])


def test_a_file_system_and_its_mount_target_take_their_time(fresh: Any, efs: Any) -> None:
    fresh.post("/sandbox/efs", creating=30, deleting=60)
    name, where = make(efs), subnet(fresh)
    assert efs.describe_file_systems()["FileSystems"][0]["LifeCycleState"] == "creating"
    assert refusal(efs.create_mount_target, FileSystemId=name, SubnetId=where) == "IncorrectFileSystemLifeCycleState"
    fresh.post("/sandbox/clock", advance=31)
    target = efs.create_mount_target(FileSystemId=name, SubnetId=where)["MountTargetId"]
    states = [efs.describe_mount_targets(FileSystemId=name)["MountTargets"][0]["LifeCycleState"]]
    fresh.post("/sandbox/clock", advance=31)
    states.append(efs.describe_mount_targets(FileSystemId=name)["MountTargets"][0]["LifeCycleState"])
    efs.delete_mount_target(MountTargetId=target)
    states.append(efs.describe_mount_targets(FileSystemId=name)["MountTargets"][0]["LifeCycleState"])
    assert states == ["creating", "available", "deleting"]
    assert refusal(efs.delete_file_system, FileSystemId=name) == "FileSystemInUse"
    fresh.post("/sandbox/clock", advance=61)
    efs.delete_file_system(FileSystemId=name)
    assert efs.describe_file_systems()["FileSystems"] == []


def test_a_token_makes_one_of_a_kind(fresh: Any, efs: Any) -> None:
    name = make(efs)
    assert refusal(efs.create_file_system, CreationToken="one") == "FileSystemAlreadyExists"
    point = {"ClientToken": "two", "FileSystemId": name, "PosixUser": {"Uid": 1, "Gid": 1}}
    assert efs.create_access_point(**point)["AccessPointId"] == efs.create_access_point(**point)["AccessPointId"]
    assert refusal(efs.create_access_point, **{**point, "PosixUser": {"Uid": 2, "Gid": 2}}) == "AccessPointAlreadyExists"
    assert len(efs.describe_access_points(FileSystemId=name)["AccessPoints"]) == 1


def test_settings_are_kept_and_shown(fresh: Any, efs: Any) -> None:
    name = make(efs)
    assert efs.describe_file_systems()["FileSystems"][0]["KmsKeyId"].startswith("arn:aws:kms:")
    assert refusal(efs.describe_backup_policy, FileSystemId=name) == "PolicyNotFound"
    efs.put_backup_policy(FileSystemId=name, BackupPolicy={"Status": "ENABLED"})
    assert efs.describe_backup_policy(FileSystemId=name)["BackupPolicy"] == {"Status": "ENABLED"}
    assert efs.update_file_system(FileSystemId=name, ThroughputMode="bursting")["ThroughputMode"] == "bursting"
    assert efs.describe_file_systems()["FileSystems"][0]["ThroughputMode"] == "bursting"


def test_a_policy_is_refused_that_is_none_or_for_a_role_that_is_not_there(fresh: Any, efs: Any) -> None:
    name, role = make(efs), "arn:aws:iam::123456789012:role/nobody"
    statement = {"Effect": "Allow", "Principal": {"AWS": role}, "Action": "*"}
    assert refusal(efs.put_file_system_policy, FileSystemId=name, Policy="{}") == "InvalidPolicyException"
    policy = json.dumps({"Statement": [statement]})
    assert refusal(efs.put_file_system_policy, FileSystemId=name, Policy=policy) == "InvalidPolicyException"
    fresh.client("iam").create_role(RoleName="nobody", AssumeRolePolicyDocument=json.dumps({"Statement": []}))
    efs.put_file_system_policy(FileSystemId=name, Policy=policy)
    assert json.loads(efs.describe_file_system_policy(FileSystemId=name)["Policy"])["Statement"] == [statement]


def test_what_is_not_there_is_not_found(fresh: Any, efs: Any) -> None:
    assert refusal(efs.describe_access_points, FileSystemId="fs-00000000") == "FileSystemNotFound"
    assert refusal(efs.delete_access_point, AccessPointId="fsap-00000000") == "AccessPointNotFound"
    assert refusal(efs.delete_mount_target, MountTargetId="fsmt-00000000") == "MountTargetNotFound"


@pytest.mark.parametrize(("body", "words"), [({"making": 1}, "there is no making"), ({"creating": -1}, "seconds are numbers, 0 or more")])
def test_a_control_that_means_nothing_is_refused(fresh: Any, body: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fresh.post("/sandbox/efs", **body)
