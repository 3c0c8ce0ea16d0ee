# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names in Route 53 that lead to an application's load balancers, by the capacity that serves in each region.

A name has one alias record a region, known as ours by its identifier, ``spot.platform/<environment>/<region>``; no
other record is ever touched. botocore itself repeats a call that is throttled, or refused because the zone's last
change is not complete (``PriorRequestNotComplete``).

IAM actions: ``route53:ListHostedZonesByName`` (for zones given by name), ``route53:ListResourceRecordSets``,
``route53:ChangeResourceRecordSets``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.aws.balancers import Balancer
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors
from ansible_collections.spot.platform.plugins.module_utils.engine import routing

PREFIX = "spot.platform"
NARROW = 5
"""Names up to which each is looked up by itself; for more, the whole zone is read, 300 record sets a page."""
BATCH_CHANGES = 1000
BATCH_CHARACTERS = 32000
"""What one batch may hold. AWS counts an UPSERT twice (https://docs.aws.amazon.com/Route53/latest/APIReference/
API_ChangeResourceRecordSets.html)."""
ROUTING_FIELDS = {routing.WEIGHTED: "Weight", routing.LATENCY: "Region"}


@dataclass(frozen=True)
class Target:
    """A region that the name may lead to: its units in service, ``None`` where it could not be observed, and its load
    balancer, ``None`` where that is not known: then a record that is there keeps its own."""

    region: str
    serving: int | None
    balancer: Balancer | None = None


@dataclass(frozen=True)
class Record:
    """A name of ``app`` and what it may lead to. ``zone``: id or name of the hosted zone; ``policy``: ``weighted`` or ``latency``.

    Our records of regions that are not among the targets go; without targets, all of ours (offboarding).
    """

    zone: str
    name: str
    policy: str
    app: str
    environment: str
    targets: tuple[Target, ...] = ()
    unit: str = "units"
    tolerance: float = 0.1

    def identifier(self, region: str) -> str:
        """By which the record of ``region`` is known as ours."""
        return f"{PREFIX}/{self.environment}/{region}"


@dataclass(frozen=True)
class Change:
    """What becomes of a name. ``before`` and ``after``: our records by region, as ``{"dns_name", "weight"}``, with a
    weight where they are weighted. ``error``: why it was not done; then nothing of the name was changed."""

    record: Record
    before: Mapping[str, Mapping[str, Any]]
    after: Mapping[str, Mapping[str, Any]]
    reasons: tuple[str, ...] = ()
    error: str | None = None
    batch: tuple[Mapping[str, Any], ...] = ()

    @property
    def changed(self) -> bool:
        """Whether records were, or in check mode would be, written."""
        return bool(self.batch) and self.error is None


def follow(clients: Clients, wanted: Sequence[Record], act: bool) -> list[Change]:
    """Let the names follow what serves; a `Change` for each of ``wanted``, in their order.

    For each zone it takes a list request a page, one more where the zone is given by name, and one change request where
    anything is to be changed (none without ``act``). What fails for a name or a zone is in its changes' ``error``.
    """
    client = clients.get("route53")
    by_zone: dict[str, list[int]] = defaultdict(list)
    for number, record in enumerate(wanted):
        by_zone[record.zone].append(number)
    parts = side_by_side(
        lambda zone: _follow_zone(client, zone, [wanted[number] for number in by_zone[zone]], act), by_zone
    )
    found = dict(pair for zone, part in zip(by_zone, parts) for pair in zip(by_zone[zone], part))
    return [found[number] for number in range(len(wanted))]


def _follow_zone(client: Any, zone: str, records: Sequence[Record], act: bool) -> list[Change]:
    try:
        zone_id = find_zone(client, zone)
        present = observe(client, zone_id, {record.name for record in records})
    except (AwsError, ValueError) as error:
        return [Change(record, {}, {}, error=str(error)) for record in records]
    times = Counter(_plain(record.name) for record in records)
    changes = [_decide(record, present.get(_plain(record.name), []), times) for record in records]
    if not act:
        return changes
    failed: dict[int, str] = {}
    for part in _batches([number for number, change in enumerate(changes) if change.changed], changes):
        failed |= _carry_out(client, zone_id, part, changes)
    return [
        replace(change, after=change.before, error=failed[number]) if number in failed else change
        for number, change in enumerate(changes)
    ]


# Observe


