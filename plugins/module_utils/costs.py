# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``cost_info`` answers: billed costs, or estimated ones where the bill must not be asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import cost_estimates, cost_explorer
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, regions_of, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.cost_explorer import Purse, Question, Store
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import DENIED, AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.market import PRICING_REGION, on_demand_prices
from ansible_collections.spot.platform.plugins.module_utils.engine import cost_queries as engine
from ansible_collections.spot.platform.plugins.module_utils.engine import costs, equivalents
from ansible_collections.spot.platform.plugins.module_utils.engine.money import UNITS, rounded, shared_out

NAMES = {"type": "list", "elements": "str"}
ARGUMENTS = {
    "start": {"type": "str"},
    "end": {"type": "str"},
    "granularity": {"type": "str", "choices": [engine.DAY, engine.MONTH], "default": engine.DAY},
    "by": {**NAMES, "choices": list(engine.DIMENSIONS), "default": ["app", "service", "purchase"]},
    "apps": {**NAMES, "default": []},
    "environment": {"type": "str"},
    "accounts": {**NAMES, "default": []},
    "metric": {
        "type": "str",
        "choices": ["UnblendedCost", "AmortizedCost", "NetUnblendedCost", "NetAmortizedCost"],
        "default": "UnblendedCost",
    },
    "source": {"type": "str", "choices": ["auto", "billed", "estimated"], "default": "auto"},
    "equivalents": {"type": "bool", "default": False},
    "committed_rates": {"type": "dict", "default": {}},
    "regions": NAMES,
    "max_usd": {"type": "float", "default": 0.1},
    "cache_dir": {"type": "path", "default": "~/.cache/spot.platform/costs"},
    "cache_hours": {"type": "float", "default": 6},
}
BILLED, ESTIMATED = "billed", "estimated"
LIST_PRICE = "list price"
NOT_COMPARED = "the same hours On-Demand are not known without Cost Explorer, which alone knows how long each instance ran"


def answer(module: Any, purse: Purse) -> dict[str, Any]:
    """The module's result. ``purse`` tells what was asked, also where this raises one of the ``FAILURES``."""
    given = module.params
    now = datetime.now(timezone.utc)
    question = question_of(given, now)
    rates = costs.rates_of(given["committed_rates"])
    if given["max_usd"] < 0:
        raise ValueError(f"max_usd is {given['max_usd']:g}: it must be 0 or more")
    purse.limit = int(Decimal(str(given["max_usd"])) / Decimal(str(engine.REQUEST_USD)))
    clients = Clients.of_module(module, cost_explorer.REGION)
    rows: engine.Rows | None = None
    still_open: Sequence[str] = ()
    reason, notes = None, []
    compared: dict[str, Any] | None = None
    if given["source"] != ESTIMATED:
        try:
            account = cost_explorer.account_of(clients.get("sts"))
            store = Store(Path(given["cache_dir"]).expanduser(), (given["endpoint_url"], account))
            client = clients.get("ce", cost_explorer.REGION)
            found = cost_explorer.ask(client, question, store, purse, now)
            rows, still_open = found.rows, found.open
            notes += untagged(client, question, rows, store, purse, now)
            if found.usage is not None:
                compared, problems = on_demand(clients, found.usage, question, given, rates)
                notes += problems
            notes += filter(None, (store.problem,))
        except AwsError as error:
            if error.code not in DENIED or given["source"] == BILLED:
                raise
            reason = str(error)
    if rows is None:
        rows, problems = estimate(module, clients, question, now)
        notes += problems
        reason = f"{reason}; {cost_estimates.BASIS}" if reason else cost_estimates.BASIS
        notes += [reason, *([NOT_COMPARED] if question.usage and given["source"] != ESTIMATED else [])]
        still_open = sorted({day for day, _values in rows})
    check_apps(rows, given["apps"], question)
    basis = BILLED if reason is None else ESTIMATED
    return {
        "changed": False,
        **shown(rows, question.by, given["apps"], basis),
        "equivalents": compared,
        "period": {"start": str(question.first), "end": str(question.end), "open": list(still_open)},
        "basis": basis,
        "reason": reason,
        "metric": question.metric,
        "api_requests": purse.asked,
        "api_cost_usd": purse.usd,
        "cached_requests": purse.cached,
        "notes": notes,
    }


def question_of(given: Mapping[str, Any], now: datetime) -> Question:
    """What is asked. Raises ``ValueError`` for what means nothing."""
    today = now.date()
    first_of_month = today.replace(day=1)
    start = _day("start", given["start"]) or (first_of_month if today.day > 1 else (today - timedelta(days=1)).replace(day=1))
    end = _day("end", given["end"]) or (today if start < today else today + timedelta(days=1))
    engine.check_period(start, end, today, given["granularity"])
    if given["cache_hours"] < 0:
        raise ValueError(f"cache_hours is {given['cache_hours']:g}: it must be 0 or more")
    by = {*given["by"], *(["app"] if given["apps"] else [])}
    for number, account in enumerate(given["accounts"]):
        if not (account.isdigit() and len(account) == 12):
            raise ValueError(f"accounts[{number}] is {account!r}: an account is a number of twelve digits")
    return Question(
        by=tuple(one for one in engine.DIMENSIONS if one in by),
        first=start,
        end=end,
        granularity=given["granularity"],
        metric=given["metric"],
        environment=given["environment"],
        accounts=tuple(sorted(set(given["accounts"]))),
        fresh=timedelta(hours=given["cache_hours"]),
        usage=given["equivalents"],
    )


