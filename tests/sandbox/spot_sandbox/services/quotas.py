"""Service Quotas: the quotas that limit what the platform uses, with AWS's defaults, and what a test sets.

``POST /sandbox/quotas`` sets the applied value of one. A quota that was never set has, as some have on AWS, no applied value
in ListServiceQuotas where its name is in ``UNAPPLIED``: its default holds. Quotas limit nothing here.
"""

from __future__ import annotations

from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from spot_sandbox import market

NAMES: dict[str, dict[str, tuple[str, float]]] = {
    "ec2": {
        "L-34B43A08": ("All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 5.0),
        "L-3819A6DF": ("All G and VT Spot Instance Requests", 0.0),
        "L-7212CCBC": ("All P4, P3 and P2 Spot Instance Requests", 0.0),
        "L-B5D1601B": ("All Inf Spot Instance Requests", 0.0),
        "L-E3A00192": ("All X Spot Instance Requests", 0.0),
        "L-88CF9481": ("All F Spot Instance Requests", 0.0),
        "L-1216C47A": ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 5.0),
        "L-DB2E81BA": ("Running On-Demand G and VT instances", 0.0),
        "L-417A185B": ("Running On-Demand P instances", 0.0),
        "L-1945791B": ("Running On-Demand Inf instances", 0.0),
        "L-7295265B": ("Running On-Demand X instances", 0.0),
        "L-74FC7D96": ("Running On-Demand F instances", 0.0),
        "L-0263D0A3": ("EC2-VPC Elastic IPs", 5.0),
        "L-FB451C26": ("Launch templates per Region", 5000.0),
    },
    "ebs": {
        "L-7A658B76": ("Storage for General Purpose SSD (gp3) volumes, in TiB", 50.0),
        "L-D18FCD1D": ("Storage for General Purpose SSD (gp2) volumes, in TiB", 50.0),
        "L-FD252861": ("Storage for Provisioned IOPS SSD (io1) volumes, in TiB", 50.0),
        "L-09BD8365": ("Storage for Provisioned IOPS SSD (io2) volumes, in TiB", 20.0),
        "L-82ACEF56": ("Storage for Throughput Optimized HDD (st1) volumes, in TiB", 50.0),
        "L-17AF77E8": ("Storage for Cold HDD (sc1) volumes, in TiB", 50.0),
        "L-309BACF6": ("Snapshots per Region", 100000.0),
    },
    "elasticloadbalancing": {
        "L-53DA6B97": ("Application Load Balancers per Region", 50.0),
        "L-69A177A2": ("Network Load Balancers per Region", 50.0),
        "L-B22855CB": ("Target Groups per Region", 3000.0),
    },
    "autoscaling": {"L-CDE20ADC": ("Auto Scaling groups per region", 500.0)},
    "rds": {"L-7B6409FD": ("DB instances", 40.0)},
}
UNAPPLIED = {"L-309BACF6", "L-CDE20ADC"}
PAGE = 100
_set: dict[tuple[str, str], float] = {}


def reset() -> None:
    """AWS's defaults."""
    _set.clear()


class QuotaError(ServiceException):
    __module__ = "moto.servicequotas.exceptions"  # moto's serialiser finds the service by it


class Quotas(BaseResponse):
    """The quotas in ``NAMES``, in JSON."""

    def __init__(self) -> None:
        super().__init__(service_name="service-quotas")

    def list_service_quotas(self) -> ActionResult:
        return self._list(applied=True)

    def list_aws_default_service_quotas(self) -> ActionResult:
        return self._list(applied=False)

    def get_service_quota(self) -> ActionResult:
        service, code = self._get_param("ServiceCode"), self._get_param("QuotaCode")
        found = [quota for quota in self._quotas(service, applied=True) if quota["QuotaCode"] == code]
        if not found:
            raise QuotaError(
                "NoSuchResourceException", "The request failed because the specified quota does not exist."
            )
        return ActionResult({"Quota": found[0]})

    def _list(self, applied: bool) -> ActionResult:
        size, start = int(self._get_param("MaxResults") or PAGE), int(self._get_param("NextToken") or 0)
        found = self._quotas(self._get_param("ServiceCode"), applied)
        more = {"NextToken": str(start + size)} if start + size < len(found) else {}
        return ActionResult({"Quotas": found[start : start + size], **more})

    def _quotas(self, service: str, applied: bool) -> list[dict[str, Any]]:
        if service not in NAMES:
            raise QuotaError(
                "NoSuchResourceException", "The request failed because the specified service does not exist."
            )
        return [
            {
                "ServiceCode": service,
                "QuotaCode": code,
                "QuotaName": name,
                "QuotaArn": f"arn:aws:servicequotas:{self.region}:{self.current_account}:{service}/{code}",
                "Value": _set.get((self.region, code), default) if applied else default,
                "Unit": "None",
                "Adjustable": True,
                "GlobalQuota": False,
            }
            for code, (name, default) in NAMES[service].items()
            if not applied or (self.region, code) in _set or code not in UNAPPLIED
        ]


def control_quotas(body: dict[str, Any]) -> dict[str, Any]:
    """Set the applied value of a quota in a region."""
    region, code, value = body.get("region", "us-east-1"), body.get("code"), body.get("value")
    if region not in market.regions():
        raise ValueError(f"region {region!r} is not served: use one of {', '.join(market.regions())}")
    if not any(code in codes for codes in NAMES.values()):
        raise ValueError(f"code {code!r} is not known here: see NAMES in quotas.py")
    if not isinstance(value, (int, float)) or value < 0:
        raise ValueError(f"value {value!r} must be a number of at least 0")
    _set[region, code] = float(value)
    return {"region": region, "code": code, "value": float(value)}


CONTROL = {"POST /sandbox/quotas": control_quotas}
RESPONSES = {"servicequotas": Quotas}
