"""Cost Explorer: what the sandbox ran is billed, grouped, filtered and paged."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest

COMPUTE = "Amazon Elastic Compute Cloud - Compute"
APP = "spot.platform/app"
SERVICE, PURCHASE, USAGE_TYPE, BY_APP = (
    {"Type": "DIMENSION", "Key": "SERVICE"},
    {"Type": "DIMENSION", "Key": "PURCHASE_TYPE"},
    {"Type": "DIMENSION", "Key": "USAGE_TYPE"},
    {"Type": "TAG", "Key": APP},
)


@pytest.fixture
def costs(aws) -> Any:
    """``costs(by, **more)``: {(day, keys): USD} since the day before the sandbox's."""
    client = aws.sandbox.client("ce")

    def ask(by: list[dict[str, str]], first: date | None = None, days: int = 5, **more: Any) -> dict[Any, float]:
        start = first or today(aws)
        period = {"Start": start.isoformat(), "End": (start + timedelta(days=days)).isoformat()}
        given = {"TimePeriod": period, "Granularity": "DAILY", "Metrics": ["UnblendedCost"], "GroupBy": by, **more}
        found, token = {}, {}
        while True:
            page = client.get_cost_and_usage(**given, **token)
            for result in page["ResultsByTime"]:
                for group in result["Groups"]:
                    amount = float(group["Metrics"]["UnblendedCost"]["Amount"])
                    found[result["TimePeriod"]["Start"], tuple(group["Keys"])] = amount
            if "NextPageToken" not in page:
                return found
            token = {"NextPageToken": page["NextPageToken"]}

    return ask


def today(aws) -> date:
    return date.fromisoformat(aws.sandbox.get("/sandbox/clock")["time"][:10])


def at_midnight(aws) -> date:
    """Step to the next midnight, and say which day begins."""
    aws.advance(86400 - aws.sandbox.get("/sandbox/clock")["epoch"] % 86400)
    return today(aws)


def run(aws, app: str, spot: bool = False) -> str:
    tags = [{"ResourceType": kind, "Tags": [{"Key": APP, "Value": app}]} for kind in ("instance", "volume")]
    market = {"InstanceMarketOptions": {"MarketType": "spot"}} if spot else {}
    given = {"ImageId": aws.image, "InstanceType": "m5.large", "MinCount": 1, "MaxCount": 1, "SubnetId": aws.subnets[0]}
    return aws.ec2.run_instances(**given, **market, TagSpecifications=tags)["Instances"][0]["InstanceId"]


def test_instance_hours_are_billed_by_day_app_and_purchase_option(aws, costs):
    first = at_midnight(aws)
    on_demand = run(aws, "web")
    run(aws, "worker", spot=True)
    aws.advance(6 * 3600)
    aws.ec2.terminate_instances(InstanceIds=[on_demand])
    aws.advance(30 * 3600)
    only = {"Dimensions": {"Key": "SERVICE", "Values": [COMPUTE]}}
    found = costs([BY_APP, PURCHASE], first, Filter=only)
    (price,) = (
        pool["on_demand_price"]
        for pool in aws.sandbox.get("/sandbox/market", region="us-east-1", zone=aws.zones[0], instance_type="m5.large")["pools"]
    )
    assert found[str(first), (f"{APP}$web", "On Demand Instances")] == pytest.approx(6 * price)
    spot = [usd for (_day, (app, option)), usd in found.items() if (app, option) == (f"{APP}$worker", "Spot Instances")]
    (paid,) = (one["cost"] for one in aws.sandbox.get("/sandbox/history")["instances"] if one["lifecycle"] == "spot")
    assert len(spot) == 2 and sum(spot) == pytest.approx(paid, abs=1e-5)
    assert len(found) == 3


