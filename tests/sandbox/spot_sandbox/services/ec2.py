"""EC2's market: Spot prices, placement scores, instance types and where they are offered.

Answers here run to thousands of rows, so they are written as text, not through moto's serialiser.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape

from moto.core.utils import get_service_model
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.instance_types import INSTANCE_TYPES, InstanceType
from moto.ec2.responses import EC2Response

from spot_sandbox import clock, market, pools

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
SCORE_CONFIGURATIONS = 50
"""How many different placement score requests an account may make in 24 hours; AWS does not publish its figure."""

LOW_SCORE = 3
"""The most that fewer than three instance types score."""

_configurations: dict[str, float] = {}


def reset() -> None:
    _configurations.clear()


class Market(EC2Response):
    """The calls about types and prices."""

    def describe_spot_price_history(self) -> str:
        params = self.params
        filters = self._filters(
            {
                "availability-zone",
                "availability-zone-id",
                "instance-type",
                "product-description",
                "spot-price",
                "timestamp",
            }
        )
        products = list(params.get("ProductDescriptions") or []) + filters.pop("product-description", [])
        types = _known_types(params.get("InstanceTypes") or [])
        page = Page(params, default=1000, least=1, most=1000)
        now = clock.now()
        end = _aware(params.get("EndTime")) or now
        start = _aware(params.get("StartTime")) or now - market.HISTORY
        if page.state:  # the time that the first page was asked at counts for all
            start, end = (datetime.fromtimestamp(t, timezone.utc) for t in page.state["window"])
        if params.get("EndTime") and start > end:
            raise EC2ClientError(
                "InvalidParameterValue", f"StartTime {start.isoformat()} is after EndTime {end.isoformat()}"
            )
        end = min(end, now)
        start = min(max(start, now - market.HISTORY), end)  # a client's clock may be ahead
        zones = market.zones(self.region) if self.region in market.regions() else {}
        if params.get("AvailabilityZone"):
            zones = {z: i for z, i in zones.items() if z == params["AvailabilityZone"]}
        if params.get("AvailabilityZoneId"):
            zones = {z: i for z, i in zones.items() if i == params["AvailabilityZoneId"]}
        zones = {
            z: i
            for z, i in zones.items()
            if passes(z, filters.get("availability-zone")) and passes(i, filters.get("availability-zone-id"))
        }
        if products and not any(fnmatchcase("Linux/UNIX", p.replace(" (Amazon VPC)", "")) for p in products):
            zones = {}
        names = (
            [t for t in types or market.types(self.region) if passes(t, filters.get("instance-type"))] if zones else []
        )
        keys = [(name, zone) for name in sorted(names) for zone in zones]

        def rows(first: int, skip: int) -> Iterator[tuple[int, int, str]]:
            for index in range(first, len(keys)):
                name, zone = keys[index]
                for number, (when, price) in enumerate(market.history(self.region, zone, name, start, end)):
                    if index == first and number < skip:
                        continue
                    text, stamp = f"{price:.6f}", when.strftime("%Y-%m-%dT%H:%M:%S.000Z")
                    if passes(text, filters.get("spot-price")) and passes(stamp, filters.get("timestamp")):
                        yield index, number, (
                            f"<item><instanceType>{name}</instanceType>"
                            "<productDescription>Linux/UNIX</productDescription>"
                            f"<spotPrice>{text}</spotPrice><timestamp>{stamp}</timestamp><availabilityZone>{zone}"
                            f"</availabilityZone><availabilityZoneId>{zones[zone]}</availabilityZoneId></item>"
                        )

        found: list[str] = []
        token = ""
        for index, number, row in rows(page.state.get("key", 0), page.state.get("row", 0)):
            if len(found) == page.size:
                token = page.token({"key": index, "row": number, "window": [start.timestamp(), end.timestamp()]})
                break
            found.append(row)
        return _answer(
            "DescribeSpotPriceHistory", f"<spotPriceHistorySet>{''.join(found)}</spotPriceHistorySet>", token
        )

    def get_spot_placement_scores(self) -> str:
        params = self.params
        target = params.get("TargetCapacity") or 0
        unit = params.get("TargetCapacityUnitType") or "units"
        names, wanted = params.get("InstanceTypes") or [], params.get("InstanceRequirementsWithMetadata")
        regions = list(params.get("RegionNames") or market.regions())
        single = bool(params.get("SingleAvailabilityZone"))
        if bool(names) == bool(wanted):
            raise EC2ClientError(
                "InvalidParameterCombination",
                "Specify either InstanceTypes or InstanceRequirementsWithMetadata, not both.",
            )
        if not 1 <= target <= 2_000_000_000:
            raise EC2ClientError("InvalidParameterValue", f"Invalid value '{target}' for TargetCapacity.")
        if unit not in ("units", "vcpu", "memory-mib"):
            raise EC2ClientError("InvalidParameterValue", f"Invalid value '{unit}' for TargetCapacityUnitType.")
        if len(params.get("RegionNames") or []) > 10:
            raise EC2ClientError("InvalidParameterValue", "RegionNames must have at most 10 items.")
        if unknown := [r for r in regions if r not in market.regions()]:
            raise EC2ClientError("InvalidParameterValue", f"Invalid value '{unknown[0]}' for RegionNames.")
        types = _known_types(names) if names else _matching_types(wanted)
        page = Page(params, default=1000, least=10, most=1000)
        _ration([sorted(names), wanted, target, unit, single, sorted(regions)])
        scores = []
        for region in regions:
            by_zone = {zone: _capacity(region, zone, types, unit) for zone in market.zones(region)}
            if single:
                scores += [(_score(c, target, len(types)), region, market.zones(region)[z]) for z, c in by_zone.items()]
            else:
                scores.append((_score(sum(by_zone.values()), target, len(types)), region, ""))
        scores.sort(key=lambda score: (-score[0], score[1:]))
        rows, token = page.cut(scores[:10])
        items = "".join(
            f"<item><region>{region}</region>{f'<availabilityZoneId>{zone}</availabilityZoneId>' if zone else ''}"
            f"<score>{score}</score></item>"
            for score, region, zone in rows
        )
        return _answer("GetSpotPlacementScores", f"<spotPlacementScoreSet>{items}</spotPlacementScoreSet>", token)

    def describe_instance_types(self) -> str:
        filters = self._filters(None)
        asked = self.params.get("InstanceTypes") or []
        if len(asked) > 100:
            raise EC2ClientError(
                "InvalidParameterValue", f"InstanceTypes has {len(asked)} items; at most 100 are allowed."
            )
        if asked and self.params.get("MaxResults"):
            raise EC2ClientError(
                "InvalidParameterCombination",
                "The parameter InstanceTypes cannot be used with the parameter MaxResults.",
            )
        page = Page(self.params, default=100, least=5, most=100)
        there = market.types(self.region) if self.region in market.regions() else ()
        if unknown := sorted(set(asked) - set(there)):
            raise EC2ClientError(
                "InvalidInstanceType", f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
            )
        names = [name for name in (sorted(asked) or there) if _type_passes(name, filters)]
        rows, token = page.cut(names)
        items = "".join(map(_type_xml, rows))
        return _answer("DescribeInstanceTypes", f"<instanceTypeSet>{items}</instanceTypeSet>", token)

    def describe_instance_type_offerings(self) -> str:
        filters = self._filters({"instance-type", "location"})
        kind = self.params.get("LocationType") or "region"
        page = Page(self.params, default=1000, least=5, most=1000)
        region = self.region
        zones = market.zones(region) if region in market.regions() else {}
        places: dict[str, str | None]
        if kind == "region":
            places = {region: None}
        elif kind == "availability-zone":
            places = {zone: zone for zone in zones}
        elif kind == "availability-zone-id":
            places = {zone_id: zone for zone, zone_id in zones.items()}
        else:
            raise EC2ClientError("InvalidParameterValue", f"Invalid value '{kind}' for LocationType.")
        names = [n for n in (market.types(region) if zones else ()) if passes(n, filters.get("instance-type"))]
        rows = [
            (name, place)
            for place, zone in places.items()
            if passes(place, filters.get("location"))
            for name in names
            if zone is None or market.offered(region, zone, name)
        ]
        chosen, token = page.cut(rows)
        items = "".join(
            f"<item><instanceType>{name}</instanceType><locationType>{kind}</locationType>"
            f"<location>{place}</location></item>"
            for name, place in chosen
        )
        return _answer(
            "DescribeInstanceTypeOfferings", f"<instanceTypeOfferingSet>{items}</instanceTypeOfferingSet>", token
        )

    def _filters(self, known: set[str] | None) -> dict[str, list[str]]:
        filters = {f.get("Name"): f.get("Values") or [] for f in self.params.get("Filters") or []}
        allowed = InstanceType._filter_attributes if known is None else known
        for name in filters:
            if name not in allowed:
                raise EC2ClientError("InvalidParameterValue", f"The filter '{name}' is invalid")
        return filters


RESPONSES = {"ec2": Market}


class Page:
    """MaxResults and NextToken of a request; a token is opaque to the caller and wrong ones are refused."""

    def __init__(self, params: dict[str, Any], default: int, least: int, most: int) -> None:
        size = params.get("MaxResults")
        if size and not least <= size <= most:  # 0 is what some clients send for "not given"
            raise EC2ClientError(
                "InvalidParameterValue",
                f"Value ( {size} ) for parameter maxResults is invalid. Expecting {least} to {most}.",
            )
        self.size = size or default
        self.state: dict[str, Any] = {}
        if params.get("NextToken"):
            try:
                self.state = json.loads(base64.urlsafe_b64decode(params["NextToken"]))
                if not isinstance(self.state, dict):
                    raise ValueError
            except ValueError:
                raise EC2ClientError("InvalidNextToken", "The specified next token is invalid.") from None

    @staticmethod
    def token(state: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(state).encode()).decode()

    def cut(self, rows: Sequence[Any]) -> tuple[Sequence[Any], str]:
        """The rows of this page, and the token of the next."""
        start = int(self.state.get("start", 0))
        stop = start + self.size
        return rows[start:stop], self.token({"start": stop}) if stop < len(rows) else ""


def _answer(operation: str, inner: str, token: str) -> str:
    following = f"<nextToken>{token}</nextToken>" if token else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><{operation}Response xmlns="{NAMESPACE}">'
        f"<requestId>00000000-0000-0000-0000-000000000000</requestId>{inner}{following}</{operation}Response>"
    )


def _aware(moment: Any) -> datetime | None:
    if moment is None or moment == "":
        return None
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def passes(value: str, patterns: list[str] | None) -> bool:
    """EC2's filters: any of the values, ``*`` and ``?`` stand for any text and any character."""
    return patterns is None or any(value == p or fnmatchcase(value, p.replace("[", "[[]")) for p in patterns)


