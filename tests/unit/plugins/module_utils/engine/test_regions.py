# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Regions that help each other: through a shortage and back, within the limits, without flapping."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.regions import (
    Limits,
    Region,
    Sharing,
    pooled,
    settled,
    share,
)

LIMITS = Limits()
GONE = {"serving": 0, "settled": 0, "expected": 0}


def region(name: str, demand: int = 10, **more) -> Region:
    """A region that has served all that it is asked for, for long."""
    target = more.get("target", demand)
    had = {"serving": target, "settled": target, "expected": target}
    found = Region(name, demand, **{"minimum": 1, "maximum": 20, "target": target, **had, **more})
    return found if "lent" in more else replace(found, lent=max(0, target - found.own))


def short(name: str, has: int, seconds: float | None = 300, **more) -> Region:
    """A region that gets only ``has`` units."""
    return region(name, **{"serving": has, "settled": has, "expected": has, "short_for": seconds, **more})


def reasons(sharing: Sharing, name: str) -> str:
    return "; ".join(next(one.reasons for one in sharing.shares if one.region == name))


def test_regions_that_are_well_have_their_own_demand():
    found = share([region("a", 10), region("b", 4), region("c", 7, target=6)], LIMITS)
    assert found.targets == {"a": 10, "b": 4, "c": 7}
    assert (found.missing, found.returning) == (0, 0)
    assert all(one.reasons == () for one in found.shares)


def test_one_region_has_its_own_demand_and_says_what_is_missing():
    assert share([region("a", 12)], LIMITS).targets == {"a": 12}
    found = share([short("a", 4)], LIMITS, "vcpus")
    assert found.targets == {"a": 10} and found.missing == 6
    assert "6 vcpus are missing: there is no other region" in reasons(found, "a")
    assert share([], LIMITS).shares == ()


def test_others_carry_what_one_is_short_of():
    found = share([short("a", 4), region("b"), region("c", 8)], LIMITS, "vcpus")
    assert found.targets == {"a": 10, "b": 13, "c": 11} and found.missing == 0
    assert [(one.lent, one.borrowed) for one in found.shares] == [(0, 6), (3, 0), (3, 0)]
    assert reasons(found, "a") == "4 of 10 vcpus are to be had for 300 s, On-Demand included: others carry 6"
    assert reasons(found, "b") == (
        "carries 3 vcpus for a above its own demand of 10 (at most 5: 50 % of it, and a maximum of 20)"
    )


@pytest.mark.parametrize("seconds", [None, 0, 119])
def test_a_shortage_that_is_young_or_of_unknown_age_moves_nothing(seconds):
    found = share([short("a", 4, seconds), region("b")], LIMITS)
    assert found.targets == {"a": 10, "b": 10}
    assert "6 of 10 units are short" in reasons(found, "a")


def test_the_limits_hold_and_what_is_beyond_them_is_said():
    found = share([short("a", 0), region("b"), region("c", maximum=12)], LIMITS)
    assert found.targets == {"a": 10, "b": 15, "c": 12} and found.missing == 3
    assert "3 units are missing: the others are at their limits (max_extra of 50 %" in reasons(found, "a")
    assert share([short("a", 0), region("b", 1)], LIMITS).targets["b"] == 2, "one of a single unit can help"
    assert share([short("a", 0), region("b")], Limits(max_extra=0)).targets["b"] == 10


def test_the_cheapest_take_more_and_the_dearest_give_back_first():
    lenders = [region("b", price_per_unit=0.05), region("c", price_per_unit=0.02), region("d")]
    assert share([short("a", 3), *lenders], LIMITS).targets == {"a": 10, "b": 12, "c": 15, "d": 10}
    carrying = [region("b", target=12, price_per_unit=0.05), region("c", target=15, price_per_unit=0.02)]
    found = share([region("a", settled=5), *carrying], LIMITS)
    assert found.targets == {"a": 10, "b": 10, "c": 15}


def test_what_is_carried_does_not_move_because_a_price_does():
    carrying = [region("b", target=15, price_per_unit=0.05), region("c", target=11, price_per_unit=0.02)]
    assert share([short("a", 4), *carrying], LIMITS).targets == {"a": 10, "b": 15, "c": 11}


def test_a_region_that_returns_for_a_moment_causes_no_move_back():
    carrying = [region("b", target=13), region("c", target=13)]
    back = region("a", serving=10, settled=4, expected=10)
    again = short("a", 4, 5)
    for state in (short("a", 4), back, again, back, short("a", 4)):
        found = share([state, *carrying], LIMITS)
        assert found.targets == {"a": 10, "b": 13, "c": 13}
    assert "4 of 10 units have served for 300 s: others carry 6" in reasons(share([back, *carrying], LIMITS), "a")


