# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of the health of groups: the module's result, its diff, and the events that it leaves."""

from __future__ import annotations

from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import autoscaling
from ansible_collections.spot.platform.plugins.module_utils.activity import Event, as_dicts
from ansible_collections.spot.platform.plugins.module_utils.aws.control import Stepped
from ansible_collections.spot.platform.plugins.module_utils.aws.health import Checked, Judged


def result_of(checked: Checked) -> dict[str, Any]:
    """The module's result."""
    stepped = autoscaling.result_of(Stepped(checked.outcomes))
    told = sorted(
        (one for one in checked.judged if one.verdict.unhealthy or one.verdict.going),
        key=lambda one: (one.one.region, one.one.name, one.one.kind),
    )
    events = [_event(one) for one in told if one.verdict.unhealthy]
    return {
        "changed": stepped["changed"],
        "alert": any(one.verdict.stopped for one in told),
        "groups": [group_of(one) for one in told],
        "skipped": [
            {"id": one.id, "region": one.region, "reason": one.reason}
            for one in sorted(checked.skipped, key=lambda one: one.id)
        ],
        "decisions": stepped["decisions"],
        "errors": [
            *stepped["errors"],
            *({"group": group, "region": region, "message": text} for region, group, text in checked.errors),
        ],
        "activity": [*as_dicts(events), *stepped["activity"]],
        "diff": stepped["diff"],
    }


def group_of(judged: Judged) -> dict[str, Any]:
    """A group as the module returns it."""
    verdict = judged.verdict
    return {
        "group": judged.one.name,
        "region": judged.one.region,
        "app": judged.one.app,
        "healthy": verdict.healthy,
        "unhealthy": list(verdict.unhealthy),
        "going": verdict.going,
        "replaced": list(verdict.replace) if done(judged) else [],
        "waiting": verdict.waiting,
        "stopped": verdict.stopped,
        "reasons": list(verdict.reasons),
    }


def done(judged: Judged) -> bool:
    """Whether the step took up what is to be replaced, in check mode whether it would."""
    outcome = judged.outcome
    return outcome is not None and not outcome.error and outcome.changed


def _event(judged: Judged) -> Event:
    """Why a group's unhealthy instances are replaced, or not."""
    verdict, outcome = judged.verdict, judged.outcome
    count = len(verdict.unhealthy)
    if verdict.stopped:
        kind, summary = "stopped", f"{count} instances are unhealthy at once: nothing is touched, look at the application"
    elif verdict.replace:
        kind = "replaced" if done(judged) else "failed"
        what = "to be replaced, and to go when what replaces them serves" if done(judged) else "to be replaced, which failed"
        summary = f"{len(verdict.replace)} of {count} unhealthy instance{'s' if count > 1 else ''}: {what}"
    else:
        kind, summary = "waiting", f"{count} unhealthy: replaced when those are gone that are on their way"
    errors = (outcome.error,) if outcome and outcome.error else ()
    return Event(
        kind=f"health.{kind}",
        resource=judged.one.name,
        summary=summary,
        app=judged.one.app,
        region=judged.one.region,
        reasons=(*verdict.reasons, *errors),
        after={
            "ids": list(verdict.replace or verdict.unhealthy),
            "healthy": verdict.healthy,
            "unhealthy": list(verdict.unhealthy),
        },
        changed=kind == "replaced",
    )
