# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Handle interruption notices and rebalance recommendations, many at once: replace, drain, let go.

In each region, side by side: the instances are claimed (see `claims`), their replacements are asked for by the autoscaler's
step, they leave their target groups, and their lifecycle hooks are completed when they are drained. Calls are by region,
group and target group, not by instance. Everything may be done twice without harm, so what a killed run left is done again.

Required IAM actions, besides those of the step: ``ec2:DescribeInstances``, ``elasticloadbalancing:DescribeTargetHealth``,
``elasticloadbalancing:DeregisterTargets``, ``autoscaling:DescribeLifecycleHooks``, ``autoscaling:CompleteLifecycleAction``.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling, balancers, control
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.claims import LEASE_SECONDS, Claims
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.hooks import TERMINATING, complete_hooks
from ansible_collections.spot.platform.plugins.module_utils.aws.instances import DRAINING, HEALTHY, describe_target_health
from ansible_collections.spot.platform.plugins.module_utils.aws.stepping import Outcome
from ansible_collections.spot.platform.plugins.module_utils.engine.autoscaling import ASK_SOON
from ansible_collections.spot.platform.plugins.module_utils.engine.interruptions import (
    INSTANCE_ID,
    INTERRUPTION,
    MARGIN,
    REPLACE,
    Known,
    Skipped,
    leaving_now,
    seconds_left,
    sort,
)

POLL_SECONDS = 5.0
RENEW_SECONDS = 10.0


@dataclass(frozen=True)
class Wanted:
    """What was told of which instances, and how to handle it. ``noticed_at``: by instance, seconds since the epoch.
    ``policy``: for rebalance recommendations. ``drain_seconds``: how long to wait for the drain at most."""

    notices: Sequence[str]
    rebalances: Sequence[str]
    regions: Sequence[str]
    environment: str | None
    policy: str
    drain_seconds: float
    noticed_at: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Treated:
    """What became of an instance. ``target_groups``: those that it left; ``held``: it stayed in one at first, for nothing
    else was healthy there; ``drained``: whether it is out of all of them, ``None`` where it was in none. ``hooks``: those
    that were completed. ``left``: the seconds from when it was taken up until its interruption."""

    known: Known
    told: str
    left: float
    group: str | None = None
    target_groups: list[str] = field(default_factory=list)
    held: bool = False
    drained: bool | None = None
    hooks: list[str] = field(default_factory=list)
    failed: bool = False


@dataclass
class Handled:
    """What became of all. ``errors``: (region, what failed); ``notes``: what somebody should know."""

    treated: list[Treated] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    errors: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def handle(clients: Clients, wanted: Wanted, options: control.Options, cache: Cache) -> Handled:
    """Handle what ``wanted`` names, in all regions side by side. What fails is in the answer."""
    asked = sorted({one for one in (*wanted.notices, *wanted.rebalances) if INSTANCE_ID.fullmatch(one)})
    parts = side_by_side(lambda region: known_in(clients, region, asked), wanted.regions) if asked else []
    errors = [(region, part) for region, part in zip(wanted.regions, parts) if isinstance(part, str)]
    known = {one.id: one for part in parts if not isinstance(part, str) for one in part}
    found = sort(
        wanted.notices, wanted.rebalances, known, wanted.policy, wanted.environment, wanted.regions, not errors
    )
    whole = Handled(skipped=list(found.skipped), errors=errors)
    regions: dict[str, list[tuple[Known, str]]] = {}
    for one, told in found.handled:
        regions.setdefault(one.region, []).append((one, told))
    handlings = [_Region(clients, region, wanted, options, cache) for region in regions]
    for part in side_by_side(lambda one: one.handle(regions[one.region]), handlings):
        for name in ("treated", "skipped", "outcomes", "errors", "notes"):
            getattr(whole, name).extend(getattr(part, name))
    return whole


def known_in(clients: Clients, region: str, ids: Sequence[str]) -> list[Known] | str:
    """What EC2 knows of ``ids`` in a region, or why it cannot be asked."""
    try:
        found = autoscaling.instances(clients, region, ids)
    except AwsError as error:
        return str(error)
    return [
        Known(
            id=name,
            region=region,
            state=one["state"]["name"],
            spot=autoscaling.lifecycle_of(one) == autoscaling.SPOT,
            app=one["tags"].get(ours.APP) if ours.MANAGED_BY in one["tags"] else None,
            environment=one["tags"].get(ours.ENVIRONMENT),
        )
        for name, one in found.items()
    ]


