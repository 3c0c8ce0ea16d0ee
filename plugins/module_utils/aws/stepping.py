# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step of one group: decide, act under its lease, remember.

A refusal is known at once, so a step goes in rounds: what a pool refuses is learned and decided on anew, and the last
round asks no further pool but On-Demand. Whoever is killed on the way leaves instances that carry the group's tag and a lease that
runs out; the next step finds both.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.aws import (
    observing,
    state,
    steering,
    steering_fleets,
    steering_groups,
)
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, side_by_side
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.launches import Launched, launch, running
from ansible_collections.spot.platform.plugins.module_utils.aws.observing import Options
from ansible_collections.spot.platform.plugins.module_utils.aws.sharing import Member
from ansible_collections.spot.platform.plugins.module_utils.engine import autoscaling as engine
from ansible_collections.spot.platform.plugins.module_utils.engine import memory as remembering
from ansible_collections.spot.platform.plugins.module_utils.engine import supply
from ansible_collections.spot.platform.plugins.module_utils.engine.commitments import Place
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import (
    AUTO_SCALING_GROUP,
    EC2_FLEET,
    SPOT_FLEET,
)

BACKENDS: dict[str, Any] = {
    AUTO_SCALING_GROUP: steering_groups,
    EC2_FLEET: steering_fleets,
    SPOT_FLEET: steering_fleets,
}
"""How each kind is acted on."""
ROUNDS = 4
"""How often a step decides at most; the last round no longer relies on a pool to say yes."""
LEASE_SECONDS = 120.0
"""How long a controller that was killed keeps the others from a group; longer than a step takes."""
REMEMBER_SECONDS = 900.0
"""How old what was written may get while nothing happens: the up-time of pools is known from it."""
POLL_SECONDS = 2.0


@dataclass(frozen=True)
class Outcome:
    """What became of a group's step: its decisions, one for each round, and what was done; or an ``error``.

    ``group`` is ``None`` where a whole region could not be read. ``launched``: what became of each order. ``suspended``:
    processes that were suspended, ``resumed``: resumed. ``figures``: what was set of the group's desired capacity and
    On-Demand base. ``tagged``: the tags that were set, ``untagged``: removed. ``notes``: what kept the step from
    acting. ``problems``: what went wrong though the step went on.
    """

    region: str
    group: steering.Steered | None
    name: str | None = None
    decisions: tuple[engine.Decision, ...] = ()
    launched: tuple[Launched, ...] = ()
    attached: tuple[str, ...] = ()
    ended: tuple[str, ...] = ()
    suspended: tuple[str, ...] = ()
    resumed: tuple[str, ...] = ()
    released: bool = False
    figures: Mapping[str, int] = field(default_factory=dict)
    tagged: Mapping[str, str] = field(default_factory=dict)
    untagged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    error: str | None = None

    @property
    def changed(self) -> bool:
        """Whether AWS was changed, or in check mode would be; what is remembered does not count."""
        return bool(
            any(one.instances for one in self.launched)
            or self.attached
            or self.ended
            or self.suspended
            or self.resumed
            or self.figures
            or self.tagged
            or self.untagged
        )


def _held_only(observation: engine.Observation) -> engine.Observation:
    """With no other pools than those that hold something, and those full: what is missing then comes as On-Demand."""
    held = supply.units_of(one for one in observation.instances if not one.leaving)
    return replace(observation, pools=[replace(pool, full=True) for pool in observation.pools if pool.id in held])


