# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What billed hours of instances would have cost On-Demand: usage types of Cost Explorer, and list prices, to what was saved.

Sources: AWS, "Understand codes for Amazon EC2 in billing and usage reports" (EC2 User Guide), "AWS Region billing codes" (AWS Regions
and Availability Zones). Money and hours are in whole units (`money`), so that a sum is exactly the sum of its parts.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.money import UNITS, rounded, shared_out, units_of

COMPUTE = "Amazon Elastic Compute Cloud - Compute"
"""The service with the hours of instances, as Cost Explorer calls it."""
REGIONS = {
    "": "us-east-1",
    "USE1": "us-east-1",
    "USE2": "us-east-2",
    "USW1": "us-west-1",
    "USW2": "us-west-2",
    "CAN1": "ca-central-1",
    "CAN2": "ca-west-1",
    "MXC1": "mx-central-1",
    "SAE1": "sa-east-1",
    "AFS1": "af-south-1",
    "APE1": "ap-east-1",
    "APE2": "ap-east-2",
    "APN1": "ap-northeast-1",
    "APN2": "ap-northeast-2",
    "APN3": "ap-northeast-3",
    "APS1": "ap-southeast-1",
    "APS2": "ap-southeast-2",
    "APS3": "ap-south-1",
    "APS4": "ap-southeast-3",
    "APS5": "ap-south-2",
    "APS6": "ap-southeast-4",
    "APS7": "ap-southeast-5",
    "APS8": "ap-southeast-6",
    "APS9": "ap-southeast-7",
    "EU": "eu-west-1",
    "EUC1": "eu-central-1",
    "EUC2": "eu-central-2",
    "EUN1": "eu-north-1",
    "EUS1": "eu-south-1",
    "EUS2": "eu-south-2",
    "EUW2": "eu-west-2",
    "EUW3": "eu-west-3",
    "ILC1": "il-central-1",
    "MEC1": "me-central-1",
    "MES1": "me-south-1",
    "UGE1": "us-gov-east-1",
    "UGW1": "us-gov-west-1",
}
"""The region of a billing code, which a usage type begins with. us-east-1 has none with instances."""
LIFECYCLES = {"BoxUsage": "on_demand", "SpotUsage": "spot"}
HOURS = re.compile(r"(?:([A-Z0-9-]+)-)?(BoxUsage|SpotUsage)(?::([a-z0-9.-]+))?")
"""Hours of instances on shared hardware: the region's billing code, how they were bought, and the instance type."""
OLDEST = "m1.small"
"""The type that a usage type without one means."""

Usage = Mapping[tuple[str, tuple[str, str]], tuple[int, int]]
"""Units of money, and of hours or whatever the usage type counts, by day or month and by (app, usage type)."""
Key = tuple[str, str, str, str, str, str]
"""Day, app, region, instance type, lifecycle, and why it is left out."""
Prices = Mapping[str, Mapping[str, float]]
"""USD an hour On-Demand by region and instance type."""


@dataclass(frozen=True, slots=True)
class Hours:
    """What a usage type counts; ``region`` is ``None`` for a billing code that is not known."""

    code: str
    region: str | None
    lifecycle: str
    instance_type: str


def hours_of(usage_type: str) -> Hours | None:
    """The hours of instances that a usage type such as ``USE2-SpotUsage:c5.large`` counts; nothing where it counts anything else."""
    found = HOURS.fullmatch(usage_type)
    if not found:
        return None
    code = found[1] or ""
    return Hours(code, REGIONS.get(code), LIFECYCLES[found[2]], found[3] or OLDEST)


def regions_of(usage: Usage) -> list[str]:
    """The regions whose prices are needed."""
    seen = {hours_of(usage_type) for _day, (_app, usage_type) in usage}
    return sorted({one.region for one in seen if one and one.region})