def _known_types(names: list[str]) -> list[str]:
    if unknown := sorted(name for name in names if name not in INSTANCE_TYPES):
        raise EC2ClientError("InvalidParameterValue", f"Invalid instance type: '{unknown[0]}'")
    return list(dict.fromkeys(names))


def _type_passes(name: str, filters: dict[str, list[str]]) -> bool:
    if not filters:
        return True
    info = _instance_type(name)
    for key, patterns in filters.items():
        value = info.get_filter_value(key)
        values = value if isinstance(value, list) else [value]
        if not any(passes(str(v), patterns) for v in values if v is not None):
            return False
    return True


@lru_cache(maxsize=None)
def _instance_type(name: str) -> InstanceType:
    return InstanceType(name)


@lru_cache(maxsize=None)
def _type_xml(name: str) -> str:
    return f"<item>{_xml(INSTANCE_TYPES[name], get_service_model('ec2').shape_for('InstanceTypeInfo'))}</item>"


def _xml(value: Any, shape: Any) -> str:
    """The EC2 protocol's form of a value, by botocore's model."""
    if shape.type_name == "structure":
        parts = []
        for name, member in shape.members.items():
            if value.get(name) is not None:
                tag = member.serialization.get("name", name)
                parts.append(f"<{tag}>{_xml(value[name], member)}</{tag}>")
        return "".join(parts)
    if shape.type_name == "list":
        return "".join(f"<item>{_xml(item, shape.member)}</item>" for item in value)
    return str(value).lower() if isinstance(value, bool) else escape(str(value))


