# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine import waste
from ansible_collections.spot.platform.plugins.module_utils.engine.prices import volume_month
from ansible_collections.spot.platform.plugins.module_utils.engine.waste import DAY, Balancer, Instance, Snapshot, Volume

NOW = 1_800_000_000.0
VOLUME = Volume("vol-1", "us-east-1", "shop", "gp3", 100, 3000, 125, attached=False, since=NOW - 10 * DAY)
BALANCER = Balancer("arn:lb", "front", "us-east-1", None, "application", NOW - 30 * DAY, targets=0, answers=False)
INSTANCE = Instance("i-1", "us-east-1", None, "m5.xlarge", [12.0] * 48, peak=30.0)
PRICES = {"m5.xlarge": 0.192, "m5.large": 0.096}


def test_a_volume_costs_its_size_and_what_is_above_what_gp3_has_for_nothing():
    assert volume_month("gp3", 100) == 8.0
    assert volume_month("gp3", 100, 4000, 225) == pytest.approx(8 + 1000 * 0.005 + 100 * 0.04)
    assert volume_month("io2", 100, 1000) == pytest.approx(12.5 + 65)
    assert volume_month("gp2", 100, 300) == 10.0


def test_a_volume_that_nobody_has_had_for_a_week_is_waste():
    (found,) = waste.unattached_volumes([VOLUME], NOW, 7)
    assert (found.usd_month, found.command) == (8.0, "aws ec2 delete-volume --region us-east-1 --volume-id vol-1")
    assert found.app == "shop" and "10 days old" in found.reasons[0]
    assert waste.unattached_volumes([VOLUME], NOW, 11) == []
    assert waste.unattached_volumes([replace(VOLUME, attached=True)], NOW, 7) == []


@pytest.mark.parametrize(
    ("size", "saved", "iops", "throughput"),
    [(100, 2.0, 3000, 125), (1000, 20 - 5, 3000, 250), (2000, 40 - 5 - 15, 6000, 250), (10000, 200 - 5 - 65, 16000, 250)],
)
def test_gp2_becomes_gp3_with_no_fewer_iops(size, saved, iops, throughput):
    (found,) = waste.old_generations([replace(VOLUME, kind="gp2", size=size, attached=True)])
    assert found.usd_month == pytest.approx(saved)
    assert found.command.endswith(f"--volume-type gp3 --iops {iops} --throughput {throughput}")


def test_gp3_and_what_is_unattached_are_not_changed():
    assert waste.old_generations([replace(VOLUME, attached=True), replace(VOLUME, kind="gp2")]) == []


def test_a_snapshot_is_old_unless_an_image_needs_it():
    snapshot = Snapshot("snap-1", "eu-west-1", None, 50, NOW - 100 * DAY, in_use=False)
    (found,) = waste.old_snapshots([snapshot, replace(snapshot, in_use=True)], NOW, 90)
    assert found.usd_month == pytest.approx(2.5) and found.at_most
    assert waste.old_snapshots([snapshot], NOW, 101) == []


@pytest.mark.parametrize("change", [{"targets": 1}, {"answers": True}, {"made": NOW - 3600}])
def test_a_load_balancer_that_does_something_or_is_new_is_none(change):
    assert waste.idle_balancers([replace(BALANCER, **change)], NOW) == []


def test_a_load_balancer_without_targets_is_waste():
    (found,) = waste.idle_balancers([BALANCER], NOW)
    assert found.usd_month == pytest.approx(16.425) and "--load-balancer-arn arn:lb" in found.command


def test_an_instance_that_half_the_size_would_do_for_is_over_sized():
    (found,) = waste.oversized_instances([INSTANCE], PRICES, 20)
    assert found.usd_month == pytest.approx(0.096 * 730)
    assert "--instance-type Value=m5.large" in found.command and found.command.index("stop") < found.command.index("start-instances")
    assert "in 2 days no hour took more than 12 % of the CPU of m5.xlarge, and the peak was 30 %" in found.reasons[0]


@pytest.mark.parametrize(
    "change",
    [{"hourly": [12.0] * 47 + [21.0]}, {"peak": 41.0}, {"hourly": [1.0] * 23}, {"hourly": []}, {"kind": "m5.large"}, {"kind": "x1.huge"}],
)
def test_an_instance_that_is_busy_or_not_known_well_is_left_alone(change):
    assert waste.oversized_instances([replace(INSTANCE, **change)], PRICES, 20) == []


@pytest.mark.parametrize(
    ("kind", "half"),
    [("m5.2xlarge", "m5.xlarge"), ("m5.24xlarge", "m5.12xlarge"), ("t3.nano", None), ("m5.metal", None), ("c5.18xlarge", "c5.9xlarge")],
)
def test_half_of_a_size(kind, half):
    assert waste.half_of(kind) == half


def test_the_dearest_comes_first_and_cents_can_be_left_out():
    some = waste.unattached_volumes([VOLUME, replace(VOLUME, id="vol-2", size=500), replace(VOLUME, id="vol-3", size=1)], NOW, 7)
    assert [one.resource for one in waste.sorted_findings(some, 1.0)] == ["vol-2", "vol-1"]
