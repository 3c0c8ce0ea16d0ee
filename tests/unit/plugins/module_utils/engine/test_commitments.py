# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is already paid for and unused, computed by hand."""

from __future__ import annotations

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.commitments import (
    Commitments,
    Paid,
    Place,
    Plan,
    Reservation,
    Reserved,
    Running,
    Spare,
    Want,
    factor_of,
    fit,
    flexible,
    spare,
    split,
)

PRICES = {"m5.large": 0.1, "m5.xlarge": 0.2, "c5.large": 0.09}


def left(
    reserved: list[Reserved] | None = None,
    running: list[Running] | None = None,
    reservations: list[Reservation] | None = None,
    plans: list[Plan] | None = None,
) -> Spare:
    return spare(Commitments(reserved or (), reservations or (), plans or ()), running or [], PRICES)


def got(found: Spare, types: dict[str, int], **more: object) -> Paid:
    return fit(found, Want(types, **more))[0]


@pytest.mark.parametrize(
    "name, factor",
    [
        ("t3.nano", 0.25),
        ("m5.large", 4),
        ("m5.xlarge", 8),
        ("m5.12xlarge", 96),
        ("u7.112xlarge", 896),
        ("m5.metal", None),
    ],
)
def test_normalization_factors(name: str, factor: float | None) -> None:
    assert factor_of(name) == factor


@pytest.mark.parametrize(
    "reserved, is_flexible",
    [
        (Reserved("m5.large", 1), True),
        (Reserved("m5.large", 1, "a"), False),
        (Reserved("g4dn.xlarge", 1), False),
        (Reserved("inf2.xlarge", 1), False),
        (Reserved("m5.metal", 1), False),
        (Reserved("im4gn.large", 1), True),
    ],
)
def test_only_regional_ones_without_accelerators_are_flexible(reserved: Reserved, is_flexible: bool) -> None:
    assert flexible(reserved) is is_flexible


def test_a_regional_reservation_pays_for_other_sizes_of_its_family_in_any_zone() -> None:
    found = left([Reserved("m5.2xlarge", 2)], [Running("i-1", "m5.large", "a"), Running("i-2", "m5.xlarge", "b")])
    assert (found.normalized, found.covered) == ({"m5": 20.0}, {"i-1", "i-2"})
    paid = got(found, {"m5.xlarge": 4, "m5.large": 2, "c5.large": 2})
    assert (paid.units, paid.types) == (10, {"m5.large": 5})
    assert paid.reasons == (
        "20 of 32 normalized units of Reserved Instances of m5 are unused",
        "5 x m5.large in any zone are paid for: Reserved Instances of the family m5 are unused",
    )


def test_what_the_best_type_leaves_buys_smaller_ones() -> None:
    paid = got(left([Reserved("m5.large", 3)]), {"m5.xlarge": 5, "m5.large": 2})
    assert (paid.units, paid.types) == (7, {"m5.large": 1, "m5.xlarge": 1})


def test_an_instance_that_is_paid_in_part_is_not_covered_and_leaves_nothing() -> None:
    found = left([Reserved("m5.large", 1)], [Running("i-1", "m5.xlarge", "a")])
    assert (found.normalized, found.covered) == ({"m5": 0.0}, frozenset())
    assert got(found, {"m5.large": 1}).units == 0


def test_small_instances_are_covered_first() -> None:
    running = [Running("i-1", "m5.2xlarge", "a"), Running("i-2", "m5.large", "a"), Running("i-3", "m5.large", "a")]
    assert left([Reserved("m5.xlarge", 1)], running).covered == {"i-2", "i-3"}


def test_a_running_size_without_a_factor_makes_the_family_count_as_used() -> None:
    found = left([Reserved("m5.large", 50)], [Running("i-1", "m5.metal", "a")])
    assert got(found, {"m5.large": 1}) == Paid(
        reasons=("the Reserved Instances of m5 count as used: m5.metal runs, whose share is not known",)
    )


def test_other_platforms_do_not_use_linux_reservations() -> None:
    assert left([Reserved("m5.large", 1)], [Running("i-1", "m5.large", "a", plain=False)]).normalized == {"m5": 4.0}


def test_zonal_ones_pay_for_their_type_in_their_zone_only() -> None:
    running = [Running("i-1", "m5.large", "a"), Running("i-2", "m5.large", "b"), Running("i-3", "m5.xlarge", "a")]
    found = left([Reserved("m5.large", 3, "a")], running)
    assert found.covered == {"i-1"}
    assert [(p.instance_type, p.zone, p.count) for p in found.places] == [("m5.large", "a", 2)]
    assert got(found, {"m5.large": 1}, zones=frozenset("b")).units == 0
    assert got(found, {"m5.large": 1}, zones=frozenset("ab")).units == 2
    assert got(found, {"m5.xlarge": 1}).units == 0


def test_zonal_ones_are_used_up_before_regional_ones() -> None:
    found = left([Reserved("m5.large", 1), Reserved("m5.large", 1, "a")], [Running("i-1", "m5.large", "a")])
    assert (found.places, found.normalized) == ((), {"m5": 4.0})


