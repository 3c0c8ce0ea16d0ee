# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Money as whole numbers, so that a sum is exactly the sum of its parts, also once it is rounded."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

Key = TypeVar("Key")

UNITS = 10**10
"""Units in a dollar: Cost Explorer answers with ten decimals."""
PLACES = 6
"""Decimals that are shown."""


def units_of(amount: str | float | Decimal) -> int:
    """USD as units; what is below half a unit is lost. Raises ``decimal.InvalidOperation`` for text that is no number."""
    return int((Decimal(str(amount)) * UNITS).to_integral_value())


def rounded(units: int, places: int = PLACES) -> float:
    """Units as USD."""
    return round(units / UNITS, places)


def shared_out(parts: Mapping[Key, int], places: int = PLACES) -> dict[Key, float]:
    """The parts in USD, rounded so that they add up to their rounded sum (the method of the largest remainder, of Hamilton).

    Of equal remainders the first gets more. No part is further from its value than the last place.
    """
    step = UNITS // 10**places
    floors = {key: units // step for key, units in parts.items()}
    total = sum(parts.values())
    missing = (total + step // 2) // step - sum(floors.values())
    by_remainder = sorted(parts, key=lambda key: -(parts[key] % step))
    for key in by_remainder[:missing]:
        floors[key] += 1
    return {key: round(steps / 10**places, places) for key, steps in floors.items()}
