# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step of one group: rounds, lease, what is done in which order, and what becomes of what fails."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling, control, observing, state, steering, stepping
from ansible_collections.spot.platform.plugins.module_utils.aws import steering_groups as acting
from ansible_collections.spot.platform.plugins.module_utils.engine import autoscaling as engine
from ansible_collections.spot.platform.plugins.module_utils.engine.commitments import Paid, Place
from ansible_collections.spot.platform.plugins.module_utils.engine.demand import Demand
from ansible_collections.spot.platform.plugins.module_utils.engine.memory import written
from ansible_collections.spot.platform.plugins.module_utils.engine.risk import Memory, Pool, Record
from ansible_collections.spot.platform.plugins.module_utils.engine.supply import Instance
from ansible_collections.spot.platform.tests.unit.plugins.module_utils.aws.stepped import (
    A,
    B,
    FULL,
    NOW,
    decided,
    fresh,
    group,
    member,
    only,
    step,
)


def test_a_group_that_has_all_it_wants_is_only_looked_at(world):
    outcome = only(world)
    assert (world.calls, outcome.changed, outcome.error, len(outcome.decisions)) == ([], False, None, 1)


def test_what_is_missing_is_launched_attached_and_remembered_under_a_lease(world):
    world.groups = [group(*map(member, ("i-0", "i-1")), counted=2, desired=4)]
    world.plan = [decided({A: 1}, 1, held=1, kind="fallback")]
    outcome = only(world)
    assert world.happened == ["acquire", "launch", "launch", "set_figures", "attach", "release"]
    assert world.done("acquire") == [("acquire", "spot-platform-test", "me", stepping.LEASE_SECONDS)]
    assert {call[1:] for call in world.done("launch")} == {(A, 1), (None, 1)}
    assert world.done("set_figures") == [("set_figures", {"desired": 2, "on_demand_base": 1})]
    assert outcome.attached == ("i-us-east-1a-0", "i-on-demand-0")
    assert world.done("release") == [("release", 4)]
    assert outcome.changed and outcome.problems == ()


def test_what_is_launched_carries_the_tags_by_which_it_is_found_again(world):
    world.plan = [decided({A: 1})]
    only(world)
    template, carried = world.launched_with
    assert template == {"LaunchTemplateId": "lt-1"}
    assert carried == {
        tags.APP: "web",
        tags.ENVIRONMENT: "test",
        tags.MANAGED_BY: "spot.platform",
        tags.GROUP: "web",
        "Name": "web",
    }


def test_the_group_stops_to_act_by_itself_before_anything_is_launched(world):
    world.groups = [group(suspended=frozenset({"AZRebalance"}))]
    world.plan = [decided({A: 1})]
    outcome = only(world)
    assert world.happened.index("suspend") < world.happened.index("launch")
    assert outcome.suspended == ("AlarmNotification", "ScheduledActions")


def test_a_pool_that_refused_is_learned_and_decided_on_again_in_the_same_step(world):
    world.full = {A}
    world.plan = [decided({A: 2}), decided({B: 2}), decided()]
    outcome = only(world)
    assert world.done("launch") == [("launch", A, 2), ("launch", B, 2)]
    assert [seen.refused for seen, _policy in world.decisions] == [(), (A,), ()]
    assert len(outcome.decisions) == 2 and world.happened.count("acquire") == 1
    assert outcome.attached == ("i-us-east-1b-0", "i-us-east-1b-1")


def test_what_a_round_brought_is_seen_by_the_next_and_a_loss_is_not_learned_twice(world):
    world.groups = [group(member("i-0"), member("i-1", leaving=True))]
    world.full = {B}
    world.plan = [decided({A: 1, B: 1}, memory=Memory(NOW, {B: Record(1.0)})), decided()]
    only(world)
    first, second = (seen for seen, _policy in world.decisions[:2])
    assert first.lost == (A,) and second.lost == ()
    assert second.memory == Memory(NOW, {B: Record(1.0)})
    (new,) = [one for one in second.instances if one.id not in ("i-0", "i-1")]
    assert (new.pool, new.capacity, new.serving) == (A, 1, False)


