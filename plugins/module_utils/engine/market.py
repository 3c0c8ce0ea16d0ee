# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The market as the engine sees it: offers, one for each pool of region, zone and instance type."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class InstanceType:
    """What the allocation needs to know of an instance type; ``accelerators`` counts GPUs and the like."""

    name: str
    vcpus: int
    memory_mib: int
    architectures: tuple[str, ...]
    burstable: bool
    current_generation: bool
    accelerators: int
    bare_metal: bool

    @property
    def family(self) -> str:
        """``m5`` of ``m5.large``."""
        return self.name.split(".", 1)[0]


@dataclass(frozen=True)
class Offer:
    """One pool. Prices are USD an hour; ``interruption_band`` 0 (<5 % a month) to 4 (>20 %); scores 1 to 10.

    ``None`` means not known: no Spot price in the last 90 days, no band without a bands file, no score unless asked.
    """

    region: str
    zone: str
    zone_id: str
    instance_type: InstanceType
    spot_price: float | None
    on_demand_price: float | None
    interruption_band: int | None = None
    placement_score: int | None = None
    price_time: str | None = None
    typical_spot_price: float | None = None

    @property
    def savings_percent(self) -> float | None:
        """The share of the On-Demand price that Spot saves, in percent, to one place."""
        if not self.spot_price or not self.on_demand_price:
            return None
        return round(100.0 * (1.0 - self.spot_price / self.on_demand_price), 1)
