"""File systems that instances share: made, made again, changed, killed half-way, removed with and without what they hold."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

REGION = "us-east-1"
READING = ("Describe", "Get", "List")
Share = Callable[..., dict[str, Any]]


class Network:
    """A VPC with a subnet in each of two zones, a security group, and the role of the instances."""

    def __init__(self, sandbox: Any) -> None:
        ec2 = sandbox.client("ec2", REGION)
        self.vpc = ec2.create_vpc(CidrBlock="10.5.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=f"10.5.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"]["SubnetId"]
            for number, zone in enumerate("ab")
        ]
        self.group, self.other = (ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"] for name in ("nfs", "other"))
        document = json.dumps({"Version": "2012-10-17", "Statement": []})
        self.role = sandbox.client("iam").create_role(RoleName="test-shop", AssumeRolePolicyDocument=document)["Role"]["Arn"]


@pytest.fixture
def network(fresh: Any) -> Network:
    return Network(fresh)


@pytest.fixture
def share(network: Network, run_module: Callable[..., dict[str, Any]]) -> Share:
    """``share(check=False, **options)``: the module's result, for one file system unless the options say otherwise."""

    def run(check: bool = False, **options: Any) -> dict[str, Any]:
        own = {"shares": [{"name": "media"}], "subnets": network.subnets, "security_groups": [network.group], "role": network.role}
        given = options if options.get("state") == "absent" else {**own, **options}
        return run_module("efs_share", {"region": REGION, "app": "shop", "environment": "test", **given}, check=check)

    return run


def writes(sandbox: Any) -> list[str]:
    """The operations of EFS that were more than looking."""
    return sorted(name for name in sandbox.get("/sandbox/calls")["services"].get("efs", {}) if not name.startswith(READING))


def test_it_is_made_as_it_is_to_be_and_nothing_the_second_time(fresh: Any, network: Network, share: Share) -> None:
    planned = share(check=True)
    assert planned["changed"] and planned["shares"][0]["id"] is None and writes(fresh) == []

    made = share()
    assert made["changed"], made
    (one,) = made["shares"]
    efs = fresh.client("efs", REGION)
    (found,) = efs.describe_file_systems()["FileSystems"]
    assert (found["FileSystemId"], found["CreationToken"], found["Encrypted"], found["ThroughputMode"]) == (one["id"], "test-shop-media", True, "elastic")
    assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == {
        "Name": "test-shop-media",
        "spot.platform/app": "shop",
        "spot.platform/environment": "test",
        "spot.platform/managed-by": "spot.platform",
    }
    targets = efs.describe_mount_targets(FileSystemId=one["id"])["MountTargets"]
    assert sorted(target["SubnetId"] for target in targets) == sorted(network.subnets) == one["subnets"]
    for target in targets:
        assert efs.describe_mount_target_security_groups(MountTargetId=target["MountTargetId"])["SecurityGroups"] == [network.group]
    (point,) = efs.describe_access_points(FileSystemId=one["id"])["AccessPoints"]
    assert (point["AccessPointId"], point["PosixUser"], point["RootDirectory"]) == (
        one["access_point_id"],
        {"Uid": 10000, "Gid": 10000},
        {"Path": "/data", "CreationInfo": {"OwnerUid": 10000, "OwnerGid": 10000, "Permissions": "0770"}},
    )
    assert efs.describe_backup_policy(FileSystemId=one["id"])["BackupPolicy"]["Status"] == "ENABLED"
    cold, warm = efs.describe_lifecycle_configuration(FileSystemId=one["id"])["LifecyclePolicies"]
    assert (cold, warm) == ({"TransitionToIA": "AFTER_30_DAYS"}, {"TransitionToPrimaryStorageClass": "AFTER_1_ACCESS"})
    allow, deny = json.loads(efs.describe_file_system_policy(FileSystemId=one["id"])["Policy"])["Statement"]
    assert (allow["Principal"], allow["Action"]) == ({"AWS": network.role}, ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"])
    assert allow["Condition"]["StringEquals"] == {"elasticfilesystem:AccessPointArn": [one["access_point_arn"]]}
    assert (deny["Effect"], deny["Principal"], deny["Condition"]) == ("Deny", {"AWS": "*"}, {"Bool": {"aws:SecureTransport": "false"}})
    assert [event["kind"] for event in made["activity"]] == ["share.created"]

    fresh.post("/sandbox/calls/reset")
    again = share()
    assert not again["changed"] and writes(fresh) == [] and again["activity"] == [], again
    assert {**again["shares"][0], "steps": []} == {**one, "steps": []}


def test_what_can_be_changed_is_and_what_somebody_changed_is_set_right(fresh: Any, network: Network, share: Share) -> None:
    (one,) = share()["shares"]
    efs = fresh.client("efs", REGION)
    changed = share(shares=[{"name": "media", "cold_after_days": 0, "backup": False}], security_groups=[network.group, network.other])
    groups = sorted(step for step in changed["shares"][0]["steps"] if "security groups" in step)
    assert len(groups) == 2 and set(changed["shares"][0]["steps"]) - set(groups) == {"set the life cycle", "set the backups"}
    assert efs.describe_lifecycle_configuration(FileSystemId=one["id"])["LifecyclePolicies"] == []
    efs.update_file_system(FileSystemId=one["id"], ThroughputMode="bursting")
    efs.untag_resource(ResourceId=one["id"], TagKeys=["spot.platform/managed-by"])
    open_policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "*", "Resource": one["arn"]}]}
    efs.put_file_system_policy(FileSystemId=one["id"], Policy=json.dumps(open_policy))
    mended = share(shares=[{"name": "media", "cold_after_days": 0, "backup": False}], security_groups=[network.group, network.other])
    assert mended["shares"][0]["steps"] == ["set the throughput mode", "set the tags", "set the policy"]
    assert [event["kind"] for event in mended["activity"]] == ["share.changed"]


