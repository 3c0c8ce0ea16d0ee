# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of the autoscaler's steps: the module's result, its diff, and the events that they leave."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.activity import Event, as_dicts, rfc3339
from ansible_collections.spot.platform.plugins.module_utils.aws.control import Outcome, Stepped
from ansible_collections.spot.platform.plugins.module_utils.aws.route53 import Change
from ansible_collections.spot.platform.plugins.module_utils.engine import supply
from ansible_collections.spot.platform.plugins.module_utils.engine.autoscaling import ASK_AGAIN, Decision
from ansible_collections.spot.platform.plugins.module_utils.engine.market import BANDS, GRANTED, LOST, REFUSED

KINDS = ("fallback", "returned", "scaled", "moved", "waiting", "steady")
"""By weight: of the rounds of a step, the first of these says what it was."""
SUMMARIES = {
    "fallback": "On-Demand stands in for {fallback} {unit} of Spot",
    "returned": "Spot serves again: On-Demand is given back, {fallback} {unit} of it still stand in",
    "scaled": "The target is {target} {unit}, it was {before}",
    "moved": "Spot is moved to better pools: {asked} {unit} asked for, {ended} ended",
    "adjusted": "The group's own figures are brought in line with what it has",
    "released": "The autoscaler lets go of the group",
    "waiting": "{serving} of {target} {unit} serve, and nothing more can be had now",
}


def result_of(stepped: Stepped, explain: bool = False) -> dict[str, Any]:
    """The module's result; ``explain``: with what is known of each pool."""
    outcomes = stepped.outcomes
    told = [one for one in outcomes if told_of(one)]
    decisions = [decision_of(one) | ({"pools": pools_of(one)} if explain else {}) for one in told]
    changed = [one for one in told if one.changed]
    errors = [
        {"group": one.name, "region": one.region, "message": text}
        for one in outcomes
        for text in (*filter(None, (one.error,)), *one.problems)
    ] + [{"group": None, "region": None, "message": one.error} for one in stepped.names if one.error]
    led = [one for one in stepped.names if one.changed]
    return {
        "changed": bool(changed or led),
        "decisions": decisions,
        "names": [name_of(one) for one in stepped.names],
        "ask_again_seconds": min((one["ask_again_seconds"] for one in decisions), default=ASK_AGAIN),
        "errors": errors,
        "activity": as_dicts([*(event for one in outcomes for event in events_of(one)), *map(event_of_name, led)]),
        "diff": {
            "before": {f"{one.group.key}@{one.region}": before_of(one) for one in changed}
            | {one.record.name: one.before for one in led},
            "after": {f"{one.group.key}@{one.region}": after_of(one) for one in changed}
            | {one.record.name: one.after for one in led},
        },
    }


def told_of(outcome: Outcome) -> bool:
    """Whether there is anything to tell but an error."""
    return outcome.group is not None and bool(outcome.decisions or outcome.notes or outcome.released)


def kind_of(outcome: Outcome) -> str:
    """What the step was: the weightiest of its rounds, or ``adjusted`` where only the group's figures were set."""
    if outcome.released:
        return "released"
    kinds = {one.kind for one in outcome.decisions}
    found = next((kind for kind in KINDS if kind in kinds), "waiting" if outcome.notes else "steady")
    if outcome.changed:
        return "adjusted" if found in ("waiting", "steady") else found
    return found if found == "steady" else "waiting"  # whatever was wanted, nothing of it could be had


def decision_of(outcome: Outcome) -> dict[str, Any]:
    """A step as the module returns it."""
    group = outcome.group
    last = outcome.decisions[-1] if outcome.decisions else None
    return {
        "group": outcome.name,
        "region": outcome.region,
        "backend": group.kind,
        "app": group.app,
        "kind": kind_of(outcome),
        "changes": outcome.changed,
        "target": last.target if last else None,
        "lent": last.lent if last else None,
        "serving": last.serving if last else None,
        "expected": last.expected if last else None,
        "fallback": last.fallback if last else None,
        "cost_per_hour": round(last.cost, 4) if last else None,
        "on_demand_cost_per_hour": round(last.on_demand_cost, 4) if last else None,
        "launched": launched_of(outcome),
        "ended": list(outcome.ended),
        "before": before_of(outcome),
        "after": after_of(outcome),
        "reasons": reasons_of(outcome),
        "ask_again_seconds": last.ask_again_seconds if last else ASK_AGAIN,
    }


def name_of(change: Change) -> dict[str, Any]:
    """A DNS name as the module returns it."""
    return {
        "name": change.record.name,
        "policy": change.record.policy,
        "changes": change.changed,
        "before": change.before,
        "after": change.after,
        "reasons": list(change.reasons),
    }


def event_of_name(change: Change) -> Event:
    """The activity event of a name that leads elsewhere now."""
    where = [
        f"{region} ({found['weight']})" if "weight" in found else region
        for region, found in change.after.items()
        if found.get("weight") != 0
    ]
    return Event(
        kind="routing.changed",
        resource=change.record.name,
        summary=f"{change.record.name} leads to {', '.join(where) or 'no region'}",
        app=change.record.app,
        reasons=change.reasons,
        before=dict(change.before),
        after=dict(change.after),
        changed=True,
    )


