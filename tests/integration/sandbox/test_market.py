"""The market: the compiled figures, how prices move, and EC2's calls about them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError
from spot_sandbox import market

NOW = datetime(2026, 11, 1, 12, 0, 30, tzinfo=timezone.utc)


@pytest.fixture
def ec2(fresh):
    return fresh.client("ec2")


def pages(client, operation, key, **arguments):
    return [row for page in client.get_paginator(operation).paginate(**arguments) for row in page[key]]


def history(client, **arguments):
    return pages(client, "describe_spot_price_history", "SpotPriceHistory", **arguments)


class TestFigures:
    """In this process: the data and the pure functions."""

    @pytest.fixture(autouse=True)
    def market(self):
        market.configure(1, None, NOW.timestamp())

    def test_the_file_names_its_sources_and_its_approximations(self):
        about = market.load()["about"]
        assert any("2022-05-31" in source for source in about["sources"])
        assert any("ratio between the regions" in note for note in about["approximations"])
        assert len(market.regions()) == 33

    def test_known_prices(self):
        assert market.on_demand_price("us-east-1", "m5.large") == 0.096
        assert market.on_demand_price("eu-west-1", "m5.large") == 0.107
        assert market.band("us-east-1", "m5.large") == 3
        assert market.zones("us-east-1")["us-east-1a"] == "use1-az6"
        assert market.type_info("g4dn.xlarge").accelerators == 1

    def test_no_spot_price_is_above_on_demand_and_all_are_positive(self):
        for region in ("us-east-1", "ap-east-2"):
            for name in market.types(region):
                for zone in market.zones(region):
                    price = market.spot_price(region, zone, name, NOW)
                    assert price is None or 0 < price <= market.on_demand_price(region, name)

    def test_a_price_stands_for_hours_and_history_tells_the_same(self):
        pool = ("us-east-1", "us-east-1a", "m5.large")
        rows = market.history(*pool, NOW - timedelta(days=90), NOW)
        times = [when for when, _price in rows]
        assert times == sorted(times, reverse=True)
        assert times[-1] <= NOW - timedelta(days=90) < times[-2]
        assert min(a - b for a, b in zip(times, times[1:])) > timedelta(minutes=45)
        assert len({price for _when, price in rows}) > 20
        assert market.spot_price(*pool, NOW) == rows[0][1]
        for when, price in rows[:50]:
            assert market.spot_price(*pool, when) == price
            assert market.spot_price(*pool, when + timedelta(seconds=1)) == price

    def test_the_seed_makes_the_market(self):
        def prices():
            return [market.spot_price("us-east-1", "us-east-1a", name, NOW) for name in market.types("us-east-1")[:50]]

        first = prices()
        market.configure(2, None, NOW.timestamp())
        assert prices() != first
        market.configure(1, None, NOW.timestamp())
        assert prices() == first

    def test_room_is_finite_and_does_not_ebb_in_the_first_hour(self):
        pool = ("us-east-1", "us-east-1a", "c5.large", "spot")
        start = market.room(*pool, NOW)
        assert 0 < start < 10_000
        assert {market.room(*pool, NOW + timedelta(minutes=m)) for m in range(60)} == {start}
        later = [market.room(*pool, NOW + timedelta(hours=h)) for h in range(2, 24 * 30)]
        assert len(set(later)) > 5 and 0 in later
        assert market.room("us-east-1", "us-east-1e", "m5.large", "on_demand", NOW) == 0

    def test_an_unknown_region_is_refused(self):
        with pytest.raises(ValueError, match="region us-east-9 is not in the market; it has af-south-1"):
            market.configure(1, ["us-east-9"])


class TestSpotPriceHistory:
    def test_from_now_there_is_the_price_in_force_once_for_each_pool(self, ec2):
        found = history(ec2, StartTime=datetime.now(timezone.utc), InstanceTypes=["m5.large", "c5.large"])
        assert len(found) == len({(row["InstanceType"], row["AvailabilityZone"]) for row in found}) >= 8
        row = found[0]
        assert row["ProductDescription"] == "Linux/UNIX"
        assert row["AvailabilityZoneId"] == market.zones("us-east-1")[row["AvailabilityZone"]]
        assert row["Timestamp"] <= datetime.now(timezone.utc)
        assert float(row["SpotPrice"]) > 0

    def test_pages_hold_every_row_once(self, ec2, fresh):
        window = {
            "StartTime": datetime.now(timezone.utc) - timedelta(days=7),
            "EndTime": datetime.now(timezone.utc) - timedelta(days=1),
            "InstanceTypes": ["m5.large", "c5.large"],
        }
        whole = history(ec2, **window)
        calls = fresh.get("/sandbox/calls")["total"]
        paged = history(ec2, **window, PaginationConfig={"PageSize": 17})
        assert paged == whole
        assert fresh.get("/sandbox/calls")["total"] - calls == -(-len(whole) // 17)
        assert all(row["Timestamp"] <= window["EndTime"] for row in whole)

    def test_the_last_price_before_the_start_is_there(self, ec2):
        start = datetime.now(timezone.utc) - timedelta(days=2)
        found = history(ec2, StartTime=start, InstanceTypes=["m5.large"], AvailabilityZone="us-east-1a")
        before = [row for row in found if row["Timestamp"] < start]
        assert len(before) == 1 and before[0] == found[-1]

    def test_a_whole_region_comes_in_few_pages(self, ec2, fresh):
        found = history(ec2, StartTime=datetime.now(timezone.utc), ProductDescriptions=["Linux/UNIX"])
        assert len(found) > 4000
        assert fresh.get("/sandbox/calls")["total"] == -(-len(found) // 1000)

    @pytest.mark.parametrize(
        ("filters", "fits"),
        [
            (
                {"instance-type": ["c5*.large"]},
                lambda row: row["InstanceType"] in ("c5.large", "c5a.large", "c5n.large"),
            ),
            ({"availability-zone": ["us-east-1b"]}, lambda row: row["AvailabilityZone"] == "us-east-1b"),
            ({"availability-zone-id": ["use1-az1"]}, lambda row: row["AvailabilityZone"] == "us-east-1b"),
        ],
    )
    def test_filters(self, ec2, filters, fits):
        asked = [{"Name": name, "Values": values} for name, values in filters.items()]
        types = ["m5.large", "c5.large", "c5a.large", "c5n.large"]
        found = history(ec2, StartTime=datetime.now(timezone.utc), InstanceTypes=types, Filters=asked)
        assert found and all(map(fits, found))

    def test_other_products_have_no_prices(self, ec2):
        assert history(ec2, StartTime=datetime.now(timezone.utc), ProductDescriptions=["Windows"]) == []

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            ({"InstanceTypes": ["m5.huge"]}, "InvalidParameterValue"),
            ({"Filters": [{"Name": "colour", "Values": ["red"]}]}, "InvalidParameterValue"),
            ({"NextToken": "rubbish"}, "InvalidNextToken"),
            ({"MaxResults": 1001}, "InvalidParameterValue"),
            ({"StartTime": NOW, "EndTime": NOW - timedelta(days=1)}, "InvalidParameterValue"),
        ],
    )
    def test_bad_requests_are_refused(self, ec2, arguments, code):
        with pytest.raises(ClientError) as failed:
            ec2.describe_spot_price_history(**arguments)
        assert failed.value.response["Error"]["Code"] == code


class TestPlacementScores:
    TYPES = ["m5.large", "m5a.large", "c5.large", "r5.large"]

    def scores(self, ec2, **arguments):
        arguments = {
            "InstanceTypes": self.TYPES,
            "TargetCapacity": 10,
            "RegionNames": ["us-east-1", "eu-west-1"],
            **arguments,
        }
        return ec2.get_spot_placement_scores(**arguments)["SpotPlacementScores"]

    def test_by_region_and_by_zone(self, ec2):
        assert {row["Region"] for row in self.scores(ec2)} == {"us-east-1", "eu-west-1"}
        zones = self.scores(ec2, SingleAvailabilityZone=True, RegionNames=["us-east-1"])
        assert {row["AvailabilityZoneId"] for row in zones} == set(market.zones("us-east-1").values())
        assert all(1 <= row["Score"] <= 10 for row in zones)
        assert [row["Score"] for row in zones] == sorted((row["Score"] for row in zones), reverse=True)

    def test_the_score_follows_the_room(self, ec2, fresh):
        one = {"RegionNames": ["us-east-1"]}
        before = self.scores(ec2, **one)[0]["Score"]
        fresh.post("/sandbox/capacity", region="us-east-1", room=1)
        after = self.scores(ec2, **one)[0]["Score"]
        fresh.post("/sandbox/capacity", region="us-east-1", room=0)
        assert before == 10 and after < before and self.scores(ec2, **one)[0]["Score"] == 1

    def test_fewer_than_three_types_score_low(self, ec2):
        assert max(row["Score"] for row in self.scores(ec2, InstanceTypes=self.TYPES[:2])) <= 3

    def test_by_attributes(self, ec2):
        wanted = {
            "ArchitectureTypes": ["x86_64"],
            "InstanceRequirements": {"VCpuCount": {"Min": 2, "Max": 4}, "MemoryMiB": {"Min": 4096}},
        }
        asked = {"InstanceRequirementsWithMetadata": wanted, "TargetCapacity": 100, "TargetCapacityUnitType": "vcpu"}
        assert ec2.get_spot_placement_scores(**asked)["SpotPlacementScores"]

    def test_the_number_of_configurations_a_day_is_limited(self, ec2, fresh):
        for target in range(1, 51):
            self.scores(ec2, TargetCapacity=target)
        with pytest.raises(ClientError, match="MaxConfigLimitExceeded"):
            self.scores(ec2, TargetCapacity=51)
        assert self.scores(ec2, TargetCapacity=7)
        fresh.post("/sandbox/clock", advance=86401)
        assert self.scores(ec2, TargetCapacity=51)

    @pytest.mark.parametrize(
        "arguments",
        [
            {"RegionNames": [f"xx-east-{n}" for n in range(11)]},
            {"RegionNames": ["xx-east-1"]},
            {"TargetCapacityUnitType": "racks"},
        ],
    )
    def test_bad_requests_are_refused(self, ec2, arguments):
        with pytest.raises(ClientError, match="InvalidParameterValue"):
            self.scores(ec2, **arguments)


class TestInstanceTypes:
    def test_a_region_has_the_market_s_types_and_no_other(self, ec2):
        found = pages(ec2, "describe_instance_types", "InstanceTypes")
        assert sorted(row["InstanceType"] for row in found) == sorted(market.types("us-east-1"))

    def test_filters_and_names(self, ec2):
        filters = [
            {"Name": "instance-type", "Values": ["c5*.large"]},
            {"Name": "processor-info.supported-architecture", "Values": ["x86_64"]},
            {"Name": "bare-metal", "Values": ["false"]},
        ]
        found = pages(ec2, "describe_instance_types", "InstanceTypes", Filters=filters)
        assert [row["InstanceType"] for row in found] == [
            "c5.large",
            "c5a.large",
            "c5ad.large",
            "c5d.large",
            "c5n.large",
        ]
        (row,) = ec2.describe_instance_types(InstanceTypes=["t3.micro"])["InstanceTypes"]
        assert row["BurstablePerformanceSupported"] is True
        assert row["MemoryInfo"] == {"SizeInMiB": 1024}
        assert row["ProcessorInfo"]["SupportedArchitectures"] == ["x86_64"]
        with pytest.raises(ClientError, match="InvalidInstanceType"):
            ec2.describe_instance_types(InstanceTypes=["m5.huge"])

    def test_offerings_by_zone(self, ec2):
        filters = [{"Name": "instance-type", "Values": ["m5.large"]}]
        found = ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=filters)
        assert {row["Location"] for row in found["InstanceTypeOfferings"]} == {f"us-east-1{z}" for z in "abcdf"}
        assert len(pages(ec2, "describe_instance_type_offerings", "InstanceTypeOfferings")) == len(
            market.types("us-east-1")
        )


@pytest.mark.parametrize("region", ["us-east-1", "ap-south-1"])
@pytest.mark.parametrize(
    "parameter",
    [
        "/aws/service/debian/release/12/latest/amd64",
        "/aws/service/debian/release/12/latest/arm64",
        "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
    ],
)
def test_public_parameters_name_images_that_exist(fresh, region, parameter):
    image = fresh.client("ssm", region).get_parameter(Name=parameter)["Parameter"]["Value"]
    (found,) = fresh.client("ec2", region).describe_images(ImageIds=[image])["Images"]
    assert found["State"] == "available"
    assert found["Architecture"] == ("arm64" if parameter.endswith("arm64") else "x86_64")


def test_the_market_is_shown_by_region_zone_and_type(fresh):
    whole = fresh.get("/sandbox/market")
    assert set(whole["regions"]) == set(fresh.get("/sandbox/health")["regions"])
    (pool,) = fresh.get("/sandbox/market", region="us-east-1", zone="us-east-1a", instance_type="m5.large")["pools"]
    assert pool["on_demand_price"] == 0.096 and pool["interruption_band"] == 3
    assert pool["spot"]["used"] == 0 < pool["spot"]["room"]
