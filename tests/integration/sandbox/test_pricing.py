"""The Price List API."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError
from spot_sandbox import market


def products(client, **filters):
    rules = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in filters.items()]
    pages = client.get_paginator("get_products").paginate(ServiceCode="AmazonEC2", Filters=rules)
    return [json.loads(item) for page in pages for item in page["PriceList"]]


def test_a_product_has_the_shape_that_clients_parse(fresh):
    wanted = {"regionCode": "eu-west-1", "instanceType": "m5.large", "operatingSystem": "Linux", "tenancy": "Shared"}
    (item,) = products(fresh.client("pricing"), **wanted, preInstalledSw="NA", capacitystatus="Used")
    assert item["product"]["attributes"]["location"] == "EU (Ireland)"
    assert item["product"]["attributes"]["vcpu"] == "2"
    assert item["product"]["attributes"]["memory"] == "8 GiB"
    (term,) = item["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    assert dimension["unit"] == "Hrs"
    assert float(dimension["pricePerUnit"]["USD"]) == market.on_demand_price("eu-west-1", "m5.large")


def test_all_of_a_region_in_pages_of_a_hundred(fresh):
    found = products(fresh.client("pricing"), location="US West (Oregon)", operatingSystem="Linux")
    assert sorted(item["product"]["attributes"]["instanceType"] for item in found) == sorted(market.types("us-west-2"))
    assert fresh.get("/sandbox/calls")["services"]["pricing"]["GetProducts"] == -(-len(found) // 100)


def test_what_is_not_sold_is_an_empty_answer(fresh):
    client = fresh.client("pricing")
    assert products(client, instanceType="m5.huge") == []
    assert products(client, instanceType="m5.large", operatingSystem="Windows") == []


@pytest.mark.parametrize(
    ("region", "arguments", "code"),
    [
        ("eu-west-1", {"ServiceCode": "AmazonEC2"}, "UnrecognizedClientException"),
        ("us-east-1", {"ServiceCode": "AmazonS9"}, "NotFoundException"),
        ("us-east-1", {"ServiceCode": "AmazonEC2", "NextToken": "x"}, "InvalidNextTokenException"),
        ("us-east-1", {"ServiceCode": "AmazonEC2", "MaxResults": 101}, "InvalidParameterException"),
    ],
)
def test_bad_requests_are_refused(fresh, region, arguments, code):
    with pytest.raises(ClientError) as failed:
        fresh.client("pricing", region).get_products(**arguments)
    assert failed.value.response["Error"]["Code"] == code