def _ration(configuration: list[Any]) -> None:
    """Refuse a new configuration where the account had its number in the last 24 hours."""
    now = clock.time()
    for key, when in list(_configurations.items()):
        if when < now - 86400:
            del _configurations[key]
    key = hashlib.sha256(json.dumps(configuration, sort_keys=True, default=str).encode()).hexdigest()
    if key not in _configurations and len(_configurations) >= SCORE_CONFIGURATIONS:
        raise EC2ClientError(
            "MaxConfigLimitExceeded",
            "You have exceeded your maximum allowed Spot placement configurations. You can retry configurations "
            "that you used within the last 24 hours, or wait for 24 hours before specifying a new configuration.",
        )
    _configurations.setdefault(key, now)


def _capacity(region: str, zone: str, types: list[str], unit: str) -> float:
    """What the zone could start of these types, in the unit of the request."""
    weigh: dict[str, Callable[[market.TypeInfo], float]] = {
        "units": lambda info: 1,
        "vcpu": lambda info: info.vcpus,
        "memory-mib": lambda info: info.memory_mib,
    }
    return sum(pools.free(region, zone, t, "spot") * weigh[unit](market.type_info(t)) for t in types)


def _score(capacity: float, target: int, types: int) -> int:
    """10 where there is room for three times the target, 1 where there is room for less than a third of it."""
    score = max(1, min(10, round(10 * capacity / (3 * target))))
    return min(score, LOW_SCORE) if types < 3 else score