def compare(
    usage: Usage, prices: Prices, apps: Collection[str] = (), committed_rates: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """``rows`` of the apps (all, if empty), their sums (`summed`), ``apps`` (`by_app`), and ``other_usd`` for what counts no hours of instances
    on shared hardware, such as traffic.

    A row is of one day or month, app, region, instance type and lifecycle, with ``hours``, ``paid_usd``, ``on_demand_usd`` and
    ``saved_usd``. Where the price is not known the last two are ``None``, and ``left_out`` says why. ``committed_usd`` is what the hours cost
    at ``committed_rates``, USD an hour by instance type, of a Savings Plan or of Reserved Instances; ``None`` without a rate.
    """
    rates = committed_rates or {}
    sums: dict[Key, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    other = 0
    for (day, (app, usage_type)), (paid, quantity) in usage.items():
        hours = hours_of(usage_type)
        if hours is None:
            other += paid if not apps or app in apps else 0
            continue
        price = prices.get(hours.region or "", {}).get(hours.instance_type)
        why = "" if price is not None else _why(usage_type, hours)
        entry = sums[day, app, hours.region or "", hours.instance_type, hours.lifecycle, why]
        entry[0] += quantity
        entry[1] += paid
        entry[2] += round(quantity * units_of(price or 0) / UNITS)
        entry[3] += round(quantity * units_of(rates.get(hours.instance_type, 0)) / UNITS)
    keys = sorted(sums)
    compared, lacking = [key for key in keys if not key[-1]], [key for key in keys if key[-1]]
    ran, paid_usd, instead = (
        shared_out({key: sums[key][number] for key in compared}) | shared_out({key: sums[key][number] for key in lacking})
        for number in range(3)
    )
    committed = shared_out({key: sums[key][3] for key in compared if key[3] in rates})
    rows = [_row(key, ran[key], paid_usd[key], instead[key], committed.get(key)) for key in keys if not apps or key[1] in apps]
    return {"rows": rows, **summed(rows), "apps": by_app(rows), "other_usd": rounded(other)}


def _why(usage_type: str, hours: Hours) -> str:
    if hours.region is None:
        return f"{usage_type}: no region is known for the billing code {hours.code}"
    return f"{usage_type}: no On-Demand price is known in {hours.region}"


def _row(key: Key, hours: float, paid: float, on_demand: float, committed: float | None) -> dict[str, Any]:
    day, app, region, instance_type, lifecycle, why = key
    return {
        "day": day,
        "app": app,
        "region": region or None,
        "instance_type": instance_type,
        "lifecycle": lifecycle,
        "hours": hours,
        "paid_usd": paid,
        "on_demand_usd": None if why else on_demand,
        "saved_usd": None if why else rounded(units_of(on_demand) - units_of(paid)),
        "committed_usd": committed,
        "left_out": why or None,
    }


def summed(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The sums of some rows, exactly those of what they show. ``left_out_usd`` was paid for what is in none of the others;
    ``committed_usd`` is ``None`` where an instance type has no rate, or there is nothing."""
    sums = dict.fromkeys(("spot", "on_demand", "paid", "instead", "left_out"), 0)
    committed = []
    for row in rows:
        if row["left_out"]:
            sums["left_out"] += units_of(row["paid_usd"])
            continue
        sums[row["lifecycle"]] += units_of(row["hours"])
        sums["paid"] += units_of(row["paid_usd"])
        sums["instead"] += units_of(row["on_demand_usd"])
        committed.append(row["committed_usd"])
    saved = sums["instead"] - sums["paid"]
    return {
        "spot_hours": rounded(sums["spot"]),
        "on_demand_hours": rounded(sums["on_demand"]),
        "paid_usd": rounded(sums["paid"]),
        "on_demand_usd": rounded(sums["instead"]),
        "saved_usd": rounded(saved),
        "saved_percent": round(100 * saved / sums["instead"], 1) if sums["instead"] else None,
        "committed_usd": None if None in committed or not committed else rounded(sum(map(units_of, committed))),
        "left_out_usd": rounded(sums["left_out"]),
    }


def by_app(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The sums of each application, by name; that of what has no tag is empty."""
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["app"]].append(row)
    return [{"app": app, **summed(found[app])} for app in sorted(found)]


def left_out(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """What the comparison lacks, in one sentence; nothing where it has all."""
    missing = [row for row in rows if row["left_out"]]
    if not missing:
        return None
    reasons = sorted({row["left_out"] for row in missing})
    more = f", and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return (
        f"{summed(missing)['left_out_usd']:.2f} USD for {rounded(sum(units_of(row['hours']) for row in missing), 1):g} hours of instances are in "
        f"neither side of the comparison with On-Demand: {'; '.join(reasons[:3])}{more}"
    )
