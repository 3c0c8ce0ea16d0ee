# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List prices in USD of what is estimated without a bill: those of us-east-1, July 2026, which other regions exceed by up to a third."""

from __future__ import annotations

MONTH_HOURS = 730.0
"""Hours of a month, as AWS counts them for prices by the month."""

VOLUME_GIB_MONTH = {"gp3": 0.08, "gp2": 0.10, "io1": 0.125, "io2": 0.125, "st1": 0.045, "sc1": 0.015, "standard": 0.05}
GP3_IOPS_MONTH, GP3_FREE_IOPS = 0.005, 3000
GP3_MIBS_MONTH, GP3_FREE_MIBS = 0.04, 125
IO_IOPS_MONTH = 0.065
SNAPSHOT_GIB_MONTH = 0.05
ADDRESS_HOUR = 0.005
BALANCER_HOUR = {"application": 0.0225, "network": 0.0225, "gateway": 0.0125, "classic": 0.025}


def volume_month(kind: str, size: int, iops: int | None = None, throughput: int | None = None) -> float:
    """USD a month for a volume of ``size`` GiB, with its IOPS and its MiB/s; an unknown kind counts as gp3."""
    usd = VOLUME_GIB_MONTH.get(kind, VOLUME_GIB_MONTH["gp3"]) * size
    if kind == "gp3":
        usd += GP3_IOPS_MONTH * max(0, (iops or 0) - GP3_FREE_IOPS) + GP3_MIBS_MONTH * max(0, (throughput or 0) - GP3_FREE_MIBS)
    if kind in ("io1", "io2"):
        usd += IO_IOPS_MONTH * (iops or 0)
    return usd
