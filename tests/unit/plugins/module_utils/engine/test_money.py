# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random
from decimal import Decimal

from ansible_collections.spot.platform.plugins.module_utils.engine.money import UNITS, rounded, shared_out, units_of


def test_amounts_of_cost_explorer_are_kept_to_their_last_decimal():
    assert units_of("0.0000000001") == 1
    assert units_of("12.3456789012") == 123_456_789_012
    assert units_of("-3") == -3 * UNITS
    assert rounded(units_of("12.3456789012")) == 12.345679


def test_thirds_add_up_to_what_was_shared():
    third = UNITS // 3
    found = shared_out({"a": third, "b": third, "c": UNITS - 2 * third}, places=2)
    assert found == {"a": 0.33, "b": 0.33, "c": 0.34}


def test_rounded_parts_add_up_to_the_rounded_sum_whatever_they_are():
    dice = random.Random(7)
    for _problem in range(300):
        parts = {number: dice.randint(-(10**9), 10**11) for number in range(dice.randint(1, 40))}
        for places in (2, 6):
            found = shared_out(parts, places)
            assert sum(Decimal(str(usd)) for usd in found.values()) == Decimal(str(rounded(sum(parts.values()), places)))
            assert all(abs(usd - parts[key] / UNITS) <= 1.000001 / 10**places for key, usd in found.items())


def test_nothing_is_shared_by_nobody():
    assert shared_out({}) == {}
