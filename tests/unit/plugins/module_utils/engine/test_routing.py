# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights and latency records that follow what serves."""

from __future__ import annotations

import random

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.routing import (
    LATENCY,
    WEIGHTED,
    WHOLE,
    Endpoint,
    decide,
)


def weighted(*endpoints: tuple, **more):
    """Endpoints ``(serving, weight now)``, named a, b, c."""
    named = [Endpoint(name, has, now is not None, now) for name, (has, now) in zip("abcdef", endpoints)]
    return decide(named, WEIGHTED, **more)


def weights(*endpoints: tuple, **more) -> list[int | None]:
    return list(weighted(*endpoints, **more).weights.values())


@pytest.mark.parametrize(
    "endpoints, found",
    [
        ([(10, None), (5, None)], [170, 85]),
        ([(10, None)], [255]),
        ([(1, None), (1, None), (1, None)], [85, 85, 85]),
        ([(3, None), (0, None)], [255, 0]),
        ([(0, None), (0, None)], [128, 127]),
        ([(0, 200), (0, 55)], [128, 127]),
        ([(5000, None), (1, None)], [254, 1]),
        ([(0, 255), (4, 0)], [0, 255]),
        ([(10, 0), (10, 0)], [128, 127]),
    ],
)
def test_in_proportion_to_what_serves(endpoints, found):
    assert weights(*endpoints) == found


def test_a_small_change_is_not_worth_one_in_dns():
    near = weighted((105, 128), (100, 127))
    assert near.weights == {"a": 128, "b": 127} and near.reasons == ("the weights stay: none is off by more than 10 %",)
    assert weights((105, 128), (100, 127), tolerance=0) == [131, 124]
    far = weighted((15, 128), (10, 127), unit="vcpus")
    assert far.weights == {"a": 153, "b": 102}
    assert far.reasons == ("a serves 15 of 25 vcpus: weight 128 -> 153", "b serves 10 of 25 vcpus: weight 127 -> 102")
    assert weighted((10, 128), (10, 127)).reasons == ()


def test_other_sums_of_weights_mean_the_same():
    assert weights((10, 20), (5, 10)) == [20, 10]


def test_from_and_to_nothing_is_no_small_change():
    assert weights((1000, 254), (0, 1)) == [255, 0]
    assert weights((1000, 255), (1, 0)) == [254, 1]
    assert "b serves 5 of 15 units: it gets the weight 85" in weighted((10, 255), (5, None)).reasons


def test_a_region_that_could_not_be_observed_keeps_its_share():
    found = weighted((None, 85), (10, 85), (10, 85))
    assert found.weights == {"a": 85, "b": 85, "c": 85}
    assert found.reasons == ("a could not be observed: its record stays, and health checks decide",)
    assert weights((None, 85), (10, 85), (0, 85)) == [85, 170, 0]
    assert weights((None, 100), (0, 155)) == [255, 0]
    assert weights((None, 255), (10, 0)) == [128, 127]
    assert weights((None, 255), (10, 0), (20, None)) == [85, 57, 113], "it counts as the mean of the others"
    assert weights((None, 0), (10, 255)) == [0, 255]
    assert weights((None, 0), (0, 255)) == [255, 0], "it may serve, the other does not"
    assert weighted((None, None), (10, 255)).weights == {"b": 255}


def test_weights_by_chance_are_whole_and_never_leave_out_who_serves():
    for seed in range(500):
        chance = random.Random(seed)
        endpoints = [
            (chance.choice([0, None, chance.randint(1, 10), chance.randint(1, 5000)]), chance.choice([None, 0, 9, 255]))
            for _region in range(chance.randint(1, 6))
        ]
        found = weighted(*endpoints)
        given = {name: has for name, has in zip("abcdef", endpoints) if name in found.weights}
        assert set("abcdef"[: len(endpoints)]) - set(given) == {
            name for name, has in zip("abcdef", endpoints) if has == (None, None)
        }
        assert all(0 <= weight <= WHOLE for weight in found.weights.values())
        assert not given or any(found.weights.values())
        serve = any(serving for serving, _weight in given.values())
        for name, (serving, _weight) in given.items():
            assert not serving or found.weights[name] > 0
            assert not (serve and serving == 0) or found.weights[name] == 0
        again = weighted(*((serving, found.weights.get(name)) for name, (serving, _w) in zip("abcdef", endpoints)))
        assert again.weights == found.weights


def latency(*endpoints: tuple):
    """Endpoints ``(serving, whether there is a record)``, named a, b, c."""
    return decide([Endpoint(name, has, there) for name, (has, there) in zip("abc", endpoints)], LATENCY)


@pytest.mark.parametrize(
    "endpoints, found",
    [
        ([(5, False), (5, False)], "ab"),
        ([(5, True), (0, True)], "a"),
        ([(0, True), (0, True)], "ab"),
        ([(0, True), (0, False)], "a"),
        ([(0, False), (0, False)], "ab"),
        ([(None, True), (0, True)], "ab"),
        ([(None, True), (5, True), (0, True)], "ab"),
        ([(None, False), (5, True)], "b"),
        ([(None, False)], ""),
    ],
)
def test_latency_records_are_of_those_that_serve_and_never_none(endpoints, found):
    assert "".join(latency(*endpoints).weights) == found


def test_latency_says_why():
    found = latency((5, False), (0, True))
    assert found.reasons == ("a serves 5 units: it gets a record", "b serves nothing: its record goes")
    assert set(found.weights.values()) == {None}


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="the routing policy is 'simple': use one of weighted, latency"):
        decide([], "simple")