def find_zone(client: Any, zone: str) -> str:
    """The id of a hosted zone given by id or name; of several of one name the public one.

    Raises ``ValueError`` for a name that no zone has, or several public ones.
    """
    if "." not in zone:
        return zone.rpartition("/")[2]
    found = [one for one in list_hosted_zones_by_name(client, zone) if _plain(one["Name"]) == _plain(zone)]
    public = [one for one in found if not one.get("Config", {}).get("PrivateZone")] or found
    if len(public) > 1:
        ids = ", ".join(sorted(one["Id"].rpartition("/")[2] for one in public))
        raise ValueError(f"there are {len(public)} hosted zones {zone} ({ids}): give the id of one")
    if not public:
        raise ValueError(f"there is no hosted zone {zone}: create it, or give the id of the one that is meant")
    return public[0]["Id"].rpartition("/")[2]


def observe(client: Any, zone_id: str, names: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """The record sets of each of ``names``, whosever they are, by the name in small letters without a full stop."""
    plain = {_plain(name) for name in names}
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    if len(plain) <= NARROW:
        sets = [one for name in sorted(plain) for one in list_record_sets_of(client, zone_id, name)]
    else:
        sets = list_record_sets(client, zone_id)
    for one in sets:
        if _plain(one["Name"]) in plain:
            found[_plain(one["Name"])].append(one)
    return found


def _plain(name: str) -> str:
    """A DNS name in one form. Route 53 writes an asterisk as an octal code."""
    return name.lower().rstrip(".").replace("\\052", "*")


# Decide


def _decide(record: Record, present: Sequence[Mapping[str, Any]], times: Mapping[str, int]) -> Change:
    """What becomes of the name, whose record sets are ``present``."""
    ours = {_region(record, one): one for one in present if _region(record, one)}
    before = {region: _shown(ours[region]) for region in sorted(ours)}
    try:
        if times[_plain(record.name)] > 1:
            raise ValueError(f"the name {record.name} is wanted {times[_plain(record.name)]} times: give it to one app")
        after, reasons = _wanted(record, ours)
        gone = [region for region in sorted(ours) if region not in after]
        _refuse_foreign(record, [one for one in present if _region(record, one) not in {*after, *gone}], after)
    except ValueError as error:
        return Change(record, before, before, error=str(error))
    batch = [("DELETE", ours[region]) for region in gone]
    for region, wanted in after.items():
        had = ours.get(region)
        if had is None:
            batch.append(("CREATE", wanted))
        elif _policy(had) != _policy(wanted):  # it cannot be changed in place
            batch[:0] = [("DELETE", had)]
            batch.append(("CREATE", wanted))
        elif had != wanted:
            batch.append(("UPSERT", wanted))
    shown = {region: _shown(after[region]) for region in sorted(after)}
    return Change(
        record,
        before,
        shown,
        tuple(reasons),
        batch=tuple({"Action": action, "ResourceRecordSet": one} for action, one in batch),
    )


def _wanted(record: Record, ours: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    """Our record sets as they shall be, by region, and why."""
    reasons = []
    endpoints = []
    for target in record.targets:
        had, present = ours.get(target.region, {}), target.region in ours
        if present or target.balancer is not None:
            endpoints.append(routing.Endpoint(target.region, target.serving, present, had.get("Weight")))
        else:
            reasons.append(f"no load balancer of {target.region} is known: it gets no record")
    decided = routing.decide(endpoints, record.policy, record.tolerance, record.unit)
    reasons += decided.reasons
    balancer = {target.region: target.balancer for target in record.targets}
    after = {
        region: _record_set(record, region, weight, balancer[region], ours.get(region, {}))
        for region, weight in decided.weights.items()
    }
    if record.targets and not after:
        reasons.append("no region can have a record: those that are there stay")
        return dict(ours), reasons
    for region in sorted(set(ours) - set(balancer)):
        reasons.append(f"{region} is not among the regions: its record goes")
    return after, reasons


def _record_set(
    record: Record, region: str, weight: int | None, balancer: Balancer | None, had: Mapping[str, Any]
) -> dict[str, Any]:
    """A record set of ours; what somebody added to the one that we ``had``, such as a health check, stays."""
    fresh = {"Name": record.name, "Type": "A", "SetIdentifier": record.identifier(region)}
    found = {**fresh, **{key: value for key, value in had.items() if key not in ROUTING_FIELDS.values()}}
    found |= {"Region": region} if weight is None else {"Weight": weight}
    if balancer is not None:
        alias = {"HostedZoneId": balancer.zone_id, "DNSName": balancer.dns_name, "EvaluateTargetHealth": True}
        found = {key: value for key, value in found.items() if key not in ("TTL", "ResourceRecords")}
        if _target(alias) != _target(had.get("AliasTarget", {})):
            found["AliasTarget"] = alias
    return found


def _target(alias: Mapping[str, Any]) -> tuple[Any, ...]:
    return alias.get("HostedZoneId"), _plain(alias.get("DNSName", "")), alias.get("EvaluateTargetHealth")


def _refuse_foreign(record: Record, others: Iterable[Mapping[str, Any]], after: Mapping[str, Any]) -> None:
    """Raises ``ValueError`` where a record set that is not ours to change leaves no place for ours."""
    for one in others if after else ():
        what = f"{one['Name']} has a record of type {one['Type']}"
        if one["Type"] == "CNAME" or (one["Type"] == "A" and "SetIdentifier" not in one):
            raise ValueError(f"{what} that is not ours: delete it, or choose another name for the application")
        if one["Type"] == "A" and ROUTING_FIELDS[record.policy] not in one:
            raise ValueError(
                f"{what} ({one['SetIdentifier']}) that is not ours and not {record.policy}: Route 53 allows one policy "
                "for a name; delete it, or use its policy"
            )


def _region(record: Record, one: Mapping[str, Any]) -> str | None:
    """The region of a record set that is ours; ``None`` for any other."""
    start = record.identifier("")
    identifier = one.get("SetIdentifier", "")
    return identifier.removeprefix(start) or None if one["Type"] == "A" and identifier.startswith(start) else None


def _policy(one: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(field for field in ROUTING_FIELDS.values() if field in one)


def _shown(one: Mapping[str, Any]) -> dict[str, Any]:
    """A record set as an activity event tells of it."""
    shown = {"dns_name": _plain(one.get("AliasTarget", {}).get("DNSName", ""))}
    return {**shown, "weight": one["Weight"]} if "Weight" in one else shown


# Act


def _batches(numbers: Sequence[int], changes: Sequence[Change]) -> list[list[int]]:
    """The ``changes`` of these ``numbers`` in as few parts as one request each can hold; a name is never divided."""
    parts: list[list[int]] = []
    count = length = 0
    for number in numbers:
        times = [(1 + (one["Action"] == "UPSERT"), one["ResourceRecordSet"]) for one in changes[number].batch]
        more = sum(each for each, _one in times)
        longer = sum(each * len(one.get("AliasTarget", {}).get("DNSName", "")) for each, one in times)
        if not parts or count + more > BATCH_CHANGES or length + longer > BATCH_CHARACTERS:
            parts.append([])
            count = length = 0
        parts[-1].append(number)
        count, length = count + more, length + longer
    return parts


def _carry_out(client: Any, zone_id: str, numbers: Sequence[int], changes: Sequence[Change]) -> dict[int, str]:
    """Write the ``changes`` of these ``numbers``; why those failed that did.

    A batch is refused whole: then each name is tried by itself, so that one does not keep the others.
    """
    try:
        change_record_sets(client, zone_id, [one for number in numbers for one in changes[number].batch])
    except AwsError as error:
        if error.code != "InvalidChangeBatch" or len(numbers) == 1:
            return {number: str(error) for number in numbers}
        alone = [_carry_out(client, zone_id, [number], changes) for number in numbers]
        return {number: why for one in alone for number, why in one.items()}
    return {}


@Errors.common_error_handler("list the hosted zones")
def list_hosted_zones_by_name(client: Any, name: str) -> list[dict[str, Any]]:
    """ListHostedZonesByName from ``name`` on, one page: those of that name come first."""
    return client.list_hosted_zones_by_name(DNSName=name)["HostedZones"]


@Errors.common_error_handler("list the record sets")
def list_record_sets(client: Any, zone_id: str) -> list[dict[str, Any]]:
    """ListResourceRecordSets of a whole zone, all pages."""
    pages = client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone_id)
    return [one for page in pages for one in page["ResourceRecordSets"]]


@Errors.common_error_handler("list the record sets")
def list_record_sets_of(client: Any, zone_id: str, name: str) -> list[dict[str, Any]]:
    """ListResourceRecordSets from ``name`` on, as far as it is that name."""
    pages = client.get_paginator("list_resource_record_sets").paginate(HostedZoneId=zone_id, StartRecordName=name)
    found: list[dict[str, Any]] = []
    for page in pages:
        same = [one for one in page["ResourceRecordSets"] if _plain(one["Name"]) == name]
        found += same
        if len(same) < len(page["ResourceRecordSets"]):
            break
    return found


@Errors.common_error_handler("change the record sets")
def change_record_sets(client: Any, zone_id: str, changes: Sequence[Mapping[str, Any]]) -> None:
    """ChangeResourceRecordSets: all of ``changes``, or none."""
    client.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch={"Changes": list(changes)})
