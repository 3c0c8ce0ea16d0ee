# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an account uses of its service quotas, and which of them are close to their end.

Codes and names: https://docs.aws.amazon.com/general/latest/gr/aws-service-information.html, and ListServiceQuotas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CLOSE = 0.8
"""The share of a quota from which on it is a warning."""
GIB_IN_A_TIB = 1024.0


@dataclass(frozen=True, slots=True)
class Quota:
    """``use``: the name under which its use is counted; ``unit``: how many of what is counted make one of what is limited."""

    service: str
    code: str
    name: str
    use: str
    unit: float = 1.0


def _spot(code: str, name: str, family: str) -> Quota:
    return Quota("ec2", code, f"All {name} Spot Instance Requests", f"spot:{family}")


def _on_demand(code: str, name: str, family: str) -> Quota:
    return Quota("ec2", code, f"Running On-Demand {name} instances", f"on_demand:{family}")


def _storage(code: str, name: str, kind: str) -> Quota:
    return Quota("ebs", code, f"Storage for {name} volumes, in TiB", f"volumes:{kind}", GIB_IN_A_TIB)


QUOTAS: tuple[Quota, ...] = (
    _spot("L-34B43A08", "Standard (A, C, D, H, I, M, R, T, Z)", "standard"),
    _spot("L-3819A6DF", "G and VT", "g"),
    _spot("L-7212CCBC", "P4, P3 and P2", "p"),
    _spot("L-B5D1601B", "Inf", "inf"),
    _spot("L-E3A00192", "X", "x"),
    _spot("L-88CF9481", "F", "f"),
    _on_demand("L-1216C47A", "Standard (A, C, D, H, I, M, R, T, Z)", "standard"),
    _on_demand("L-DB2E81BA", "G and VT", "g"),
    _on_demand("L-417A185B", "P", "p"),
    _on_demand("L-1945791B", "Inf", "inf"),
    _on_demand("L-7295265B", "X", "x"),
    _on_demand("L-74FC7D96", "F", "f"),
    Quota("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", "addresses"),
    Quota("ec2", "L-FB451C26", "Launch templates per Region", "launch_templates"),
    _storage("L-7A658B76", "General Purpose SSD (gp3)", "gp3"),
    _storage("L-D18FCD1D", "General Purpose SSD (gp2)", "gp2"),
    _storage("L-FD252861", "Provisioned IOPS SSD (io1)", "io1"),
    _storage("L-09BD8365", "Provisioned IOPS SSD (io2)", "io2"),
    _storage("L-82ACEF56", "Throughput Optimized HDD (st1)", "st1"),
    _storage("L-17AF77E8", "Cold HDD (sc1)", "sc1"),
    Quota("ebs", "L-309BACF6", "Snapshots per Region", "snapshots"),
    Quota("elasticloadbalancing", "L-53DA6B97", "Application Load Balancers per Region", "load_balancers:application"),
    Quota("elasticloadbalancing", "L-69A177A2", "Network Load Balancers per Region", "load_balancers:network"),
    Quota("elasticloadbalancing", "L-B22855CB", "Target Groups per Region", "target_groups"),
    Quota("autoscaling", "L-CDE20ADC", "Auto Scaling groups per region", "groups"),
    Quota("rds", "L-7B6409FD", "DB instances", "databases"),
)
SERVICES = tuple(sorted({quota.service for quota in QUOTAS}))


def vcpu_class(instance_type: str) -> str:
    """By which of the vCPU quotas an instance type is limited: ``m5.large`` by ``standard``, ``g5.xlarge`` by ``g``; of a family
    that is none of them its letters."""
    letters = re.match(r"[a-z]+", instance_type.partition("-")[0])
    family = letters.group() if letters else ""
    if family.startswith(("inf", "trn", "dl", "hpc", "mac", "u")):
        return next(name for name in ("inf", "trn", "dl", "hpc", "mac", "u") if family.startswith(name))
    if family.startswith(("g", "vt")):
        return "g"
    first = family[:1]
    return "standard" if first in "acdhimrtz" and first else first


@dataclass(frozen=True, slots=True)
class Use:
    """What is used of a quota: ``share`` of 0 to 1 and above, ``None`` where nothing may be used; ``health`` and ``note``."""

    region: str
    quota: Quota
    limit: float
    used: float

    @property
    def share(self) -> float | None:
        return round(self.used / self.limit, 4) if self.limit > 0 else (None if self.used else 0.0)

    @property
    def health(self) -> str:
        share = self.share
        if share is None or share >= 1:
            return "problem"
        return "warning" if share >= CLOSE else "ok"


def uses(region: str, limits: Mapping[str, float], used: Mapping[str, float]) -> list[Use]:
    """The use of each quota whose limit is known; nothing of what is neither allowed nor used. ``limits``: by code; ``used``:
    what was counted, by name."""
    found = (
        Use(region, quota, limits[quota.code], round(used.get(quota.use, 0.0) / quota.unit, 3))
        for quota in QUOTAS
        if quota.code in limits
    )
    return [use for use in found if use.limit or use.used]


def in_order(found: Iterable[Use]) -> list[Use]:
    """The Spot quotas first, and of each part the fullest first."""

    def place(use: Use) -> tuple[bool, float, str, str]:
        share = use.share
        return (
            not use.quota.use.startswith("spot:"),
            -(float("inf") if share is None else share),
            use.region,
            use.quota.code,
        )

    return sorted(found, key=place)


def note(use: Use, all_of_region: Iterable[Use]) -> str:
    """What is to be said of it: that it ends soon, or that On-Demand could not stand in for the Spot that runs."""
    if use.health != "ok":
        share = "more than it allows" if use.share is None else f"{use.share:.0%}"
        return f"{share} is in use: ask for more in Service Quotas ({use.quota.code} in {use.region})"
    kind, _colon, family = use.quota.use.partition(":")
    if kind == "on_demand":
        spot = sum(one.used for one in all_of_region if one.quota.use == f"spot:{family}")
        if spot and use.used + spot > use.limit:
            return (
                f"does not suffice for On-Demand to stand in for all Spot: {use.used + spot:g} vCPUs run, {use.limit:g} are "
                f"allowed; ask for more in Service Quotas ({use.quota.code} in {use.region})"
            )
    return ""