def test_what_has_served_long_enough_is_given_back_step_by_step():
    b, targets = region("b", 8, target=12), []
    for _step in range(4):
        found = share([region("a"), b], LIMITS)
        targets.append(found.targets["b"])
        b = region("b", 8, target=targets[-1])
    assert targets == [10, 8, 8, 8]
    partly = share([region("a", settled=9), region("b", 8, target=12)], Limits(step=1))
    assert partly.targets == {"a": 10, "b": 9} and partly.returning == 0
    first = share([region("a"), region("b", 8, target=12)], LIMITS)
    assert first.returning == 2 and "gives back 2 of the 4 units" in reasons(first, "b")


def test_two_regions_short_at_once_share_what_the_third_may_carry():
    found = share([short("a", 6), short("b", 2), region("c", 12)], LIMITS)
    assert found.targets == {"a": 10, "b": 10, "c": 18} and found.missing == 6
    assert [(one.borrowed, one.missing) for one in found.shares] == [(2, 2), (4, 4), (0, 0)]


def test_all_short_means_all_keep_asking_for_their_own():
    found = share([short("a", 4), short("b", 9), short("c", 0)], LIMITS)
    assert found.targets == {"a": 10, "b": 10, "c": 10} and found.missing == 17
    assert all("missing" in reasons(found, name) for name in "abc")


def test_a_lender_that_runs_short_itself_lends_nothing():
    found = share([short("a", 4), short("b", 8, target=13), region("c")], LIMITS)
    assert found.targets == {"a": 10, "b": 10, "c": 15}
    assert found.missing == 3 and found.shares[1].missing + found.shares[1].borrowed == 2


def test_what_a_lender_does_not_get_is_taken_over_by_others_or_stays_asked_for():
    failing = short("b", 12, target=15)
    found = share([short("a", 5), failing, region("c")], LIMITS)
    assert found.targets == {"a": 10, "b": 12, "c": 13} and found.missing == 0
    alone = share([short("a", 5), failing], LIMITS)
    assert alone.targets == {"a": 10, "b": 15}
    assert "gets 12 of 15 units itself" in reasons(alone, "b")
    young = short("b", 12, 30, target=15)
    assert share([short("a", 5), young, region("c")], LIMITS).targets == {"a": 10, "b": 15, "c": 10}


def test_who_begins_to_run_short_is_asked_for_nothing_more():
    young = short("b", 8, 30)
    assert share([short("a", 8), young, region("c")], LIMITS).targets == {"a": 10, "b": 10, "c": 12}
    grown = region("b", 12, target=10)
    assert share([short("a", 4), grown], LIMITS).targets == {"a": 10, "b": 18}, "a demand that grows is no shortage"


def test_what_is_expected_does_not_serve_yet():
    booting = region("a", serving=6, settled=10, expected=10)
    assert share([booting, region("b", target=14)], LIMITS).targets == {"a": 10, "b": 14}


def test_new_instances_of_a_lender_are_no_return_from_a_shortage():
    found = share([region("a"), region("b", 10, target=11, settled=3)], LIMITS)
    assert found.targets == {"a": 10, "b": 10}


def test_a_region_that_cannot_be_observed_keeps_what_is_carried_and_is_helped_after_a_while():
    unseen = {"reachable": False, **GONE}
    others = [region("b"), region("c")]
    young = share([region("a", short_for=60, **unseen), *others], LIMITS)
    assert young.targets == {"a": 10, "b": 10, "c": 10}
    assert "others carry its demand after 120 s" in reasons(young, "a")
    unknown = share([region("a", **unseen), region("b", target=14), *others[1:]], LIMITS)
    assert unknown.targets == {"a": 10, "b": 14, "c": 10}
    assert "cannot be observed for an unknown time" in reasons(unknown, "a")
    long = share([region("a", target=13, short_for=130, **unseen), *others], LIMITS)
    assert long.targets == {"a": 13, "b": 15, "c": 15}, "its own target stays as it is"
    assert "its 10 units may serve or not" in reasons(long, "a")
    assert "others carry 10 of them until it is seen again" in reasons(long, "a")


def test_where_most_regions_cannot_be_observed_the_trouble_is_taken_for_ours():
    unseen = [region(name, short_for=600, reachable=False, **GONE) for name in "ab"]
    found = share([*unseen, region("c")], LIMITS)
    assert found.targets == {"a": 10, "b": 10, "c": 10} and found.missing == 0
    assert "2 of 3 regions cannot be observed" in reasons(found, "a")


def test_a_demand_outside_the_bounds_is_taken_to_them():
    found = share([region("a", 30, target=20)], LIMITS)
    assert found.targets == {"a": 20}
    assert reasons(found, "a") == "the demand of 30 units is outside 1 to 20: 20 is taken"