def test_another_user_gets_an_access_point_beside_the_old_one(fresh: Any, network: Network, share: Share) -> None:
    (old,) = share()["shares"]
    (new,) = share(shares=[{"name": "media", "uid": 2000}])["shares"]
    assert new["id"] == old["id"] and new["access_point_id"] != old["access_point_id"]
    policy = json.loads(fresh.client("efs", REGION).describe_file_system_policy(FileSystemId=new["id"])["Policy"])
    allowed = policy["Statement"][0]["Condition"]["StringEquals"]["elasticfilesystem:AccessPointArn"]
    assert sorted(allowed) == sorted([old["access_point_arn"], new["access_point_arn"]]), "what runs goes on"
    assert not share(shares=[{"name": "media", "uid": 2000}])["changed"]


@pytest.mark.parametrize("operation", ["CreateFileSystem", "CreateMountTarget", "CreateAccessPoint", "PutFileSystemPolicy"])
def test_what_was_interrupted_is_completed_by_the_next_run(fresh: Any, network: Network, share: Share, operation: str) -> None:
    fresh.post("/sandbox/faults", rules=[{"kind": "denied", "service": "efs", "operation": operation, "rate": 1.0}])
    failed = share()
    assert f"elasticfilesystem:{operation}" in failed["msg"], failed
    fresh.post("/sandbox/faults", rules=[{"kind": "lost", "service": "efs", "operation": operation, "rate": 1.0, "count": 1}])
    assert share()["changed"], "the answer is lost, the call was carried out"
    fresh.post("/sandbox/faults", rules=[])
    assert not share()["changed"]
    efs = fresh.client("efs", REGION)
    (found,) = efs.describe_file_systems()["FileSystems"]
    assert found["NumberOfMountTargets"] == 2 and len(efs.describe_access_points(FileSystemId=found["FileSystemId"])["AccessPoints"]) == 1


def test_it_waits_for_what_takes_time(fresh: Any, network: Network, share: Share) -> None:
    fresh.post("/sandbox/efs", creating=2, deleting=2)
    (one,) = share()["shares"]
    targets = fresh.client("efs", REGION).describe_mount_targets(FileSystemId=one["id"])["MountTargets"]
    assert {target["LifeCycleState"] for target in targets} == {"available"}
    removed = share(state="absent", delete_data=True)
    assert removed["changed"] and fresh.client("efs", REGION).describe_file_systems()["FileSystems"] == []
    fresh.post("/sandbox/efs", creating=600)
    late = share(wait_timeout=1)
    assert "is not available yet after 1 s: run it again later, or raise wait_timeout" in late["msg"]


