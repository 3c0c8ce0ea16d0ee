# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole numbers in proportion keep their sum."""

from __future__ import annotations

import random

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.proportion import divided


@pytest.mark.parametrize(
    "total, parts, found",
    [
        (10, [1, 1], [5, 5]),
        (10, [1, 1, 1], [4, 3, 3]),
        (255, [2, 1], [170, 85]),
        (1, [1, 3], [0, 1]),
        (0, [5, 5], [0, 0]),
        (5, [0, 0], [0, 0]),
        (5, [], []),
    ],
)
def test_by_largest_remainder(total, parts, found):
    assert divided(total, parts) == found


def test_the_sum_is_kept_and_no_part_is_exceeded():
    chance = random.Random(1)
    for _case in range(500):
        parts = [chance.randint(0, 20) for _part in range(chance.randint(1, 8))]
        total = chance.randint(0, sum(parts))
        found = divided(total, parts)
        assert sum(found) == total
        assert all(0 <= number <= part for number, part in zip(found, parts))
