# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a market would have cost and served, on markets computed by hand."""

from __future__ import annotations

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.comparison import Setting, rows, sentences
from ansible_collections.spot.platform.plugins.module_utils.engine.simulation import Trace

OPEN = Trace("made", 60, ("a", "b"), {"a": [1] * 100, "b": [1] * 100}, False)
SETTING = Setting(target=2, od_ratio=4.0, cold_start=60, notice=120)


def test_the_rows_are_by_cost_and_what_all_policies_do_where_spot_is_always_there():
    found = rows(OPEN, SETTING, ["cost", "balanced"])
    assert [row["policy"] for row in found[2:]] == ["static-mix", "all-on-demand"]
    assert {(row["policy"], row["profile"]) for row in found[:2]} == {
        ("spot.platform", p) for p in ("cost", "balanced")
    }
    assert all(row["availability"] == row["service"] == 1 and row["longest_shortfall"] == 0 for row in found)
    assert [row["cost"] for row in found] == sorted(row["cost"] for row in found)
    mix, on_demand = found[2:]
    assert (mix["cost"], on_demand["cost"]) == (pytest.approx((4 + 1) / 8), 1.0)
    assert on_demand["launches_per_day"] == pytest.approx(2 / (6000 / 86400))
    assert {(row["trace"], row["target"], row["notice"], row["cost_usd_per_hour"]) for row in found} == {
        ("made", 2, 120, None)
    }


def test_money_is_told_where_prices_are_known():
    priced = Trace("made", 60, ("a",), {"a": [1] * 100}, False, {"a": [1.0] * 100}, 0.03)
    mix, on_demand = rows(priced, SETTING, [])
    assert on_demand["cost_usd_per_hour"] == pytest.approx(2 * 4 * 0.03)
    assert mix["cost_usd_per_hour"] == pytest.approx((4 + 1) * 0.03)


def test_the_rows_are_said_in_sentences():
    closed = Trace("made", 60, ("a",), {"a": [1] * 50 + [0] * 50}, False)
    mix, on_demand = sentences(rows(closed, SETTING, []))
    assert mix == (
        "made: static-mix would have cost 56.5% of the target On-Demand and served the target of 2 for 51.515% of the time, "
        "75.758% of it in all, short for up to 2880 s on end."
    )
    assert (
        on_demand
        == "made: all-on-demand would have cost 100.0% of the target On-Demand and served the target of 2 throughout."
    )


def test_a_trace_that_is_over_before_anything_serves_is_refused():
    with pytest.raises(ValueError, match="made is 6000 s long, no longer than the cold start of 6000 s"):
        rows(OPEN, Setting(1, 3.0, 6000, 0), ["cost"])
