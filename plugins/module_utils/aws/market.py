# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe the market: every pool of region, zone and instance type that is wanted, with its prices and its risk."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from ansible.module_utils.urls import open_url
from ansible_collections.spot.platform.plugins.module_utils.activity import rfc3339
from ansible_collections.spot.platform.plugins.module_utils.aws.autoscaling import time_of
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import DAY, HOUR, Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError, Errors
from ansible_collections.spot.platform.plugins.module_utils.engine.market import InstanceType, Offer

PRICING_REGION = "us-east-1"
"""The Pricing API knows the prices of all regions but answers in three of them only."""
SCORED_REGIONS = 10
"""GetSpotPlacementScores takes at most this many regions in one request."""
CLOCK_SKEW = timedelta(minutes=30)
"""How much earlier than now a history is asked for: AWS refuses one that begins in its future."""
CHUNK = 100
"""Instance types in one request; requests for more run side by side."""

Bands = Mapping[str, Mapping[str, int]]
"""Interruption band (0 to 4) by region and instance type."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What to observe. ``wanted`` chooses the types; ``names``, where known, keeps the answers of AWS short.

    ``history_days``: the days over which the typical price is taken, 0 for none; ``history_of``, given the offers,
    names the types worth it, since the history of a region is tens of thousands of prices.
    ``score_target`` and ``score_unit`` (``vcpus`` or ``instances``): ask for placement scores for that capacity.
    """

    wanted: Callable[[InstanceType], bool]
    names: frozenset[str] | None = None
    history_days: int = 0
    history_of: Callable[[Sequence[Offer]], Iterable[str]] = lambda found: {offer.instance_type.name for offer in found}
    score_target: int | None = None
    score_unit: str = "vcpus"


def endpoint(client: Any) -> str:
    """What tells the cached answers of AWS and those of a stand-in for it apart."""
    return client.meta.endpoint_url.replace(client.meta.region_name, "*")


def offers(
    clients: Clients, regions: Sequence[str], question: Question, cache: Cache, bands: Bands | None = None
) -> list[Offer]:
    """The offers of all ``regions``, by region, then Spot price per vCPU (unpriced last), type and zone.

    A placement score is of the zone, for all the wanted types together. Raises `AwsError`.
    """
    found = [offer for part in side_by_side(lambda r: _offers(clients, r, question, cache), regions) for offer in part]
    if question.score_target is not None and found:
        scores = placement_scores(clients, found, question.score_target, question.score_unit, cache)
        found = [replace(offer, placement_score=scores.get(offer.zone_id)) for offer in found]
    if bands is not None:
        found = [
            replace(offer, interruption_band=bands.get(offer.region, {}).get(offer.instance_type.name))
            for offer in found
        ]
    return sorted(found, key=_order)


def _order(offer: Offer) -> tuple[Any, ...]:
    unpriced = offer.spot_price is None
    per_vcpu = 0.0 if offer.spot_price is None else offer.spot_price / offer.instance_type.vcpus
    return (offer.region, unpriced, per_vcpu, offer.instance_type.name, offer.zone)


def _offers(clients: Clients, region: str, question: Question, cache: Cache) -> list[Offer]:
    ec2 = clients.get("ec2", region)
    types, zones_of, (zone_ids, now), on_demand = side_by_side(
        lambda ask: ask(),
        (
            lambda: catalogue(ec2, question.names, cache),
            lambda: offerings(ec2, question.names, cache),
            lambda: zones_of_region(ec2),
            lambda: on_demand_prices(clients.get("pricing", PRICING_REGION), region, cache),
        ),
    )
    wanted = {kind.name: kind for kind in types if kind.name in zones_of and question.wanted(kind)}
    spot = spot_prices(ec2, wanted, now)
    found = [
        Offer(
            region,
            zone,
            zone_ids[zone],
            kind,
            spot_price=price,
            on_demand_price=on_demand.get(name),
            price_time=rfc3339(since) if since else None,
        )
        for name, kind in wanted.items()
        for zone in zones_of[name]
        if zone in zone_ids  # no local zones, and none that this account cannot use
        for since, price in (spot.get((zone, name), (None, None)),)
    ]
    if not question.history_days:
        return found
    typical = typical_spot_prices(ec2, question.history_of(found), question.history_days, now)
    return [replace(offer, typical_spot_price=typical.get((offer.zone, offer.instance_type.name))) for offer in found]


def catalogue(client: Any, names: frozenset[str] | None, cache: Cache) -> list[InstanceType]:
    """The instance types of the client's region, all or those of ``names`` that it has."""

    def ask() -> list[list[Any]]:
        return [
            [
                item["InstanceType"],
                item["VCpuInfo"]["DefaultVCpus"],
                item["MemoryInfo"]["SizeInMiB"],
                item["ProcessorInfo"]["SupportedArchitectures"],
                item.get("BurstablePerformanceSupported", False),
                item.get("CurrentGeneration", False),
                _accelerators(item),
                item.get("BareMetal", False),
            ]
            for filters in _filters("instance-type", names)
            for item in describe_instance_types(client, filters)
        ]

    rows = cache.remember(["types", client.meta.region_name, names and sorted(names)], DAY, ask)
    return [InstanceType(*row[:3], tuple(row[3]), *row[4:]) for row in rows]


