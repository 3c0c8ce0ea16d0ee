# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is paid for and not used: each finding with its dollars a month and the command that mends it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.spot.platform.plugins.module_utils.engine import prices

DAY = 86400.0
UNATTACHED_VOLUME, OLD_GENERATION, UNATTACHED_ADDRESS, OLD_SNAPSHOT, IDLE_BALANCER, OVERSIZED = KINDS = (
    "volume.unattached",
    "volume.gp2",
    "address.unattached",
    "snapshot.old",
    "balancer.idle",
    "instance.oversized",
)
SIZES = ("nano", "micro", "small", "medium", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "16xlarge", "32xlarge")
"""Each has twice the vCPUs of the one before it, from large on."""
HALF = {"12xlarge": "6xlarge", "6xlarge": "3xlarge", "24xlarge": "12xlarge", "48xlarge": "24xlarge", "18xlarge": "9xlarge", "9xlarge": "4xlarge"}
"""The sizes outside of that row, and about half of each."""
GP2_THROUGHPUT_FROM = 334
"""GiB from which on gp2 has its 250 MiB/s always."""
LEAST_HOURS = 24
"""Hours of utilisation that are needed to call an instance over-sized."""


@dataclass(frozen=True)
class Finding:
    """Something to mend. ``usd_month``: what mending it saves; ``at_most``: that it may be less. ``reasons``: with the figures."""

    kind: str
    resource: str
    region: str
    app: str | None
    usd_month: float
    command: str
    reasons: tuple[str, ...]
    at_most: bool = False


@dataclass(frozen=True)
class Volume:
    """``since``: since when it is as it is, as far as that is known, seconds since 1970."""

    id: str
    region: str
    app: str | None
    kind: str
    size: int
    iops: int | None
    throughput: int | None
    attached: bool
    since: float


@dataclass(frozen=True)
class Snapshot:
    """``in_use``: by an image of the account."""

    id: str
    region: str
    app: str | None
    size: int
    made: float
    in_use: bool


@dataclass(frozen=True)
class Address:
    """An Elastic IP address."""

    id: str
    region: str
    app: str | None
    ip: str


@dataclass(frozen=True)
class Balancer:
    """``targets``: how many are registered in all its target groups. ``answers``: whether listeners answer by themselves."""

    arn: str
    name: str
    region: str
    app: str | None
    kind: str
    made: float
    targets: int
    answers: bool


@dataclass(frozen=True)
class Instance:
    """An On-Demand instance that is in no group. ``hourly``: the mean CPU utilisation of each hour, in percent; ``peak``: the highest of a
    period of CloudWatch."""

    id: str
    region: str
    app: str | None
    kind: str
    hourly: Sequence[float]
    peak: float


def unattached_volumes(volumes: Iterable[Volume], now: float, days: float) -> list[Finding]:
    """Those that nobody has had for so many days."""
    found = []
    for one in volumes:
        age = (now - one.since) / DAY
        if one.attached or age < days:
            continue
        usd = prices.volume_month(one.kind, one.size, one.iops, one.throughput)
        why = (f"{one.size} GiB of {one.kind}, attached to nothing, {age:.0f} days old", "make a snapshot first where its data may be needed")
        command = f"aws ec2 delete-volume --region {one.region} --volume-id {one.id}"
        found.append(Finding(UNATTACHED_VOLUME, one.id, one.region, one.app, usd, command, why))
    return found


def old_generations(volumes: Iterable[Volume]) -> list[Finding]:
    """Attached volumes of gp2 that cost less as gp3 with no fewer IOPS, and with the throughput that gp2 always has."""
    found = []
    for one in volumes:
        if one.kind != "gp2" or not one.attached:
            continue
        iops = max(prices.GP3_FREE_IOPS, min(16000, 3 * one.size))
        throughput = 250 if one.size >= GP2_THROUGHPUT_FROM else prices.GP3_FREE_MIBS
        saved = prices.volume_month("gp2", one.size) - prices.volume_month("gp3", one.size, iops, throughput)
        if saved <= 0:
            continue
        command = (
            f"aws ec2 modify-volume --region {one.region} --volume-id {one.id} --volume-type gp3 --iops {iops} --throughput {throughput}"
        )
        why = (f"{one.size} GiB of gp2; gp3 with {iops} IOPS and {throughput} MiB/s costs less", "the volume stays in use meanwhile")
        found.append(Finding(OLD_GENERATION, one.id, one.region, one.app, saved, command, why))
    return found