def launched_of(outcome: Outcome) -> list[dict[str, Any]]:
    """What was asked for, with what became of it."""
    return [
        {
            "pool": one.order.pool,
            "lifecycle": "spot" if one.order.pool else "on_demand",
            "asked": one.order.units,
            "instances": sorted(one.instances),
            "refusal": one.refusal,
        }
        for one in outcome.launched
    ]


def pools_of(outcome: Outcome) -> list[dict[str, Any]]:
    """What is known of each pool, and what is held in it, those that are held or wanted first, then the cheapest."""
    if not outcome.decisions:
        return []
    last: Decision = outcome.decisions[-1]
    held = supply.units_of(one for one in outcome.group.instances if not one.leaving)
    found = [
        {
            "pool": name,
            "held": held.get(name, 0),
            "wanted": last.best.spot.get(name, 0),
            "price_per_hour": round(one.pool.price, 5),
            "instance_price_per_hour": round(one.pool.price * one.pool.capacity, 5),
            "on_demand_price_per_hour": None if one.pool.on_demand is None else round(one.pool.on_demand * one.pool.capacity, 5),
            "interruption_band": None if one.pool.band is None else BANDS[one.pool.band],
            "placement_score": one.pool.score,
            "hours_to_a_loss": round(1 / one.hazard, 1),
            "chance_open": round(one.open, 2),
        }
        for name, one in last.prospects.items()
    ]
    return sorted(found, key=lambda one: (not one["held"] and not one["wanted"], one["price_per_hour"], one["pool"]))


def before_of(outcome: Outcome) -> dict[str, Any]:
    """The figures that were in force."""
    group = outcome.group
    return {
        "target": int(group.tags[tags.TARGET]) if group.tags.get(tags.TARGET, "").isdigit() else None,
        "desired": group.desired,
        "on_demand_base": group.on_demand_base,
    }


def after_of(outcome: Outcome) -> dict[str, Any]:
    """The figures that the step leads to: what is attached and ended moves the desired capacity too."""
    found = before_of(outcome)
    if tags.TARGET in outcome.tagged:
        found["target"] = int(outcome.tagged[tags.TARGET])
    if outcome.group.fleet is not None:  # it has just the figures that it is told
        found |= outcome.figures
    elif outcome.decisions and outcome.changed:
        last: Decision = outcome.decisions[-1]
        found["desired"] = max(last.expected, last.target)
        found["on_demand_base"] = last.on_demand
    return found


def sightings_of(outcome: Outcome) -> dict[str, list[str]]:
    """The pools that gave all that they were asked for, that gave less, and that took an instance away: what
    `history.told` reads."""
    asked = {one.order.pool for one in outcome.launched if one.order.pool}
    refused = {pool for one in outcome.decisions for pool in one.refused}
    refused |= {one.order.pool for one in outcome.launched if one.order.pool and one.refusal}
    return {
        GRANTED: sorted(asked - refused),
        REFUSED: sorted(refused),
        LOST: sorted({pool for one in outcome.decisions for pool in one.lost}),
    }


def reasons_of(outcome: Outcome) -> list[str]:
    """The reasons of all rounds, each once, with what was refused and what kept the step from acting."""
    refusals: dict[str, list[str]] = {}
    for one in outcome.launched:
        if one.refusal:
            gave = f"{one.order.pool or 'On-Demand'} ({one.units} of {one.order.units})"
            refusals.setdefault(one.refusal, []).append(gave)
    processes = [
        f"{what}: {', '.join(names)}"
        for what, names in (
            ("suspended in the group, because it would undo what is decided", outcome.suspended),
            ("resumed in the group", outcome.resumed),
        )
        if names
    ]
    said = [reason for one in outcome.decisions for reason in one.reasons]
    refused = [f"{why}: {', '.join(dict.fromkeys(pools))}" for why, pools in refusals.items()]
    return list(dict.fromkeys([*said, *refused, *processes, *outcome.notes]))


def events_of(outcome: Outcome) -> list[Event]:
    """The activity event of a step; none where nothing was wanted."""
    kind = kind_of(outcome)
    if kind == "steady" or not told_of(outcome) or (outcome.released and not outcome.changed):
        return []
    told = decision_of(outcome)
    before, after = told["before"], told["after"] | sightings_of(outcome)
    summary = SUMMARIES[kind] if outcome.decisions or outcome.released else "Nothing was done"
    return [
        Event(
            kind=f"capacity.{kind}",
            resource=outcome.name,
            summary=summary.format(
                fallback=told["fallback"],
                unit=outcome.group.tags.get(tags.UNIT, "instances"),
                target=told["target"],
                before=before["target"],
                serving=told["serving"],
                asked=sum(one.order.units for one in outcome.launched),
                ended=len(outcome.ended),
            ),
            app=outcome.group.app,
            region=outcome.region,
            reasons=tuple(told["reasons"]),
            before=before,
            after=after,
            changed=outcome.changed,
            time=rfc3339(datetime.fromtimestamp(outcome.group.now, timezone.utc)),
        )
    ]