@pytest.mark.parametrize(
    "wrong",
    [{"max_extra": -1}, {"max_extra": float("inf")}, {"after_seconds": -5}, {"step": 0}, {"step": 2}],
)
def test_limits_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*: it must be"):
        Limits(**wrong)


def test_what_has_served_for_long():
    assert settled([(2, 300), (4, 299), (1, 1000)], LIMITS) == 3


def test_pooled_demand_goes_home_whoever_has_the_load():
    moved = [region("a", 1), region("b", 15), region("c", 8, reachable=False)]
    assert [one.demand for one in pooled(moved)] == [8, 8, 8]
    uneven = [region("a", 3, maximum=7), region("b", 12, minimum=4)]
    assert [one.demand for one in pooled(uneven)] == [4, 11]
    assert pooled(pooled(uneven)) == pooled(uneven)


# Properties, over worlds made by chance


def world(chance: random.Random) -> tuple[list[Region], Limits]:
    regions = []
    for number in range(chance.randint(1, 5)):
        minimum = chance.randint(0, 4)
        maximum = minimum + chance.randint(0, 30)
        demand = chance.randint(minimum, maximum)
        target = min(maximum, demand + chance.choice([0, 0, 0, chance.randint(0, 8)]))
        expected = chance.choice([target, target, chance.randint(0, target)])
        serving = chance.choice([expected, chance.randint(0, expected)])
        regions.append(
            Region(
                f"r{number}",
                demand,
                minimum,
                maximum,
                target,
                serving,
                chance.choice([serving, chance.randint(0, serving)]),
                expected,
                max(0, target - demand),
                chance.choice([None, 30.0, 500.0]) if expected < target else None,
                True,
                chance.choice([None, 0.01, 0.02, 0.03]),
            )
        )
        if chance.random() < 0.1:
            regions[-1] = replace(regions[-1], reachable=False, short_for=chance.choice([None, 60.0, 500.0]))
    return regions, Limits(chance.choice([0, 0.25, 0.5, 1.0]), step=chance.choice([0.1, 0.25, 1.0]))


def set_to(regions: list[Region], sharing: Sharing) -> list[Region]:
    return [replace(one, target=part.target, lent=part.lent) for one, part in zip(regions, sharing.shares)]


WORLDS = [world(random.Random(seed)) for seed in range(1000)]


def test_limits_are_never_broken_and_the_sum_is_kept_within_them():
    for regions, limits in WORLDS:
        found = share(regions, limits)
        seen = [(one, part) for one, part in zip(regions, found.shares) if one.reachable]
        for one, part in seen:
            assert one.own <= part.target <= one.maximum
            assert part.target - one.own == part.lent <= limits.room(one)
            assert not (part.lent and part.missing)
        assert all(part.borrowed >= 0 and part.missing >= 0 for part in found.shares)
        assert sum(part.missing for part in found.shares) == found.missing
        lent = sum(part.lent for _one, part in seen)
        assert lent == sum(part.borrowed for part in found.shares) + found.returning
        if found.missing:  # then whoever could help carries all it may
            for one, part in seen:
                well = one.expected >= one.target and one.short_for is None
                assert part.lent == limits.room(one) or not well


def test_the_same_again_changes_nothing_but_what_is_given_back():
    for regions, limits in WORLDS:
        first = share(regions, limits)
        second = share(set_to(regions, first), limits)
        assert share(regions, limits) == first
        if not first.returning:
            assert second.targets == first.targets
        for before, after in zip(first.shares, second.shares):
            assert after.target <= before.target
        steps = 0
        while second.returning and steps < 60:
            regions, steps = set_to(regions, second), steps + 1
            second = share(regions, limits)
        assert second.returning == 0 and share(set_to(regions, second), limits).targets == second.targets


def test_nothing_flaps_while_one_region_comes_and_goes():
    for seed in range(200):
        chance = random.Random(seed)
        has = chance.randint(0, 9)
        regions = [short("a", has), *(region(name, chance.randint(3, 12)) for name in "bcd")]
        found = share(regions, LIMITS)
        helped = set_to(regions, found)
        for _moment in range(20):
            now = chance.randint(has, 10)  # never stable for longer than what it always had
            back = short("a", has, chance.choice([None, 10, 300]), serving=now, expected=now)
            again = share([back, *helped[1:]], LIMITS)
            assert again.targets == found.targets


def test_who_comes_back_for_good_leads_back_home():
    for seed in range(200):
        chance = random.Random(seed)
        regions = [short("a", chance.randint(0, 9)), *(region(name, chance.randint(3, 12)) for name in "bcd")]
        regions = set_to(regions, share(regions, LIMITS))
        regions[0] = region("a")
        for _step in range(10):
            regions = set_to(regions, share(regions, LIMITS))
        assert [one.target for one in regions] == [one.own for one in regions]
