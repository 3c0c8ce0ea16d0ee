# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Observe the health of all groups and fleets of regions, and replace what is unhealthy by the autoscaler's step.

A region is asked for its groups, instances and failed status checks once; target health is asked for by target group.

Required IAM actions, besides those of the step: ``ec2:DescribeInstanceStatus``, ``elasticloadbalancing:DescribeTargetHealth``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling, control, steering
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.instances import UNKNOWN, describe_target_health, impaired_since, worst
from ansible_collections.spot.platform.plugins.module_utils.aws.interruptions import known_in, passed_over
from ansible_collections.spot.platform.plugins.module_utils.aws.stepping import Outcome
from ansible_collections.spot.platform.plugins.module_utils.engine import health as engine
from ansible_collections.spot.platform.plugins.module_utils.engine.interruptions import INSTANCE_ID, NO_ID, Skipped, not_ours


@dataclass(frozen=True)
class Judged:
    """A group with the verdict on it, and what became of the step that replaces; ``None`` where none was needed."""

    one: steering.Steered
    verdict: engine.Verdict
    outcome: Outcome | None = None


@dataclass
class Checked:
    """What became of all. ``errors``: (region, group, what failed)."""

    judged: list[Judged] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    errors: list[tuple[str, str | None, str]] = field(default_factory=list)


def check(
    clients: Clients,
    regions: Sequence[str],
    named: Sequence[str],
    policy: engine.Policy,
    options: control.Options,
    cache: Cache,
) -> Checked:
    """Look at all groups of ``regions``, side by side, and replace what is unhealthy there. ``named``: by an alert. What
    fails is in the answer."""
    parts = side_by_side(lambda region: _region(clients, region, frozenset(named), policy, options, cache), regions)
    whole = Checked()
    for part in parts:
        for name in ("judged", "outcomes", "errors"):
            getattr(whole, name).extend(getattr(part, name))
    found = {one for judged in whole.judged for one in _ids(judged.one)}
    rest = sorted(set(named) - found)
    ids = [one for one in rest if INSTANCE_ID.fullmatch(one)]
    whole.skipped += [Skipped(one, NO_ID) for one in rest if one not in ids]
    unread = {region for region, group, _text in whole.errors if group is None}
    whole.skipped += _unmatched(clients, ids, regions, unread, options.question.environment)
    return whole


def _unmatched(
    clients: Clients, ids: Sequence[str], regions: Sequence[str], unread: set[str], environment: str | None
) -> list[Skipped]:
    """Why those of ``ids`` are in no group; nothing is said of what may be in a region that could not be read."""
    if not ids:
        return []
    parts = side_by_side(lambda region: known_in(clients, region, ids), [one for one in regions if one not in unread])
    known = {one.id: one for part in parts if not isinstance(part, str) for one in part}
    found = []
    for name in ids:
        one = known.get(name)
        if one is not None:
            state = None if one.state in autoscaling.RUNNING else f"it is already {one.state}"
            found.append(Skipped(name, not_ours(one, environment) or state or "no group that was looked at has it", one.region))
        elif not unread and not any(isinstance(part, str) for part in parts):
            found.append(Skipped(name, f"EC2 does not know it in {', '.join(regions)}: gone for long, or elsewhere"))
    return found


def _region(
    clients: Clients,
    region: str,
    named: frozenset[str],
    policy: engine.Policy,
    options: control.Options,
    cache: Cache,
) -> Checked:
    done = Checked()
    try:
        seen = steering.observe(clients, region, replace(options.question, whole=False), cache)
        impaired = impaired_since(clients.get("ec2", region)) if seen.steered else {}
        targets = _targets(clients.get("elbv2", region), seen.steered)
    except AwsError as error:
        done.errors.append((region, None, str(error)))
        return done
    verdicts = {one.key: engine.decide(_members(one, named, impaired, targets), policy, one.now) for one in seen.steered}
    bad = frozenset(name for verdict in verdicts.values() for name in verdict.replace)
    outcomes: dict[str, Outcome] = {}
    if bad:
        apps = tuple(sorted({one.app for one in seen.steered if one.app and verdicts[one.key].replace}))
        question = replace(
            options.question, apps=apps if len(apps) <= autoscaling.FILTER_VALUES else (), replace=bad
        )
        done.outcomes += control.step(clients, {region: None}, replace(options, question=question), cache).outcomes
        outcomes = {one.group.key: one for one in done.outcomes if one.group is not None}
    for one in seen.steered:
        outcome = outcomes.get(one.key) if verdicts[one.key].replace else None
        done.judged.append(Judged(one, verdicts[one.key], outcome))
        if outcome and not outcome.error and passed_over(outcome):
            done.errors.append((region, one.name, f"{one.name}: nothing is replaced: {'; '.join(outcome.notes)}"))
    return done


def _ids(one: steering.Steered) -> set[str]:
    return {each.id for each in one.instances} | {each["InstanceId"] for each in one.raw.get("Instances", ())}


def _members(
    one: steering.Steered,
    named: frozenset[str],
    impaired: Mapping[str, float | None],
    targets: Mapping[str, Mapping[str, str]],
) -> list[engine.Member]:
    """The instances of a group. Those that the group itself has given up are on their way out."""
    found = [
        engine.Member(
            id=each.id,
            launched_at=each.launched_at,
            serving=each.serving,
            going=each.leaving,
            impaired_since=_since(impaired[each.id], each.launched_at) if each.id in impaired else None,
            target=worst(targets[arn].get(each.id, UNKNOWN) for arn in one.target_groups) if one.target_groups else None,
            named=each.id in named,
        )
        for each in one.instances
    ]
    counted = {each.id for each in found}
    given_up = [each["InstanceId"] for each in one.raw.get("Instances", ()) if each["InstanceId"] not in counted]
    return [*found, *(engine.Member(name, 0.0, False, going=True) for name in given_up)]


def _since(told: float | None, launched_at: float) -> float:
    """Since when an instance fails; where AWS does not say it, since its launch."""
    return launched_at if told is None else told


def _targets(client: Any, steered: Sequence[steering.Steered]) -> dict[str, dict[str, str]]:
    """What each target group says of its targets."""
    arns = sorted({arn for one in steered for arn in one.target_groups})
    return dict(zip(arns, side_by_side(lambda arn: describe_target_health(client, arn), arns)))