class _Region:
    """The instances of one region."""

    def __init__(self, clients: Clients, region: str, wanted: Wanted, options: control.Options, cache: Cache) -> None:
        self.clients = clients
        self.region = region
        self.wanted = wanted
        self.options = options
        self.cache = cache
        self.claims: dict[str, Claims | None] = {}
        self.done = Handled()

    def handle(self, chosen: Sequence[tuple[Known, str]]) -> Handled:
        """Handle those that nobody else handles. Where another controller holds a claim it is given the time that the claim
        has left: if it is at work it renews it, if it was killed its instances are taken up."""
        pending = {one.id: (one, told) for one, told in chosen}
        for attempt in (1, 2):
            mine, busy, now = self._claim(pending)
            if mine:
                self._treat([pending[name] for name in sorted(mine)], now)
            pending = {name: pending[name] for name in busy}
            if not pending:
                break
            if attempt == 1 and self.options.act:
                time.sleep(min(LEASE_SECONDS, max(busy.values()) - now) + 1)
        for name, (_one, _told) in pending.items():
            self.done.skipped.append(Skipped(name, "another controller is handling it", self.region))
        return self.done

    def _claim(self, pending: Mapping[str, tuple[Known, str]]) -> tuple[set[str], dict[str, float], float]:
        """Those that are ours now; until when others hold theirs; AWS's time. What was handled before is skipped."""
        mine: set[str] = set()
        busy: dict[str, float] = {}
        now = time.time()
        for environment in sorted({one.environment or "" for one, _told in pending.values()}):
            told = {name: what for name, (one, what) in pending.items() if (one.environment or "") == environment}
            client = self.clients.get("dynamodb", self.region)
            claims = Claims(client, environment, self.options.holder, self.options.act)
            try:
                taken = claims.take(told)
            except AwsError as error:  # to do it twice is harmless, not to do it is not
                self.claims[environment] = None
                self.done.notes.append(f"another controller may handle the same instances: {error}")
                mine |= told.keys()
                continue
            self.claims[environment] = claims
            now = taken.now
            mine |= taken.mine
            busy |= taken.busy
            self.done.skipped += [Skipped(name, "it was handled already", self.region) for name in sorted(taken.done)]
        return mine, busy, now

    def _treat(self, chosen: Sequence[tuple[Known, str]], now: float) -> None:
        began = time.monotonic()
        noticed = self.wanted.noticed_at
        treated = {
            one.id: Treated(one, told, seconds_left(now - noticed[one.id] if one.id in noticed else None))
            for one, told in chosen
        }
        self.done.treated += treated.values()
        outcomes = self._step(treated.values())
        going = {name: one for name, one in treated.items() if one.told == INTERRUPTION}
        drain = _Drain(self, going, outcomes, began)
        drain.run()
        for environment, claims in self.claims.items():
            names = {name for name, one in treated.items() if (one.known.environment or "") == environment}
            if claims is not None and self.options.act:
                failed = {name for name in names if treated[name].failed}
                try:
                    claims.give_back(failed)
                    claims.finish(names - failed)
                except AwsError as error:
                    self.done.notes.append(f"what was done may be done again: {error}")

    def step(self, treated: Collection[Treated]) -> list[Outcome]:
        """The autoscaler's step for their applications, with what they were told."""
        apps = tuple(sorted({one.known.app for one in treated if one.known.app}))
        recommended = frozenset(one.known.id for one in treated if one.told != INTERRUPTION)
        interrupted = frozenset(one.known.id for one in treated if one.told == INTERRUPTION)
        question = replace(
            self.options.question,
            apps=apps if len(apps) <= autoscaling.FILTER_VALUES else (),
            notices=interrupted,
            keep=interrupted,
            warned=recommended,
            replace=recommended if self.wanted.policy == REPLACE else frozenset(),
        )
        outcomes = control.step(self.clients, {self.region: None}, replace(self.options, question=question), self.cache).outcomes
        self.done.outcomes += outcomes
        return list(outcomes)

    def _step(self, treated: Collection[Treated]) -> list[Outcome]:
        """The first step. An instance whose group failed is one that somebody has to handle again; so is one to be replaced
        where another controller had its step, for nobody else tells that one."""
        outcomes = self.step(treated)
        owners = owners_of(outcomes)
        broken = {one.group.key if one.group else None for one in outcomes if one.error or one.problems}
        for one in treated:
            outcome = owners.get(one.known.id)
            one.group = outcome.name if outcome else None
            one.failed = (outcome.group.key if outcome else None) in broken
            if one.told != INTERRUPTION and self.wanted.policy == REPLACE and outcome and passed_over(outcome):
                one.failed = True
                self.done.errors.append((self.region, f"{one.known.id} is not replaced: {'; '.join(outcome.notes)}"))
        return outcomes

    def renew(self, treated: Mapping[str, Treated]) -> None:
        """Hold on to the claims."""
        for environment, claims in self.claims.items():
            names = [name for name, one in treated.items() if (one.known.environment or "") == environment]
            if claims is not None:
                try:
                    claims.renew(names)
                except AwsError as error:
                    self.done.notes.append(f"the claim could not be renewed: {error}")


