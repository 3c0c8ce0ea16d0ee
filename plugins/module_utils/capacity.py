# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of an ensured capacity: the module's result, its diff, and the event that it leaves."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.activity import Event
from ansible_collections.spot.platform.plugins.module_utils.aws.capacity import Outcome
from ansible_collections.spot.platform.plugins.module_utils.engine.allocation import Plan
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import AUTO_SCALING_GROUP


def result_of(outcome: Outcome) -> dict[str, Any]:
    """An outcome as the module returns it."""
    wish, decision = outcome.wish, outcome.decision
    return {
        "name": wish.name,
        "region": wish.region,
        "kind": wish.kind,
        "action": outcome.action,
        "error": outcome.error,
        "desired": decision.wanted.desired if decision else None,
        "on_demand_base": decision.wanted.on_demand_base if decision else None,
        "changes": changes_of(outcome),
        "plan": plan_of(decision.plan, decision.reasons) if decision else None,
    }


def changes_of(outcome: Outcome) -> dict[str, Any]:
    """Before and after of every setting that differs, as JSON values."""
    found = outcome.decision.changes if outcome.decision else {}
    return {name: {"before": plain(before), "after": plain(after)} for name, (before, after) in found.items()}


def plain(value: Any) -> Any:
    """A value of a group's field as a JSON value."""
    if is_dataclass(value):
        return asdict(value)
    return [plain(item) for item in value] if isinstance(value, tuple) else value


def plan_of(made: Plan, reasons: tuple[str, ...]) -> dict[str, Any]:
    """A plan as the module returns it."""
    return {
        "target": made.target,
        "unit": made.unit,
        "types": list(made.types),
        "weights": made.weights,
        "zones": list(made.zones),
        "pools": [
            {
                "zone": choice.offer.zone,
                "instance_type": choice.offer.instance_type.name,
                "lifecycle": lifecycle,
                "instances": choice.instances,
                "capacity": choice.capacity,
                "price_per_hour": choice.offer.spot_price if lifecycle == "spot" else choice.offer.on_demand_price,
            }
            for lifecycle, choices in (("spot", made.choices), ("on_demand", made.on_demand))
            for choice in choices
        ],
        "cost_per_hour": made.cost_per_hour,
        "on_demand_cost_per_hour": made.on_demand_cost_per_hour,
        "savings_percent": made.savings_percent,
        "reasons": list(reasons),
    }


def event_of(outcome: Outcome, result: dict[str, Any]) -> Event:
    """What an outcome leaves in the activity."""
    wish, changed = outcome.wish, result["changes"]
    reasons = (outcome.error,) if outcome.error else tuple(result["plan"]["reasons"]) if result["plan"] else ()
    made = result["plan"] if outcome.action == "created" else None
    before = {name: pair["before"] for name, pair in changed.items()} or None
    after = {name: pair["after"] for name, pair in changed.items()} or made
    return Event(
        kind=f"capacity.{outcome.action}",
        resource=wish.name,
        summary=summary(outcome, result),
        app=wish.identity[tags.APP],
        region=wish.region,
        reasons=reasons,
        before=before,
        after=after,
        changed=outcome.changed,
    )


def summary(outcome: Outcome, result: dict[str, Any]) -> str:
    """One sentence on what became of a group."""
    what = f"{'Group' if outcome.wish.kind == AUTO_SCALING_GROUP else 'Fleet'} {outcome.wish.name} in {outcome.wish.region}"
    if outcome.error:
        return f"{what} could not be ensured: {outcome.error}"
    if result["plan"] is None:
        return f"{what} was deleted with its instances" if outcome.changed else f"{what} is absent"
    plan = result["plan"]
    saving = f", {plan['savings_percent']} % below On-Demand" if plan["savings_percent"] is not None else ""
    size = (
        f"{plan['target']} {plan['unit']} on {len(plan['types'])} instance type(s) "
        f"for {plan['cost_per_hour']:.4f} USD/h{saving}"
    )
    if outcome.action == "updated":
        return f"{what} was changed in {', '.join(result['changes'])}; it is to be {size}"
    return f"{what} was made: {size}" if outcome.changed else f"{what} is as it is to be: {size}"


def diff_of(outcome: Outcome, result: dict[str, Any]) -> dict[str, Any]:
    """The diff of a group: its settings, with the cost that is expected of them."""
    header = f"{outcome.wish.name} ({outcome.wish.region})"
    before, after = outcome.present, outcome.decision and outcome.decision.wanted
    changed = set(result["changes"])
    shown = [
        {name: plain(value) for name, value in vars(group).items() if not changed or name in changed} if group else {}
        for group in (before, after)
    ]
    if result["plan"]:
        shown[1]["expected"] = {key: result["plan"][key] for key in ("cost_per_hour", "savings_percent", "pools")}
    return {"before_header": header, "after_header": header, "before": shown[0], "after": shown[1]}
