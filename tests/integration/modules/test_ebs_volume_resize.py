"""Volumes that grow: by each kind of wish, in several regions, deferred, refused, throttled, killed half-way."""

from __future__ import annotations

from typing import Any

import pytest

REGIONS = ["us-east-1", "us-west-2"]
APP = {"spot.platform/app": "shop", "spot.platform/environment": "test", "spot.platform/mount": "/srv/uploads"}


@pytest.fixture
def quick(fresh: Any) -> Any:
    """A sandbox whose clock stands still, and where a modification takes effect at once."""
    fresh.post("/sandbox/clock", speed=0)
    fresh.post("/sandbox/volumes", modifying=0, optimizing=60)
    return fresh


def make(sandbox: Any, region: str = REGIONS[0], size: int = 100, kind: str = "gp3", tags: Any = None) -> str:
    specification = [{"ResourceType": "volume", "Tags": [{"Key": key, "Value": value} for key, value in (tags or {}).items()]}] if tags else []
    zone = f"{region}a"
    made = sandbox.client("ec2", region).create_volume(AvailabilityZone=zone, Size=size, VolumeType=kind, TagSpecifications=specification)
    return made["VolumeId"]


def sizes(sandbox: Any, region: str = REGIONS[0]) -> dict[str, int]:
    return {one["VolumeId"]: one["Size"] for one in sandbox.client("ec2", region).describe_volumes()["Volumes"]}


def outcomes(result: dict[str, Any]) -> dict[str, str]:
    return {one["id"]: one["outcome"] for one in result["volumes"]}


def test_each_kind_of_wish_in_two_regions_and_nothing_the_second_time(quick, run_module):
    by_size, by_percent = make(quick), make(quick)
    by_goal = [make(quick, region, tags=APP) for region in REGIONS]
    others = make(quick, tags={**APP, "spot.platform/mount": "/var"})
    entries = [{"ids": [by_size], "size": 120}, {"app": "shop", "mount": "/srv/uploads", "free_percent": 20, "used": 90, "max_size": 110}]
    task = {"regions": REGIONS, "environment": "test", "volumes": entries}
    planned = run_module("ebs_volume_resize", task, check=True)
    assert planned["changed"] and sizes(quick)[by_size] == 100 and not planned["activity"][0]["changed"]
    done = run_module("ebs_volume_resize", task, diff=True)
    assert done["changed"] and done["alert"] and not done["errors"]
    assert outcomes(done) == dict.fromkeys([by_size, *by_goal], "changed")
    assert sizes(quick) == {by_size: 120, by_percent: 100, by_goal[0]: 110, others: 100} and sizes(quick, REGIONS[1]) == {by_goal[1]: 110}
    assert {one["state"] for one in done["volumes"]} == {"optimizing"}
    assert done["diff"]["after"][f"{by_size}@{REGIONS[0]}"]["size"] == 120
    assert [event["kind"] for event in done["activity"]] == ["volume.resized"] * 3
    now = quick.get("/sandbox/clock")["time"]
    assert {event["time"][:18] for event in done["activity"]} == {now[:18]}, "AWS's time, which is behind by now"
    quick.post("/sandbox/calls/reset")
    again = run_module("ebs_volume_resize", task)
    assert not again["changed"] and set(outcomes(again).values()) == {"kept"}
    calls = quick.get("/sandbox/calls")["services"]["ec2"]
    assert calls == {"DescribeVolumes": 4}
    assert run_module("ebs_volume_resize", {"region": REGIONS[0], "volumes": [{"ids": [by_percent], "percent": 10}]})["changed"]
    assert sizes(quick)[by_percent] == 110


def test_what_may_not_be_modified_now_is_deferred_and_picked_up_later(quick, run_module):
    name = make(quick)

    def grow(size: int) -> dict[str, Any]:
        result = run_module("ebs_volume_resize", {"region": REGIONS[0], "volumes": [{"ids": [name], "size": size}]})
        assert not result.get("failed"), result
        return result["volumes"][0]

    assert grow(101)["outcome"] == "changed"
    busy = grow(102)
    assert (busy["outcome"], busy["not_before"]) == ("deferred", None) and "optimizing" in busy["reasons"][-1]
    for size in (102, 103, 104):
        quick.post("/sandbox/clock", advance=3600)
        assert grow(size)["outcome"] == "changed"
    quick.post("/sandbox/clock", advance=3600)
    later = grow(105)
    assert later["outcome"] == "deferred" and later["not_before"] and "4 modifications" in later["reasons"][-1]
    quick.post("/sandbox/clock", advance=20 * 3600 - 60)
    assert grow(105)["outcome"] == "deferred"
    quick.post("/sandbox/clock", advance=120)
    assert grow(105)["outcome"] == "changed" and sizes(quick)[name] == 105


def test_modifications_of_others_that_left_no_trace_defer_as_well(quick, run_module):
    name, ec2 = make(quick), quick.client("ec2", REGIONS[0])
    for size in (101, 102, 103, 104):
        ec2.modify_volume(VolumeId=name, Size=size)
        quick.post("/sandbox/clock", advance=3600)
    result = run_module("ebs_volume_resize", {"region": REGIONS[0], "volumes": [{"ids": [name], "size": 110}]})
    (one,) = result["volumes"]
    assert (one["outcome"], result["changed"], result.get("failed")) == ("deferred", False, None)
    assert one["not_before"] and "VolumeModificationRateExceeded" in one["reasons"][-1]


