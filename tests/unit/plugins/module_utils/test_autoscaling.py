# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of the steps."""

from __future__ import annotations

from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.autoscaling import result_of
from ansible_collections.spot.platform.plugins.module_utils.aws.control import Stepped
from ansible_collections.spot.platform.plugins.module_utils.aws.control import Outcome
from ansible_collections.spot.platform.plugins.module_utils.aws.launches import Launched, Order
from ansible_collections.spot.platform.plugins.module_utils.aws.steering import Steered
from ansible_collections.spot.platform.plugins.module_utils.engine.autoscaling import Observation, Policy, decide
from ansible_collections.spot.platform.plugins.module_utils.engine.history import events_of, told
from ansible_collections.spot.platform.plugins.module_utils.engine.risk import Memory, Pool, learn
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import Scaling
from ansible_collections.spot.platform.plugins.module_utils.engine.supply import Instance

NOW = 1_769_860_800.0
A, B, C, D = (f"us-east-1{letter}/m5.large" for letter in "abcd")
CLOSED = learn(learn(Memory(), NOW - 900, [], [], [A]), NOW - 10, [], [], [A])
GROUP = Steered(
    name="test-web",
    kind="auto_scaling_group",
    region="us-east-1",
    tags={tags.APP: "web", tags.TARGET: "3", tags.UNIT: "instances"},
    now=NOW,
    created=NOW - 9000,
    desired=3,
    on_demand_base=1,
    counted=1,
    template={},
    weights={"m5.large": 1},
    subnets={"us-east-1a": "subnet-a"},
    instances=(Instance("i-1", None, 1, NOW - 9000, True),),
)


def decided(instances=GROUP.instances, fallback=True, **more):
    seen = Observation(NOW, 3, instances, [Pool(A, "us-east-1a", 0.02)], CLOSED, 0.06, **more)
    return decide(seen, Policy(Scaling(1, 9), on_demand_base=1, fallback=fallback))


def outcome(decision, **more):
    return Outcome("us-east-1", GROUP, "test-web", (decision,), **more)


def test_a_change_is_told_with_its_event_and_its_difference():
    made = Launched(Order(None, 2, {"m5.large": 1}, {}), {"i-2": "m5.large", "i-3": "m5.large"})
    result = result_of(Stepped([outcome(decided(), launched=(made,), figures={"on_demand_base": 3})]))
    (decision,) = result["decisions"]
    assert result["changed"] and (decision["kind"], decision["fallback"]) == ("fallback", 2)
    assert decision["launched"][0] == {
        "pool": None,
        "lifecycle": "on_demand",
        "asked": 2,
        "instances": ["i-2", "i-3"],
        "refusal": None,
    }
    (event,) = result["activity"]
    assert (event["kind"], event["app"], event["changed"]) == ("capacity.fallback", "web", True)
    assert event["time"] == "2026-01-31T12:00:00.000Z"
    assert result["diff"]["after"]["test-web@us-east-1"]["on_demand_base"] == 3


def test_what_could_not_be_had_is_told_without_a_change_and_why():
    refused = Launched(Order(A, 2, {"m5.large": 1}, {}), {}, "InsufficientInstanceCapacity: none")
    result = result_of(Stepped([outcome(decided(fallback=False), launched=(refused,))]))
    (event,) = result["activity"]
    assert not result["changed"] and (event["kind"], event["changed"]) == ("capacity.waiting", False)
    assert f"InsufficientInstanceCapacity: none: {A} (0 of 2)" in event["reasons"]


def test_the_event_lists_the_pools_that_gave_refused_and_took_away():
    weights = {"m5.large": 1}
    launched = (
        Launched(Order(A, 2, weights, {}), {"i-2": "m5.large"}, "InsufficientInstanceCapacity: none"),
        Launched(Order(B, 1, weights, {}), {"i-3": "m5.large"}),
        Launched(Order(A, 1, weights, {}), {"i-4": "m5.large"}),
        Launched(Order(None, 1, weights, {}), {"i-5": "m5.large"}),
    )
    rounds = (decided(lost=[C]), decided(refused=[D]))
    (event,) = result_of(Stepped([Outcome("us-east-1", GROUP, "test-web", rounds, launched=launched)]))["activity"]
    pools = {what: event["after"][what] for what in ("granted", "refused", "lost")}
    assert pools == {"granted": [B], "refused": [A, D], "lost": [C]}
    assert [(one.zone, one.instance_type, one.what) for one in told(events_of([event], "us-east-1", "test-web"))] == [
        ("us-east-1b", "m5.large", "granted"),
        ("us-east-1a", "m5.large", "refused"),
        ("us-east-1d", "m5.large", "refused"),
        ("us-east-1c", "m5.large", "lost"),
    ]


def test_a_group_that_is_well_leaves_no_event():
    well = decided(tuple(Instance(f"i-{number}", None, 1, NOW - 9000, True) for number in range(3)), fallback=False)
    result = result_of(Stepped([outcome(well)]))
    assert result["activity"] == [] and not result["changed"]


def test_errors_and_problems_name_group_and_region():
    failed = Outcome("eu-west-1", None, error="the region cannot be reached")
    wrong = outcome(decided(), problems=("InvalidAMIID.NotFound: the image is not there",))
    result = result_of(Stepped([failed, wrong]))
    assert [(one["group"], one["region"]) for one in result["errors"]] == [(None, "eu-west-1"), ("test-web", "us-east-1")]
    assert len(result["decisions"]) == 1


def test_the_pools_are_told_when_asked_for():
    (decision,) = result_of(Stepped([outcome(decided())]), explain=True)["decisions"]
    (pool,) = decision["pools"]
    assert (pool["pool"], pool["held"], pool["chance_open"]) == (A, 0, 0.0)
    assert (pool["on_demand_price_per_hour"], pool["interruption_band"], pool["placement_score"]) == (None, None, None)
