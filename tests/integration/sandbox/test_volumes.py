"""EBS volumes that are modified: states, limits, refusals, events."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError


def make(aws: Any, size: int = 8, kind: str = "gp3", **more: Any) -> str:
    return aws.ec2.create_volume(AvailabilityZone=aws.zones[0], Size=size, VolumeType=kind, **more)["VolumeId"]


def volume(aws: Any, name: str) -> dict[str, Any]:
    (found,) = aws.ec2.describe_volumes(VolumeIds=[name])["Volumes"]
    return found


def modification(aws: Any, name: str) -> dict[str, Any]:
    (found,) = aws.ec2.describe_volumes_modifications(VolumeIds=[name])["VolumesModifications"]
    return found


def test_a_volume_has_its_new_size_while_it_is_optimized_and_changes_again_only_when_that_is_completed(aws):
    name = make(aws)
    made = aws.ec2.modify_volume(VolumeId=name, Size=20)["VolumeModification"]
    assert (made["ModificationState"], made["OriginalSize"], made["TargetSize"], made["TargetIops"]) == ("modifying", 8, 20, 3000)
    assert volume(aws, name)["Size"] == 8
    aws.advance(5)
    assert (volume(aws, name)["Size"], modification(aws, name)["ModificationState"]) == (20, "optimizing")
    with pytest.raises(ClientError, match="IncorrectModificationState.*OPTIMIZING"):
        aws.ec2.modify_volume(VolumeId=name, Size=30)
    aws.advance(300)
    assert modification(aws, name)["Progress"] == 50
    aws.advance(300)
    done = modification(aws, name)
    assert (done["ModificationState"], done["Progress"], "EndTime" in done) == ("completed", 100, True)
    aws.ec2.modify_volume(VolumeId=name, Size=30)
    assert modification(aws, name)["OriginalSize"] == 20


def test_the_fifth_modification_within_24_hours_is_refused_until_the_first_is_a_day_old(aws):
    aws.sandbox.post("/sandbox/volumes", modifying=0, optimizing=60)
    name = make(aws)
    for number in range(4):
        aws.ec2.modify_volume(VolumeId=name, Size=9 + number)
        aws.advance(3600)
    with pytest.raises(ClientError, match="VolumeModificationRateExceeded"):
        aws.ec2.modify_volume(VolumeId=name, Size=20)
    aws.advance(20 * 3600 - 1)
    with pytest.raises(ClientError, match="VolumeModificationRateExceeded"):
        aws.ec2.modify_volume(VolumeId=name, Size=20)
    aws.advance(1)
    aws.ec2.modify_volume(VolumeId=name, Size=20)


@pytest.mark.parametrize(
    ("kind", "asked", "error"),
    [
        ("gp3", {"Size": 7}, "New size cannot be smaller than existing size"),
        ("gp3", {"Size": 70000}, "must be between 1 and 65536 for gp3"),
        ("gp3", {"VolumeType": "st1"}, "must be between 125 and 16384 for st1"),
        ("gp3", {"Iops": 4001}, "Iops of 4001 is invalid for 8 GiB"),
        ("gp3", {"Throughput": 2001}, "Throughput of 2001 is invalid"),
        ("gp3", {"VolumeType": "io2"}, "iops must be specified"),
        ("gp2", {"Iops": 200}, "iops is not supported for gp2"),
        ("gp2", {"Throughput": 200}, "throughput is not supported for gp2"),
    ],
)
def test_what_ec2_refuses_is_refused_and_changes_nothing(aws, kind, asked, error):
    name = make(aws, kind=kind)
    with pytest.raises(ClientError, match=error):
        aws.ec2.modify_volume(VolumeId=name, **asked)
    aws.ec2.modify_volume(VolumeId=name, Size=9)


def test_a_type_keeps_or_takes_the_figures_of_its_kind(aws):
    name = make(aws, size=400, kind="gp2")
    assert volume(aws, name)["Iops"] == 1200
    made = aws.ec2.modify_volume(VolumeId=name, VolumeType="gp3")["VolumeModification"]
    assert (made["OriginalIops"], made["TargetIops"], made["TargetThroughput"]) == (1200, 3000, 125)
    aws.advance(5)
    assert [one["VolumeId"] for one in aws.ec2.describe_volumes(Filters=[{"Name": "volume-type", "Values": ["gp3"]}])["Volumes"]] == [name]


def test_a_modification_may_fail_and_leaves_the_volume_as_it_was(aws):
    name = make(aws)
    aws.sandbox.post("/sandbox/volumes", failing=[name])
    aws.ec2.modify_volume(VolumeId=name, Size=20)
    aws.advance(5)
    failed = modification(aws, name)
    assert (failed["ModificationState"], volume(aws, name)["Size"], bool(failed["StatusMessage"])) == ("failed", 8, True)
    aws.ec2.modify_volume(VolumeId=name, Size=20)
    aws.advance(5)
    assert volume(aws, name)["Size"] == 20


def test_modifications_are_told_of_for_volumes_that_had_one_and_in_pages(aws):
    names = [make(aws) for _number in range(7)]
    for name in names[:6]:
        aws.ec2.modify_volume(VolumeId=name, Size=9)
    with pytest.raises(ClientError, match="InvalidVolumeModification.NotFound"):
        aws.ec2.describe_volumes_modifications(VolumeIds=names)
    pages = aws.ec2.get_paginator("describe_volumes_modifications").paginate(PaginationConfig={"PageSize": 4})
    assert [len(page["VolumesModifications"]) for page in pages] == [4, 2]
    some = [{"Name": "volume-id", "Values": names[5:]}, {"Name": "modification-state", "Values": ["modifying"]}]
    found = aws.ec2.describe_volumes_modifications(Filters=some)["VolumesModifications"]
    assert [one["VolumeId"] for one in found] == [names[5]]
    assert [len(page["Volumes"]) for page in aws.ec2.get_paginator("describe_volumes").paginate(PaginationConfig={"PageSize": 5})] == [5, 2]


def test_each_state_is_an_event(aws):
    url = aws.queue("volumes", {"detail-type": ["EBS Volume Notification"], "detail": {"event": ["modifyVolume"]}})
    name = make(aws)
    aws.ec2.modify_volume(VolumeId=name, Size=9)
    aws.advance(700)
    told = aws.messages(url)
    assert [one["detail"]["result"] for one in told] == ["optimizing", "completed"]
    assert told[0]["resources"] == [f"arn:aws:ec2:us-east-1:123456789012:volume/{name}"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"modifying": -1}, "modifying is -1"),
        ({"optimizing": "soon"}, "optimizing is 'soon'"),
        ({"failing": "vol-1"}, "failing is 'vol-1'"),
        ({"speed": 1}, "there is no speed"),
    ],
)
def test_a_control_that_makes_no_sense_is_refused(aws, body, error):
    with pytest.raises(ValueError, match=error):
        aws.sandbox.post("/sandbox/volumes", **body)


def launch(aws, zone="us-east-1a"):
    (made,) = aws.ec2.run_instances(
        ImageId=aws.image, InstanceType="m5.large", MinCount=1, MaxCount=1, Placement={"AvailabilityZone": zone}
    )["Instances"]
    aws.advance(60)
    return made["InstanceId"]


def attachment(aws, name):
    return next(((one["InstanceId"], one["State"]) for one in volume(aws, name)["Attachments"]), None)


def test_a_volume_is_attached_to_one_instance_of_its_zone_and_its_device_is_taken(aws):
    name, first, second = make(aws), launch(aws), launch(aws)
    aws.ec2.attach_volume(VolumeId=name, InstanceId=first, Device="/dev/sdf")
    with pytest.raises(ClientError, match="VolumeInUse"):
        aws.ec2.attach_volume(VolumeId=name, InstanceId=second, Device="/dev/sdf")
    with pytest.raises(ClientError, match="already in use"):
        aws.ec2.attach_volume(VolumeId=make(aws), InstanceId=first, Device="/dev/sdf")
    with pytest.raises(ClientError, match="InvalidVolume.ZoneMismatch"):
        aws.ec2.attach_volume(VolumeId=make(aws), InstanceId=launch(aws, "us-east-1b"), Device="/dev/sdf")
    aws.ec2.terminate_instances(InstanceIds=[first])
    aws.advance(120)
    assert attachment(aws, name) is None and volume(aws, name)["State"] == "available", "it outlives its instance"
    with pytest.raises(ClientError, match="IncorrectState|InvalidInstanceID"):
        aws.ec2.attach_volume(VolumeId=name, InstanceId=first, Device="/dev/sdf")
    aws.ec2.attach_volume(VolumeId=name, InstanceId=second, Device="/dev/sdf")
    with pytest.raises(ClientError, match="InvalidAttachment.NotFound"):
        aws.ec2.detach_volume(VolumeId=name, InstanceId=first)
    aws.ec2.detach_volume(VolumeId=name)
    with pytest.raises(ClientError, match="IncorrectState"):
        aws.ec2.detach_volume(VolumeId=name)


def test_attaching_and_detaching_take_their_time_and_a_detach_may_hang_until_it_is_forced(aws):
    aws.sandbox.post("/sandbox/volumes", attaching=3, detaching=4)
    name, instance = make(aws), launch(aws)
    aws.ec2.attach_volume(VolumeId=name, InstanceId=instance, Device="/dev/sdf")
    assert attachment(aws, name) == (instance, "attaching")
    aws.advance(3)
    assert attachment(aws, name) == (instance, "attached")
    aws.ec2.detach_volume(VolumeId=name)
    assert attachment(aws, name) == (instance, "detaching")
    aws.advance(4)
    assert attachment(aws, name) is None
    aws.sandbox.post("/sandbox/volumes", hanging=[name])
    aws.ec2.attach_volume(VolumeId=name, InstanceId=instance, Device="/dev/sdf")
    aws.advance(3)
    aws.ec2.detach_volume(VolumeId=name)
    aws.advance(600)
    assert attachment(aws, name) == (instance, "busy")
    aws.ec2.detach_volume(VolumeId=name, Force=True)
    assert attachment(aws, name) is None


def test_a_volume_that_is_asked_for_twice_with_one_token_is_made_once(aws):
    options = {"ClientToken": "once", "AvailabilityZone": aws.zones[0], "VolumeType": "gp3"}
    first = aws.ec2.create_volume(Size=8, **options)["VolumeId"]
    assert aws.ec2.create_volume(Size=8, **options)["VolumeId"] == first
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        aws.ec2.create_volume(Size=9, **options)