def test_the_last_round_no_longer_relies_on_a_pool_to_say_yes(world):
    world.full = {A}
    world.plan = [decided({A: 1})]
    outcome = only(world)
    assert len(world.done("launch")) == len(outcome.decisions) == stepping.ROUNDS


def test_only_the_last_round_is_narrowed(world, monkeypatch):
    world.full = {A}
    world.plan = [decided({A: 1})]
    narrowed = []
    monkeypatch.setattr(stepping, "_held_only", lambda seen: narrowed.append(len(world.decisions)) or seen)
    only(world)
    assert narrowed == [stepping.ROUNDS - 1]


def test_in_the_last_round_only_pools_that_hold_something_are_left():
    """What is missing then comes as On-Demand: no pool has to say yes."""
    instances = [Instance("i-1", A, 1, NOW, True), Instance("i-2", B, 1, NOW, True, leaving=True)]
    pools = [Pool(name, name.partition("/")[0], 0.02) for name in (A, B)]
    seen = engine.Observation(NOW, 2, instances, pools, Memory(), 0.06)
    assert [(pool.id, pool.full) for pool in stepping._held_only(seen).pools] == [(A, True)]


def test_what_the_last_round_taught_is_remembered_and_nothing_more_is_asked_for(world):
    world.full = {A}
    learned = Memory(NOW, {A: Record(closed_at=NOW, refused_at=NOW)})
    world.plan = [decided({A: 1})] * stepping.ROUNDS + [decided({B: 1}, memory=learned)]
    only(world)
    assert world.decisions[-1][0].refused == (A,)
    assert world.written[-1].memory == learned
    assert ("launch", B, 1) not in world.calls


def test_a_round_that_decides_on_nothing_is_the_last(world):
    world.full = {A}
    world.plan = [decided({A: 1}), decided()]
    assert len(only(world).decisions) == 2 and len(world.done("launch")) == 1


def test_on_demand_that_is_refused_too_is_left_to_the_group_and_told(world):
    world.groups = [group(*map(member, ("i-0", "i-1")), counted=2, desired=2)]
    world.full = {A, None}
    world.plan = [decided({A: 2}, 0), decided({}, 2, kind="fallback"), decided(kind="waiting")]
    outcome = only(world)
    assert [(one.order.pool, one.refusal) for one in outcome.launched] == [(A, FULL), (None, FULL)]
    assert outcome.figures == {"desired": 4}  # it goes on asking for what nothing could be had for
    assert outcome.problems == () and outcome.error is None


def test_a_request_that_is_wrong_is_a_problem_and_told_once(world):
    world.full, world.refusal, world.wrong = {A, B}, "InvalidAMIID.NotFound: no such image", True
    world.plan = [decided({A: 1, B: 1}), decided()]
    outcome = only(world)
    assert outcome.problems == ("InvalidAMIID.NotFound: no such image",)
    assert "release" in world.happened


def test_a_full_pool_is_no_problem(world):
    world.full = {A}
    world.plan = [decided({A: 1}), decided()]
    assert only(world).problems == ()


