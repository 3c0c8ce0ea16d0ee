# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What instances and volumes cost, by the hours that they ran and by prices, where Cost Explorer must not be asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import boto3_tag_list_to_ansible_dict
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling as groups
from ansible_collections.spot.platform.plugins.module_utils.aws import volumes
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.estate import Prices, ended_at, spot_history
from ansible_collections.spot.platform.plugins.module_utils.aws.instances import describe_instances
from ansible_collections.spot.platform.plugins.module_utils.aws.market import PRICING_REGION, on_demand_prices
from ansible_collections.spot.platform.plugins.module_utils.engine.costs import Use
from ansible_collections.spot.platform.plugins.module_utils.engine.equivalents import COMPUTE
from ansible_collections.spot.platform.plugins.module_utils.engine.prices import MONTH_HOURS, volume_month

STORAGE = "EC2 - Other"
"""As Cost Explorer calls it."""
PURCHASE = {"spot": "Spot Instances", "on_demand": "On Demand Instances"}
BASIS = (
    "estimated from the hours of the instances and volumes that are there, Spot price history and list prices; what ended more than an "
    "hour ago is missing, and so are load balancers, snapshots, traffic and discounts"
)


def uses(
    clients: Clients, regions: Iterable[str], environment: str | None, first: datetime, now: datetime, cache: Cache
) -> tuple[list[Use], list[dict[str, Any]]]:
    """What ran since ``first``, and the errors by region: the rest is there nonetheless."""
    parts = side_by_side(lambda region: _of_region(clients, region, environment, first, now, cache), regions)
    return [use for found, _errors in parts for use in found], [error for _found, errors in parts for error in errors]


def _of_region(
    clients: Clients, region: str, environment: str | None, first: datetime, now: datetime, cache: Cache
) -> tuple[list[Use], list[dict[str, Any]]]:
    found: list[Use] = []
    errors: list[dict[str, Any]] = []
    narrowed = {f"tag:{tags.ENVIRONMENT}": [environment]} if environment else {}
    for look in (_instances, _volumes):
        try:
            uses_, missing = look(clients, region, narrowed, first, now, cache)
            found += uses_
            errors += [{"region": region, "message": text} for text in missing]
        except AwsError as error:
            errors.append({"region": region, "message": str(error)})
    return found, errors


def _instances(
    clients: Clients, region: str, narrowed: Mapping[str, Sequence[str]], first: datetime, now: datetime, cache: Cache
) -> tuple[list[Use], list[str]]:
    client = clients.get("ec2", region)
    filters = [{"Name": name, "Values": list(values)} for name, values in narrowed.items()]
    running = [one for one in describe_instances(client, filters) if one["state"]["name"] != "stopped"]
    if not running:
        return [], []
    on_demand = on_demand_prices(clients.get("pricing", PRICING_REGION), region, cache)
    spot_types = sorted({one["instance_type"] for one in running if groups.lifecycle_of(one) == "spot"})
    prices = Prices(spot_history(client, spot_types, first), on_demand)
    found, unpriced = [], set()
    for one in running:
        lifecycle, kind = groups.lifecycle_of(one), one["instance_type"]
        begin = groups.moment(one["launch_time"])
        history = prices.spot.get((one["placement"]["availability_zone"], kind)) if lifecycle == "spot" else None
        if lifecycle != "spot" and kind in prices.on_demand:
            history = [(begin, prices.on_demand[kind])]
        if not history:
            unpriced.add(kind)
            continue
        ended = ended_at(one) or (begin if one["state"]["name"] == "terminated" else now)
        found.append(Use(one["tags"].get(tags.APP, ""), COMPUTE, region, PURCHASE[lifecycle], begin, ended, history))
    return found, [f"there is no price for {', '.join(sorted(unpriced))}: its instances are left out"] if unpriced else []


def _volumes(
    clients: Clients, region: str, narrowed: Mapping[str, Sequence[str]], _first: datetime, now: datetime, _cache: Cache
) -> tuple[list[Use], list[str]]:
    shown, _now = volumes.describe(clients.get("ec2", region), narrowed)
    found = []
    for one in shown:
        app = boto3_tag_list_to_ansible_dict(one.get("Tags", [])).get(tags.APP, "")
        price = volume_month(one["VolumeType"], one["Size"], one.get("Iops"), one.get("Throughput")) / MONTH_HOURS
        begin = one["CreateTime"]
        found.append(Use(app, STORAGE, region, PURCHASE["on_demand"], begin, now, [(begin, price)]))
    return found, []
