# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a group saw, as a trace: small histories whose traces are found by hand, in ticks of a minute."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.history import (
    GRANTED,
    LOST,
    OPEN,
    REFUSED,
    History,
    Sighting,
    events_of,
    pool_of_trace,
    replayable,
    stood_in,
    told,
)
from ansible_collections.spot.platform.plugins.module_utils.engine.simulation import Trace
from ansible_collections.spot.platform.plugins.module_utils.engine.timeline import Stay

SINCE = datetime(2026, 1, 1, tzinfo=timezone.utc)
ZONE, KIND, OTHER = "us-east-1a", "m5.large", "c5.large"
YESTERDAY = SINCE - timedelta(days=1)


def at(minutes):
    return SINCE + timedelta(minutes=minutes)


def history(*sightings, minutes=10, stays=(), stood_in=(), prices=None):
    """``sightings``: (minute, what, type)."""
    return History(
        name="web",
        since=SINCE,
        until=at(minutes),
        zones=[ZONE],
        weights={KIND: 2, OTHER: 4},
        prices=prices or {(ZONE, KIND): [(YESTERDAY, 0.04)], (ZONE, OTHER): [(YESTERDAY, 0.04)]},
        sightings=[Sighting(at(minute), ZONE, kind, what) for minute, what, kind in sightings],
        stays=stays,
        stood_in=stood_in,
    )


def stay(name, launched, ended=None, lifecycle="spot"):
    gone = None if ended is None else at(ended)
    return Stay(name, ZONE, KIND, lifecycle, 2, at(launched), at(launched), gone)


def rooms(told, gap=60):
    """The room of both pools as text: ``+`` open, else the number."""
    trace, _pools = replayable(told, gap, True)
    shown = [
        "".join("+" if room == OPEN else str(room) for room in trace.room[f"{ZONE}/{kind}"]) for kind in (KIND, OTHER)
    ]
    return tuple(shown)


@pytest.mark.parametrize(
    ("sightings", "wanted"),
    [
        ([], ("++++++++++", "++++++++++")),
        # A refusal of a type closes its pool until that gives one; what another gives does not open it.
        ([(2.5, REFUSED, KIND), (4, GRANTED, OTHER), (6.5, GRANTED, KIND)], ("++00000+++", "++++++++++")),
        # A refusal of the zone closes all of it until any of it gives one.
        ([(2, REFUSED, None), (4.5, REFUSED, None), (5.5, GRANTED, OTHER)], ("++0000++++", "++0000++++")),
        # A loss closes the pool from then on; of a forgotten instance, all pools of the zone.
        ([(7, LOST, KIND)], ("+++++++000", "++++++++++")),
        ([(7, LOST, None)], ("+++++++000", "+++++++000")),
        ([(3, LOST, KIND), (5.5, GRANTED, None)], ("+++000++++", "++++++++++")),
        # A spell within a tick is not overlooked, and a grant at the same moment ends it.
        ([(4.2, LOST, KIND), (4.4, GRANTED, KIND)], ("++++0+++++", "++++++++++")),
        ([(4.2, GRANTED, KIND), (4.2, REFUSED, KIND)], ("++++0+++++", "++++++++++")),
    ],
)
def test_a_pool_has_no_room_from_a_refusal_or_loss_until_it_gives_an_instance(sightings, wanted):
    assert rooms(history(*sightings)) == wanted


def test_a_pool_that_refuses_holds_what_the_group_has_there():
    stays = [stay("i-1", -60), stay("i-2", 0, 5.5), stay("i-3", 0, lifecycle="on_demand")]
    told = history((2, REFUSED, KIND), (5.5, LOST, KIND), stays=stays)
    assert rooms(told)[0] == "++44422222"


def test_what_was_launched_while_on_demand_stood_in_is_spot_only_when_that_ends():
    sightings = [(2, REFUSED, None), (4, GRANTED, None)]
    assert rooms(history(*sightings))[0] == "++000+++++"
    assert rooms(history(*sightings, stood_in=[(at(3), at(7))]))[0] == "++000000++"
    known = [(2, REFUSED, None), (4, GRANTED, KIND)]
    assert rooms(history(*known, stood_in=[(at(3), at(7))]))[0] == "++000+++++"


