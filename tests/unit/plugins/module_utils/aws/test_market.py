# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The market's answers, turned into offers."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws import market
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from botocore.stub import ANY, Stubber

NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


def hours(count: float) -> datetime:
    return NOON + timedelta(hours=count)


def client(service: str) -> Any:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, region_name="us-east-1", **keys)


@pytest.mark.parametrize(
    "history, mean",
    [
        ([(hours(-5), 1.0)], 1.0),
        ([(hours(-5), 1.0), (hours(2), 3.0)], 2.0),
        ([(hours(-5), 9.0), (hours(0), 1.0), (hours(3), 5.0)], 2.0),
        ([(hours(0), 1.0), (hours(6), 2.0)], 1.0),
    ],
    ids=["held all the time", "half and half", "only what is within", "a last price after the end"],
)
def test_time_weighted_mean(history: list[tuple[datetime, float]], mean: float) -> None:
    assert market.time_weighted_mean(history, hours(0), hours(4)) == pytest.approx(mean)


def product(name: str | None, unit: str, usd: str | None) -> str:
    price = {"unit": unit, "pricePerUnit": {"USD": usd} if usd else {"CNY": "1"}}
    attributes = {"instanceType": name} if name else {}
    terms = {"OnDemand": {"x": {"priceDimensions": {"y": price}}}}
    return json.dumps({"product": {"attributes": attributes}, "terms": terms})


def test_on_demand_prices_of_all_pages_kept(tmp_path: Path) -> None:
    pricing = client("pricing")
    pages = [
        {"PriceList": [product("m5.large", "Hrs", "0.096"), product("m5.xlarge", "Hrs", None)], "NextToken": "1"},
        {
            "PriceList": [
                product("c5.large", "Hrs", "0.085"),
                product("c6.large", "Quantity", "1"),
                product(None, "Hrs", "1"),
            ]
        },
    ]
    with Stubber(pricing) as stub:
        for page in pages:
            stub.add_response("get_products", page)
        wanted = {"m5.large": 0.096, "c5.large": 0.085}
        for number in range(2):
            assert market.on_demand_prices(pricing, "us-east-1", Cache(tmp_path)) == wanted
        stub.assert_no_pending_responses()


def test_spot_prices_are_the_latest() -> None:
    rows = [
        {"AvailabilityZone": "us-east-1a", "InstanceType": "m5.large", "SpotPrice": price, "Timestamp": when}
        for price, when in (("0.04", hours(1)), ("0.03", hours(2)), ("0.05", hours(0)))
    ]
    ec2 = client("ec2")
    asked = {"InstanceTypes": ["m5.large"], "ProductDescriptions": ["Linux/UNIX"], "StartTime": ANY, "MaxResults": 1000}
    with Stubber(ec2) as stub:
        stub.add_response("describe_spot_price_history", {"SpotPriceHistory": rows}, asked)
        assert market.spot_prices(ec2, {"m5.large"}) == {("us-east-1a", "m5.large"): (hours(2), 0.03)}


def test_prices_are_asked_for_by_aws_time() -> None:
    """AWS refuses a history that begins in its future: this machine's clock may be ahead."""
    ec2, now = client("ec2"), NOON.replace(year=2021)
    dated = {"ResponseMetadata": {"HTTPHeaders": {"date": format_datetime(now, usegmt=True)}}}
    zones = {"AvailabilityZones": [{"ZoneName": "us-east-1a", "ZoneId": "use1-az1"}], **dated}
    asked = {"InstanceTypes": ["m5.large"], "ProductDescriptions": ["Linux/UNIX"], "StartTime": now - market.CLOCK_SKEW, "MaxResults": 1000}
    with Stubber(ec2) as stub:
        stub.add_response("describe_availability_zones", zones)
        stub.add_response("describe_spot_price_history", {"SpotPriceHistory": []}, asked)
        found, told = market.zones_of_region(ec2)
        assert (found, told) == ({"us-east-1a": "use1-az1"}, now)
        assert market.spot_prices(ec2, {"m5.large"}, told) == {}


def test_types_with_accelerators_of_any_make(tmp_path: Path) -> None:
    common = {
        "VCpuInfo": {"DefaultVCpus": 4},
        "MemoryInfo": {"SizeInMiB": 16384},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
        "CurrentGeneration": True,
    }
    types = [
        {"InstanceType": "g4dn.xlarge", "GpuInfo": {"Gpus": [{"Count": 1}]}, **common},
        {"InstanceType": "inf1.xlarge", "InferenceAcceleratorInfo": {"Accelerators": [{"Count": 2}]}, **common},
        {"InstanceType": "t3.xlarge", "BurstablePerformanceSupported": True, **common},
    ]
    ec2 = client("ec2")
    with Stubber(ec2) as stub:
        stub.add_response("describe_instance_types", {"InstanceTypes": types})
        found = market.catalogue(ec2, None, Cache(tmp_path))
    assert [(kind.name, kind.accelerators, kind.burstable) for kind in found] == [
        ("g4dn.xlarge", 1, False),
        ("inf1.xlarge", 2, False),
        ("t3.xlarge", 0, True),
    ]
    assert market.catalogue(ec2, None, Cache(tmp_path)) == found, "from the cache, alike"


def test_interruption_bands(tmp_path: Path) -> None:
    feed = {"spot_advisor": {"us-east-1": {"Linux": {"m5.large": {"s": 66, "r": 3}}, "Windows": {}}, "eu-west-1": {}}}
    path = tmp_path / "advisor.json"
    path.write_text(json.dumps(feed))
    bands = market.interruption_bands(str(path), Cache(tmp_path / "cache"))
    assert bands == {"us-east-1": {"m5.large": 3}, "eu-west-1": {}}


@pytest.mark.parametrize("text", [None, "", "[]", '{"spot_advisor": {"x": {"Linux": {"m5.large": {}}}}}'])
def test_bands_that_cannot_be_read(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "advisor.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(AwsError, match="cannot read the interruption bands from .*advisor.json"):
        market.interruption_bands(str(path), Cache(tmp_path / "cache"))
