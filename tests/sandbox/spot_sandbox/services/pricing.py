"""The Price List API, which moto lacks: On-Demand prices of Linux instances with shared tenancy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from botocore.session import get_session
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse

from spot_sandbox import market
from spot_sandbox.billing import usage_type

ENDPOINTS = ("us-east-1", "eu-central-1", "ap-south-1")
ON_DEMAND_TERM, HOURLY_RATE = "JRTCKXETXF", "6YS6EN2CT7"
"""AWS's own codes, the same for every product."""

PUBLISHED = "2026-07-20T00:00:00Z"


class PricingError(ServiceException):
    __module__ = "moto.pricing.exceptions"  # moto's serialiser finds the service by it


class Pricing(BaseResponse):
    """``GetProducts`` for ``AmazonEC2``."""

    def __init__(self) -> None:
        super().__init__(service_name="pricing")
        self.automated_parameter_parsing = True

    def get_products(self) -> ActionResult:
        if self.region not in ENDPOINTS:
            raise PricingError(
                "UnrecognizedClientException",
                f"The Price List API has no endpoint in {self.region}: use {', '.join(ENDPOINTS)}",
            )
        if self._get_param("ServiceCode") != "AmazonEC2":
            raise PricingError(
                "NotFoundException", f"Service {self._get_param('ServiceCode')} has no prices in the sandbox"
            )
        size = self._get_param("MaxResults") or 100
        if not 1 <= size <= 100:
            raise PricingError("InvalidParameterException", f"MaxResults {size} must be between 1 and 100")
        try:
            start = int(self._get_param("NextToken") or 0)
        except ValueError:
            raise PricingError("InvalidNextTokenException", "The pagination token is invalid") from None
        filters = self._get_param("Filters") or []
        found: list[str] = []
        token = None
        for number, (region, name) in enumerate(p for p in _products(filters) if _passes(p, filters)):
            if number < start:
                continue
            if len(found) == size:
                token = str(number)
                break
            found.append(_price_list_item(region, name))
        return ActionResult({"FormatVersion": "aws_v1", "PriceList": found, "NextToken": token})


RESPONSES = {"pricing": Pricing}


def _products(filters: list[dict[str, str]]) -> Iterator[tuple[str, str]]:
    """All products, or only those that an exact region and type leave: what clients nearly always give."""
    exact = {f["Field"]: f["Value"] for f in filters if f["Type"] in ("TERM_MATCH", "EQUALS")}
    for region in market.regions():
        if exact.get("regionCode", region) == region and exact.get("location", _location(region)) == _location(region):
            for name in market.types(region):
                if exact.get("instanceType", name) == name:
                    yield region, name


def _passes(product: tuple[str, str], filters: list[dict[str, str]]) -> bool:
    attributes = {**_attributes(*product), "ServiceCode": "AmazonEC2", "productFamily": "Compute Instance"}
    for rule in filters:
        value, wanted = attributes.get(rule["Field"]), rule["Value"]
        if rule["Type"] == "CONTAINS":
            matches = value is not None and wanted in value
        elif rule["Type"] in ("ANY_OF", "NONE_OF"):
            matches = (value in wanted.split(",")) == (rule["Type"] == "ANY_OF")
        else:
            matches = value is not None and value.lower() == wanted.lower()
        if not matches:
            return False
    return True


@lru_cache(maxsize=None)
def _location(region: str) -> str:
    """The Price List API kept ``EU`` for the regions that were there when the others became ``Europe``."""
    name = get_session().get_data("endpoints")["partitions"][0]["regions"][region]["description"]
    return name if region in ("eu-central-2", "eu-south-2") else name.replace("Europe", "EU")


def _attributes(region: str, name: str) -> dict[str, str]:
    info = market.type_info(name)
    return {
        "servicecode": "AmazonEC2",
        "servicename": "Amazon Elastic Compute Cloud",
        "location": _location(region),
        "locationType": "AWS Region",
        "regionCode": region,
        "instanceType": name,
        "currentGeneration": "Yes" if info.current_generation else "No",
        "vcpu": str(info.vcpus),
        "memory": f"{info.memory_mib / 1024:g} GiB",
        "tenancy": "Shared",
        "operatingSystem": "Linux",
        "licenseModel": "No License required",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "operation": "RunInstances",
        "marketoption": "OnDemand",
        "usagetype": usage_type(region, f"BoxUsage:{name}"),
    }


def _price_list_item(region: str, name: str) -> str:
    sku = hashlib.sha256(f"{region}/{name}".encode()).hexdigest()[:16].upper()
    price = market.on_demand_price(region, name)
    term, rate = f"{sku}.{ON_DEMAND_TERM}", f"{sku}.{ON_DEMAND_TERM}.{HOURLY_RATE}"
    dimension: dict[str, Any] = {
        "unit": "Hrs",
        "beginRange": "0",
        "endRange": "Inf",
        "description": f"${price:g} per On Demand Linux {name} Instance Hour",
        "appliesTo": [],
        "rateCode": rate,
        "pricePerUnit": {"USD": f"{price:.10f}"},
    }
    offer = {
        "priceDimensions": {rate: dimension},
        "sku": sku,
        "effectiveDate": PUBLISHED,
        "offerTermCode": ON_DEMAND_TERM,
        "termAttributes": {},
    }
    return json.dumps(
        {
            "product": {"productFamily": "Compute Instance", "attributes": _attributes(region, name), "sku": sku},
            "serviceCode": "AmazonEC2",
            "terms": {"OnDemand": {term: offer}},
            "version": PUBLISHED.replace("-", "").replace(":", ""),
            "publicationDate": PUBLISHED,
        },
        separators=(",", ":"),
    )
