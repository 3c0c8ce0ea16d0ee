"""What ran, as lines of a bill: of each day, what was used by whom, and what that costs.

Instances are billed by the second from their records, at the market's prices. Volumes, snapshots, addresses and load balancers are
looked at when something changes, at most once in five minutes, and at each question: what was there at the look before is billed until then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends

from spot_sandbox import ACCOUNT, clock
from spot_sandbox.billing import usage_type
from spot_sandbox.services.history import cost
from spot_sandbox.services.instances import records

COMPUTE, OTHER, BALANCING, VPC = (
    "Amazon Elastic Compute Cloud - Compute",
    "EC2 - Other",
    "Amazon Elastic Load Balancing",
    "Amazon Virtual Private Cloud",
)
ON_DEMAND, SPOT = "On Demand Instances", "Spot Instances"
MONTH_HOURS, HOUR, DAY = 730.0, 3600.0, 86400.0
GIB_MONTH = {"gp3": 0.08, "gp2": 0.10, "io1": 0.125, "io2": 0.125, "st1": 0.045, "sc1": 0.015, "standard": 0.05}
"""USD, those of us-east-1, in every region."""
SNAPSHOT_GIB_MONTH, BALANCER_HOUR, ADDRESS_HOUR = 0.05, 0.0225, 0.005
EVERY = 300.0
"""Sandbox seconds between two looks, at least."""

Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Line:
    """What was used of one thing on a day. ``amount`` in USD, ``usage`` in hours or GiB-months."""

    day: date
    service: str
    region: str
    purchase: str
    usage_type: str
    amount: float
    usage: float
    tags: Tags = ()
    account: str = ACCOUNT
    instance_type: str = "NoInstanceType"
    record_type: str = "Usage"

    def dimension(self, name: str) -> str:
        """The value of one of Cost Explorer's dimensions. Raises ``KeyError`` for one that is not here."""
        return {
            "SERVICE": self.service,
            "REGION": self.region,
            "PURCHASE_TYPE": self.purchase,
            "USAGE_TYPE": self.usage_type,
            "INSTANCE_TYPE": self.instance_type,
            "LINKED_ACCOUNT": self.account,
            "RECORD_TYPE": self.record_type,
        }[name]


_kept: dict[tuple[date, str, str, str, Tags], list[float]] = defaultdict(lambda: [0.0, 0.0])
"""By day, service, region, usage type without the region's code, and tags: USD and usage of what is looked at."""
injected: list[Line] = []
_there: dict[tuple[str, str, str, Tags], list[float]] = {}
"""What was there at the last look, by region, service, usage type and tags: USD and usage an hour."""
_last = 0.0


def reset() -> None:
    global _last
    _kept.clear()
    _there.clear()
    injected.clear()
    _last = clock.time()


def note() -> None:
    """Look, if it is time to."""
    if clock.time() - _last >= EVERY:
        look()


def look() -> None:
    """Bill what was there since the look before."""
    global _last
    begin, end = _last, clock.time()
    _last = end
    spans = list(_days(begin, end))
    for (region, service, what, tags), (usd, usage) in _there.items():
        for day, seconds in spans:
            entry = _kept[day, service, region, what, tags]
            entry[0] += usd * seconds / HOUR
            entry[1] += usage * seconds / HOUR
    _there.clear()
    for region in list(ec2_backends[ACCOUNT]):
        for service, what, tags, usage, price in _present(region):
            entry = _there.setdefault((region, service, what, tags), [0.0, 0.0])
            entry[0] += price * usage
            entry[1] += usage


def _present(region: str) -> Iterator[tuple[str, str, Tags, float, float]]:
    """Service, usage type, tags, usage an hour, and USD for one of it, of what is there."""
    ec2 = ec2_backends[ACCOUNT][region]
    for volume in ec2.volumes.values():
        kind = volume.volume_type
        yield OTHER, f"EBS:VolumeUsage.{kind}", _tags(ec2, volume.id), volume.size / MONTH_HOURS, GIB_MONTH[kind]
    for one in ec2.snapshots.values():
        if one.owner_id == ACCOUNT:
            yield OTHER, "EBS:SnapshotUsage", _tags(ec2, one.id), one.volume.size / MONTH_HOURS, SNAPSHOT_GIB_MONTH
    for address in ec2.addresses:
        used = "InUse" if address.instance or address.eni else "Idle"
        yield VPC, f"PublicIPv4:{used}Address", _tags(ec2, address.id), 1.0, ADDRESS_HOUR
    balancers = elbv2_backends[ACCOUNT][region]
    for arn in balancers.load_balancers:
        tags = balancers.tagging_service.get_tag_dict_for_resource(arn)
        yield BALANCING, "LoadBalancerUsage", tuple(sorted(tags.items())), 1.0, BALANCER_HOUR


def _tags(ec2: Any, name: str | None) -> Tags:
    return tuple(sorted(ec2.tags.get(name, {}).items()))


def _days(begin: float, end: float) -> Iterator[tuple[date, float]]:
    """The days from ``begin`` to ``end`` with the seconds of each."""
    while begin < end:
        day = datetime.fromtimestamp(begin, timezone.utc).date()
        stop = min(end, midnight(day + timedelta(days=1)))
        yield day, stop - begin
        begin = stop


def midnight(day: date) -> float:
    """Its beginning, in UTC."""
    return datetime.combine(day, time(), timezone.utc).timestamp()


_whole_days: dict[tuple[tuple[str, str, str, str], date], float] = {}


def _instance_cost(pool: tuple[str, str, str, str], day: date, begin: float, end: float, now: float) -> float:
    if end - begin < DAY or midnight(day) + DAY > now:
        return cost(*pool, begin, end)
    if (pool, day) not in _whole_days:
        _whole_days[pool, day] = cost(*pool, begin, end)
    return _whole_days[pool, day]


def lines(first: date, last: date) -> Iterator[Line]:
    """The lines from ``first`` to ``last``, both with them."""
    look()
    now = clock.time()
    since, until = midnight(first), min(now, midnight(last) + DAY)
    _whole_days.clear()
    for one in records.ALL:
        begin, end = max(since, one.launched), min(until, one.ended or now)
        region, _zone, kind, lifecycle = one.pool
        kind_of_hours = usage_type(region, f"{'SpotUsage' if lifecycle == 'spot' else 'BoxUsage'}:{kind}")
        purchase, tags = SPOT if lifecycle == "spot" else ON_DEMAND, tuple(sorted(one.tags.items()))
        for day, seconds in _days(begin, end):
            start = max(begin, midnight(day))
            usd = _instance_cost(one.pool, day, start, start + seconds, now)
            yield Line(day, COMPUTE, region, purchase, kind_of_hours, usd, seconds / HOUR, tags, instance_type=kind)
    for (day, service, region, what, tags), (usd, usage) in _kept.items():
        if first <= day <= last:
            yield Line(day, service, region, ON_DEMAND, usage_type(region, what), usd, usage, tags)
    yield from (line for line in injected if first <= line.day <= last)


clock.changed_hooks.append(note)
