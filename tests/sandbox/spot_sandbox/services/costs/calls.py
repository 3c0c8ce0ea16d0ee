"""Cost Explorer's GetCostAndUsage, GetTags and the status of cost allocation tags, as AWS answers them."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from moto.ce.responses import CostExplorerResponse
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult

from spot_sandbox import clock
from spot_sandbox.billing import usage_type
from spot_sandbox.services.costs import ledger
from spot_sandbox.services.costs.ledger import Line

METRICS = ("UnblendedCost", "AmortizedCost", "NetUnblendedCost", "NetAmortizedCost", "BlendedCost", "UsageQuantity")
MONTHS_KEPT = 13
"""Months before the present one that Cost Explorer knows by day."""
CLOSED_AFTER = 5
"""Days after the end of a month from when on its bill is final, and its days no longer estimated."""

RECORD_TYPES = {"Savings Plans": "SavingsPlanCoveredUsage", "Standard Reserved Instances": "DiscountedUsage"}
"""By purchase option, where it is not ``Usage``."""

settings = {"page": 1000}
active: dict[str, str] = {}
"""Cost allocation tags that are active, and since when."""


class CostError(ServiceException):
    __module__ = "moto.ce.exceptions"  # moto's serialiser finds the service by it


def reset() -> None:
    settings["page"] = 1000
    active.clear()
    since = (clock.now() - timedelta(days=500)).isoformat()
    active.update({key: since for key in ("spot.platform/app", "spot.platform/environment")})
    ledger.reset()


class Costs(CostExplorerResponse):
    """Cost Explorer's operations."""

    def __init__(self) -> None:
        super().__init__()
        self.automated_parameter_parsing = True

    def get_cost_and_usage(self) -> ActionResult:
        start, end = _period(self._get_param("TimePeriod") or {})
        granularity, metrics = self._get_param("Granularity"), self._get_param("Metrics") or []
        groups = self._get_param("GroupBy") or []
        if granularity not in ("DAILY", "MONTHLY"):
            raise CostError("ValidationException", f"Granularity {granularity} is not in the sandbox: use DAILY or MONTHLY")
        if unknown := sorted(set(metrics) - set(METRICS)) or (not metrics and ["none"]):
            raise CostError("ValidationException", f"Unknown metric {unknown[0]}")
        if len(groups) > 2:
            raise CostError("ValidationException", "You can only group by up to two keys")
        chosen = _matcher(self._get_param("Filter"))
        sums: dict[tuple[date, tuple[str, ...]], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for line in ledger.lines(start, end - timedelta(days=1)):
            if chosen(line):
                slot = line.day if granularity == "DAILY" else max(start, line.day.replace(day=1))
                entry = sums[slot, tuple(_key(line, group) for group in groups)]
                entry[0] += line.amount
                entry[1] += line.usage
        rows = sorted(sums.items())
        begin = _offset(self._get_param("NextPageToken"))
        page = rows[begin : begin + settings["page"]]
        results = [_result(slot, until, page, metrics, bool(groups)) for slot, until in _slots(start, end, granularity)]
        more = begin + settings["page"] < len(rows)
        token = {"NextPageToken": base64.b64encode(str(begin + settings["page"]).encode()).decode()} if more else {}
        return ActionResult({"GroupDefinitions": groups, "ResultsByTime": results, "DimensionValueAttributes": [], **token})

    def get_tags(self) -> ActionResult:
        start, end = _period(self._get_param("TimePeriod") or {})
        key = self._get_param("TagKey")
        found = set()
        for line in ledger.lines(start, end - timedelta(days=1)):
            held = {name: value for name, value in line.tags if name in active}
            found |= {held.get(key, "")} if key else set(held)
        return ActionResult({"Tags": sorted(found), "ReturnSize": len(found), "TotalSize": len(found)})

    def list_cost_allocation_tags(self) -> ActionResult:
        keys, status = self._get_param("TagKeys"), self._get_param("Status")
        today = clock.now().date()
        known = {name for line in ledger.lines(today - timedelta(days=365), today) for name, _value in line.tags} | set(active)
        shown = [
            {"TagKey": key, "Type": "UserDefined", "Status": "Active" if key in active else "Inactive"}
            | ({"LastUpdatedDate": active[key]} if key in active else {})
            for key in sorted(known)
            if not keys or key in keys
        ]
        return ActionResult({"CostAllocationTags": [one for one in shown if status in (None, one["Status"])]})

    def update_cost_allocation_tags_status(self) -> ActionResult:
        for entry in self._get_param("CostAllocationTagsStatus") or []:
            if entry["Status"] == "Active":
                active.setdefault(entry["TagKey"], clock.now().isoformat())
            else:
                active.pop(entry["TagKey"], None)
        return ActionResult({"Errors": []})


def _period(given: Mapping[str, str]) -> tuple[date, date]:
    try:
        start, end = date.fromisoformat(given["Start"]), date.fromisoformat(given["End"])
    except (KeyError, ValueError):
        raise CostError("ValidationException", "Start and End of the time period must be dates, yyyy-MM-dd") from None
    if start >= end:
        raise CostError("ValidationException", "Start date (and hour) should be before end date (and hour)")
    today = clock.now().date()
    first = today.year * 12 + today.month - 1 - MONTHS_KEPT
    if start < date(first // 12, first % 12 + 1, 1):
        raise CostError("ValidationException", "You haven't enabled historical data beyond 14 months")
    if start > today:
        raise CostError("ValidationException", "Start date cannot be after today's date")
    return start, end


def _offset(token: str | None) -> int:
    try:
        return int(base64.b64decode(token)) if token else 0
    except ValueError:
        raise CostError("InvalidNextTokenException", "The next page token is invalid") from None


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _slots(start: date, end: date, granularity: str) -> list[tuple[date, date]]:
    """The days or months of the period, each with its end."""
    slots = []
    while start < end:
        following = start + timedelta(days=1) if granularity == "DAILY" else _next_month(start)
        slots.append((start, min(following, end)))
        start = following
    return slots


def _result(slot: date, until: date, page: list[Any], metrics: list[str], grouped: bool) -> dict[str, Any]:
    rows = [(keys, sums) for (when, keys), sums in page if when == slot]
    closed = _next_month(slot) + timedelta(days=CLOSED_AFTER)
    return {
        "TimePeriod": {"Start": slot.isoformat(), "End": until.isoformat()},
        "Total": {} if grouped else _shown(rows[0][1] if rows else [0.0, 0.0], metrics),
        "Groups": [{"Keys": list(keys), "Metrics": _shown(sums, metrics)} for keys, sums in rows] if grouped else [],
        "Estimated": clock.now().date() < closed,
    }


def _shown(sums: list[float], metrics: list[str]) -> dict[str, dict[str, str]]:
    return {
        name: {"Amount": f"{sums[1]:.10f}", "Unit": "N/A"} if name == "UsageQuantity" else {"Amount": f"{sums[0]:.10f}", "Unit": "USD"}
        for name in metrics
    }


def _key(line: Line, group: Mapping[str, str]) -> str:
    if group["Type"] == "TAG":
        return f"{group['Key']}${_tag(line, group['Key'])}"
    return _dimension(line, group["Key"])


def _tag(line: Line, key: str) -> str:
    """The value of a tag; nothing where it is not active, or was not on that day."""
    if key not in active or line.day.isoformat() < active[key][:10]:
        return ""
    return dict(line.tags).get(key, "")


def _dimension(line: Line, name: str) -> str:
    try:
        return line.dimension(name)
    except KeyError:
        raise CostError("ValidationException", f"The dimension {name} is not in the sandbox") from None


def _matcher(expression: Mapping[str, Any] | None) -> Callable[[Line], bool]:
    """Whether a line passes a filter."""
    if not expression:
        return lambda _line: True
    if len(expression) != 1:
        raise CostError("ValidationException", "Expression should have one of Or, And, Not, Dimensions, Tags")
    ((kind, given),) = expression.items()
    if kind in ("And", "Or"):
        parts = [_matcher(one) for one in given]
        if len(parts) < 2:
            raise CostError("ValidationException", f"{kind} expressions should have at least two operands")
        every = all if kind == "And" else any
        return lambda line: every(part(line) for part in parts)
    if kind == "Not":
        inner = _matcher(given)
        return lambda line: not inner(line)
    if kind not in ("Dimensions", "Tags"):
        raise CostError("ValidationException", f"Expressions of {kind} are not in the sandbox")
    read = _tag if kind == "Tags" else _dimension
    key, values, absent = given["Key"], given.get("Values") or [], "ABSENT" in (given.get("MatchOptions") or [])
    return lambda line: (read(line, key) == "") if absent else read(line, key) in values


def control_costs(body: dict[str, Any]) -> dict[str, Any]:
    """Adds lines to the bill, and sets how many groups a page of GetCostAndUsage has."""
    if unknown := sorted(set(body) - {"lines", "page"}):
        raise ValueError(f"unknown key {unknown[0]!r}: use lines, page")
    page = body.get("page", settings["page"])
    if not isinstance(page, int) or page < 1:
        raise ValueError(f"page {page!r} must be a whole number of at least 1")
    made = [_injected(one) for one in body.get("lines", [])]
    settings["page"] = page
    ledger.injected.extend(made)
    return {"lines": len(ledger.injected), "page": page}


def _injected(given: Mapping[str, Any]) -> Line:
    region, purchase = given.get("region", "us-east-1"), given.get("purchase", ledger.ON_DEMAND)
    service = given.get("service", ledger.COMPUTE)
    try:
        tags = {**given.get("tags", {})} | ({"spot.platform/app": given["app"]} if given.get("app") else {})
        return Line(
            day=date.fromisoformat(given["day"]),
            service=service,
            region=region,
            purchase=purchase,
            usage_type=given.get("usage_type") or usage_type(region, _usual(service, purchase)),
            amount=float(given["usd"]),
            usage=float(given.get("usage", 1.0)),
            tags=tuple(sorted(tags.items())),
            account=given.get("account", ledger.ACCOUNT),
            record_type=given.get("record_type", RECORD_TYPES.get(purchase, "Usage")),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError(f"a line needs day (2026-01-31) and usd, and {json.dumps(given)} has not: {problem}") from None


def _usual(service: str, purchase: str) -> str:
    """The usage type of a line that does not say one, without the region's code."""
    if service != ledger.COMPUTE:
        return "Usage"
    return "SpotUsage:m5.large" if purchase == ledger.SPOT else "BoxUsage:m5.large"


def control_shown(_query: dict[str, Any]) -> dict[str, Any]:
    """The tags that are active, and the lines that were added."""
    return {"active": dict(active), "lines": len(ledger.injected), "page": settings["page"]}
