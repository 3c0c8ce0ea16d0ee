# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWS answers as what the autoscaler sees, and a decision as a request."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling as aws
from ansible_collections.spot.platform.plugins.module_utils.engine import autoscaling as engine

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)
POLICY = engine.Policy(on_demand_base=2, fallback="on_demand", min=2, max=20)
SPOT_FAILED = (
    "Could not launch Spot Instances. InsufficientInstanceCapacity - There is no Spot capacity available that matches "
    "your request. Launching EC2 instance failed."
)


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


def member(name, state="InService", health="Healthy", weight="2"):
    return {
        "InstanceId": name,
        "InstanceType": "m5.large",
        "AvailabilityZone": "us-east-1a",
        "LifecycleState": state,
        "HealthStatus": health,
        "WeightedCapacity": weight,
    }


def known(name, lifecycle=None, state="running", age=3600):
    instance = {
        "instance_id": name,
        "instance_type": "m5.large",
        "launch_time": ago(age).isoformat().replace("+00:00", "Z"),
        "state": {"name": state},
        "placement": {"availability_zone": "us-east-1a"},
    }
    return {**instance, "instance_lifecycle": lifecycle} if lifecycle else instance


def activity(description, status="Successful", message=None, age=60, took=30):
    return {
        "Description": description,
        "StatusCode": status,
        "StatusMessage": message,
        "StartTime": ago(age),
        "EndTime": ago(age - took),
    }


def group(*members, desired=8, base=2, **more):
    raw = {
        "AutoScalingGroupName": "sandbox-web",
        "CreatedTime": ago(7200),
        "DesiredCapacity": desired,
        "MinSize": 2,
        "MaxSize": 38,
        "Instances": list(members),
        "MixedInstancesPolicy": {
            "InstancesDistribution": {"OnDemandBaseCapacity": base, "OnDemandPercentageAboveBaseCapacity": 0},
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {
                    "LaunchTemplateId": "lt-1",
                    "LaunchTemplateName": "sandbox-web",
                    "Version": "$Latest",
                },
                "Overrides": [{"InstanceType": "m5.large", "WeightedCapacity": "2"}],
            },
        },
        **more,
    }
    carried = {tags.APP: "web", tags.UNIT: "vcpus", tags.TARGET: "8"}
    return aws.Group(raw, carried, "us-east-1", NOW)


@pytest.fixture
def activities(monkeypatch):
    """The scaling activities that AWS will tell of; ``asked`` counts how often."""
    state = SimpleNamespace(answer=[], asked=0)

    def answer(_client, _group, since, limit):
        state.asked += 1
        return [one for one in state.answer if one["StartTime"] >= since][:limit]

    monkeypatch.setattr(aws, "describe_scaling_activities", answer)
    return state


class FakeClients:
    """Clients whose Auto Scaling client keeps the update that it is asked for."""

    def __init__(self):
        self.updates = []

    def get(self, service, region=None):
        meta = SimpleNamespace(region_name=region)
        return SimpleNamespace(meta=meta, update_auto_scaling_group=lambda **request: self.updates.append(request))


def test_a_group_that_has_all_it_wants_needs_no_activities(activities):
    names = ["i-00000001", "i-00000002", "i-00000003", "i-00000004"]
    facts = {name: known(name, "spot" if number else None) for number, name in enumerate(names)}
    seen = aws.observe(FakeClients(), group(*map(member, names)), facts, POLICY)
    assert activities.asked == 0
    assert [(one.lifecycle, one.capacity, one.serves) for one in seen.instances] == [
        ("on_demand", 2, True),
        ("spot", 2, True),
        ("spot", 2, True),
        ("spot", 2, True),
    ]
    assert (seen.target, seen.desired, seen.on_demand_base, seen.unit, seen.app) == (8, 8, 2, "vcpus", "web")
    assert engine.decide(seen, POLICY).kind == "steady"


