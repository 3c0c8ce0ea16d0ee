# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module's wiring: policy from tags and options, one group's failure, the events."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling as aws
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.modules import spot_autoscale as module

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)
OPTIONS = {
    "apps": [],
    "environment": None,
    "fallback": None,
    "on_demand_base": None,
    "min": None,
    "max": None,
    "settle_seconds": 180,
    "stable_seconds": 120,
}
CARRIED = {
    tags.APP: "web",
    tags.TARGET: "4",
    tags.MINIMUM: "2",
    tags.MAXIMUM: "8",
    tags.ON_DEMAND_BASE: "0",
    tags.FALLBACK: "on_demand",
}


def group(name="sandbox-web", carried=None, created=NOW.replace(hour=1), desired=4):
    raw = {
        "AutoScalingGroupName": name,
        "CreatedTime": created,
        "DesiredCapacity": desired,
        "MaxSize": 16,
        "Instances": [],
        "MixedInstancesPolicy": {"InstancesDistribution": {}, "LaunchTemplate": {"LaunchTemplateSpecification": {}}},
    }
    return aws.Group(raw, CARRIED if carried is None else carried, "us-east-1", NOW)


@pytest.fixture
def updates(monkeypatch):
    """Groups without activities; the updates that were made."""
    made = []
    monkeypatch.setattr(aws, "describe_scaling_activities", lambda *_args, **_more: [])
    monkeypatch.setattr(aws, "update_auto_scaling_group", lambda _client, request: made.append(request))
    monkeypatch.setattr(aws, "instances", lambda *_args: {})
    return made


class Clients:
    def get(self, _service, _region=None):
        return None


def run(monkeypatch, groups, names=None, check=False, **options):
    monkeypatch.setattr(aws, "groups", lambda *_args: groups)
    return module.result_of(module.steps(Clients(), "us-east-1", names, {**OPTIONS, **options}, check))


def test_a_step_changes_records_and_shows_the_difference(monkeypatch, updates):
    result = run(monkeypatch, [group()])
    assert result["changed"] and len(updates) == 1 and updates[0]["DesiredCapacity"] == 8
    (event,) = result["activity"]
    assert (event["kind"], event["app"], event["resource"], event["changed"]) == (
        "capacity.fallback",
        "web",
        "sandbox-web",
        True,
    )
    assert event["summary"] == "On-Demand stands in for 4 instances of Spot"
    assert result["diff"]["before"] == {"sandbox-web@us-east-1": {"desired": 4, "on_demand_base": 0}}
    assert result["diff"]["after"] == {"sandbox-web@us-east-1": {"desired": 8, "on_demand_base": 4}}


def test_check_mode_decides_the_same_and_touches_nothing(monkeypatch, updates):
    done, shown = run(monkeypatch, [group()]), run(monkeypatch, [group()], check=True)
    assert shown["decisions"] == done["decisions"] and len(updates) == 1


def test_options_come_before_tags(monkeypatch, updates):
    result = run(monkeypatch, [group()], fallback="none", on_demand_base=1)
    assert result["decisions"][0]["kind"] == "adjusted"
    assert updates[0]["MixedInstancesPolicy"]["InstancesDistribution"]["OnDemandBaseCapacity"] == 1


def test_one_group_that_fails_does_not_stop_the_others(monkeypatch, updates):
    untagged = {key: value for key, value in CARRIED.items() if key != tags.FALLBACK}
    result = run(monkeypatch, [group("a", untagged), group("b")], names=["a", "b", "c"])
    assert [(error["group"], "spot.platform/fallback" in error["message"]) for error in result["errors"]] == [
        ("a", True),
        ("c", False),
    ]
    assert "not there in us-east-1" in result["errors"][1]["message"]
    assert [decision["group"] for decision in result["decisions"]] == ["b"] and len(updates) == 1


def test_a_region_that_cannot_be_read_is_an_error_of_its_own(monkeypatch, updates):
    def denied(*_args):
        raise AwsError("cannot describe the Auto Scaling groups in us-east-1: access denied")

    monkeypatch.setattr(aws, "groups", denied)
    result = module.result_of(module.steps(Clients(), "us-east-1", None, OPTIONS, False))
    assert result["errors"][0]["group"] is None and "access denied" in result["errors"][0]["message"]
    assert not result["changed"] and result["decisions"] == []


def test_a_group_that_waits_leaves_an_event_without_a_change(monkeypatch, updates):
    result = run(monkeypatch, [group(created=NOW)])
    (event,) = result["activity"]
    assert (event["kind"], event["changed"], result["changed"], updates) == ("capacity.waiting", False, False, [])
