# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serving capacity over time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from ansible_collections.spot.platform.plugins.module_utils.engine.timeline import (
    Stay,
    minimum_since_reached,
    serving,
)

START = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)


def at(seconds):
    return START + timedelta(seconds=seconds)


def stay(begin, end=None, lifecycle="spot", capacity=2, boot=30, name="i-1"):
    in_service = None if boot is None else at(begin + boot)
    return Stay(name, "a", "m5.large", lifecycle, capacity, at(begin), in_service, None if end is None else at(end))


def test_nothing_ran():
    steps = serving([], START, at(100))
    assert [(step.serving, step.time) for step in steps] == [(0, START)]
    assert minimum_since_reached(steps, 1) is None
    assert minimum_since_reached(steps, 0) == 0


def test_a_gap_is_the_minimum_and_the_way_up_is_not():
    stays = [stay(0), stay(10, 300), stay(340, lifecycle="on_demand")]
    steps = serving(stays, START, at(1000))
    assert [(s.time, s.spot, s.on_demand) for s in steps] == [
        (START, 0, 0),
        (at(30), 2, 0),
        (at(40), 4, 0),
        (at(300), 2, 0),
        (at(370), 2, 2),
    ]
    assert minimum_since_reached(steps, 4) == 2
    assert minimum_since_reached(steps, 5) is None


def test_a_replacement_at_the_same_moment_leaves_no_gap():
    steps = serving([stay(0, 100), stay(70)], START, at(200))
    assert [(s.time, s.serving) for s in steps] == [(START, 0), (at(30), 2)]


def test_what_never_served_and_what_ended_before_is_not_seen():
    steps = serving([stay(0, boot=None), stay(0, 20), stay(-500, -100)], START, at(200))
    assert [(s.time, s.serving) for s in steps] == [(START, 0)]


def test_what_served_before_the_beginning_serves_at_it():
    assert [(s.time, s.serving) for s in serving([stay(-500)], START, at(200))] == [(START, 2)]