def _accelerators(item: Mapping[str, Any]) -> int:
    kinds = (("GpuInfo", "Gpus"), ("FpgaInfo", "Fpgas"), ("NeuronInfo", "NeuronDevices"))
    kinds += (("InferenceAcceleratorInfo", "Accelerators"), ("MediaAcceleratorInfo", "Accelerators"))
    return sum(device.get("Count", 1) for info, devices in kinds for device in item.get(info, {}).get(devices, ()))


def _filters(name: str, values: Iterable[str] | None) -> list[list[dict[str, Any]]]:
    """The filters of one request each: one without any for None."""
    if values is None:
        return [[]]
    return [[{"Name": name, "Values": chunk}] for chunk in _chunks(sorted(values))]


def _chunks(values: Sequence[str]) -> list[Sequence[str]]:
    return [values[start : start + CHUNK] for start in range(0, len(values), CHUNK)]


@Errors.common_error_handler("describe the instance types")
def describe_instance_types(client: Any, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """DescribeInstanceTypes, all pages."""
    pages = client.get_paginator("describe_instance_types").paginate(Filters=filters, MaxResults=100)
    return [item for page in pages for item in page["InstanceTypes"]]


def offerings(client: Any, names: frozenset[str] | None, cache: Cache) -> dict[str, list[str]]:
    """The zones, sorted, in which each type of the client's region is offered."""

    def ask() -> dict[str, list[str]]:
        zones: dict[str, list[str]] = defaultdict(list)
        for filters in _filters("instance-type", names):
            for item in describe_instance_type_offerings(client, filters):
                zones[item["InstanceType"]].append(item["Location"])
        return {name: sorted(found) for name, found in zones.items()}

    return cache.remember(["offerings", client.meta.region_name, names and sorted(names)], DAY, ask)


@Errors.common_error_handler("describe which zones offer the instance types")
def describe_instance_type_offerings(client: Any, filters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """DescribeInstanceTypeOfferings by zone, all pages."""
    pages = client.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone", Filters=filters, MaxResults=1000
    )
    return [item for page in pages for item in page["InstanceTypeOfferings"]]


def zones_of_region(client: Any) -> tuple[dict[str, str], datetime]:
    """Zone name to zone id, and AWS's time; not cached, since each account has names of its own for the zones."""
    answer = describe_zones(client)
    return {zone["ZoneName"]: zone["ZoneId"] for zone in answer["AvailabilityZones"]}, time_of(answer)


@Errors.common_error_handler("describe the availability zones")
def describe_zones(client: Any) -> dict[str, Any]:
    """DescribeAvailabilityZones, whole, for its time: the zones proper, no local zones."""
    return client.describe_availability_zones(Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}])


Pool = tuple[str, str]
"""(zone, type)"""
Price = tuple[datetime, float]
"""Since when, and USD an hour."""


def spot_prices(client: Any, names: Iterable[str], now: datetime | None = None) -> dict[Pool, Price]:
    """The Linux Spot prices of ``names`` at ``now``, AWS's time where it is known, else this machine's."""
    history = _history(client, names, (now or datetime.now(timezone.utc)) - CLOCK_SKEW)
    return {pool: max(prices) for pool, prices in history.items()}


def typical_spot_prices(client: Any, names: Iterable[str], days: int, now: datetime) -> dict[Pool, float]:
    """The time-weighted means of the Linux Spot prices of ``names`` over the last ``days`` up to ``now``, AWS's time."""
    start = now - timedelta(days=days)
    history = _history(client, names, start)
    return {pool: time_weighted_mean(sorted(prices), start, now) for pool, prices in history.items()}


def _history(client: Any, names: Iterable[str], start: datetime) -> dict[Pool, list[Price]]:
    rows: dict[Pool, list[Price]] = defaultdict(list)
    for part in side_by_side(lambda chunk: describe_spot_price_history(client, chunk, start), _chunks(sorted(names))):
        for row in part:
            rows[row["AvailabilityZone"], row["InstanceType"]].append((row["Timestamp"], float(row["SpotPrice"])))
    return rows


def time_weighted_mean(history: Sequence[Price], start: datetime, end: datetime) -> float:
    """The mean over [start, end] of a price that holds from each moment of ``history`` (sorted) to the next."""
    ends = [moment for moment, price in history[1:]] + [max(end, history[-1][0])]
    spans = [
        (max(0.0, (until - max(since, start)).total_seconds()), price) for (since, price), until in zip(history, ends)
    ]
    total = sum(span for span, price in spans)
    return sum(span * price for span, price in spans) / total if total else history[-1][1]


