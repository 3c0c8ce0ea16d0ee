# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole numbers in proportion, whose sum is kept."""

from __future__ import annotations

from collections.abc import Sequence


def divided(total: int, parts: Sequence[int]) -> list[int]:
    """``total`` in whole numbers in proportion to ``parts``, by the method of the largest remainder.

    The sum is ``total`` exactly (0 where all parts are 0). No number is above its part while ``total`` is not above
    their sum. Of equal remainders the first is rounded up. Source: https://en.wikipedia.org/wiki/Quota_method.
    """
    whole = sum(parts)
    if not whole:
        return [0] * len(parts)
    found = [total * part // whole for part in parts]
    remainders = sorted(range(len(parts)), key=lambda index: -(total * parts[index] % whole))
    for index in remainders[: total - sum(found)]:
        found[index] += 1
    return found
