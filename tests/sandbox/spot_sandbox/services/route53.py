"""Route 53: a batch of changes is carried out whole or not at all, contradictions are refused, lists are paged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.core.utils import utcnow
from moto.route53.exceptions import DnsNameInvalidForZone, InvalidActionValue, Route53ClientError
from moto.route53.models import RecordSet, reverse_domain_name
from moto.route53.responses import Route53
from moto.route53.utils import validate_domain_name

PAGE = 300
RECORDS = 1000
"""Resource records that one batch may have; those of an UPSERT count twice."""
ROUTING = ("weight", "region", "failover", "geo_location", "multi_value_answer")
"""By which of several records of one name Route 53 chooses."""
Key = tuple[str, str, str]


class InvalidChangeBatch(Route53ClientError):
    def __init__(self, problems: Iterable[str]) -> None:
        super().__init__("InvalidChangeBatch", f"[{', '.join(problems)}]")


class HostedZones(Route53):
    """moto deletes by the identifier alone, whatever the name, pages by name and type alone, and refuses little."""

    def change_resource_record_sets(self) -> ActionResult:
        zone = self.backend.get_hosted_zone(self._get_param("HostedZoneId"))
        changes = self._get_param("ChangeBatch.Changes")
        counted = sum(
            len(change["ResourceRecordSet"].get("ResourceRecords") or ()) * (1 + (change["Action"] == "UPSERT"))
            for change in changes
        )
        if counted > RECORDS:
            raise InvalidChangeBatch([f"Number of records limit of {RECORDS} exceeded."])
        sets = {_key(one): one for one in zone.rrsets}
        problems = [problem for change in changes for problem in _carry_out(sets, change, zone.name)]
        problems = problems or list(_conflicts(sets))
        if problems:
            raise InvalidChangeBatch(problems)
        zone.rrsets = list(sets.values())
        info = {"Id": "/change/C2682N5HXP0BZ4", "Status": "INSYNC", "SubmittedAt": utcnow()}
        return ActionResult({"ChangeInfo": info})

    def list_resource_record_sets(self) -> ActionResult:
        zone = self.backend.get_hosted_zone(self._get_param("HostedZoneId"))
        start = (
            reverse_domain_name((self._get_param("StartRecordName") or "").lower()),
            self._get_param("StartRecordType") or "",
            self._get_param("StartRecordIdentifier") or "",
        )
        found = sorted((one for one in zone.rrsets if _place(one) >= start), key=_place)
        size = min(PAGE, self._get_int_param("MaxItems", PAGE))
        result = {"ResourceRecordSets": found[:size], "IsTruncated": len(found) > size, "MaxItems": size}
        for after in found[size : size + 1]:
            result["NextRecordName"], result["NextRecordType"] = after.name, after.type
            result["NextRecordIdentifier"] = after.set_identifier
        return ActionResult(result)


def _key(one: RecordSet) -> Key:
    return one.name, one.type, one.set_identifier or ""


def _place(one: RecordSet) -> Key:
    """AWS sorts by the labels of the name from the right."""
    return reverse_domain_name(one.name), one.type, one.set_identifier or ""


def _absolute(name: str) -> str:
    return name.lower().rstrip(".") + "."


def _record_set(given: Mapping[str, Any]) -> RecordSet:
    """As AWS keeps it: names in small letters, with the full stop."""
    kept = {**given, "Name": _absolute(given["Name"])}
    if given.get("ResourceRecords"):
        kept["ResourceRecords"] = [record["Value"] for record in given["ResourceRecords"]]
    if given.get("AliasTarget"):
        kept["AliasTarget"] = {**given["AliasTarget"], "DNSName": _absolute(given["AliasTarget"]["DNSName"])}
    return RecordSet(kept)


def _carry_out(sets: dict[Key, RecordSet], change: Mapping[str, Any], zone: str) -> Iterable[str]:
    """One change, made in ``sets``; what AWS would have against it."""
    wanted, action = _record_set(change["ResourceRecordSet"]), change["Action"]
    key, present = _key(wanted), sets.get(_key(wanted))
    validate_domain_name(wanted.name, code="InvalidChangeBatch")
    if action not in ("CREATE", "UPSERT", "DELETE"):
        raise InvalidActionValue(action)
    if wanted.name != _absolute(zone) and not wanted.name.endswith(f".{_absolute(zone)}"):
        raise DnsNameInvalidForZone(name=wanted.name, zone_name=zone)
    what = f"resource record set [name='{wanted.name}', type='{wanted.type}'"
    what += f", set identifier='{wanted.set_identifier}']" if wanted.set_identifier else "]"
    if action == "CREATE" and present:
        yield f"Tried to create {what} but it already exists"
    elif action == "DELETE" and not present:
        yield f"Tried to delete {what} but it was not found"
    elif action == "DELETE" and vars(present) != vars(wanted):
        yield f"Tried to delete {what} but the values provided do not match the current values"
    elif action == "DELETE":
        del sets[key]
    else:
        sets[key] = wanted


def _conflicts(sets: Mapping[Key, RecordSet]) -> Iterable[str]:
    """What cannot stand side by side under one name."""
    by_name: dict[str, list[RecordSet]] = {}
    for one in sets.values():
        by_name.setdefault(one.name, []).append(one)
    for name, several in by_name.items():
        types = sorted({one.type for one in several})
        if "CNAME" in types and len(types) > 1:
            other = min(kind for kind in types if kind != "CNAME")
            yield (
                f"RRSet of type CNAME with DNS name {name} is not permitted because a conflicting RRSet of type "
                f"{other} with the same DNS name already exists"
            )
        for kind in types:
            same = [one for one in several if one.type == kind]
            policies = {tuple(field for field in ROUTING if getattr(one, field) is not None) for one in same}
            if len(same) > 1 and (len(policies) > 1 or not all(one.set_identifier for one in same)):
                yield (
                    f"RRSet with DNS name {name}, type {kind} cannot be created as other RRSets exist with the same "
                    "name and type"
                )


RESPONSES = {"route53": HostedZones}
