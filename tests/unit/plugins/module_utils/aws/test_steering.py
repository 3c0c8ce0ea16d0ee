# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWS says of a group, as what the engine is told, and the figures that keep the group still."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import boto3
import pytest
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling, observing, state, steering, steering_groups
from ansible_collections.spot.platform.plugins.module_utils.engine.memory import Remembered, written
from moto import mock_aws

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)
CARRIED = {
    tags.APP: "web",
    tags.ENVIRONMENT: "test",
    tags.UNIT: "vcpus",
    tags.TARGET: "8",
    tags.MINIMUM: "2",
    tags.MAXIMUM: "20",
    tags.ON_DEMAND_BASE: "2",
    tags.FALLBACK: "on_demand",
    tags.PROFILE: "cost",
    tags.ZONE_SHARE: "0.5",
}
POOL = "us-east-1a/m5.large"


def member(name, state="InService", health="Healthy"):
    return {
        "InstanceId": name,
        "InstanceType": "m5.large",
        "AvailabilityZone": "us-east-1a",
        "LifecycleState": state,
        "HealthStatus": health,
        "WeightedCapacity": "2",
    }


def known(name, spot=True, state="running", group="web", reason=None):
    instance = {
        "instance_id": name,
        "instance_type": "m5.large",
        "launch_time": (NOW - timedelta(hours=1)).isoformat().replace("+00:00", "Z"),
        "state": {"name": state},
        "placement": {"availability_zone": "us-east-1a"},
        "tags": {tags.GROUP: group},
        **({"instance_lifecycle": "spot"} if spot else {}),
        **({"state_reason": {"code": reason}} if reason else {}),
    }
    return name, instance


def steered(members, instances, told=(), desired=8, base=2, carried=None, **raw):
    group = {
        "AutoScalingGroupName": "web",
        "CreatedTime": NOW - timedelta(days=1),
        "DesiredCapacity": desired,
        "MaxSize": 40,
        "Instances": members,
        "VPCZoneIdentifier": "subnet-a",
        "MixedInstancesPolicy": {
            "InstancesDistribution": {"OnDemandBaseCapacity": base},
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateId": "lt-1", "Version": "1"},
                "Overrides": [{"InstanceType": "m5.large", "WeightedCapacity": "2"}],
            },
        },
        **raw,
    }
    found = autoscaling.Group(group, CARRIED if carried is None else carried, "us-east-1", NOW)
    return steering._steered(found, dict(instances), {"subnet-a": "us-east-1a"}, frozenset(told))


def test_members_and_what_is_still_to_be_attached_are_the_fleet():
    one = steered(
        [member("i-1"), member("i-2", "Pending"), member("i-3")],
        [known("i-1"), known("i-2"), known("i-3", spot=False), known("i-4"), known("i-5", state="pending"), known("i-6", group="other")],
    )
    assert {each.id: (each.pool, each.serving) for each in one.instances} == {
        "i-1": (POOL, True),
        "i-2": (POOL, False),
        "i-3": (None, True),
        "i-4": (POOL, False),
        "i-5": (POOL, False),
    }
    assert (one.waiting, one.loose, one.counted) == (("i-4",), {"i-4", "i-5"}, 6)


def test_each_group_has_its_members_and_what_carries_its_name():
    found = [
        autoscaling.Group({"AutoScalingGroupName": name, "Instances": members}, {}, "us-east-1", NOW)
        for name, members in (("web", [member("i-1"), member("i-2")]), ("shop", [member("i-3"), member("i-9")]))
    ]
    instances = dict([known("i-1"), known("i-2", group="none"), known("i-3", group="shop"), known("i-4", group="shop"), known("i-5", group="gone")])
    own = steering._by_group(found, instances)
    assert {name: set(part) for name, part in own.items()} == {"web": {"i-1", "i-2"}, "shop": {"i-3", "i-4"}}
    assert own["shop"]["i-4"] is instances["i-4"]


@pytest.mark.parametrize("state, health", [("Terminating:Wait", "Healthy"), ("Standby", "Healthy"), ("InService", "Unhealthy")])
def test_what_the_group_no_longer_counts_on_counts_for_nothing(state, health):
    assert steered([member("i-1", state, health)], [known("i-1")]).instances == ()


def test_an_instance_that_ec2_does_not_know_yet_is_on_its_way():
    (one,) = steered([member("i-1", "Pending")], []).instances
    assert (one.pool, one.serving, one.capacity) == (POOL, False, 2)


def test_only_what_ec2_took_away_is_a_loss_and_it_is_counted_once():
    one = steered(
        [],
        [
            known("i-1", state="terminated", reason="Server.SpotInstanceTermination"),
            known("i-2", state="terminated", reason="Client.UserInitiatedShutdown"),
        ],
    )
    assert one.taken == {"i-1": POOL}
    region = steering.Region([one], steering.Market(), {})
    assert observing.observation_of(one, region, Remembered(), 0).lost == (POOL,)
    counted = Remembered(counted=observing.counted_in(one))
    assert observing.observation_of(one, region, counted, 0).lost == ()


def test_a_notice_makes_an_instance_leave_and_its_pool_a_loser():
    one = steered([member("i-1")], [known("i-1")], told=["i-1"])
    seen = observing.observation_of(one, steering.Region([one], steering.Market(), {}), Remembered(), 0)
    assert seen.instances[0].leaving and seen.lost == (POOL,)


