# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application whose data stay with their zones: what replaces a lost instance is launched there, and gets them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.spot.platform.tests.integration.modules.groups import REGION, TYPES, advance, dry, group_of, make

from .conftest import WORKER, Project

MOUNT = "/var/lib/postgresql"
STAYS = {"mount": MOUNT, "affinity": {"device": "/dev/sdf"}}
WEIGHTS = dict.fromkeys(TYPES, 1)


@pytest.fixture
def orders(project: Project, run_module: Callable[..., dict[str, Any]]) -> Project:
    """Three instances in three zones, each with its volume."""
    project.write("targets.spot.yml", {"plugin": "spot.platform.targets", "environment": "sandbox"})
    capacity = {**WORKER["capacity"], "min": 3, "max": 3, "desired": 3}
    project.app({**WORKER, "name": "orders", "regions": [REGION], "capacity": capacity, "volumes": [STAYS]})
    bounds = {"spot.platform/min": "3", "spot.platform/max": "3", "spot.platform/unit": "instances"}
    make(project.sandbox, "orders", target=3, base=0, weights=WEIGHTS, **bounds, **{"spot.platform/stays": MOUNT})
    ec2 = project.sandbox.client("ec2", REGION)
    tags = {"spot.platform/app": "orders", "spot.platform/environment": "sandbox", "spot.platform/mount": MOUNT}
    listed = [{"ResourceType": "volume", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}]
    for member in group_of(project.sandbox, "sandbox-orders")["Instances"]:
        made = ec2.create_volume(AvailabilityZone=member["AvailabilityZone"], Size=20, VolumeType="gp3", TagSpecifications=listed)
        ec2.attach_volume(VolumeId=made["VolumeId"], InstanceId=member["InstanceId"], Device="/dev/sdf")
    return project


def holders(project: Project) -> dict[str, tuple[str, str | None]]:
    """Each volume's zone, and who has it."""
    filters = [{"Name": "tag:spot.platform/mount", "Values": [MOUNT]}]
    found = project.sandbox.client("ec2", REGION).describe_volumes(Filters=filters)["Volumes"]
    return {one["VolumeId"]: (one["AvailabilityZone"], next((each["InstanceId"] for each in one["Attachments"]), None)) for one in found}


def members(project: Project) -> dict[str, str]:
    """Those in service, with their zone."""
    found = group_of(project.sandbox, "sandbox-orders")["Instances"]
    return {one["InstanceId"]: one["AvailabilityZone"] for one in found if one["LifecycleState"] == "InService"}


def test_replacements_are_launched_where_the_data_are_and_get_them(orders: Project) -> None:
    before = holders(orders)
    zones = sorted(zone for zone, _instance in before.values())
    assert len(set(zones)) == 3 and sorted(members(orders).values()) == zones
    for _round in range(2):  # the figures of the group come to rest
        run = orders.play("capacity_reconcile")
        assert run.code == 0, run.output
        advance(orders.sandbox, 60)
    assert holders(orders) == before, "who has its data keeps them"

    dry(orders.sandbox)  # all Spot goes, in all zones at once
    assert all(instance is None for _zone, instance in holders(orders).values())
    for _minute in range(3):
        run = orders.play("capacity_reconcile")
        assert run.code == 0, run.output
        advance(orders.sandbox, 60)

    after = holders(orders)
    assert {name: zone for name, (zone, _instance) in after.items()} == {name: zone for name, (zone, _instance) in before.items()}
    assert {instance: zone for zone, instance in after.values()} == members(orders), "each has the data of its own zone"
    assert not {instance for _zone, instance in after.values()} & {instance for _zone, instance in before.values()}
    orders.sandbox.post("/sandbox/calls/reset")
    run = orders.play("capacity_reconcile")
    assert run.code == 0 and not run.changed.get("localhost") and holders(orders) == after
