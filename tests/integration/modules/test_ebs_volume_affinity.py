"""ebs_volume_affinity against the sandbox: a data volume goes to the replacement in its zone, and is taken from nobody who may write."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

REGION, A, B = "us-east-1", "us-east-1a", "us-east-1b"
MOUNT = "/var/lib/postgresql"
TAGS = {"spot.platform/app": "orders", "spot.platform/environment": "test"}
FREE = (None, None)


class Orders:
    """An application with data volumes."""

    def __init__(self, sandbox, run_module):
        self.sandbox, self.ec2, self._run = sandbox, sandbox.client("ec2", REGION), run_module
        self.image = self.ec2.describe_images()["Images"][0]["ImageId"]

    def launch(self, zone=A, count=1):
        made = self.ec2.run_instances(
            ImageId=self.image, InstanceType="m5.large", MinCount=count, MaxCount=count, Placement={"AvailabilityZone": zone},
            TagSpecifications=[{"ResourceType": "instance", "Tags": listed(TAGS)}],
        )  # fmt: skip
        self.advance(60)
        names = [one["InstanceId"] for one in made["Instances"]]
        return names[0] if count == 1 else names

    def volume(self, zone=A, **tags):
        named = [{"ResourceType": "volume", "Tags": listed({**TAGS, "spot.platform/mount": MOUNT, **tags})}]
        return self.ec2.create_volume(AvailabilityZone=zone, Size=20, VolumeType="gp3", Iops=4000, Throughput=250, TagSpecifications=named)["VolumeId"]

    def pair(self, zone=A):
        """An instance that has its volume."""
        instance, volume = self.launch(zone), self.volume(zone)
        self.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
        return instance, volume

    def end(self, instance):
        self.ec2.terminate_instances(InstanceIds=[instance])
        self.advance(120)

    def advance(self, seconds):
        self.sandbox.post("/sandbox/clock", advance=seconds)

    def settle(self, check=False, **options):
        wait = options.pop("wait_timeout", 0)
        entry = {"app": "orders", "mount": MOUNT, **options}
        given = {"region": REGION, "environment": "test", "volumes": [entry], "wait_timeout": wait}
        return self._run("ebs_volume_affinity", given, check=check, diff=True)

    def get(self, volume):
        (found,) = self.ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
        return {**found, "Tags": {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}}

    def holder(self, volume):
        return next(((one["InstanceId"], one["Device"]) for one in self.get(volume)["Attachments"]), FREE)

    def state(self, instance):
        return self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["State"]["Name"]

    def writes(self):
        calls = self.sandbox.get("/sandbox/calls")["services"].get("ec2", {})
        return {name: count for name, count in calls.items() if not name.startswith("Describe")}


def listed(tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


@pytest.fixture
def orders(fresh, run_module):
    fresh.post("/sandbox/faults", rules=[])
    return Orders(fresh, run_module)


def actions(result):
    return {one["id"]: one["actions"] for one in result["volumes"]}


def test_the_replacement_in_the_zone_gets_the_volume_once(orders):
    first, volume = orders.pair()
    orders.end(first)
    far, second = orders.launch(B), orders.launch()
    orders.sandbox.post("/sandbox/calls/reset")
    shown = orders.settle(check=True)
    assert shown["changed"] and actions(shown) == {volume: ["claim"]} and orders.writes() == {}
    assert shown["diff"]["after"] == {f"{volume}@{REGION}": {"instance": second, "zone": A}}
    done = orders.settle()
    assert done["changed"] and orders.holder(volume) == (second, "/dev/sdf")
    assert [(one["kind"], one["resource"]) for one in done["activity"]] == [("volume.claimed", volume)]
    assert done["lacking"] == [{"app": "orders", "mount": MOUNT, "region": REGION, "instance": far}]
    orders.sandbox.post("/sandbox/calls/reset")
    again = orders.settle()
    assert not again["changed"] and orders.writes() == {} and actions(again) == {volume: []}


def test_a_volume_whose_instance_has_gone_waits_in_its_zone(orders):
    first, volume = orders.pair()
    orders.end(first)
    orders.launch(B)
    result = orders.settle()
    assert not result["changed"] and orders.holder(volume) == FREE
    assert [(one["id"], one["zone"], one["instance"]) for one in result["volumes"]] == [(volume, A, None)]
    assert "it stays with its zone" in result["volumes"][0]["reasons"][0]


def test_two_runs_and_two_replacements_at_once_give_each_volume_to_one(orders):
    volumes = [orders.volume() for _number in range(3)]
    instances = orders.launch(count=3)
    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(lambda _number: orders.settle(), range(3)))
    assert not [one for one in results if one.get("failed")], results
    holders = [orders.holder(volume)[0] for volume in volumes]
    assert sorted(holders) == sorted(instances)
    told = [one["resource"] for result in results for one in result["activity"]]
    assert sorted(told) == sorted(volumes), "each is told of once, by the run that did it"


def test_an_instance_that_is_alive_and_unreachable_keeps_its_volume_until_it_is_ended(orders):
    first, volume = orders.pair()
    second = orders.launch()
    orders.sandbox.post("/sandbox/checks", instance_ids=[first], instance="impaired")
    orders.advance(400)
    kept = orders.settle()
    assert not kept["changed"] and orders.holder(volume)[0] == first and "it may still write" in kept["volumes"][0]["reasons"][0]
    early = orders.settle(fence_after=3600)
    assert not early["changed"] and orders.state(first) == "running"
    fenced = orders.settle(fence_after=300)
    assert actions(fenced)[volume][0] == "fence" and fenced["activity"][0]["kind"] == "instance.fenced"
    orders.advance(120)
    orders.settle()
    assert orders.state(first) == "terminated" and orders.holder(volume)[0] == second


def test_a_detach_that_hangs_is_forced_on_no_instance_that_runs(orders):
    first, volume = orders.pair()
    orders.launch()
    orders.sandbox.post("/sandbox/volumes", hanging=[volume])
    orders.ec2.detach_volume(VolumeId=volume)
    result = orders.settle(detach_after=0)
    assert not result["changed"] and orders.holder(volume)[0] == first
    assert f"it is busy on {first}, which runs" in result["volumes"][0]["reasons"][0]


def test_a_zone_without_capacity_loses_its_volume_by_the_policy_alone_and_says_the_price_before(orders):
    first, volume = orders.pair()
    orders.end(first)
    second = orders.launch(B)
    noted = orders.settle(move_after=600)
    assert not noted["changed"] and orders.get(volume)["Tags"]["spot.platform/free-since"].isdigit()
    orders.advance(700)
    shown = orders.settle(check=True, move_after=600)
    assert actions(shown) == {volume: ["move"]} and "within 20 minutes, for 1.00 USD a month" in shown["volumes"][0]["reasons"][1]
    moved = orders.settle(move_after=600, keep_days=3)
    assert not moved.get("failed"), moved
    (new,) = [one["id"] for one in moved["volumes"] if one["id"] != volume]
    found, old = orders.get(new), orders.get(volume)
    assert orders.holder(new)[0] == second and found["AvailabilityZone"] == B
    assert (found["Size"], found["Iops"], found["Throughput"]) == (20, 4000, 250)
    assert found["Tags"] == {**TAGS, "spot.platform/mount": MOUNT}
    assert old["Tags"]["spot.platform/replaced-by"] == new and "spot.platform/mount" not in old["Tags"]
    assert len(old["Tags"]["spot.platform/delete-after"]) == 10
    assert sorted(one["kind"] for one in moved["activity"]) == ["volume.claimed", "volume.moved"]
    assert not orders.settle(move_after=600)["changed"]


def test_where_nobody_comes_the_planner_is_told_that_the_next_may_be_elsewhere(orders):
    volume = orders.volume(**{"spot.platform/free-since": "1"})
    orders.settle(move_after=600)
    assert orders.get(volume)["Tags"]["spot.platform/may-move"] == "true"
    here = orders.launch()
    orders.settle(move_after=600)
    assert orders.holder(volume)[0] == here and orders.get(volume)["Tags"] == {**TAGS, "spot.platform/mount": MOUNT}


@pytest.mark.parametrize("operation", ["CreateSnapshot", "CreateVolume", "CreateTags", "DeleteTags", "AttachVolume"])
def test_what_was_interrupted_is_completed_and_nothing_is_made_twice(orders, operation):
    volume = orders.volume(**{"spot.platform/free-since": "1"})
    second = orders.launch(B)
    orders.sandbox.post("/sandbox/faults", rules=[{"kind": "denied", "service": "ec2", "operation": operation}])
    failed = orders.settle(move_after=60)
    assert failed["failed"] and f"ec2:{operation}" in failed["msg"], failed
    orders.sandbox.post("/sandbox/faults", rules=[{"kind": "throttle", "rate": 0.3, "service": "ec2"}])
    done = orders.settle(move_after=60)
    assert not done.get("failed"), done
    orders.sandbox.post("/sandbox/faults", rules=[])
    mine = [{"Name": "tag:spot.platform/mount", "Values": [MOUNT]}]
    (new,) = orders.ec2.describe_volumes(Filters=mine)["Volumes"]
    assert new["VolumeId"] != volume and orders.holder(new["VolumeId"])[0] == second
    assert len(orders.ec2.describe_snapshots(Filters=[{"Name": "volume-id", "Values": [volume]}])["Snapshots"]) == 1
    copies = orders.ec2.describe_volumes(Filters=[{"Name": "tag:spot.platform/app", "Values": ["orders"]}])["Volumes"]
    assert len(copies) == 2


def test_a_move_that_was_killed_when_nobody_had_the_mount_is_ended_by_the_next_run(orders):
    volume = orders.volume(**{"spot.platform/free-since": "1"})
    second = orders.launch(B)
    assert orders.settle(move_after=60)["changed"]
    (new,) = [one["VolumeId"] for one in orders.ec2.describe_volumes()["Volumes"] if one["AvailabilityZone"] == B and one["Size"] == 20]
    orders.ec2.detach_volume(VolumeId=new)
    orders.ec2.delete_tags(Resources=[new], Tags=[{"Key": "spot.platform/mount"}])
    orders.ec2.create_tags(Resources=[new], Tags=listed({"spot.platform/moves": f"{volume} {MOUNT}"}))
    assert orders.settle()["volumes"] == []
    ended = orders.settle(move_after=60)
    assert actions(ended) == {new: ["claim"]} and orders.holder(new)[0] == second
    assert "spot.platform/moves" not in orders.get(new)["Tags"] and orders.holder(volume) == FREE


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ({"mount": "srv"}, "volumes[0].mount is 'srv'"),
        ({"fence_after": -1}, "volumes[0].fence_after is -1"),
        ({"keep_days": -1}, "volumes[0].keep_days is -1"),
    ],
)
def test_what_means_nothing_is_refused(orders, entry, error):
    result = orders.settle(**entry)
    assert result["failed"] and error in result["msg"]


def test_a_volume_of_another_application_or_environment_is_left_alone(orders):
    other = orders.volume(**{"spot.platform/app": "shop"})
    elsewhere = orders.volume(**{"spot.platform/environment": "production"})
    orders.launch()
    result = orders.settle()
    assert result["volumes"] == [] and orders.holder(other) == orders.holder(elsewhere) == FREE