def test_the_share_that_was_observed_is_told():
    stays = [stay("i-1", 0, 1.5)]
    trace, pools = replayable(history((4, REFUSED, OTHER), (5.5, REFUSED, OTHER), stays=stays), 60, True)
    # m5.large held an instance in ticks 0 and 1; c5.large refused in ticks 4 and 5, and is closed to the end.
    assert [(pool.name, pool.observed, pool.open) for pool in pools] == [
        (f"{ZONE}/{OTHER}", 0.2, 0.4),
        (f"{ZONE}/{KIND}", 0.2, 1.0),
    ]
    assert trace.zones == (f"{ZONE}/{OTHER}", f"{ZONE}/{KIND}")


def test_prices_are_for_a_unit_in_multiples_of_their_mean():
    prices = {
        (ZONE, KIND): [(YESTERDAY, 0.02), (at(5), 0.06)],
        (ZONE, OTHER): [(at(5), 0.08)],
        ("us-east-1z", KIND): [(YESTERDAY, 1.0)],
        (ZONE, "m99.large"): [(YESTERDAY, 1.0)],
    }
    trace, pools = replayable(history(prices=prices), 60, True)
    assert trace.billed and trace.mean_price == pytest.approx(0.02)
    assert list(trace.prices[f"{ZONE}/{KIND}"]) == pytest.approx([0.5] * 5 + [1.5] * 5)
    assert [pool.price for pool in pools] == pytest.approx([0.02, 0.02])
    assert list(trace.room[f"{ZONE}/{OTHER}"]) == [0] * 5 + [OPEN] * 5, "a pool without a price is not there"


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (history(minutes=1), "its history is 60 s long, less than two ticks of 60 s"),
        (history(prices={("us-east-1z", KIND): [(YESTERDAY, 1.0)]}), "AWS knows no Spot price of c5.large, m5.large"),
    ],
)
def test_where_there_is_nothing_to_replay_it_says_so(told, message):
    with pytest.raises(ValueError, match=message):
        replayable(told, 60, True)


def test_a_recorded_trace_was_observed_throughout():
    trace = Trace("made", 60, ("a", "b"), {"a": [1, 0], "b": [1, 1]}, False, {"a": [0.5, 1.5]}, 0.1)
    first, second = (pool_of_trace(trace, zone) for zone in trace.zones)
    assert (first.observed, first.open, first.price) == (1.0, 0.5, pytest.approx(0.1))
    assert (second.open, second.price) == (1.0, None)


def event(minutes, kind, **more):
    time = at(minutes).isoformat().replace("+00:00", "Z")
    return {"time": time, "kind": kind, "region": "us-east-1", "resource": "web", "changed": True, **more}


def test_the_activity_tells_when_on_demand_stood_in():
    events = [
        event(9, "capacity.fallback"),
        event(1, "capacity.fallback"),
        event(2, "capacity.fallback"),
        event(3, "capacity.waiting", changed=False),
        event(5, "capacity.returned"),
        event(6, "capacity.returned"),
        event(7, "capacity.fallback", resource="worker"),
        event(7, "capacity.fallback", region="eu-west-1"),
        event(7, "volume.grown"),
    ]
    assert stood_in(events_of(events, "us-east-1", "web"), at(20)) == [(at(1), at(5)), (at(9), at(20))]


def test_events_tell_which_pools_gave_refused_and_took_away():
    after = {"target": 4, GRANTED: ["us-east-1c/m5.large"], REFUSED: ["us-east-1c/c5.large", "us-east-1d/m5.large"]}
    lost = {"granted": [], "lost": ["us-east-1a/m5.large"]}
    events = [event(1, "capacity.fallback", after=after), event(2, "capacity.waiting", after=lost, changed=False)]
    assert told(events_of(events, "us-east-1", "web")) == [
        Sighting(at(1), "us-east-1c", "m5.large", GRANTED),
        Sighting(at(1), "us-east-1c", "c5.large", REFUSED),
        Sighting(at(1), "us-east-1d", "m5.large", REFUSED),
        Sighting(at(2), "us-east-1a", "m5.large", LOST),
    ]


@pytest.mark.parametrize("after", [None, {}, {"capacity": 4}, {"lost": None}, [1], "gone"])
def test_an_event_that_names_no_pools_tells_nothing_whatever_its_sentences_say(after):
    reasons = ["us-east-1a/m5.large took an instance away", "asked for: 4 vcpus in us-east-1c/m5.large"]
    events = [event(1, "capacity.updated", after=after, reasons=reasons)]
    assert told(events_of(events, "us-east-1", "web")) == []