class Step:
    """The step of one group; `take` takes it."""

    def __init__(
        self,
        clients: Clients,
        member: Member,
        seen: steering.Region,
        options: Options,
        cache: Cache,
        began: float,
    ) -> None:
        """``began``: when the region had been observed, on this machine's monotonic clock: a step may wait for its turn."""
        self.clients = clients
        self.member = member
        self.one = member.one
        self.acting = BACKENDS[self.one.kind]
        self.seen = seen
        self.options = options
        self.cache = cache
        self.began = began
        self.run_until = began + options.run_seconds
        self.decisions: list[engine.Decision] = []
        self.launched: list[Launched] = []
        self.attached: list[str] = []
        self.ended: list[str] = []
        self.problems = [f"it launches nothing: {one}" for one in self.one.troubles]

    @property
    def now(self) -> float:
        """AWS's time: that of the observation and what has passed since."""
        return self.one.now + time.monotonic() - self.began

    def take(self) -> Outcome:
        """Take it; what fails is in the outcome."""
        try:
            return self._take()
        except (AwsError, ValueError) as error:
            return self._outcome(tuple(self.decisions), error=str(error))

    def _take(self) -> Outcome:
        one = self.one
        if one.busy:
            return self._outcome((), notes=(f"nothing is changed: {one.busy}",))
        if one.now - one.created < steering.NEW:
            return self._outcome((), notes=("the group is new and launches its first instances by itself",))
        held = self.seen.states.get(one.key)
        observation = self.member.observation
        decision = self._decide(observation)
        if not self.options.act:
            return self._planned(decision)
        if not self._needed(decision):
            return self._outcome((decision,))
        if held is None:
            return self._rounds(observation, decision, None)
        client, table = self._table()
        if not self._acting(decision):
            text = self._memory(decision)
            state.remember(client, table, held, text, self.now)
            return self._outcome((decision,))
        lease = state.acquire(client, table, held, self.options.holder, self.now, LEASE_SECONDS)
        if lease is None:
            return self._yield(decision)
        return self._rounds(observation, decision, lease)

    def _decide(self, observation: engine.Observation) -> engine.Decision:
        """The engine's decision; without the table, with nobody to end, and with room in the base for who stays.

        Nobody can know who else acts then: to add what is missing is safe, to end something is not.
        """
        decision = engine.decide(observation, self.member.policy)
        if keep := self.options.question.keep.intersection(decision.moves.end):
            end = tuple(one for one in decision.moves.end if one not in keep)
            decision = replace(decision, moves=replace(decision.moves, end=end))
        if self.one.key in self.seen.states or not decision.moves.end:
            return decision
        ending = [one for one in observation.instances if one.id in decision.moves.end]
        kept = [one for one in ending if not one.leaving]
        on_demand = decision.on_demand + sum(one.capacity for one in ending if one.pool is None)
        moves = replace(decision.moves, end=())
        return replace(
            decision,
            moves=moves,
            on_demand=on_demand,
            fallback=supply.beyond_base(self.member.policy.on_demand_base, engine.on_demand_after(observation, moves)),
            expected=decision.expected + sum(one.capacity for one in kept),
            reasons=(*decision.reasons, f"nothing is ended: {self.seen.stateless[self.one.key]}"),
        )

    def _table(self) -> tuple[Any, str]:
        environment = self.one.tags.get(ours.ENVIRONMENT, "")
        return self.clients.get("dynamodb", self.one.region), state.table_of(environment)

    def _acting(self, decision: engine.Decision) -> bool:
        """Whether AWS is to be changed."""
        return bool(
            decision.acts
            or self._attachable(decision)
            or self.acting.fighting(self.one)
            or self.acting.figures(self.one, decision, self._loose())
            or self._tags(decision)
            or self._past(decision)
        )

    def _past(self, decision: engine.Decision) -> tuple[str, ...]:
        """The tag of temporary bounds that are over, once the target is what it is to be without them. Without the table it stays: who
        sets new ones could not keep this step from removing them."""
        override = self.member.policy.scaling.override
        over = override is not None and not override.holds(self.one.now) and self.one.key in self.seen.states
        return (ours.OVERRIDE,) if over and decision.demand.limited_by != "step_down" else ()

    def _tags(self, decision: engine.Decision) -> dict[str, str]:
        """The tags that say how much is wanted, where they differ from those in force."""
        wanted = {ours.TARGET: decision.target}
        if decision.lent or ours.LENT in self.one.tags:
            wanted[ours.LENT] = decision.lent
        return {tag: str(value) for tag, value in wanted.items() if self.one.tags.get(tag) != str(value)}

    def _needed(self, decision: engine.Decision) -> bool:
        """Whether anything is to be done or remembered."""
        if self._acting(decision):
            return True
        if self.one.key not in self.seen.states:
            return False
        observation, remembered = self.member.observation, self.member.remembered
        at = remembered.memory.at
        unseen = {region for region, peer in remembered.peers.items() if peer.unseen_since is not None}
        return bool(
            at is None
            or observation.now - at >= REMEMBER_SECONDS
            or observation.lost
            or observation.refused
            or observation.warned
            or observing.replaced_in(self.one) - remembered.replaced
            or (remembered.short_since is None) == bool(decision.short)
            or {region for region, peer in self.member.peers.items() if peer.unseen_since is not None} != unseen
        )

    def _loose(self) -> int:
        """The capacity that was launched for the group and is not attached to it yet."""
        return sum(one.capacity for one in self.one.instances if one.id in self.one.loose)

    def _attachable(self, decision: engine.Decision) -> list[str]:
        return [name for name in self.one.waiting if name not in decision.moves.end]

    def _planned(self, decision: engine.Decision) -> Outcome:
        """What would be done, in check mode."""
        orders = tuple(
            Launched(order, {f"planned-{number}": ""})
            for number, order in enumerate(self.acting.orders(self.one, decision, self.member.paid.places))
        )
        coming = self._loose() + sum(order.order.units for order in orders)
        return Outcome(
            self.one.region,
            self.one,
            self.one.name,
            (decision,),
            launched=orders,
            attached=tuple(self._attachable(decision)),
            ended=decision.moves.end,
            suspended=tuple(self.acting.fighting(self.one)),
            figures=self.acting.figures(self.one, decision, coming),
            tagged=self._tags(decision),
            untagged=self._past(decision),
        )

    def _yield(self, decision: engine.Decision) -> Outcome:
        """Another controller was faster: look again when it is done, for as long as there is time."""
        note = "another controller acts on the group"
        waited = time.monotonic() - self.began
        if waited + POLL_SECONDS > self.options.lease_seconds:
            return self._outcome((decision,), notes=(f"{note}: this one leaves it to it",))
        time.sleep(POLL_SECONDS)
        question = replace(self.options.question, names=[self.one.name], kinds=[self.one.kind])
        seen = steering.observe(self.clients, self.one.region, question, self.cache)
        if not seen.steered:
            return self._outcome((), notes=("the group has gone",))
        member = observing.member(seen.steered[0], seen, self.member.policy, self.member.paid)
        if isinstance(member, str):
            return self._outcome((), error=member)
        observation = replace(member.observation, share=self.member.observation.share)
        member = replace(member, observation=observation, peers=self.member.peers)
        began = time.monotonic() - waited - POLL_SECONDS
        again = Step(self.clients, member, seen, self.options, self.cache, began)
        again.run_until = time.monotonic() + self.options.run_seconds
        again.one = replace(again.one, now=again.one.now - waited - POLL_SECONDS)
        return again.take()

    def _rounds(
        self,
        observation: engine.Observation,
        decision: engine.Decision,
        lease: state.State | None,
    ) -> Outcome:
        """Act on the decision, and decide again on what was refused, until nothing more is."""
        decisions = self.decisions = [decision]
        suspended = self.acting.fighting(self.one)
        tagged, untagged = self._tags(decision), self._past(decision)
        figures: dict[str, int] = {}
        try:
            if tagged:
                self.acting.tag(self.clients, self.one, tagged)
            if untagged:
                self.acting.untag(self.clients, self.one, untagged)
            if suspended:
                self.acting.suspend(self.clients, self.one, suspended)
            for number in range(1, ROUNDS + 1):
                refused = self._launch(decision)
                if not refused or number == ROUNDS:
                    break
                observation = self._after(observation, decision, refused)
                decision = self._decide(observation if number + 1 < ROUNDS else _held_only(observation))
                decisions.append(decision)
                if not decision.acts:
                    break
            decision = self._learned(observation, decision, refused)
            figures = self._settle(decision)
        finally:
            if lease is not None:
                client, table = self._table()
                text = self._memory(decision, ours.TARGET in tagged)
                if state.release(client, table, lease, text, self.now) is None:
                    self.problems.append("the lease ran out before the step was done: another controller may have acted")
        return self._outcome(tuple(decisions), (), tuple(suspended), figures, tagged, untagged)

    def _launch(self, decision: engine.Decision) -> list[str]:
        """Launch what the decision asks for, side by side; returns the pools that gave less than was asked for."""
        tags = {
            **{key: value for key, value in self.one.tags.items() if key in (ours.APP, ours.ENVIRONMENT, "Name")},
            ours.MANAGED_BY: "spot.platform",
            ours.GROUP: self.one.name,
        }
        order = partial(launch, self.clients.get("ec2", self.one.region), template=self.one.template, tags=tags)
        made = side_by_side(order, self.acting.orders(self.one, decision, self._places()))
        lacking = sum(one.order.units - one.units for one in made if one.order.paid and one.refusal)
        if lacking:  # then On-Demand of any type, though it is not paid for
            paid = next(one.order for one in made if one.order.paid)
            made.append(order(replace(paid, units=lacking, weights=self.one.weights, subnets=self.one.subnets, paid=False)))
        self.launched += made
        self.problems += dict.fromkeys(one.refusal for one in made if one.wrong and one.refusal not in self.problems)
        return [one.order.pool for one in made if one.refusal and one.order.pool]

    def _places(self) -> Sequence[Place]:
        """Where On-Demand is paid for already; none where it was launched in an earlier round."""
        return () if self.launched else self.member.paid.places

    def _after(
        self, observation: engine.Observation, decision: engine.Decision, refused: Sequence[str]
    ) -> engine.Observation:
        """The observation, with what the round brought."""
        known = {one.id for one in observation.instances}
        new = [
            supply.Instance(
                name, made.order.pool, self.one.weights.get(kind, 1), self.one.now, False, zone=made.order.zone
            )
            for made in self.launched
            for name, kind in made.instances.items()
            if name not in known
        ]
        return replace(
            observation,
            target=decision.target,
            lent=decision.lent,
            since_change=observation.since_change if decision.target == observation.target else 0.0,
            instances=(*observation.instances, *new),
            memory=decision.memory,
            lost=(),
            warned=(),
            refused=tuple(refused),
        )

    def _learned(
        self, observation: engine.Observation, decision: engine.Decision, refused: Sequence[str]
    ) -> engine.Decision:
        """The last decision, with what its own round taught: nothing more is asked for on it."""
        if not self.launched or not (refused or decision.moves.spot or decision.moves.on_demand):
            return decision
        after = self._after(observation, decision, refused)
        last = self._decide(after)
        staying = [one for one in after.instances if not one.leaving and one.id not in last.moves.end]
        expected = sum(one.capacity for one in staying)
        return replace(
            last,
            moves=replace(last.moves, spot={}, on_demand=0),
            on_demand=sum(one.capacity for one in staying if one.pool is None)
            + engine.outgoing(after.instances, last.moves.end),
            expected=expected,
            short=max(0, last.target - expected),
        )

    def _settle(self, decision: engine.Decision) -> dict[str, int]:
        """Attach what runs, end what may go, and let the group want just what it has."""
        one, region = self.one, self.one.region
        units = {each.id: each.capacity for each in one.instances if each.id in one.loose}
        units |= {name: one.weights.get(kind, 1) for made in self.launched for name, kind in made.instances.items()}
        coming = [name for name in units if name not in decision.moves.end]
        new = [name for made in self.launched for name in made.instances]
        left = max(0, int(self.run_until - time.monotonic()))
        if new and not running(self.clients.get("ec2", region), new, left):
            new = []  # found by their tag, and attached, at the next step
        figures = self.acting.figures(one, decision, sum(units[name] for name in coming))
        if figures:
            self.acting.set_figures(self.clients, one, figures)
        ready = {name: units[name] for name in (*self._attachable(decision), *new)}
        ready = self.acting.fitting(one, figures.get("desired", one.desired), ready)
        if ready:
            self.acting.attach(self.clients, one, ready)
            self.attached += ready
        if decision.moves.end:
            self.acting.end(self.clients, one, decision.moves.end)
            self.ended += decision.moves.end
        if ready or self.ended:
            figures |= self._in_line(decision, sum(units[name] for name in coming if name not in ready))
        return figures

    def _in_line(self, decision: engine.Decision, coming: int) -> dict[str, int]:
        """Set the figures right by what the group has now."""
        one = self.acting.again(self.clients, self.one)
        figures = self.acting.figures(one, decision, coming) if one else {}
        if figures:
            self.acting.set_figures(self.clients, one, figures)
        return figures

    def _memory(self, decision: engine.Decision, changed_target: bool = False) -> str:
        before = self.member.remembered
        since = self.one.now if before.short_since is None else before.short_since
        return remembering.written(
            remembering.Remembered(
                decision.memory,
                observing.counted_in(self.one),
                observing.warned_in(self.one, self.seen, before),
                self.one.now if changed_target else before.changed_at,
                since if decision.short else None,
                self.member.peers,
                observing.replaced_in(self.one),
            )
        )

    def _outcome(
        self,
        decisions: tuple[engine.Decision, ...],
        notes: tuple[str, ...] = (),
        suspended: tuple[str, ...] = (),
        figures: Mapping[str, int] | None = None,
        tagged: Mapping[str, str] | None = None,
        untagged: tuple[str, ...] = (),
        error: str | None = None,
    ) -> Outcome:
        return Outcome(
            self.one.region,
            self.one,
            self.one.name,
            decisions,
            tuple(self.launched),
            tuple(self.attached),
            tuple(self.ended),
            suspended,
            figures=figures or {},
            tagged=tagged or {},
            untagged=untagged,
            notes=notes,
            problems=tuple(self.problems),
            error=error,
        )