def test_hours_are_told_by_usage_type_with_the_code_of_the_region(aws, costs):
    first = at_midnight(aws)
    run(aws, "web")
    run(aws, "web", spot=True)
    for region in ("eu-west-1", "us-west-2"):
        aws.sandbox.post("/sandbox/instances", region=region, count=3, app="web", environment="sandbox", spot_share=0)
    aws.advance(5 * 3600)
    only = [{"Dimensions": {"Key": key, "Values": [value]}} for key, value in (("SERVICE", COMPUTE), ("RECORD_TYPE", "Usage"))]
    client = aws.sandbox.client("ce")
    period = {"Start": str(first), "End": str(first + timedelta(days=1))}
    given = {"TimePeriod": period, "Granularity": "DAILY", "Metrics": ["UnblendedCost", "UsageQuantity"], "Filter": {"And": only}}
    (result,) = client.get_cost_and_usage(**given, GroupBy=[BY_APP, USAGE_TYPE])["ResultsByTime"]
    found: dict[str, list[float]] = {}
    for group in result["Groups"]:
        prefix, _colon, kind = group["Keys"][1].partition(":")
        assert kind and group["Keys"][0] == f"{APP}$web"
        sums = found.setdefault(prefix, [0.0, 0.0])
        sums[0] += float(group["Metrics"]["UsageQuantity"]["Amount"])
        sums[1] += float(group["Metrics"]["UnblendedCost"]["Amount"])
    ran = {"BoxUsage": 1, "SpotUsage": 1, "EU-BoxUsage": 3, "USW2-BoxUsage": 3}
    assert {prefix: hours for prefix, (hours, _usd) in found.items()} == pytest.approx({prefix: 5 * many for prefix, many in ran.items()}, rel=0.01)
    history = aws.sandbox.get("/sandbox/history")["instances"]
    assert sum(usd for _hours, usd in found.values()) == pytest.approx(sum(one["cost"] for one in history), abs=1e-3)
    pricing = aws.sandbox.client("pricing")
    filters = [{"Type": "TERM_MATCH", "Field": "usagetype", "Value": "USW2-BoxUsage:m5.large"}]
    (product,) = pricing.get_products(ServiceCode="AmazonEC2", Filters=filters)["PriceList"]
    assert json.loads(product)["product"]["attributes"]["regionCode"] == "us-west-2"


def test_what_a_commitment_covers_has_a_record_type_of_its_own(aws, costs):
    day = today(aws)
    bought = (("Spot Instances", 1), ("On Demand Instances", 2), ("Savings Plans", 4), ("Standard Reserved Instances", 8))
    aws.sandbox.post("/sandbox/costs", lines=[{"day": str(day), "app": "web", "purchase": name, "usd": usd, "usage": 3} for name, usd in bought])
    plain = {"Dimensions": {"Key": "RECORD_TYPE", "Values": ["Usage"]}}
    found = costs([USAGE_TYPE], day, Filter=plain)
    assert found == {(str(day), ("BoxUsage:m5.large",)): 2, (str(day), ("SpotUsage:m5.large",)): 1}


def test_volumes_load_balancers_and_addresses_are_billed_for_as_long_as_they_are_there(aws, costs):
    first = at_midnight(aws)
    tags = [{"ResourceType": "volume", "Tags": [{"Key": APP, "Value": "web"}]}]
    volume = aws.ec2.create_volume(AvailabilityZone=aws.zones[0], Size=730, VolumeType="gp2", TagSpecifications=tags)["VolumeId"]
    aws.elb.create_load_balancer(Name="front", Subnets=aws.subnets, Tags=[{"Key": APP, "Value": "web"}])
    aws.ec2.allocate_address(Domain="vpc")
    aws.advance(12 * 3600)
    aws.ec2.delete_volume(VolumeId=volume)
    aws.advance(24 * 3600)
    found = costs([SERVICE, BY_APP], first)
    assert found[str(first), ("EC2 - Other", f"{APP}$web")] == pytest.approx(12 * 0.1, rel=0.03)
    assert found[str(first), ("Amazon Elastic Load Balancing", f"{APP}$web")] == pytest.approx(24 * 0.0225, rel=0.03)
    assert found[str(first + timedelta(days=1)), ("Amazon Virtual Private Cloud", f"{APP}$")] == pytest.approx(12 * 0.005, rel=0.03)


