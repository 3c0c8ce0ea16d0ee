# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a month's costs in one JSON document, as tables and as metrics of Prometheus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine import equivalents, exposition
from ansible_collections.spot.platform.plugins.module_utils.engine.cost_queries import next_month
from ansible_collections.spot.platform.plugins.module_utils.engine.money import rounded, shared_out, units_of

NOBODY = "(no application)"
SAVED = {"paid": "spot_platform", "all_on_demand": "all_on_demand", "fallback": "fallback", "interrupted": "interrupted"}
"""What is told of savings, and what estate_info calls it."""
INSTANCE_COSTS = (
    ("", "paid", "Estimated costs of instances since estate_info knows all of them."),
    ("all_on_demand_", "all_on_demand", "The same hours On-Demand, estimated."),
    ("fallback_", "fallback", "Of the estimated costs for On-Demand that stood in for Spot."),
    ("interrupted_", "interrupted", "Of the estimated costs for instances that Spot took away."),
)
"""Of the metrics of savings a part of the name, the key, and the meaning."""
HOUR_COSTS = (
    ("", "paid_usd", "Billed costs of the month for hours of Spot and On-Demand Instances."),
    ("on_demand_", "on_demand_usd", "The same hours of the month On-Demand at list price."),
)
"""The same of the metrics of the month's hours."""
COMPARED = "Savings of instances against On-Demand (paid: billed, On-Demand: list price)"
"""The title of the table of the month's savings."""
MOST_FINDINGS = 20
"""Lines of waste in a table, the dearest."""


def compose(
    costs: Mapping[str, Any],
    watch: Mapping[str, Any],
    estate: Mapping[str, Any] | None,
    waste: Mapping[str, Any] | None,
    month: str,
    over: bool,
) -> dict[str, Any]:
    """The report of ``month`` (``2026-01``) from what cost_info, cost_watch, estate_info and waste_info returned.

    All sums are exactly those of ``rows``. ``over``: the month is, so nothing is forecast. What was saved in the month is in
    ``equivalents``, billed; ``savings`` is an estimate over the time of which EC2 tells, and has fallback and interrupted work.
    """
    rows = [row for row in costs["rows"] if row["day"].startswith(month)]
    budgets = {one["app"]: one for one in watch["budgets"]}
    fleets = [fleet for fleet in (estate or {}).get("fleets", ()) if fleet.get("cost")]
    apps = by(rows, "app")
    return {
        "month": month,
        "over": over,
        "basis": costs["basis"],
        "reason": costs["reason"],
        "metric": costs["metric"],
        "open": [day for day in costs["period"]["open"] if day.startswith(month)],
        "notes": list(costs["notes"]),
        "total_usd": total(rows),
        "days": by(rows, "day"),
        "apps": [{**one, "budget": budgets.get(one["app"])} for one in apps],
        "services": by(rows, "service"),
        "purchases": by(rows, "purchase"),
        "budgets": watch["budgets"],
        "forecast": None if over else watch["forecast"],
        "anomalies": [one for one in watch["anomalies"] if one["day"].startswith(month)],
        "equivalents": equivalents_of(costs.get("equivalents"), month),
        "savings": savings(fleets),
        "waste": list((waste or {}).get("findings", ())),
        "waste_usd_month": (waste or {}).get("usd_month"),
        "waste_errors": list((waste or {}).get("errors", ())),
        "api_requests": costs["api_requests"],
        "api_cost_usd": costs["api_cost_usd"],
        "rows": rows,
    }


def total(rows: Iterable[Mapping[str, Any]]) -> float:
    """The sum of the rows in USD."""
    return rounded(sum(units_of(row["usd"]) for row in rows))