@Errors.common_error_handler("read the Spot price history")
def describe_spot_price_history(
    client: Any, names: Sequence[str], start: datetime, zones: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """DescribeSpotPriceHistory from the last price before ``start`` on, in ``zones`` (all, if empty), all pages."""
    narrowed = {"Filters": [{"Name": "availability-zone", "Values": list(zones)}]} if zones else {}
    pages = client.get_paginator("describe_spot_price_history").paginate(
        InstanceTypes=list(names), ProductDescriptions=["Linux/UNIX"], StartTime=start, MaxResults=1000, **narrowed
    )
    return [row for page in pages for row in page["SpotPriceHistory"]]


def on_demand_prices(client: Any, region: str, cache: Cache) -> dict[str, float]:
    """The Linux On-Demand prices of ``region``, USD an hour, by type. ``client``: of the Pricing API."""

    def ask() -> dict[str, float]:
        return dict(price for text in get_products(client, region) for price in _price(json.loads(text)))

    return cache.remember(["on-demand", region], DAY, ask)


def _price(product: Mapping[str, Any]) -> list[tuple[str, float]]:
    """(type, USD an hour) of a product of the price list; nothing where it has no hourly price in USD."""
    name = product["product"]["attributes"].get("instanceType")
    return [
        (name, float(dimension["pricePerUnit"]["USD"]))
        for term in product["terms"].get("OnDemand", {}).values()
        for dimension in term["priceDimensions"].values()
        if name and dimension["unit"] == "Hrs" and float(dimension["pricePerUnit"].get("USD", 0)) > 0
    ]


@Errors.common_error_handler("read the On-Demand prices")
def get_products(client: Any, region: str) -> list[str]:
    """GetProducts: shared Linux instances of ``region`` without further software, all pages, as JSON texts."""
    wanted = {
        "regionCode": region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
    }
    pages = client.get_paginator("get_products").paginate(
        ServiceCode="AmazonEC2",
        Filters=[{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()],
        MaxResults=100,
    )
    return [text for page in pages for text in page["PriceList"]]


def placement_scores(clients: Clients, found: Sequence[Offer], target: int, unit: str, cache: Cache) -> dict[str, int]:
    """The score (1 to 10) of each zone id for launching ``target`` of all the types of ``found`` there.

    AWS rations how many different questions an account may ask in a day, so the same question is put in the same
    words and its answer is kept for an hour.
    """
    regions = sorted({offer.region for offer in found})
    names = sorted({offer.instance_type.name for offer in found})[:1000]

    def ask(some: list[str]) -> dict[str, int]:
        client = clients.get("ec2", some[0])
        question = ["scores", some, names, target, unit]
        return cache.remember(question, HOUR, lambda: get_spot_placement_scores(client, some, names, target, unit))

    batches = [regions[first : first + SCORED_REGIONS] for first in range(0, len(regions), SCORED_REGIONS)]
    return {zone_id: score for batch in batches for zone_id, score in ask(batch).items()}


@Errors.common_error_handler("get the Spot placement scores")
def get_spot_placement_scores(
    client: Any, regions: Sequence[str], names: Sequence[str], target: int, unit: str
) -> dict[str, int]:
    """GetSpotPlacementScores by zone, all pages: score by zone id."""
    pages = client.get_paginator("get_spot_placement_scores").paginate(
        InstanceTypes=list(names),
        TargetCapacity=max(1, target),
        TargetCapacityUnitType={"vcpus": "vcpu", "instances": "units"}[unit],
        SingleAvailabilityZone=True,
        RegionNames=list(regions),
    )
    return {
        item["AvailabilityZoneId"]: item["Score"]
        for page in pages
        for item in page["SpotPlacementScores"]
        if "AvailabilityZoneId" in item
    }


def interruption_bands(source: str, cache: Cache) -> dict[str, dict[str, int]]:
    """The bands of Linux by region and type from a file or URL in the form of AWS's Spot Instance Advisor feed.

    Raises `AwsError` where it cannot be read or has another form.
    """
    try:
        if source.startswith(("https://", "http://")):
            return cache.remember(["bands", source], DAY, lambda: _bands(open_url(source, timeout=30).read()))
        return _bands(Path(source).expanduser().read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AwsError(
            f"cannot read the interruption bands from {source}: {error}; it must be a file or URL in the form of "
            "https://spot-bid-advisor.s3.amazonaws.com/spot-advisor-data.json"
        ) from error


def _bands(text: bytes) -> dict[str, dict[str, int]]:
    return {
        region: {name: int(figures["r"]) for name, figures in systems.get("Linux", {}).items()}
        for region, systems in json.loads(text)["spot_advisor"].items()
    }
