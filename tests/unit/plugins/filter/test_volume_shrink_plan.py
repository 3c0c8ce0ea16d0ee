"""The plan as the role asks for it, from what the modules return."""

from __future__ import annotations

from ansible_collections.spot.platform.plugins.filter.volume_shrink_plan import FilterModule

MOUNT = {
    "path": "/srv/shop",
    "mounted": True,
    "fstab": [{"spec": "LABEL=shop", "type": "ext4", "options": "defaults", "uuid": "u-1"}],
    "nested": [],
    "volumes": {
        "vol-1": {"device": "/dev/nvme1n1", "size": 2**34, "type": "ext4", "uuid": "u-1", "mounts": ["/srv/shop"]},
        "vol-2": {"device": "/dev/nvme2n1", "size": 2**33, "type": None, "uuid": None, "mounts": []},
    },
    "units": ["shop.service"],
    "device": "/dev/nvme1n1",
    "type": "ext4",
    "options": "rw,relatime",
    "root": "/",
    "layers": 1,
    "uuid": "u-1",
    "label": "shop",
    "elsewhere": [],
    "volume": "vol-1",
    "block": {"kind": "disk", "disk": "/dev/nvme1n1", "partitions": 0},
    "processes": [{"pid": 7, "command": "shop", "unit": "shop.service", "file": "/srv/shop/log"}],
    "subvolumes": 0,
    "size": 2**34,
    "used": 2**30,
    "available": 2**33,
    "inodes": 1000000,
    "inodes_used": 100,
}
VOLUME = {
    "id": "vol-1",
    "size": 16,
    "type": "gp3",
    "zone": "us-east-1a",
    "iops": 3000,
    "throughput": 125,
    "encrypted": False,
    "attachment_set": [{"instance_id": "i-1", "device": "/dev/sdf", "status": "attached", "delete_on_termination": False}],
    "tags": None,
}
NEW = {**VOLUME, "id": "vol-2", "size": 8, "attachment_set": [], "tags": {"spot.platform/shrinks": "vol-1"}}
TOOLS = ["rsync", "flock", "ionice", "mkfs.ext4"]


def plan(mount=None, volumes=(VOLUME, NEW), units=None):
    return FilterModule().filters()["volume_shrink_plan"](mount or MOUNT, volumes, "i-1", 8, 15, units or {}, TOOLS)


def test_what_the_modules_return_is_understood():
    found = plan()
    assert (found["action"], found["old"], found["new"], found["device"], found["problems"]) == ("replace", "vol-1", "vol-2", "/dev/sdg", [])


def test_units_that_are_not_there_are_named():
    found = plan(units={"shop.service": {"LoadState": "loaded"}, "typo.service": {"LoadState": "not-found"}})
    assert found["problems"] == ["there is no unit typo.service on the host"]


def test_a_copy_with_the_same_uuid_is_seen():
    twin = {**MOUNT, "volumes": {**MOUNT["volumes"], "vol-3": {**MOUNT["volumes"]["vol-1"], "mounts": []}}}
    (problem,) = plan(twin)["problems"]
    assert problem.startswith("vol-3 has a file system with the UUID")
