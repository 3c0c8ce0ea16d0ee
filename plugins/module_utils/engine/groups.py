# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a group of instances is, an Auto Scaling group or a fleet.

It is described by one dataclass, `Group`, as it is and as it shall be, so that every change is a field that differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

AUTO_SCALING_GROUP = "auto_scaling_group"
EC2_FLEET = "ec2_fleet"
SPOT_FLEET = "spot_fleet"
KINDS = (AUTO_SCALING_GROUP, EC2_FLEET, SPOT_FLEET)


@dataclass(frozen=True)
class Policy:
    """What the application wants of the group, which the autoscaler steers by. Capacities are in ``unit``."""

    target: int
    minimum: int
    maximum: int
    on_demand_base: int
    unit: str
    fallback: str
    profile: str = "balanced"
    max_zone_share: float = 1.0


@dataclass(frozen=True)
class Subnet:
    """A subnet that instances are launched in; ``public``: it gives them public addresses."""

    id: str
    zone: str
    public: bool


@dataclass(frozen=True)
class Group:
    """A group, as it is or as it shall be. ``overrides``: the instance types with their weights, in order.

    ``desired`` and ``on_demand_base`` are those in force, with any fallback; the policy's own are in ``policy``,
    which is ``None`` on a group without our tags. A fleet has no sizes and health checks, an EC2 Fleet no target groups
    (``None``), but lists its ``pools``, (type, subnet), one by one. ``fleet_role``: by which a Spot Fleet launches.
    ``tags`` are those of the platform and the user, without the ones that hold the policy.
    """

    launch_template: str
    launch_template_version: str
    subnets: tuple[str, ...]
    overrides: tuple[tuple[str, int], ...]
    desired: int
    on_demand_base: int
    policy: Policy | None
    tags: Mapping[str, str]
    capacity_rebalance: bool = False
    min_size: int | None = None
    max_size: int | None = None
    health_check_type: str | None = None
    health_check_grace_period: int | None = None
    target_group_arns: tuple[str, ...] | None = None
    pools: tuple[tuple[str, str], ...] | None = None
    fleet_role: str | None = None
    spot_allocation_strategy: str = "price-capacity-optimized"
    on_demand_allocation_strategy: str = "lowest-price"
    on_demand_percentage_above_base: int = 0
    id: str = field(default="", compare=False)
    deleting: bool = field(default=False, compare=False)


def changes(wanted: Group, present: Group) -> dict[str, tuple[Any, Any]]:
    """(before, after) of every field that differs."""
    pairs = ((f.name, getattr(present, f.name), getattr(wanted, f.name)) for f in fields(Group) if f.compare)
    return {name: (before, after) for name, before, after in pairs if before != after}
