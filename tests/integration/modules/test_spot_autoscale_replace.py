# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""spot_autoscale told to replace instances that AWS leaves alone: make before break, in groups and in fleets."""

from __future__ import annotations

import json

import pytest
from ansible_collections.spot.platform.tests.integration.modules import fleets
from ansible_collections.spot.platform.tests.integration.modules.groups import (
    advance,
    figures,
    group_of,
    make,
    orphans,
    serving,
    settle,
    spot_members,
    table,
    writes,
)


def on_demand_members(sandbox):
    return sorted({one["InstanceId"] for one in group_of(sandbox)["Instances"]} - spot_members(sandbox).keys())


def remembered(sandbox, key="sandbox-web"):
    item = sandbox.client("dynamodb").get_item(TableName="spot-platform-sandbox", Key={"id": {"S": key}})["Item"]
    return json.loads(item["memory"]["S"])


@pytest.mark.parametrize("what", ["spot", "on_demand"])
def test_the_instance_goes_only_when_its_replacement_serves(sandbox, fresh, step, what):
    make(sandbox)
    settle(sandbox, step)
    before = figures(sandbox)
    bad = sorted(spot_members(sandbox))[0] if what == "spot" else on_demand_members(sandbox)[0]
    pool = spot_members(sandbox).get(bad)

    shown = step(check=True, replace=[bad])
    assert shown["changed"] and shown["decisions"][0]["launched"] and shown["decisions"][0]["ended"] == []
    assert figures(sandbox) == before and remembered(sandbox)["replaced"] == []

    first = step(replace=[bad])
    (decision,) = first["decisions"]
    launched = [name for one in decision["launched"] for name in one["instances"]]
    assert launched and decision["ended"] == [] and decision["fallback"] == 0
    assert {one["lifecycle"] for one in decision["launched"]} == {what}
    assert remembered(sandbox)["replaced"] == [bad]
    gone = False
    for _minute in range(6):
        for _each in range(4):
            advance(sandbox, 15)
            assert serving(sandbox) >= 8, "nothing is taken away before what replaces it serves"
        result = step()
        gone = gone or any(bad in one["ended"] for one in result["decisions"])
    assert gone and figures(sandbox) == before and orphans(sandbox) == set()
    if pool:
        record = remembered(sandbox)["pools"]["/".join(pool)]
        assert record[2] is None and record[4] < 0.1, "its pool has lost nothing"
    sandbox.post("/sandbox/calls/reset")
    assert not step(replace=[bad])["changed"] and writes(sandbox) == {}, "what is gone is passed over"


def test_told_again_nothing_more_is_launched(sandbox, fresh, step):
    make(sandbox)
    settle(sandbox, step)
    bad = sorted(spot_members(sandbox))[0]
    step(replace=[bad])
    running = serving(sandbox)
    for _each in range(3):
        again = step(replace=[bad])
        assert not any(one["launched"] for one in again["decisions"])
    assert serving(sandbox) <= running + 2


def test_what_aws_takes_away_meanwhile_is_a_loss(sandbox, fresh, step):
    make(sandbox)
    settle(sandbox, step)
    bad, pool = sorted(spot_members(sandbox).items())[0]
    step(replace=[bad])
    sandbox.post("/sandbox/interrupt", instance_ids=[bad])
    step()
    record = remembered(sandbox)["pools"]["/".join(pool)]
    assert record[4] > 0.9 and bad in remembered(sandbox)["counted"]


@pytest.mark.parametrize("kind", ["ec2_fleet", "spot_fleet"])
def test_a_fleet_replaces_it_too(sandbox, fresh, step, kind):
    fleets.make(sandbox, kind)
    table(sandbox)
    settle(sandbox, step)
    before = fleets.figures(sandbox, kind)
    for lifecycle in ("spot", None):
        ours = [one["InstanceId"] for one in fleets.members(sandbox, kind) if one.get("InstanceLifecycle") == lifecycle]
        bad = sorted(ours)[0]
        (decision,) = step(replace=[bad])["decisions"]
        assert decision["ended"] == [] and decision["changes"]
        gone = False
        for _minute in range(6):
            advance(sandbox, 60)
            gone = gone or any(bad in one["ended"] for one in step()["decisions"])
        assert gone and fleets.figures(sandbox, kind) == before
