# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a snapshot that several modules tell of: what it costs, and the Spot market."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.cost_report import equivalents_of, savings, total
from ansible_collections.spot.platform.plugins.module_utils.engine.equivalents import COMPUTE
from ansible_collections.spot.platform.plugins.module_utils.engine.money import rounded, units_of

CONFIDENCE = 0.8
"""Of the band of the forecast."""
MOST_POOLS = 40
"""Of an application in a region: those that hold or are to hold something, and the cheapest others."""


def costs_of(costs: Mapping[str, Any], watch: Mapping[str, Any], waste: Mapping[str, Any] | None, today: str) -> dict[str, Any]:
    """The part ``costs``, of what cost_info by day, cost_watch and waste_info returned; ``today`` in UTC. Where cost_info
    compared them with On-Demand, the days have ``on_demand_usd``, and what the month saved is there. ``waste`` is not in it where it is
    ``None``: it could not be looked for."""
    compared = costs.get("equivalents")
    rows = with_on_demand([{**row, "purchase": purchase_of(row.get("purchase"))} for row in costs["rows"]], compared)
    forecast = watch["forecast"]
    return {
        "basis": costs["basis"],
        "currency": "USD",
        "days": rows,
        "today_usd": total(row for row in rows if row["day"] == today),
        "month_usd": total(row for row in rows if row["day"][:7] == today[:7]),
        **saved_in(compared, today[:7]),
        "forecast": forecast
        and {
            "month_end_usd": forecast["expected"],
            "low_usd": forecast["low"],
            "high_usd": forecast["high"],
            "confidence": CONFIDENCE,
        },
        "budgets": [budget_of(one) for one in watch["budgets"]],
        "anomalies": [anomaly_of(one) for one in watch["anomalies"]],
        "warnings": [*filter(None, (costs["reason"],)), *costs["notes"]],
        **({} if waste is None else {"waste": [finding_of(one) for one in waste["findings"]]}),
    }


def with_on_demand(rows: Sequence[Mapping[str, Any]], compared: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The rows, those of instances with what they would have cost On-Demand: what they cost, and what was saved of it. What is left out of
    the comparison, such as hours without a known price, is alike in both."""
    saved: dict[tuple[str, str, str | None, str], int] = defaultdict(int)
    for one in (compared or {}).get("rows", ()):
        if not one["left_out"]:
            for region in (one["region"], None):
                saved[one["day"], one["app"], region, one["lifecycle"]] += units_of(one["saved_usd"])
    found = []
    for row in rows:
        key = (row["day"], row["app"], row.get("region"), row["purchase"])
        if row["service"] == COMPUTE and key in saved:
            row = {**row, "on_demand_usd": rounded(units_of(row["usd"]) + saved[key])}
        found.append(dict(row))
    return found


def saved_in(compared: Mapping[str, Any] | None, month: str) -> dict[str, Any]:
    """What a month has saved, billed beside list prices; empty where nothing was compared."""
    told = equivalents_of(compared, month)
    if told is None:
        return {}
    share = told["saved_usd"] / told["on_demand_usd"] if told["on_demand_usd"] else None
    basis = f"{told['paid_basis']}, On-Demand at {told['on_demand_basis']}"
    return {"saved_usd": told["saved_usd"], "saved_share": share, "saved_since": f"{told['start']}T00:00:00Z", "saved_basis": basis}


def saved_of(fleets: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What fleets of estate_info have saved over the time that EC2 tells of, estimated, with what Cost Explorer cannot tell: what fallback
    and interrupted work have cost. Empty where there is none."""
    parts = savings([fleet for fleet in fleets if fleet.get("cost")])
    if not parts:
        return {}
    paid, instead = total_of(parts, "paid"), total_of(parts, "all_on_demand")
    since = min(one["since"] for one in parts)
    return {
        "saved_usd": instead - paid,
        "saved_share": 1 - paid / instead if instead else None,
        "saved_since": since,
        "saved_basis": "estimated",
        "fallback_usd": total_of(parts, "fallback"),
        "interrupted_usd": total_of(parts, "interrupted"),
        "fallback_since": since,
    }


def total_of(parts: Iterable[Mapping[str, Any]], name: str) -> float:
    """The sum of a column in USD."""
    return total({"usd": one[name]} for one in parts)


def purchase_of(text: str | None) -> str | None:
    """A purchase option of Cost Explorer as the page calls it."""
    if text is None:
        return None
    words = text.lower()
    for part, name in (("spot", "spot"), ("on demand", "on_demand"), ("reserved", "reserved"), ("savings plan", "savings_plan")):
        if part in words:
            return name
    return "other"


def budget_of(one: Mapping[str, Any]) -> dict[str, Any]:
    """How a budget stands; shares are of 1."""
    expected = (one["forecast"] or {}).get("expected")
    return {
        "app": one["app"],
        "monthly_usd": one["budget_usd"],
        "spent_usd": one["spent_usd"],
        "share": one["spent_percent"] / 100,
        "forecast_share": None if expected is None else expected / one["budget_usd"],
        "crossed": [] if one["crossed_percent"] is None else [one["crossed_percent"] / 100],
    }


def finding_of(one: Mapping[str, Any]) -> dict[str, Any]:
    """Something that is paid for and not used."""
    return {
        "kind": one["kind"],
        "id": one["resource"],
        "region": one["region"],
        "app": one["app"],
        "usd_per_month": one["usd_month"],
        "why": "; ".join(one["reasons"]),
        "remedy": one["command"],
    }


def anomaly_of(one: Mapping[str, Any]) -> dict[str, Any]:
    """A day out of line, with the first of its causes."""
    cause = next(iter(one["causes"]), None)
    whose = one["app"] or ("all applications" if one["app"] is None else "what belongs to no application")
    because = f", because of {cause['service']}" if cause else ""
    return {
        "day": one["day"],
        "usd": one["usd"],
        "expected_usd": one["usual_usd"],
        "cause": cause and {"app": cause["app"], "service": cause["service"]},
        "text": f"{whose} cost {one['usd']:.2f} USD on {one['day']}, and {one['usual_usd']:.2f} on days alike{because}",
    }


def market_of(decisions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The part ``market``, of the decisions that spot_autoscale explained. What several applications hold of a pool is added up."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for decision in decisions:
        for pool in decision.get("pools", ())[:MOST_POOLS]:
            zone, _slash, kind = pool["pool"].partition("/")
            one = found.setdefault(
                (decision["region"], pool["pool"]),
                {"region": decision["region"], "zone": zone, "type": kind, "held": 0, "wanted": 0},
            )
            one["held"] += pool["held"]
            one["wanted"] += pool["wanted"]
            price, instead = pool["instance_price_per_hour"], pool["on_demand_price_per_hour"]
            one |= {"price": price, "on_demand_price": instead, "saving": 1 - price / instead if instead else None}
            one |= {"interruption_band": pool["interruption_band"], "score": pool["placement_score"]}
            for name in ("hours_to_a_loss", "chance_open"):
                one[name] = min(one.get(name, pool[name]), pool[name])
    return {"pools": [found[key] for key in sorted(found)]}