def owners_of(outcomes: Iterable[Outcome]) -> dict[str, Outcome]:
    """The step's outcome for the group of each instance, those that the group no longer counts on included."""
    found = {}
    for outcome in outcomes:
        if outcome.group is not None:
            members = (one["InstanceId"] for one in outcome.group.raw.get("Instances", ()))
            found |= dict.fromkeys((*members, *(one.id for one in outcome.group.instances)), outcome)
    return found


def passed_over(outcome: Outcome) -> bool:
    """Whether the step left the group alone, so that what it was told is not remembered."""
    return bool(outcome.notes) and not outcome.changed


class _Drain:
    """The way of instances out of their target groups and lifecycle hooks."""

    def __init__(self, region: _Region, going: Mapping[str, Treated], outcomes: Sequence[Outcome], began: float) -> None:
        """``began``: when they were taken up, on this machine's monotonic clock."""
        self.region = region
        self.going = going
        self.outcomes = outcomes
        self.act = region.options.act
        self.client = region.clients.get("elbv2", region.region)
        self.ends = {name: began + one.left - MARGIN for name, one in going.items()}
        self.drain = region.wanted.drain_seconds
        self.staying = self._target_groups()
        """By target group, those that may be in it and were not told to leave it."""
        self.leaving: dict[str, dict[str, float]] = {}
        """By target group, those that drain, and until when they are waited for."""
        owners = owners_of(outcomes)
        members = {
            one["InstanceId"]: one["LifecycleState"]
            for outcome in owners.values()
            for one in outcome.group.raw.get("Instances", ())
        }
        balanced = {name for names in self.staying.values() for name in names}
        # They finish what they do as well, though nobody can be asked when.
        self.working = {
            name: min(began + self.drain, end)
            for name, end in self.ends.items()
            if name not in balanced and members.get(name) == TERMINATING
        }

    def _target_groups(self) -> dict[str, set[str]]:
        """Those that the instances may be in: all of the groups and fleets of their application."""
        found: dict[str, set[str]] = {}
        for outcome in self.outcomes:
            if outcome.group is None:
                continue
            carried = outcome.group.tags
            names = {
                name
                for name, one in self.going.items()
                if (one.known.app, one.known.environment) == (carried.get(ours.APP), carried.get(ours.ENVIRONMENT))
            }
            for arn in outcome.group.target_groups if names else ():
                found.setdefault(arn, set()).update(names)
        return found

    def run(self) -> None:
        """Take them out, wait, and complete their hooks."""
        renewed = stepped = time.monotonic()
        self._look()
        while self.act and (now := time.monotonic()) < self._waits_until():
            time.sleep(min(POLL_SECONDS, max(0.1, self._waits_until() - now)))
            now = time.monotonic()
            if now - renewed >= RENEW_SECONDS:
                self.region.renew(self.going)
                renewed = now
            if now - stepped >= ASK_SOON and (apps := self._coming()):
                self.region.step([one for one in self.going.values() if one.known.app in apps])  # attaches what runs
                stepped = now
            self._look()
        if self.going:
            self._complete()

    def _coming(self) -> set[str | None]:
        """The applications for which something was launched that is not attached yet, or that have nothing healthy."""
        found = {self.going[name].known.app for names in self.staying.values() for name in names}
        attached = {name for outcome in self.region.done.outcomes for name in outcome.attached}
        for outcome in self.region.done.outcomes:
            if any(made.instances.keys() - attached for made in outcome.launched):
                found.add(outcome.group.app)
        return found

    def _waits_until(self) -> float:
        """Until when anything is waited for."""
        ends = [self.ends[name] for names in self.staying.values() for name in names]
        ends += [until for names in self.leaving.values() for until in names.values()]
        return max([*ends, *self.working.values()], default=0.0)

    def _look(self) -> None:
        """Look at all target groups, side by side, and let leave who may."""
        arns = sorted({*self.staying, *self.leaving})
        now = time.monotonic()
        out: dict[str, list[str]] = {}
        for arn, health in zip(arns, side_by_side(self._health, arns)):
            if isinstance(health, str):
                self._failed(arn, health)
            else:
                out[arn] = self._leave(arn, health, now)
        leaving = [(arn, names) for arn, names in out.items() if names and self.act]
        for (arn, names), failure in zip(leaving, side_by_side(self._deregister, leaving)):
            if failure:
                self._failed(arn, failure)
                for name in names:
                    self.going[name].target_groups.remove(arn)
        waiting = {name for part in (self.staying, self.leaving) for names in part.values() for name in names}
        for name, one in self.going.items():
            if self.act and (one.target_groups or one.drained is not None):
                one.drained = name not in waiting and not one.failed

    def _health(self, arn: str) -> dict[str, str] | str:
        try:
            return describe_target_health(self.client, arn)
        except AwsError as error:
            return str(error)

    def _deregister(self, item: tuple[str, Sequence[str]]) -> str | None:
        try:
            balancers.deregister(self.client, *item)
        except AwsError as error:
            return str(error)
        return None

    def _failed(self, arn: str, failure: str) -> None:
        """Nothing more is done about a target group; who may be in it is to be handled again."""
        self.region.done.errors.append((self.region.region, failure))
        for name in {*self.staying.pop(arn, ()), *self.leaving.pop(arn, ())}:
            self.going[name].failed = True

    def _leave(self, arn: str, health: Mapping[str, str], now: float) -> list[str]:
        """Those that leave a target group now."""
        known = self.staying.pop(arn, set()) & health.keys()
        going = {name for name in known if health[name] != DRAINING}
        due = not self.drain or any(self.ends[name] - now <= self.drain for name in going)
        out, held = leaving_now(going, [name for name, state in health.items() if state == HEALTHY], due)
        leaving = {name: until for name, until in self.leaving.pop(arn, {}).items() if name in health}
        for name in (*out, *(known - going)):  # those that drain already were told to by somebody else
            leaving[name] = min(now + self.drain, self.ends[name])
            self.going[name].drained = False if self.act else None
        for name in out:
            self.going[name].target_groups.append(arn)
        for name in held:
            self.going[name].held = True
        if held:
            self.staying[arn] = set(held)
        if leaving:
            self.leaving[arn] = leaving
        return out

    def _complete(self) -> None:
        """Complete the hooks that hold them, once they are drained or the time is over."""
        names = sorted({name for one, name in _groups_of(self.outcomes, self.going)})
        try:
            done = complete_hooks(self.region.clients, self.region.region, names, self.going.keys(), self.act)
        except AwsError as error:
            self.region.done.errors.append((self.region.region, str(error)))
            for one, _name in _groups_of(self.outcomes, self.going):
                self.going[one].failed = True
            return
        for one, hooks in done.items():
            self.going[one].hooks += hooks


def _groups_of(outcomes: Sequence[Outcome], going: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The Auto Scaling group of each of those that are in one."""
    return [
        (one["InstanceId"], outcome.group.name)
        for outcome in outcomes
        if outcome.group is not None
        for one in outcome.group.raw.get("Instances", ())
        if one["InstanceId"] in going
    ]