def test_what_is_to_be_replaced_leaves_without_a_loss_now_and_at_later_steps():
    one = steered([member("i-1"), member("i-2")], [known("i-1"), known("i-2")], told=["i-2"])
    asked = steering._with_replaced(one, None, frozenset({"i-1", "i-2", "i-gone"}))
    assert [(each.leaving, each.replaced) for each in asked.instances] == [(True, True), (True, False)]
    assert observing.replaced_in(asked) == {"i-1"} and observing.counted_in(asked) == {"i-2"}
    held = state.State("web", 1, written(Remembered(replaced=frozenset({"i-1"}))))
    later = steering._with_replaced(steered([member("i-1")], [known("i-1")]), held, frozenset())
    assert later.instances[0].replaced
    assert observing.observation_of(later, steering.Region([later], steering.Market(), {}), Remembered(), 0).lost == ()
    taken = steering._with_replaced(steered([member("i-1")], [known("i-1")], told=["i-1"]), held, frozenset())
    assert taken.instances[0].leaving and not taken.instances[0].replaced, "AWS takes it away now"


def test_the_policy_is_in_the_tags_and_options_come_before_them():
    one = steered([], [])
    policy = observing.policy_of(one, {}, None, 120)
    assert (policy.scaling.min, policy.scaling.max, policy.scaling.unit) == (2, 20, "vcpus")
    assert (policy.on_demand_base, policy.profile, policy.fallback, policy.most_of_zone) == (2, "cost", True, 0.5)
    other = observing.policy_of(one, {"fallback": "none", "profile": "availability", "max": 6}, None, 120)
    assert (other.fallback, other.profile, other.scaling.max) == (False, "availability", 6)


@pytest.mark.parametrize(
    "tag, value", [(tags.FALLBACK, "maybe"), (tags.PROFILE, "fast"), (tags.ZONE_SHARE, "half"), (tags.MINIMUM, "few")]
)
def test_a_bad_tag_is_named_with_its_value(tag, value):
    with pytest.raises(ValueError, match=f"{tag} of web is '{value}'"):
        observing.policy_of(steered([], [], carried={**CARRIED, tag: value}), {}, None, 120)


def test_a_group_without_our_tags_says_what_to_do():
    with pytest.raises(ValueError, match="apply spot.platform.spot_capacity"):
        observing.policy_of(steered([], [], carried={}), {}, None, 120)


@pytest.mark.parametrize(
    "desired, base, coming, on_demand, wanted",
    [
        (6, 2, 0, 2, {"desired": 8}),  # it has less than the target, and nothing comes: it is to ask too
        (8, 2, 2, 2, {"desired": 6}),  # what comes is attached, which raises it again
        (8, 2, 0, 4, {"on_demand_base": 4}),  # or its own rules would replace On-Demand by Spot
        (8, 2, 0, 2, {}),
        (4, 2, 2, 2, {"desired": 6}),  # somebody lowered it: what goes, the autoscaler says
    ],
)
def test_the_group_is_to_want_what_it_has(desired, base, coming, on_demand, wanted):
    one = steered([member("i-1"), member("i-2"), member("i-3")], [], desired=desired, base=base)
    decision = SimpleNamespace(target=8, on_demand=on_demand)
    assert steering_groups.figures(one, decision, coming) == wanted


def test_the_desired_capacity_stays_within_the_groups_own_minimum():
    one = steered([member("i-1")], [], desired=8, MinSize=4)
    assert steering_groups.figures(one, SimpleNamespace(target=8, on_demand=2), 6) == {"desired": 4}


def test_only_what_we_suspended_is_written_down():
    one = steered([], [], SuspendedProcesses=[{"ProcessName": "ScheduledActions"}])
    assert steering_groups.fighting(one) == ["AZRebalance", "AlarmNotification"]
    assert steering_groups.suspended(steered([], [], carried={tags.SUSPENDED: "B A"})) == ["A", "B"]


def of_environment(name, environment):
    group = {"AutoScalingGroupName": name}
    return autoscaling.Group(group, {**CARRIED, tags.ENVIRONMENT: environment}, "us-east-1", NOW)


@pytest.fixture
def tables():
    """DynamoDB with the table of the environment test, and nothing else, in which one group is remembered."""
    with mock_aws():
        made = boto3.client("dynamodb", "us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
        made.create_table(
            TableName=state.table_of("test"),
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
        state.remember(made, state.table_of("test"), state.State("web"), "learned", NOW.timestamp())
        yield SimpleNamespace(get=lambda service, region: made)


@pytest.mark.parametrize("first", ["test", "stage"])
def test_an_environment_without_its_table_costs_the_others_nothing(tables, first):
    found = [of_environment("web", "test"), of_environment("shop", "stage"), of_environment("api", "lab")]
    found.sort(key=lambda group: group.tags[tags.ENVIRONMENT] != first)
    states, stateless = steering._states(tables, "us-east-1", found)
    assert {key: one.memory for key, one in states.items()} == {"web": "learned"}
    assert stateless.keys() == {"shop", "api"}
    assert stateless["shop"].startswith("there is no table spot-platform-stage in us-east-1")
    assert stateless["api"].startswith("there is no table spot-platform-lab in us-east-1")