def _day(name: str, text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ValueError(f"{name} is {text!r}: write a day as in 2026-01-31") from None


def untagged(client: Any, question: Question, rows: engine.Rows, store: Store, purse: Purse, now: datetime) -> list[str]:
    """Warnings where costs have no application for want of the tag. It is asked for only where a day has costs and no application."""
    if "app" not in question.by:
        return []
    costly, tagged = set(), set()
    for (day, values), units in rows.items():
        if units:
            costly.add(day)
        if dict(values)["app"]:
            tagged.add(day)
    bare = sorted(costly - tagged)
    if not bare:
        return []
    said = f"on {len(bare)} of {len(costly)} {question.granularity}s with costs, the first {bare[0]}, nothing is booked to an application"
    try:
        since = cost_explorer.active_since(client, tags.APP, store, purse, now)
    except (AwsError, ValueError) as error:
        return [f"{said}; whether the cost allocation tag {tags.APP} is active is not known: {error}"]
    if since is None:
        return [
            f"{said}, since the cost allocation tag {tags.APP} is not activated: activate it in the payer account (Billing, Cost allocation "
            "tags, or ce:UpdateCostAllocationTagsStatus); that takes up to a day, and the past stays without it"
        ]
    return [f"{said}; the cost allocation tag {tags.APP} is active since {since[:10]}"] if since[:10] > bare[0] else []


def on_demand(
    clients: Clients, usage: equivalents.Usage, question: Question, given: Mapping[str, Any], rates: Mapping[str, float]
) -> tuple[dict[str, Any], list[str]]:
    """What the billed hours of instances would have cost On-Demand at the list prices of today, and at ``rates``, and what is missing. A region whose prices
    cannot be read leaves its hours out."""
    cache = Cache(given["cache_dir"], given["endpoint_url"])
    pricing = clients.get("pricing", PRICING_REGION)

    def ask(region: str) -> tuple[str, Mapping[str, float], str | None]:
        try:
            return region, on_demand_prices(pricing, region, cache), None
        except AwsError as error:
            return region, {}, f"{region}: {error}"

    answers = side_by_side(ask, equivalents.regions_of(usage))
    compared = equivalents.compare(usage, {region: prices for region, prices, _problem in answers}, given["apps"], rates)
    told = {"start": str(question.first), "end": str(question.end), "paid_basis": BILLED, "on_demand_basis": LIST_PRICE}
    problems = [problem for _region, _prices, problem in answers if problem]
    if missing := equivalents.left_out(compared["rows"]):
        problems.append(f"from {question.first} until {question.end}, {missing}")
    return {**compared, **told}, problems


def estimate(module: Any, clients: Clients, question: Question, now: datetime) -> tuple[engine.Rows, list[str]]:
    """The costs by running hours, and what is missing. Raises ``ValueError`` without a region, and where no region could be read."""
    given = module.params
    regions = regions_of(module)
    first = datetime.combine(question.first, time(), timezone.utc)
    until = min(now, datetime.combine(question.end, time(), timezone.utc))
    cache = Cache(given["cache_dir"], given["endpoint_url"])
    uses, errors = cost_estimates.uses(clients, regions, question.environment, first, now, cache)
    problems = [f"{error['region']}: {error['message']}" for error in errors]
    if not uses and errors:
        raise ValueError(f"nothing could be estimated: {'; '.join(problems)}")
    rows: dict[Any, int] = defaultdict(int)
    for (day, *values), units in costs.estimated(uses, first, until).items():
        slot = day if question.granularity == engine.DAY else max(question.first, day.replace(day=1))
        held = dict(zip(engine.DIMENSIONS, values))
        rows[str(slot), tuple((name, held[name]) for name in question.by)] += units
    return dict(rows), problems


def check_apps(rows: engine.Rows, apps: Sequence[str], question: Question) -> None:
    """Raises ``ValueError`` for an application that has no costs."""
    there = {dict(values).get("app") for _day, values in rows}
    for app in apps:
        if app not in there:
            known = ", ".join(sorted(filter(None, there))) or "none at all"
            raise ValueError(
                f"nothing is booked to the application {app} from {question.first} until {question.end}; there is {known}: check the name and "
                "the period"
            )


def shown(rows: engine.Rows, by: Sequence[str], apps: Sequence[str], basis: str) -> dict[str, Any]:
    """``rows``, ``total_usd`` and ``totals`` of the apps (all, if empty). All sums are of the figures that are shown, so that they agree
    with their parts, and those of an application do not depend on which others are asked for."""
    listed = [
        {"day": day, **dict.fromkeys(engine.DIMENSIONS), **dict(values), "usd": usd, "basis": basis}
        for (day, values), usd in shared_out(dict(sorted(rows.items()))).items()
        if not apps or dict(values)["app"] in apps
    ]
    totals: dict[str, dict[str, int]] = {name: defaultdict(int) for name in ("day", *by)}
    for row in listed:
        for name, sums in totals.items():
            sums[row[name]] += round(row["usd"] * UNITS)
    return {
        "rows": listed,
        "total_usd": rounded(sum(round(row["usd"] * UNITS) for row in listed)),
        "totals": {name: {value: rounded(units) for value, units in sorted(sums.items())} for name, sums in totals.items()},
    }