@pytest.fixture
def clock(world, monkeypatch):
    """The monotonic clock, which stands; each launch takes 25 s of it, and groups are stepped one after another."""
    now = [1000.0]
    launch = world.launch

    def slow(*given, **more):
        now[0] += 25
        return launch(*given, **more)

    monkeypatch.setattr(stepping, "launch", slow)
    monkeypatch.setattr(stepping.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(stepping.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    for module in (control, stepping):
        monkeypatch.setattr(module, "side_by_side", lambda work, items: [work(one) for one in items])
    return now


def test_a_group_that_had_to_wait_for_its_turn_knows_what_time_it_is(world, clock, monkeypatch):
    """Its lease would be over before it began, were it counted from the observation."""
    leased_at = []
    monkeypatch.setattr(state, "acquire", lambda _c, _t, held, _h, now, _s: leased_at.append(now) or held)
    world.groups = [group(), group(name="other")]
    world.states["other"] = world.states["web"]
    world.plan = [decided({A: 1})]
    step(world)
    assert leased_at == [NOW, NOW + 25]


def test_the_groups_of_a_region_wait_together_for_what_they_launched(world, clock, monkeypatch):
    waits = []
    monkeypatch.setattr(stepping, "running", lambda _client, _ids, seconds: waits.append(seconds) or True)
    world.groups = [group(name=name) for name in ("web", "other", "third")]
    world.states = dict.fromkeys(("web", "other", "third"), world.states["web"])
    world.plan = [decided({A: 1})]
    step(world)
    assert waits == [15, 0, 0]


def test_who_waited_for_another_controller_still_waits_for_what_it_launched(world, clock, monkeypatch):
    waits = []
    monkeypatch.setattr(stepping, "running", lambda _client, _ids, seconds: waits.append(seconds) or True)
    world.plan, world.leases = [decided({A: 1})], [False] * 8 + [True]
    assert only(world, lease_seconds=60).attached
    assert waits == [15]


def test_who_may_go_goes_after_what_replaces_them_is_attached(world):
    world.plan = [decided({A: 1}, end=["i-0"])]
    outcome = only(world)
    assert world.happened[-3:] == ["attach", "end", "release"]
    assert outcome.ended == ("i-0",) and world.done("end") == [("end", ("i-0",))]


def test_without_a_table_what_is_missing_is_added_and_nothing_is_ended(world):
    world.states, world.stateless = {}, {"web": "there is no table spot-platform-test in us-east-1"}
    world.plan = [decided({A: 1}, end=["i-0"])]
    outcome = only(world)
    assert world.done("launch") and world.done("attach")
    assert not world.done("acquire", "release", "remember", "end") and outcome.ended == ()
    assert outcome.decisions[0].reasons[-1] == "nothing is ended: there is no table spot-platform-test in us-east-1"


def test_a_group_without_a_table_costs_the_others_neither_memory_nor_lease(world):
    world.groups = [group(), group(name="other")]
    world.states["other"] = world.states.pop("web")
    world.stateless = {"web": "there is no table"}
    world.plan = [decided({A: 1}, end=["i-0"])]
    ended = {one.name: one.ended for one in step(world)}
    assert ended == {"web": (), "other": ("i-0",)}
    assert len(world.done("acquire")) == len(world.done("release")) == 1


def test_without_a_table_a_group_that_is_well_is_left_alone(world):
    world.states, world.stateless = {}, {"web": "there is no table"}
    outcome = only(world)
    assert (world.calls, outcome.changed, outcome.notes) == ([], False, ())


def test_where_another_controller_was_faster_nothing_is_done_and_it_is_said(world):
    world.plan, world.leases = [decided({A: 1})], [False]
    outcome = only(world)
    assert world.happened == ["acquire"] and not outcome.changed
    assert outcome.notes == ("another controller acts on the group: this one leaves it to it",)


def test_on_an_event_the_other_controller_is_waited_for_and_the_group_looked_at_again(world):
    world.plan, world.leases = [decided({A: 1})], [False, True]
    outcome = only(world, lease_seconds=30)
    assert world.happened[:3] == ["acquire", "sleep", "acquire"] and world.observed == 2
    assert outcome.attached == ("i-us-east-1a-0",) and outcome.notes == ()


def test_another_controller_that_did_all_leaves_nothing_to_do(world):
    world.plan, world.leases = [decided({A: 1}), decided()], [False]
    outcome = only(world, lease_seconds=30)
    assert world.happened == ["acquire", "sleep"] and not outcome.changed and outcome.notes == ()


def test_the_wait_for_another_controller_ends(world):
    world.plan, world.leases = [decided({A: 1})], [False]
    outcome = only(world, lease_seconds=2 * stepping.POLL_SECONDS + 1)
    assert world.happened.count("sleep") == 2
    assert outcome.notes == ("another controller acts on the group: this one leaves it to it",)


def test_a_group_that_went_while_another_controller_was_waited_for_is_no_error(world, monkeypatch):
    world.plan, world.leases = [decided({A: 1})], [False]
    monkeypatch.setattr(stepping.time, "sleep", lambda _seconds: world.groups.clear())
    outcome = only(world, lease_seconds=30)
    assert (outcome.notes, outcome.error) == (("the group has gone",), None)


def test_a_lease_that_ran_out_on_the_way_is_a_problem(world):
    world.plan, world.kept = [decided({A: 1})], False
    assert only(world).problems == ("the lease ran out before the step was done: another controller may have acted",)


def test_a_step_that_fails_gives_the_lease_back_and_keeps_what_was_learned(world):
    learned = Memory(NOW, {A: Record(2.0)})
    world.plan, world.failing = [decided({A: 1}, memory=learned)], {"web": {"attach"}}
    outcome = only(world)
    assert outcome.error == "cannot attach: no"
    assert world.happened[-1] == "release" and world.written[-1].memory == learned


def test_what_was_launched_by_a_controller_that_was_killed_is_attached_at_the_next_step(world):
    loose = member("i-9", serving=False)
    world.groups = [
        group(*map(member, ("i-0", "i-1", "i-2")), loose, loose=frozenset({"i-9"}), waiting=("i-9",), counted=3)
    ]
    outcome = only(world)
    assert world.happened == ["acquire", "set_figures", "attach", "release"]
    assert world.done("set_figures", "attach") == [("set_figures", {"desired": 3}), ("attach", ["i-9"])]
    assert outcome.attached == ("i-9",) and outcome.changed


def test_what_would_go_beyond_the_maximum_of_the_group_waits_and_keeps_nobody_from_going(world):
    loose = [member(f"i-{number}", serving=False) for number in (8, 9)]
    names = [one.id for one in loose]
    members = map(member, ("i-0", "i-1", "i-2", "i-3"))
    world.groups = [group(*members, *loose, loose=frozenset(names), waiting=tuple(names), raw={"MaxSize": 5})]
    world.plan = [decided(end=["i-0"])]
    outcome = only(world)
    assert outcome.attached == ("i-8",) and outcome.ended == ("i-0",) and outcome.error is None


def test_what_was_launched_and_does_not_run_yet_is_not_launched_again_by_the_group(world):
    world.groups = [group(*map(member, ("i-0", "i-1", "i-2")), counted=3)]
    world.plan, world.runs = [decided({A: 1})], False
    outcome = only(world)
    assert outcome.figures == {"desired": 3} and outcome.attached == ()


def test_what_is_no_longer_needed_is_not_attached_but_ended(world):
    world.groups = [group(loose=frozenset({"i-9"}), waiting=("i-9",))]
    world.plan = [decided(end=["i-9"])]
    outcome = only(world)
    assert not world.done("attach") and outcome.ended == ("i-9",)


def test_figures_that_somebody_changed_are_set_right(world):
    world.groups = [group(desired=2, on_demand_base=3)]
    outcome = only(world)
    assert outcome.figures == {"desired": 4, "on_demand_base": 0} and outcome.changed
    assert world.happened == ["acquire", "set_figures", "release"]


def test_the_group_is_looked_at_again_when_instances_came(world, monkeypatch):
    raw = {"DesiredCapacity": 7, "Instances": [{"LifecycleState": "InService"}] * 5}
    after = SimpleNamespace(raw=raw, on_demand_base=0)
    monkeypatch.setattr(autoscaling, "groups", lambda *_args: [after])
    world.plan = [decided({A: 1})]
    assert only(world).figures == {"desired": 5}  # AWS had counted in its own way


def test_a_target_that_changed_is_written_to_the_tag_and_the_time_kept(world):
    world.plan = [decided(target=6, kind="scaled")]
    outcome = only(world)
    assert world.done("tag") == [("tag", {tags.TARGET: "6"})]
    assert outcome.tagged[tags.TARGET] == "6" and world.written[-1].changed_at == NOW


def test_to_tell_what_a_region_carries_for_others_is_a_change_too(world):
    world.groups = [group(carried={tags.LENT: "2"})]
    outcome = only(world)
    assert outcome.changed and outcome.tagged == {tags.LENT: "0"} and ("tag", {tags.LENT: "0"}) in world.calls


def test_a_step_that_leaves_the_target_keeps_when_it_was_changed(world):
    world.states = {"web": state.State("web", 3, fresh(changed_at=NOW - 300))}
    world.plan = [decided({A: 1})]
    outcome = only(world)
    assert not world.done("tag") and not outcome.tagged
    assert world.written[-1].changed_at == NOW - 300
    assert world.decisions[0][0].since_change == 300


@pytest.mark.parametrize(
    ("age", "kept"), [(stepping.REMEMBER_SECONDS - 1, []), (stepping.REMEMBER_SECONDS, ["remember"])]
)
def test_where_nothing_happens_it_is_remembered_every_quarter_of_an_hour_only(world, age, kept):
    world.states = {"web": state.State("web", 3, fresh(memory=Memory(NOW - age)))}
    outcome = only(world)
    assert world.happened == kept and not outcome.changed


def test_a_loss_that_needs_no_act_is_remembered_at_once_and_counted(world):
    world.groups = [group(taken={"i-9": A})]
    assert not only(world).changed
    assert world.happened == ["remember"] and world.written[-1].counted == {"i-9"}


def test_a_loss_that_is_counted_is_not_remembered_again(world):
    world.groups = [group(taken={"i-9": A})]
    world.states = {"web": state.State("web", 3, fresh(counted=frozenset({"i-9"})))}
    only(world)
    assert world.calls == [] and world.decisions[0][0].lost == ()


def test_a_memory_that_cannot_be_read_is_nothing_known_and_written_anew(world):
    world.states = {"web": state.State("web", 3, "damaged {")}
    only(world)
    assert world.decisions[0][0].memory == Memory() and world.happened == ["remember"]


def test_a_group_that_was_never_steered_is_remembered_from_the_first_step(world):
    world.states = {"web": state.State("web")}
    only(world)
    assert world.done("remember") == [("remember", 0)]


@pytest.mark.parametrize(
    ("facts", "note"),
    [
        ({"busy": "it is being deleted"}, "nothing is changed: it is being deleted"),
        ({"created": NOW - steering.NEW + 1}, "the group is new and launches its first instances by itself"),
    ],
)
def test_a_group_that_is_new_or_being_deleted_is_left_alone(world, facts, note):
    world.groups, world.plan = [group(**facts)], [decided({A: 1})]
    outcome = only(world)
    assert (outcome.notes, outcome.decisions, world.calls) == ((note,), (), [])


def test_check_mode_decides_the_same_and_acts_on_nothing(world):
    loose = member("i-9", serving=False)
    world.groups = [
        group(loose, desired=6, counted=0, loose=frozenset({"i-9"}), waiting=("i-9",), suspended=frozenset())
    ]
    world.plan = [decided({A: 1}, 2, end=["i-0"], target=6, held=2, kind="fallback")]
    outcome = only(world, act=False)
    assert world.calls == [] and outcome.changed
    assert [(one.order.pool, one.order.units) for one in outcome.launched] == [(A, 1), (None, 2)]
    assert (outcome.attached, outcome.ended, outcome.suspended) == (("i-9",), ("i-0",), acting.FIGHTING)
    assert (outcome.figures, outcome.tagged) == ({"desired": 2, "on_demand_base": 2}, {tags.TARGET: "6"})


def test_check_mode_of_a_group_that_is_well_would_change_nothing(world):
    assert not only(world, act=False).changed and world.calls == []


def test_an_instance_with_its_notice_is_replaced_in_the_same_step(world):
    told = member("i-3", leaving=True)
    world.groups = [group(*map(member, ("i-0", "i-1", "i-2")), told)]
    world.plan = [decided({B: 1})]
    outcome = only(world)
    assert outcome.attached == ("i-us-east-1b-0",) and outcome.ended == ()
    assert world.decisions[0][0].lost == (A,) and world.written[-1].counted == {"i-3"}


def without_table(world, *instances, **figures):
    world.groups, world.states = [group(*instances, **figures)], {}
    world.stateless = {"web": "there is no table spot-platform-test in us-east-1"}
    world.plan = [decided(end=["i-d"], kind="returned")]


def test_without_a_table_the_base_stays_where_it_keeps_what_is_not_ended(world):
    without_table(world, member("i-d", None), *map(member, ("i-0", "i-1", "i-2", "i-3")), on_demand_base=1, counted=4)
    outcome = only(world)
    assert (world.calls, outcome.changed, outcome.figures) == ([], False, {})
    last = outcome.decisions[-1]
    assert (last.on_demand, last.fallback, last.expected) == (1, 1, 5)
    assert last.reasons[-1] == "nothing is ended: there is no table spot-platform-test in us-east-1"


def test_without_a_table_check_mode_ends_nothing_either(world):
    without_table(world, member("i-d", None), *map(member, ("i-0", "i-1", "i-2", "i-3")), on_demand_base=1, counted=4)
    outcome = only(world, act=False)
    assert (outcome.ended, outcome.figures, outcome.changed) == ((), {}, False)


def test_since_when_too_little_can_be_had_is_remembered_and_forgotten(world):
    world.plan = [replace(decided(kind="waiting"), short=2)]
    only(world)
    assert world.written[-1].short_since == NOW
    world.states = {"web": state.State("web", 3, fresh(short_since=NOW - 200))}
    world.plan = [decided()]
    only(world)
    assert world.written[-1].short_since is None


def test_on_demand_that_is_paid_for_and_refused_is_launched_elsewhere(world, monkeypatch):
    paid = Paid(2, (Place("m5.large", "us-east-1b", 2, "capacity reservation cr-1"),))
    monkeypatch.setattr(observing, "_paid", lambda *_args: {"web": paid})
    world.full, world.plan = {None}, [decided(on_demand=3, kind="fallback")]
    only(world, commitments=True)
    assert [(call[1], call[2]) for call in world.done("launch")] == [(None, 2), (None, 1), (None, 2)]
    assert world.decisions[0][0].paid == 2


def test_a_recommendation_is_learned_once(world):
    question = steering.Question(warned=frozenset({"i-1"}))
    world.warned = question.warned
    only(world, question=question)
    assert world.decisions[-1][0].warned == (A,) and world.written[-1].warned == {"i-1"}
    world.states = {"web": state.State("web", 3, written(world.written[-1]))}
    only(world, question=question)
    assert world.decisions[-1][0].warned == ()


OVER = '{"min":6,"until":"1970-01-12T13:46Z","before":4}'  # 40 s before NOW


def test_the_tag_of_bounds_that_are_over_goes_after_the_target_is_set_under_the_lease(world):
    world.groups = [group(carried={tags.OVERRIDE: OVER, tags.TARGET: "6"})]
    outcome = only(world)
    assert [name for name in world.happened if name in ("acquire", "tag", "untag", "release")] == ["acquire", "tag", "untag", "release"]
    assert world.done("untag") == [("untag", (tags.OVERRIDE,))] and outcome.changed and outcome.untagged == (tags.OVERRIDE,)


def test_in_force_without_the_table_or_while_the_target_still_goes_down_the_tag_stays(world):
    world.groups = [group(carried={tags.OVERRIDE: OVER.replace("12T13:46Z", "12T13:47Z")})]
    assert not only(world).changed
    world.groups = [group(carried={tags.OVERRIDE: OVER})]
    world.plan = [replace(decided(), demand=Demand(4, 2, (), "step_down"))]
    assert not only(world).changed
    world.plan, world.states, world.stateless = [decided()], {}, {"web": "there is no table"}
    assert not only(world).changed and "untag" not in world.happened


def test_bounds_in_force_raise_the_on_demand_base_up_to_the_maximum():
    later = OVER.replace("12T13:46Z", "13T00:00Z").replace('"min":6', '"base":6')
    one = group(carried={tags.OVERRIDE: later, tags.ON_DEMAND_BASE: "1"})
    assert observing.policy_of(one, {}, None, 120).on_demand_base == 6
    assert observing.policy_of(replace(one, tags={**one.tags, tags.MAXIMUM: "5"}), {}, None, 120).on_demand_base == 5
    assert observing.policy_of(replace(one, tags={**one.tags, tags.OVERRIDE: OVER}), {}, None, 120).on_demand_base == 1