def by(rows: Iterable[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """The sums by one column, the dearest first, days in order; nothing where the rows do not tell it apart."""
    sums: dict[str, int] = defaultdict(int)
    for row in rows:
        if row.get(name) is not None:
            sums[row[name]] += units_of(row["usd"])
    order = sorted(sums.items()) if name == "day" else sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return [{name: value, "usd": rounded(units)} for value, units in order]


def equivalents_of(compared: Mapping[str, Any] | None, month: str) -> dict[str, Any] | None:
    """Of what cost_info compared with On-Demand, the sums of a month, in all and by application; ``None`` where it compared nothing."""
    if compared is None:
        return None
    rows = [row for row in compared["rows"] if row["day"].startswith(month)]
    first = date.fromisoformat(f"{month}-01")
    return {
        "start": max(str(first), compared["start"]),
        "end": min(str(next_month(first)), compared["end"]),
        "paid_basis": compared["paid_basis"],
        "on_demand_basis": compared["on_demand_basis"],
        **equivalents.summed(rows),
        "apps": equivalents.by_app(rows),
    }


def savings(fleets: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """By application, what its instances cost beside the same hours On-Demand, estimated, over the time that is known."""
    found: dict[str, dict[str, Any]] = {}
    for fleet in fleets:
        cost = fleet["cost"]
        app = fleet["app"] or ""
        one = found.setdefault(app, {"app": app, "since": cost["since"], "until": cost["until"], **dict.fromkeys(SAVED, 0)})
        one["since"], one["until"] = min(one["since"], cost["since"]), max(one["until"], cost["until"])
        for name, source in SAVED.items():
            one[name] += units_of(cost[source])
    for one in found.values():
        one["savings_percent"] = round(100 * (1 - one["paid"] / one["all_on_demand"]), 1) if one["all_on_demand"] else None
        one.update({name: rounded(one[name]) for name in SAVED})
        one["basis"] = "estimated"
    return [found[app] for app in sorted(found)]


def tables(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The report as tables of text, each with ``title``, ``head`` and ``rows``; empty ones are left out."""
    found = [
        {"title": "Applications", "head": ["APPLICATION", "USD", "SHARE", "BUDGET", "SPENT", "FORECAST"], "rows": _apps(report)},
        {"title": "Services", "head": ["SERVICE", "USD"], "rows": _sums(report["services"], "service")},
        {"title": "Purchase options", "head": ["OPTION", "USD"], "rows": _sums(report["purchases"], "purchase")},
        *_saved(report),
        {
            "title": "Days out of line",
            "head": ["DAY", "APPLICATION", "USD", "USUALLY", "BECAUSE OF"],
            "rows": [_anomaly(one) for one in report["anomalies"]],
        },
        {
            "title": "Waste, USD a month",
            "head": ["WHAT", "RESOURCE", "REGION", "USD"],
            "rows": [[one["kind"], one["resource"], one["region"], usd(one["usd_month"])] for one in report["waste"][:MOST_FINDINGS]],
        },
    ]
    return [one for one in found if one["rows"]]


def in_cents(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The parts with their ``usd`` in whole cents, which add up to their sum in whole cents."""
    cents = shared_out({number: units_of(one["usd"]) for number, one in enumerate(parts)}, places=2)
    return [{**one, "usd": cents[number]} for number, one in enumerate(parts)]


def _sums(parts: Sequence[Mapping[str, Any]], name: str) -> list[list[str]]:
    return [[one[name], usd(one["usd"])] for one in in_cents(parts)]


def _apps(report: Mapping[str, Any]) -> list[list[str]]:
    whole = report["total_usd"]
    apps = [{**one, "share": one["usd"] / whole if whole else None} for one in report["apps"]]
    total_of_all = {"app": "TOTAL", "usd": whole, "share": 1.0 if whole else None, "budget": None, "forecast": report["forecast"]}
    return [_app(one) for one in (*in_cents(apps), total_of_all)]


def _app(one: Mapping[str, Any]) -> list[str]:
    budget = one["budget"] or {}
    forecast = one.get("forecast") or budget.get("forecast")
    return [
        one["app"] or NOBODY,
        usd(one["usd"]),
        "-" if one["share"] is None else f"{100 * one['share']:.1f} %",
        usd(budget["budget_usd"]) if budget else "-",
        f"{budget['spent_percent']:.0f} %" if budget else "-",
        usd(forecast["expected"]) if forecast else "-",
    ]


def _saved(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tables of what was saved: of the month where it is billed, else the estimate, of which fallback and interrupted work stay."""
    told = report["equivalents"]
    if told is None:
        head = ["APPLICATION", "SINCE", "PAID", "ON-DEMAND", "SAVED", "FALLBACK", "INTERRUPTED"]
        names = ("paid", "all_on_demand", None, "fallback", "interrupted")
        return [_estimated("Savings of instances against On-Demand (estimated)", head, names, report["savings"])]
    rated = ["COMMITTED"] if _rated(told) else []
    return [
        {
            "title": COMPARED,
            "head": ["APPLICATION", "SPOT HOURS", "ON-DEMAND HOURS", "PAID", "ON-DEMAND", "SAVED", "SHARE", *rated],
            "rows": _compared(told),
        },
        _estimated(
            "Fallback and interrupted work of instances that EC2 still shows (estimated)",
            ["APPLICATION", "SINCE", "FALLBACK", "INTERRUPTED"],
            ("fallback", "interrupted"),
            report["savings"],
        ),
    ]


def _compared(told: Mapping[str, Any]) -> list[list[str]]:
    """Each application and all of them, with cents that add up to those of all."""
    if not told["apps"]:
        return []
    paid, instead = (
        shared_out({number: units_of(one[name]) for number, one in enumerate(told["apps"])}, places=2) for name in ("paid_usd", "on_demand_usd")
    )
    parts = [(one["app"] or NOBODY, one, paid[number], instead[number]) for number, one in enumerate(told["apps"])]
    parts.append(("TOTAL", told, round(sum(paid.values()), 2), round(sum(instead.values()), 2)))
    rows = [
        [name, f"{one['spot_hours']:.1f}", f"{one['on_demand_hours']:.1f}", usd(spent), usd(other), usd(other - spent), _percent(one["saved_percent"])]
        for name, one, spent, other in parts
    ]
    if _rated(told):
        found = {number: units_of(one["committed_usd"]) for number, one in enumerate(told["apps"]) if one["committed_usd"] is not None}
        cents = shared_out(found, places=2)
        if told["committed_usd"] is not None:
            cents[len(parts) - 1] = round(sum(cents.values()), 2)
        for number, row in enumerate(rows):
            row.append(usd(cents[number]) if number in cents else "-")
    return rows


def _rated(told: Mapping[str, Any]) -> bool:
    """Whether what an application ran is known at the rates of a commitment."""
    return any(one["committed_usd"] is not None for one in told["apps"])


def _estimated(title: str, head: list[str], names: Sequence[str | None], found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A table of savings over the time that EC2 tells of; ``None`` stands for the share that was saved."""
    rows = [
        [
            one["app"] or NOBODY,
            one["since"][:16].replace("T", " "),
            *(_percent(one["savings_percent"]) if name is None else usd(one[name]) for name in names),
        ]
        for one in found
    ]
    return {"title": title, "head": head, "rows": rows}


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1f} %"


def _anomaly(one: Mapping[str, Any]) -> list[str]:
    why = ", ".join(f"{cause['service']} of {cause['app'] or 'nobody'}" for cause in one["causes"])
    return [one["day"], "all" if one["app"] is None else one["app"] or NOBODY, usd(one["usd"]), usd(one["usual_usd"]), why]


def usd(amount: float) -> str:
    """USD to a cent."""
    return f"{amount:.2f}"


def summary(report: Mapping[str, Any]) -> str:
    """One sentence, with what was saved where it is billed."""
    forecast = report["forecast"]
    ahead = f", {forecast['expected']:.2f} USD are to be expected at its end ({forecast['low']:.2f} to {forecast['high']:.2f})" if forecast else ""
    told = report["equivalents"]
    saved = ""
    if told and told["saved_percent"] is not None:
        saved = (
            f"; instances cost {told['paid_usd']:.2f} USD, and at the list price of On-Demand {told['on_demand_usd']:.2f}, so "
            f"{told['saved_usd']:.2f} ({told['saved_percent']:.1f} %) were saved"
        )
    return f"{report['month']} has cost {report['total_usd']:.2f} USD ({report['basis']}){ahead}{saved}"


def remarks(report: Mapping[str, Any]) -> list[str]:
    """What is to be known of the figures."""
    found = list(report["notes"])
    if report["open"]:
        found.append(f"{len(report['open'])} of the days may still change, the first {report['open'][0]}: the bill is final some days after the month")
    told = report["equivalents"]
    if told:
        found.append(
            f"savings are of hours from {told['start']} until {told['end']}, at the list prices of today, without what Savings Plans or Reserved "
            "Instances cover"
        )
    waste = report["waste_usd_month"]
    if waste:
        places = "1 place" if len(report["waste"]) == 1 else f"{len(report['waste'])} places"
        found.append(f"{waste:.2f} USD a month are wasted in {places}; waste_info tells the command that mends each")
    found += [f"waste is not known in full: {one['region']}: {one['message']}" for one in report["waste_errors"]]
    found.append(f"asking Cost Explorer has cost {report['api_cost_usd']:.2f} USD, for {report['api_requests']} requests")
    return found


def metrics(report: Mapping[str, Any], now: float, environment: str = "") -> str:
    """The report in Prometheus's text format. ``now``: seconds since 1970; ``environment``: a label of all of it, where there is one."""
    month = report["month"]
    cells: dict[tuple[str, str, str], int] = defaultdict(int)
    for row in report["rows"]:
        cells[row["app"] or "", row["service"] or "", row["purchase"] or ""] += units_of(row["usd"])
    waste: dict[tuple[str, str], int] = defaultdict(int)
    for one in report["waste"]:
        waste[one["kind"], one["region"]] += units_of(one["usd_month"])
    budgets, forecast = report["budgets"], report["forecast"]
    compared = (report["equivalents"] or {}).get("apps", ())
    outlooks = [("", forecast)] if forecast else []
    outlooks += [(one["app"], one["forecast"]) for one in budgets if one["forecast"] and not report["over"]]
    families = [
        (
            "cost_month_usd",
            "Costs of the month so far.",
            [
                ({"app": app, "service": service, "purchase": purchase, "month": month, "basis": report["basis"]}, rounded(units))
                for (app, service, purchase), units in sorted(cells.items())
            ],
        ),
        (
            "cost_forecast_usd",
            "Costs at the end of the month, of an application or of all; low and high hold four of five months.",
            [({"app": app, "bound": bound}, found[bound]) for app, found in outlooks for bound in ("low", "expected", "high")],
        ),
        ("budget_usd", "Budget for the month.", [({"app": one["app"]}, one["budget_usd"]) for one in budgets]),
        (
            "budget_spent_ratio",
            "Part of the budget that is spent.",
            [({"app": one["app"]}, round(one["spent_percent"] / 100, 4)) for one in budgets],
        ),
        ("cost_anomaly_usd", "Costs of a day out of line above what is usual.", [_anomaly_metric(one) for one in report["anomalies"]]),
        *(
            (f"instance_cost_{name}usd", meaning, [({"app": one["app"]}, one[source]) for one in report["savings"]])
            for name, source, meaning in INSTANCE_COSTS
        ),
        *(
            (f"instance_month_{name}usd", meaning, [({"app": one["app"], "month": month}, one[source]) for one in compared])
            for name, source, meaning in HOUR_COSTS
        ),
        (
            "waste_month_usd",
            "Waste a month.",
            [({"kind": kind, "region": region}, rounded(units)) for (kind, region), units in sorted(waste.items())],
        ),
        ("cost_api_requests", "Requests of Cost Explorer for the last report.", [({}, report["api_requests"])]),
        ("cost_report_timestamp_seconds", "When the report was made.", [({}, round(now, 3))]),
    ]
    labels = {"environment": environment} if environment else {}
    return exposition.text((exposition.Family(*family) for family in families), labels)


def _anomaly_metric(one: Mapping[str, Any]) -> tuple[dict[str, str], float]:
    whose = "*" if one["app"] is None else one["app"]
    return {"app": whose, "day": one["day"]}, round(one["usd"] - one["usual_usd"], 6)