def test_a_day_has_its_growth(quick, run_module):
    name = make(quick)
    task = {"region": REGIONS[0], "max_growth_percent": 20, "volumes": [{"ids": [name], "size": 200}]}
    first = run_module("ebs_volume_resize", task)
    assert (sizes(quick)[name], first["alert"]) == (120, True)
    quick.post("/sandbox/clock", advance=3600)
    second = run_module("ebs_volume_resize", task)
    (one,) = second["volumes"]
    assert (one["outcome"], second["alert"], one["not_before"] is not None) == ("deferred", True, True)
    quick.post("/sandbox/clock", advance=23 * 3600 + 60)
    assert run_module("ebs_volume_resize", task)["changed"] and sizes(quick)[name] == 144


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ({"size": 50}, "volume_shrink"),
        ({"size": 150, "max_size": 90}, "its maximum is 90 GiB, below its 100"),
        ({"size": 0}, "volumes[0].size is 0"),
        ({"percent": -5}, "volumes[0].percent is -5"),
        ({"free_percent": 100, "used": 1}, "free_percent is 100"),
        ({"free_percent": 20}, "required together: free_percent, used"),
        ({}, "one of the following is required: size, percent"),
        ({"size": 150, "percent": 5}, "mutually exclusive"),
        ({"size": 150, "ids": ["disk-1"]}, "the id of a volume begins with vol-"),
        ({"size": 150, "ids": ["vol-0123456789abcdef0"]}, "there is no volume vol-0123456789abcdef0"),
        ({"type": "st1"}, "must be between 125 and 16384 for st1"),
    ],
)
def test_what_cannot_be_is_told_with_the_way_out(quick, run_module, entry, error):
    name = make(quick)
    result = run_module("ebs_volume_resize", {"region": REGIONS[0], "volumes": [{"ids": [name], **entry}]})
    assert result["failed"] and error in result["msg"], result["msg"]
    assert sizes(quick) == {name: 100}


def test_an_application_without_such_a_volume_is_told_and_a_filter_that_nothing_passes_is_not(quick, run_module):
    name = make(quick)
    entries = [{"app": "shop", "mount": "/srv/upload", "size": 150}, {"ids": [name], "size": 120}]
    result = run_module("ebs_volume_resize", {"region": REGIONS[0], "volumes": entries})
    assert result["failed"] and f"there is no volume of shop for /srv/upload in {REGIONS[0]}" in result["msg"]
    assert sizes(quick) == {name: 120}, "the others are changed"
    nothing = {"filters": {"volume-type": "gp2"}, "type": "gp3"}
    assert not run_module("ebs_volume_resize", {"region": REGIONS[0], "volumes": [nothing]}).get("failed")


def test_one_impossible_wish_keeps_all_from_being_touched(quick, run_module):
    good, bad = make(quick), make(quick, REGIONS[1])
    entries = [{"ids": [good], "size": 120}, {"ids": [bad], "size": 10}]
    result = run_module("ebs_volume_resize", {"regions": REGIONS, "volumes": entries})
    assert result["failed"] and not result["changed"]
    assert outcomes(result) == {good: "kept", bad: "refused"}
    assert (sizes(quick), sizes(quick, REGIONS[1])) == ({good: 100}, {bad: 100})
    assert [event["kind"] for event in result["activity"]] == ["volume.refused"]


def test_type_iops_and_throughput_change_when_told_and_gp2_is_only_an_offer(quick, run_module):
    name = make(quick, size=400, kind="gp2")
    grown = run_module("ebs_volume_resize", {"region": REGIONS[0], "volumes": [{"ids": [name], "size": 410}]})
    (one,) = grown["volumes"]
    assert one["after"]["type"] == "gp2" and any("gp3 costs a fifth less" in text for text in one["reasons"])
    quick.post("/sandbox/clock", advance=120)
    told = {"filters": {"volume-type": "gp2"}, "type": "gp3", "iops": 4000, "throughput": 250}
    assert run_module("ebs_volume_resize", {"region": REGIONS[0], "volumes": [told]})["changed"]
    (shown,) = quick.client("ec2", REGIONS[0]).describe_volumes()["Volumes"]
    assert (shown["VolumeType"], shown["Iops"], shown["Throughput"], shown["Size"]) == ("gp3", 4000, 250, 410)


def test_throttling_is_waited_out_and_a_denial_or_a_failure_of_one_keeps_no_other_from_growing(quick, run_module):
    names = [make(quick) for _number in range(6)]
    task = {"region": REGIONS[0], "wait_timeout": 20, "volumes": [{"ids": names, "size": 120}]}
    quick.post("/sandbox/faults", rules=[{"service": "ec2", "operation": "ModifyVolume", "kind": "denied", "count": 1}])
    quick.post("/sandbox/volumes", failing=names[:1])
    result = run_module("ebs_volume_resize", task)
    assert result["failed"] and result["changed"]
    failed = [one for one in result["volumes"] if one["outcome"] == "failed"]
    assert 1 <= len(failed) <= 2 and sum(size == 120 for size in sizes(quick).values()) == 6 - len(failed)
    quick.post("/sandbox/faults", rules=[{"service": "ec2", "kind": "throttle", "rate": 0.5}])
    quick.post("/sandbox/volumes", failing=[])
    quick.post("/sandbox/clock", advance=120)
    again = run_module("ebs_volume_resize", task)
    assert not again.get("failed") and set(sizes(quick).values()) == {120}


def test_a_region_that_cannot_be_asked_keeps_no_other_from_growing(quick, run_module):
    good, bad = make(quick), make(quick, REGIONS[1])
    quick.post("/sandbox/faults", rules=[{"service": "ec2", "region": REGIONS[1], "kind": "denied"}])
    result = run_module("ebs_volume_resize", {"regions": REGIONS, "volumes": [{"ids": [good, bad], "size": 120}]})
    assert result["failed"] and result["changed"] and sizes(quick) == {good: 120}
    assert [error["region"] for error in result["errors"]] == [REGIONS[1]]