def test_a_short_group_shows_its_failures_and_when_instances_went_into_service(activities):
    activities.answer = [
        activity("Launching a new EC2 instance.", "Failed", SPOT_FAILED, age=20, took=1),
        activity("Launching a new EC2 instance: i-00000002", age=100),
    ]
    facts = {"i-00000001": known("i-00000001"), "i-00000002": known("i-00000002", "spot", age=100)}
    seen = aws.observe(FakeClients(), group(member("i-00000001"), member("i-00000002")), facts, POLICY)
    assert [(one.lifecycle, one.time) for one in seen.failed_launches] == [("spot", ago(19))]
    assert seen.instances[1].serving_since == ago(70)
    assert seen.active_at == ago(19)
    decision = engine.decide(seen, POLICY)
    assert (decision.kind, decision.desired, decision.on_demand_base) == ("fallback", 12, 6)


def test_the_lifecycle_of_a_failed_launch_is_read_from_its_message():
    found = aws.failures(
        [
            activity("Launching a new EC2 instance.", "Failed", SPOT_FAILED),
            activity(
                "Launching a new EC2 instance.", "Failed", "Could not launch On-Demand Instances. Insufficient ..."
            ),
            activity(
                "Launching a new EC2 instance.", "Failed", "You have requested more vCPU capacity than your limit."
            ),
            activity("Terminating EC2 instance: i-00000002", "Failed", "no"),
        ]
    )
    assert [one.lifecycle for one in found] == ["spot", "on_demand", "spot"]


def test_an_instance_that_ec2_has_ended_no_longer_serves_whatever_its_group_says(activities):
    facts = {"i-00000001": known("i-00000001", "spot", state="shutting-down")}
    seen = aws.observe(FakeClients(), group(member("i-00000001")), facts, POLICY)
    assert not seen.instances[0].serves and seen.instances[0].state == "Terminating"


def test_an_instance_that_ec2_does_not_know_yet_is_on_its_way(activities):
    seen = aws.observe(FakeClients(), group(member("i-00000001", state="Pending")), {}, POLICY)
    assert (seen.instances[0].state, seen.instances[0].launched_at) == ("Pending", NOW)


def test_applying_sets_both_figures_in_one_call_and_keeps_the_policy(activities):
    clients, before = FakeClients(), group()
    decision = engine.decide(
        aws.observe(clients, before, {}, POLICY), engine.Policy(on_demand_base=4, fallback="none", min=2, max=20)
    )
    aws.apply(clients, before, decision)
    (request,) = clients.updates
    assert request["DesiredCapacity"] == 8
    policy = request["MixedInstancesPolicy"]
    assert policy["InstancesDistribution"] == {"OnDemandBaseCapacity": 4, "OnDemandPercentageAboveBaseCapacity": 0}
    assert policy["LaunchTemplate"]["LaunchTemplateSpecification"] == {"LaunchTemplateId": "lt-1", "Version": "$Latest"}
    assert before.raw["MixedInstancesPolicy"]["InstancesDistribution"]["OnDemandBaseCapacity"] == 2


def test_a_missing_or_broken_tag_is_named():
    with pytest.raises(ValueError, match="no tag spot.platform/max: apply spot.platform.spot_capacity"):
        group().number(tags.MAXIMUM)
    broken = aws.Group(group().raw, {tags.TARGET: "many"}, "us-east-1", NOW)
    with pytest.raises(ValueError, match="'many', not a whole number"):
        broken.number(tags.TARGET)


def test_aws_own_time_is_taken():
    response = {"ResponseMetadata": {"HTTPHeaders": {"date": "Sat, 31 Jan 2026 12:00:00 GMT"}}}
    assert aws.time_of(response) == NOW


def test_a_long_message_is_cut_after_a_sentence():
    assert aws.shortened("One reason.  " + "Another " * 30 + ". Last.") == "One reason."
    assert aws.shortened("x" * 200) == "x" * 157 + "..."
    assert aws.shortened(" short\n one ") == "short one"