def _matching_types(wanted: dict[str, Any]) -> list[str]:
    """The types that an attribute-based request stands for; attributes unknown to the market do not narrow it."""
    rules = wanted.get("InstanceRequirements") or {}
    architectures = wanted.get("ArchitectureTypes") or []
    names = sorted({name for region in market.regions() for name in market.types(region)})
    return [n for n in names if _meets(market.type_info(n), rules, architectures)]


def _meets(info: market.TypeInfo, rules: dict[str, Any], architectures: list[str]) -> bool:
    def within(value: float, key: str) -> bool:
        limits = rules.get(key) or {}
        return limits.get("Min", 0) <= value <= limits.get("Max", float("inf"))

    def choice(has: bool, key: str) -> bool:
        return {"included": True, "excluded": not has, "required": has}[rules.get(key) or "excluded"]

    generation = "current" if info.current_generation else "previous"
    allowed, excluded = rules.get("AllowedInstanceTypes"), rules.get("ExcludedInstanceTypes") or []
    accelerators = rules.get("AcceleratorCount")
    return (
        within(info.vcpus, "VCpuCount")
        and within(info.memory_mib, "MemoryMiB")
        and (within(info.accelerators, "AcceleratorCount") if accelerators else not info.accelerators)
        and choice(info.bare_metal, "BareMetal")
        and choice(info.burstable, "BurstablePerformance")
        and (not architectures or bool(set(architectures) & set(info.architectures)))
        and generation in (rules.get("InstanceGenerations") or [generation])
        and (not allowed or passes(info.name, allowed))
        and not (excluded and passes(info.name, excluded))
    )
