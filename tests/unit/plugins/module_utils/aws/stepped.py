# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A region whose groups, decisions and answers are set, for the tests of a step."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import control, observing, state, steering
from ansible_collections.spot.platform.plugins.module_utils.aws import steering_groups as acting
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import AwsError
from ansible_collections.spot.platform.plugins.module_utils.aws.launches import Launched
from ansible_collections.spot.platform.plugins.module_utils.engine import autoscaling as engine
from ansible_collections.spot.platform.plugins.module_utils.engine.composition import Composition
from ansible_collections.spot.platform.plugins.module_utils.engine.demand import Demand
from ansible_collections.spot.platform.plugins.module_utils.engine.memory import Remembered, read, written
from ansible_collections.spot.platform.plugins.module_utils.engine.risk import Memory
from ansible_collections.spot.platform.plugins.module_utils.engine.supply import Instance, Moves

NOW = 1_000_000.0
REGION = "us-east-1"
A, B = "us-east-1a/m5.large", "us-east-1b/m5.large"
FULL = "InsufficientInstanceCapacity: There is no capacity."
CARRIED = {
    tags.APP: "web",
    tags.ENVIRONMENT: "test",
    tags.TARGET: "4",
    tags.MINIMUM: "0",
    tags.MAXIMUM: "8",
    tags.ON_DEMAND_BASE: "0",
    tags.FALLBACK: "on_demand",
    tags.SUSPENDED: " ".join(acting.FIGHTING),
    "Name": "web",
    "team": "shop",
}


def member(name, pool=A, serving=True, leaving=False):
    return Instance(name, pool, 1, NOW - 3600, serving, leaving)


def group(*instances, name="web", carried=None, **more):
    """A group with all that it wants, unless told otherwise."""
    facts = {
        "name": name,
        "kind": "auto_scaling_group",
        "region": REGION,
        "tags": {**CARRIED, **(carried or {})},
        "now": NOW,
        "created": NOW - 7200,
        "desired": 4,
        "on_demand_base": 0,
        "counted": 4,
        "template": {"LaunchTemplateId": "lt-1"},
        "weights": {"m5.large": 1},
        "subnets": {"us-east-1a": "subnet-a", "us-east-1b": "subnet-b"},
        "instances": instances or tuple(member(f"i-{number}") for number in range(4)),
        "suspended": frozenset(acting.FIGHTING),
    }
    return steering.Steered(**{**facts, **more})


def decided(spot=None, on_demand=0, end=(), target=4, held=0, kind="steady", memory=None):
    """A decision with these moves; ``held``: the On-Demand units that there will be."""
    return engine.Decision(
        kind=kind,
        target=target,
        demand=Demand(target, target, ()),
        moves=Moves(spot or {}, on_demand, tuple(end), 0),
        best=Composition(spot or {}, on_demand, 0, 0.1),
        prospects={},
        memory=memory or Memory(NOW, {}),
        on_demand=held,
        fallback=held,
        serving=4,
        expected=4,
        short=0,
        cost=0.1,
        on_demand_cost=0.4,
        reasons=(kind,),
        ask_again_seconds=60,
    )


def fresh(**more):
    """What was remembered just now, as text."""
    return written(Remembered(**{"memory": Memory(NOW - 60), **more}))


class Clients:
    def get(self, service, _region=None):
        return service


class World:
    """A region whose groups, decisions and answers are set; ``calls`` is what was done, in its order."""

    def __init__(self) -> None:
        self.groups = [group()]
        self.states = {"web": state.State("web", 3, fresh())}
        self.stateless = {}
        self.warned = frozenset()
        self.plan = [decided()]
        """The decisions, one for each time that is decided; the last one again and again."""
        self.full = set()
        """The pools that refuse, ``None`` for On-Demand."""
        self.refusal, self.wrong = FULL, False
        self.leases = [True]
        """Whether each lease that is asked for is had; the last one again and again."""
        self.kept = True
        self.runs = True
        self.failing = {}
        self.unreadable = None
        self.calls = []
        self.decisions = []
        self.written = []
        self.observed = 0

    def observe(self, _clients, region, question, _cache):
        self.observed += 1
        if self.unreadable:
            raise AwsError(self.unreadable)
        found = [one for one in self.groups if question.names is None or one.name in question.names]
        return steering.Region(found, steering.Market(), self.states, self.stateless, self.warned)

    def decide(self, observation, policy):
        self.decisions.append((observation, policy))
        return self.plan[min(len(self.decisions), len(self.plan)) - 1]

    def launch(self, _client, order, template, tags):
        self.calls.append(("launch", order.pool, order.units))
        self.launched_with = (template, tags)
        if order.pool in self.full:
            return Launched(order, {}, self.refusal, self.wrong)
        name = (order.pool or "on-demand")[:10]
        return Launched(order, {f"i-{name}-{number}": "m5.large" for number in range(order.units)})

    def acquire(self, _client, table, held, holder, _now, seconds):
        self.calls.append(("acquire", table, holder, seconds))
        got = self.leases.pop(0) if len(self.leases) > 1 else self.leases[0]
        return replace(held, version=held.version + 1, holder=holder) if got else None

    def write(self, how):
        def work(_client, _table, held, memory, _now):
            self.calls.append((how, held.version))
            self.written.append(read(memory))
            return held if self.kept else None

        return work

    def acts(self, name):
        def work(_clients, one, *arguments):
            self.calls.append((name, *arguments))
            if one.name in self.failing and name in self.failing[one.name]:
                raise AwsError(f"cannot {name}: no")

        return work

    def done(self, *names):
        """The calls of these names, in their order."""
        return [call for call in self.calls if call[0] in names]

    @property
    def happened(self):
        return [call[0] for call in self.calls]


def options(**more):
    facts = {
        "question": steering.Question(),
        "policy": {},
        "scalings": {},
        "prometheus": None,
        "holder": "me",
        "act": True,
        "release": False,
        "boot_seconds": 120,
        "run_seconds": 40,
        "lease_seconds": 0,
    }
    return observing.Options(**{**facts, **more})


def step(world, names=None, **more):
    return control.step(Clients(), {REGION: names}, options(**more), None).outcomes


def only(world, **more):
    (outcome,) = step(world, **more)
    return outcome