def unattached_addresses(addresses: Iterable[Address]) -> list[Finding]:
    """Those that are associated with nothing; ``addresses`` are."""
    return [
        Finding(
            UNATTACHED_ADDRESS,
            one.id,
            one.region,
            one.app,
            prices.ADDRESS_HOUR * prices.MONTH_HOURS,
            f"aws ec2 release-address --region {one.region} --allocation-id {one.id}",
            (f"the address {one.ip} is associated with nothing", "once released, it cannot be had again"),
        )
        for one in addresses
    ]


def old_snapshots(snapshots: Iterable[Snapshot], now: float, days: float) -> list[Finding]:
    """Those that are older than so many days and that no image of the account needs."""
    found = []
    for one in snapshots:
        age = (now - one.made) / DAY
        if one.in_use or age < days:
            continue
        why = (f"{age:.0f} days old, of a volume of {one.size} GiB", "a snapshot holds only what changed since the one before, so it may cost less")
        command = f"aws ec2 delete-snapshot --region {one.region} --snapshot-id {one.id}"
        found.append(Finding(OLD_SNAPSHOT, one.id, one.region, one.app, prices.SNAPSHOT_GIB_MONTH * one.size, command, why, at_most=True))
    return found


def idle_balancers(balancers: Iterable[Balancer], now: float) -> list[Finding]:
    """Those that are a day old, have no target and answer nothing by themselves."""
    found = []
    for one in balancers:
        if one.targets or one.answers or now - one.made < DAY:
            continue
        usd = prices.BALANCER_HOUR.get(one.kind, prices.BALANCER_HOUR["application"]) * prices.MONTH_HOURS
        command = f"aws elbv2 delete-load-balancer --region {one.region} --load-balancer-arn {one.arn}"
        why = (f"the load balancer {one.name} has no targets, and {(now - one.made) / DAY:.0f} days",)
        found.append(Finding(IDLE_BALANCER, one.name, one.region, one.app, usd, command, why))
    return found


def oversized_instances(instances: Iterable[Instance], on_demand: Mapping[str, float], percent: float) -> list[Finding]:
    """Those that half the size would do for: no hour was busy for more than ``percent`` of the CPU, and the peak is not above twice that.

    ``on_demand``: USD an hour by type in their region. Of memory nothing is known.
    """
    found = []
    for one in instances:
        smaller = half_of(one.kind)
        if smaller not in on_demand or one.kind not in on_demand or len(one.hourly) < LEAST_HOURS:
            continue
        busiest = max(one.hourly)
        if busiest > percent or one.peak > 2 * percent:
            continue
        usd = (on_demand[one.kind] - on_demand[smaller]) * prices.MONTH_HOURS
        if usd <= 0:
            continue
        where = f"--region {one.region} --instance-id"
        command = (
            f"aws ec2 stop-instances --region {one.region} --instance-ids {one.id} && "
            f"aws ec2 wait instance-stopped --region {one.region} --instance-ids {one.id} && "
            f"aws ec2 modify-instance-attribute {where} {one.id} --instance-type Value={smaller} && "
            f"aws ec2 start-instances --region {one.region} --instance-ids {one.id}"
        )
        why = (
            f"in {math.ceil(len(one.hourly) / 24)} days no hour took more than {busiest:.0f} % of the CPU of {one.kind}, and the peak was {one.peak:.0f} %",
            f"{smaller} costs {on_demand[smaller]:g} in place of {on_demand[one.kind]:g} USD an hour; look at its memory first, which is not known here",
        )
        found.append(Finding(OVERSIZED, one.id, one.region, one.app, usd, command, why))
    return found


def half_of(kind: str) -> str | None:
    """The type of the same family with half the size; ``None`` where there is none, or none is known."""
    family, _dot, size = kind.partition(".")
    if size in HALF:
        return f"{family}.{HALF[size]}"
    if size in SIZES[1:]:
        return f"{family}.{SIZES[SIZES.index(size) - 1]}"
    return None


def sorted_findings(findings: Iterable[Finding], least_usd: float) -> list[Finding]:
    """Those that save at least so much a month, the dearest first."""
    kept = [one for one in findings if one.usd_month >= least_usd]
    return sorted(kept, key=lambda one: (-one.usd_month, one.kind, one.region, one.resource))