def test_removal_keeps_what_it_holds_and_the_application_finds_it_again(fresh: Any, network: Network, share: Share) -> None:
    (one,) = share()["shares"]
    efs = fresh.client("efs", REGION)
    another = efs.create_file_system(CreationToken="another's", Encrypted=True)["FileSystemId"]
    efs.create_mount_target(FileSystemId=another, SubnetId=network.subnets[0])

    planned = share(check=True, state="absent")
    assert planned["changed"] and len(planned["shares"][0]["steps"]) == 3
    removed = share(state="absent")
    assert [event["kind"] for event in removed["activity"]] == ["share.kept"]
    left = {found["FileSystemId"]: found["NumberOfMountTargets"] for found in efs.describe_file_systems()["FileSystems"]}
    assert left == {one["id"]: 0, another: 1}
    assert efs.describe_access_points(FileSystemId=one["id"])["AccessPoints"] == []
    assert not share(state="absent")["changed"]

    (back,) = share()["shares"]
    assert back["id"] == one["id"] and "create the file system" not in back["steps"]
    deleted = share(state="absent", delete_data=True)
    assert [event["kind"] for event in deleted["activity"]] == ["share.deleted"]
    assert [found["FileSystemId"] for found in efs.describe_file_systems()["FileSystems"]] == [another]
    assert not share(state="absent", delete_data=True)["changed"]


def test_a_role_that_efs_does_not_know_yet_is_waited_for(fresh: Any, network: Network, share: Share) -> None:
    import threading

    name = "test-late"
    role = network.role.replace("test-shop", name)
    document = json.dumps({"Version": "2012-10-17", "Statement": []})

    def make() -> None:
        while not fresh.get("/sandbox/calls")["services"].get("efs", {}).get("PutFileSystemPolicy"):
            time.sleep(0.1)
        fresh.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)

    late = threading.Thread(target=make, daemon=True)
    late.start()
    made = share(role=role)
    late.join(60)
    assert made["changed"] and "set the policy" in made["shares"][0]["steps"], made


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shares": [{"name": "Media"}]}, "the name 'Media' must start with a letter"),
        ({"shares": [{"name": "media", "uid": 0}]}, "uid of media is 0: it must be from 1 to 65533"),
        ({"shares": [{"name": "media", "cold_after_days": 31}]}, "cold_after_days of media is 31: EFS knows 0, 1, 7, 14"),
        ({"shares": [{"name": "media"}, {"name": "media"}]}, "shares has media twice: leave one"),
        ({"environment": "e" * 60}, "would be called"),
        ({"subnets": [], "role": None}, "state present needs subnets, role"),
        ({"delete_data": True}, "delete_data is for state absent"),
        ({"state": "absent", "shares": [{"name": "media"}]}, "leave shares out"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_touched(fresh: Any, share: Share, options: dict[str, Any], words: str) -> None:
    fresh.post("/sandbox/calls/reset")
    refused = share(**options)
    assert refused["failed"] and words in refused["msg"], refused
    assert fresh.get("/sandbox/calls")["services"].get("efs", {}) == {}


def test_a_file_system_that_cannot_be_it_is_left_alone(fresh: Any, network: Network, share: Share) -> None:
    efs = fresh.client("efs", REGION)
    plain = efs.create_file_system(CreationToken="test-shop-media")["FileSystemId"]
    assert f"{plain} is not encrypted, which cannot be changed" in share()["msg"]
    tags = [{"Key": "spot.platform/app", "Value": "blog"}]
    other = efs.create_file_system(CreationToken="test-shop-other", Encrypted=True, Tags=tags)["FileSystemId"]
    fresh.post("/sandbox/calls/reset")
    assert f"{other} has the creation token test-shop-other, and is another's" in share(shares=[{"name": "other"}])["msg"]
    assert writes(fresh) == []