def test_types_with_accelerators_are_paid_for_one_by_one() -> None:
    found = left([Reserved("g5.xlarge", 2)], [Running("i-1", "g5.xlarge", "a"), Running("i-2", "g5.2xlarge", "a")])
    paid = got(found, {"g5.xlarge": 1, "g5.2xlarge": 2})
    assert (paid.types, found.covered) == ({"g5.xlarge": 1}, {"i-1"})


def test_a_capacity_reservation_is_paid_for_whether_used_or_not() -> None:
    running = [Running("i-1", "m5.large", "a", reservation="cr-1"), Running("i-2", "m5.large", "a")]
    found = left(running=running, reservations=[Reservation("cr-1", "m5.large", "a", 2)])
    assert found.covered == {"i-1"}
    assert got(found, {"m5.large": 3}).places == (Place("m5.large", "a", 2, "capacity reservation cr-1"),)


def test_a_discount_that_an_unused_reservation_takes_is_not_counted_again() -> None:
    slots = [Reservation("cr-1", "m5.large", "a", 2)]
    assert got(left([Reserved("m5.large", 2)], reservations=slots), {"m5.large": 1}).units == 2
    assert got(left([Reserved("m5.large", 3)], reservations=slots), {"m5.large": 1}).units == 3
    zonal = [Reserved("m5.large", 2, "a")]
    assert got(left(zonal, reservations=slots), {"m5.large": 1}).units == 4, "zonal discounts skip reservations"


def test_reservations_that_must_be_named_are_not_offered_but_take_discounts() -> None:
    slots = [Reservation("cr-1", "m5.large", "a", 2, open=False)]
    assert got(left([Reserved("m5.large", 2)], reservations=slots), {"m5.large": 1}).units == 0


def test_a_savings_plan_pays_for_its_family_at_the_on_demand_price_at_most() -> None:
    found = left(running=[Running("i-1", "m5.large", "a")], plans=[Plan("1", "m5", 0.3), Plan("2", "m5", 0.15)])
    assert found.dollars == {"m5": pytest.approx(0.35)}
    assert found.covered == {"i-1"}
    paid = got(found, {"m5.xlarge": 2, "m5.large": 1, "c5.large": 1})
    assert (paid.units, paid.types) == (3, {"m5.large": 3})
    assert paid.reasons[0] == "0.3500 of 0.4500 USD an hour of Savings Plans for m5 are unused"


def test_reserved_instances_pay_before_savings_plans() -> None:
    running = [Running("i-1", "m5.large", "a"), Running("i-2", "m5.large", "a")]
    found = left([Reserved("m5.large", 1)], running, plans=[Plan("1", "m5", 0.3)])
    assert found.dollars == {"m5": pytest.approx(0.2)} and found.covered == {"i-1", "i-2"}


@pytest.mark.parametrize("running", [Running("i-1", "m5.4xlarge", "a"), Running("i-1", "m5.large", "a", plain=False)])
def test_a_plan_whose_use_has_no_known_price_counts_as_used(running: Running) -> None:
    found = left(running=[running], plans=[Plan("1", "m5", 9.0)])
    assert found.dollars == {}
    (reason,) = found.reasons
    assert reason.startswith(f"the Savings Plans for m5 count as used: {running.instance_type} runs")


def test_no_more_is_taken_than_is_wanted_and_the_last_may_be_larger() -> None:
    found = left([Reserved("m5.large", 10)])
    paid, rest = fit(found, Want({"m5.large": 2}, units=5))
    assert (paid.units, paid.types, rest.normalized) == (6, {"m5.large": 3}, {"m5": 28.0})
    assert fit(rest, Want({"m5.large": 2}, units=0))[0].units == 0


def test_apps_share_what_is_spare_and_the_one_that_needs_most_goes_first() -> None:
    found = left(
        [Reserved("m5.large", 4), Reserved("c5.large", 1, "a")],
        reservations=[Reservation("cr-1", "m5.large", "a", 1)],
    )
    both = {"m5.large": 1, "c5.large": 1}
    shares = split(found, {"small": Want(both, units=2), "large": Want(both, units=4), "last": Want(both, units=2)})
    assert {name: paid.units for name, paid in shares.items()} == {"small": 0, "large": 4, "last": 1}
    assert sum(paid.units for paid in shares.values()) == got(found, both).units == 5
    alone = split(found, {"any": Want(both), "some": Want(both, units=1)})
    assert [alone[name].units for name in ("any", "some")] == [5, 0]


def test_without_commitments_nothing_is_paid_for_and_no_family_matters() -> None:
    assert Commitments().families == ()
    assert Commitments([Reserved("m5.large", 1)], [Reservation("c", "c5.large", "a", 0)], [Plan("1", "r5", 1)]).families == (
        "c5", "m5", "r5",
    )  # fmt: skip
    assert got(left(), {"m5.large": 1}) == Paid()
