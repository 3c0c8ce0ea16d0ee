# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of instances only from elsewhere: their health, price, and the user of their image.

Required IAM actions: ``ec2:DescribeInstanceStatus``, ``ec2:DescribeImages``, ``ec2:DescribeSpotPriceHistory``,
``pricing:GetProducts``; where there are fleets those of `steered_fleets.memberships`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.aws import instances, market, steered_fleets
from ansible_collections.spot.platform.plugins.module_utils.aws.autoscaling import FILTER_VALUES
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, chunks
from ansible_collections.spot.platform.plugins.module_utils.aws.gathering import Found, Part
from ansible_collections.spot.platform.plugins.module_utils.engine import estate

HOURS_IN_A_MONTH = 730.0


class Facts:
    """What is asked for about the instances of ``found``, after they were listed."""

    def __init__(self, clients: Clients, found: Found, cache: Cache) -> None:
        self._clients, self._found, self._cache = clients, found, cache
        self._impaired: set[str] = set()
        self._users: dict[tuple[str, str], str | None] = {}
        self._spot: dict[str, Mapping[tuple[str, str], tuple[Any, float]]] = {}
        self._on_demand: dict[str, Mapping[str, float]] = {}

    def parts(self) -> Iterator[Part]:
        """What to read of each region that has instances."""
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in self._found.instances:
            rows[row["region"]].append(row)
        for region, own in rows.items():
            yield region, "ec2", "the status checks of instances", self._checks
            images = sorted({row["image_id"] for row in own if row["image_id"]})
            for part in chunks(images, FILTER_VALUES):
                yield region, "ec2", "the images of instances", partial(self._images, region, part)
            types = {row["type"] for row in own if row["lifecycle"] == "spot"}
            if types:
                yield region, "ec2", "Spot prices", partial(self._spot_prices, region, types)
            if any(row["lifecycle"] == "on_demand" for row in own):
                yield region, "ec2", "On-Demand prices", partial(self._on_demand_prices, region)
            if self._found.fleet_tags[region]:
                yield region, "ec2", "the health of instances in fleets", partial(self._fleets, region)

    def _checks(self, client: Any) -> None:
        self._impaired.update(instances.impaired_since(client))

    def _images(self, region: str, ids: list[str], client: Any) -> None:
        answer = client.describe_images(Filters=[{"Name": "image-id", "Values": list(ids)}], IncludeDeprecated=True)
        for image in answer["Images"]:
            self._users[region, image["ImageId"]] = estate.user_of(image.get("Name"))

    def _spot_prices(self, region: str, types: set[str], client: Any) -> None:
        self._spot[region] = market.spot_prices(client, types)

    def _on_demand_prices(self, region: str, _client: Any) -> None:
        pricing = self._clients.get("pricing", market.PRICING_REGION)
        self._on_demand[region] = market.on_demand_prices(pricing, region, self._cache)

    def _fleets(self, region: str, client: Any) -> None:
        light = [
            {"instance_id": name, "tags": tags, "state": {"name": "running"}}
            for name, tags in self._found.fleet_tags[region].items()
        ]
        self._found.members[region].update(steered_fleets.memberships(client, light))

    def write(self) -> None:
        """Put down in the rows what was read."""
        by_id = {row["id"]: row for row in self._found.rows if row["kind"] == "instance"}
        for row in self._found.instances:
            region, name = row["region"], row["id"]
            member = self._found.members[region].get(name)
            targets = self._found.targets[region].get(name, ())
            row["group"] = member.group if member else None
            row["health"], row["health_reason"] = estate.of_instance(
                row["state"], member.health if member else None, targets, name in self._impaired
            )
            row["os_user"] = self._users.get((region, row["image_id"]))
            if row["lifecycle"] == "spot":
                row["price_per_hour"] = self._spot.get(region, {}).get((row["zone"], row["type"]), (None, None))[1]
            else:
                row["price_per_hour"] = self._on_demand.get(region, {}).get(row["type"])
            resource = by_id.get(name)
            if resource and row["price_per_hour"] is not None and row["state"] == "running":
                resource["usd_per_month"] = round(row["price_per_hour"] * HOURS_IN_A_MONTH, 6)
            if resource and resource["health"] == estate.OK and row["health"] == "unhealthy":
                resource["health"], resource["note"] = estate.PROBLEM, row["health_reason"]