def test_pages_filters_and_months(aws, costs):
    first = today(aws).replace(day=1) - timedelta(days=31)
    lines = [
        {"day": str(first + timedelta(days=number % 20)), "app": f"app-{number % 7}", "service": service, "usd": 1}
        for number in range(40)
        for service in ("AWS Lambda", COMPUTE)
    ]
    aws.sandbox.post("/sandbox/costs", lines=lines, page=7)
    aws.sandbox.post("/sandbox/calls/reset")
    found = costs([BY_APP, SERVICE], first, 20)
    assert sum(found.values()) == 80 and len(found) == 80
    assert aws.sandbox.get("/sandbox/calls")["services"]["ce"] == {"GetCostAndUsage": 12}
    aws.sandbox.post("/sandbox/costs", page=1000)
    narrowed = {
        "And": [
            {"Dimensions": {"Key": "SERVICE", "Values": ["AWS Lambda"]}},
            {"Not": {"Tags": {"Key": APP, "Values": ["app-0", "app-1"]}}},
        ]
    }
    assert {keys[0] for _day, keys in costs([BY_APP], first, 20, Filter=narrowed)} == {f"{APP}$app-{number}" for number in range(2, 7)}
    by_month = costs([SERVICE], first, 20, Granularity="MONTHLY")
    assert sum(by_month.values()) == 80 and len({day for day, _keys in by_month}) <= 2


def test_a_tag_that_is_not_activated_yields_the_empty_group_only_and_the_past_stays_without_it(aws, costs):
    client = aws.sandbox.client("ce")
    start = at_midnight(aws)
    aws.sandbox.post("/sandbox/costs", lines=[{"day": str(start), "app": "web", "usd": 3}])
    client.update_cost_allocation_tags_status(CostAllocationTagsStatus=[{"TagKey": APP, "Status": "Inactive"}])
    assert costs([BY_APP], start) == {(str(start), (f"{APP}$",)): 3}
    (tag,) = client.list_cost_allocation_tags(TagKeys=[APP])["CostAllocationTags"]
    assert (tag["TagKey"], tag["Status"]) == (APP, "Inactive")
    aws.advance(86400)
    client.update_cost_allocation_tags_status(CostAllocationTagsStatus=[{"TagKey": APP, "Status": "Active"}])
    later = str(start + timedelta(days=1))
    aws.sandbox.post("/sandbox/costs", lines=[{"day": later, "app": "web", "usd": 4}])
    assert costs([BY_APP], start) == {(str(start), (f"{APP}$",)): 3, (later, (f"{APP}$web",)): 4}
    period = {"Start": str(start), "End": str(start + timedelta(days=2))}
    assert client.get_tags(TimePeriod=period, TagKey=APP)["Tags"] == ["web"], "of the first day nothing is known by app"


def test_days_are_estimated_until_their_month_is_closed(aws):
    client, day = aws.sandbox.client("ce"), today(aws)
    old = day - timedelta(days=62)
    period = {"Start": old.isoformat(), "End": (day + timedelta(days=1)).isoformat()}
    results = client.get_cost_and_usage(TimePeriod=period, Granularity="DAILY", Metrics=["UnblendedCost"])["ResultsByTime"]
    assert (results[0]["Estimated"], results[-1]["Estimated"]) == (False, True)
    assert results[0]["Total"]["UnblendedCost"] == {"Amount": "0.0000000000", "Unit": "USD"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"GroupBy": [SERVICE, PURCHASE, BY_APP]}, "up to two keys"),
        ({"GroupBy": [SERVICE, USAGE_TYPE, BY_APP], "Metrics": ["UnblendedCost", "UsageQuantity"]}, "up to two keys"),
        ({"TimePeriod": {"Start": "2026-02-01", "End": "2026-01-01"}}, "before end date"),
        ({"TimePeriod": {"Start": "2020-02-01", "End": "2020-03-01"}}, "14 months"),
        ({"Metrics": ["Money"]}, "Unknown metric Money"),
        ({"Filter": {"And": [{"Dimensions": {"Key": "SERVICE", "Values": ["x"]}}]}}, "at least two operands"),
    ],
)
def test_what_aws_refuses_is_refused(aws, refused, wrong, message):
    day = today(aws)
    period = {"Start": str(day - timedelta(days=3)), "End": str(day)}
    given = {"TimePeriod": period, "Granularity": "DAILY", "Metrics": ["UnblendedCost"], **wrong}
    code, said = refused(aws.sandbox.client("ce").get_cost_and_usage, **given)
    assert code == "ValidationException" and message in said


def test_cost_explorer_can_be_denied(aws, refused):
    aws.sandbox.post("/sandbox/faults", rules=[{"kind": "denied", "service": "ce"}])
    period = {"Start": "2026-11-01", "End": "2026-11-02"}
    code, said = refused(
        aws.sandbox.client("ce").get_cost_and_usage, TimePeriod=period, Granularity="DAILY", Metrics=["UnblendedCost"]
    )
    assert code == "AccessDeniedException" and "ce:GetCostAndUsage" in said
