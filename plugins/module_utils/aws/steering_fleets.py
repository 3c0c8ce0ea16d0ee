# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Act on a fleet that maintains itself as decided: a backend of `control`, as ``steering_groups`` is another.

A fleet is told how much Spot and On-Demand to keep, and launches and replaces by itself, in pools of its own choice. What
may go is ended by id, after the fleet was told to keep so much less: it is to end nothing of its own choice.

Required IAM actions: ``ec2:ModifyFleet``, ``ec2:ModifySpotFleetRequest``, ``ec2:TerminateInstances``, ``ec2:CreateTags``,
``ec2:DeleteTags``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.aws import fleets, spot_fleets
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.launches import Order, terminate_instances
from ansible_collections.spot.platform.plugins.module_utils.aws.steering import Steered
from ansible_collections.spot.platform.plugins.module_utils.engine.autoscaling import Decision
from ansible_collections.spot.platform.plugins.module_utils.engine.commitments import Place
from ansible_collections.spot.platform.plugins.module_utils.engine.groups import EC2_FLEET

EXCESS = "ExcessCapacityTermination"
"""What a fleet does by itself that ends instances, when it is to keep less: suspended while the autoscaler steers it."""


def orders(one: Steered, decision: Decision, places: Sequence[Place]) -> list[Order]:
    """None: what a fleet launches follows from its figures."""
    return []


def attach(clients: Clients, one: Steered, ids: Sequence[str]) -> None:
    """Nothing: a fleet takes no instances but its own."""


def fitting(one: Steered, desired: int, units: Mapping[str, int]) -> list[str]:
    """None: see `attach`."""
    return []


def end(clients: Clients, one: Steered, ids: Sequence[str]) -> None:
    """End instances. The figures were lowered by theirs before, so that the fleet does not replace them."""
    terminate_instances(clients.get("ec2", one.region), ids)


def figures(one: Steered, decision: Decision, coming: int) -> dict[str, int]:
    """The total and the On-Demand part that the fleet is to keep, where they differ from those in force: what it has
    without what is to end, and what is asked for. It counts what was told to go until it is gone. All of them
    where the fleet does not keep its excess yet: `set_figures` sees to that too.
    """
    staying = [each for each in one.instances if each.id not in decision.moves.end]
    on_demand = sum(each.capacity for each in staying if each.pool is None) + decision.moves.on_demand
    spot = sum(each.capacity for each in staying if each.pool is not None) + sum(decision.moves.spot.values())
    wanted = {"desired": on_demand + spot, "on_demand_base": on_demand}
    if not one.fleet.keeps_excess:
        return wanted
    present = {"desired": one.desired, "on_demand_base": one.on_demand_base}
    return {name: value for name, value in wanted.items() if value != present[name]}


def set_figures(clients: Clients, one: Steered, wanted: Mapping[str, int]) -> None:
    """Set the total and the On-Demand part, those of them that are ``wanted``, in one call: while AWS modifies a fleet, it
    takes no other."""
    _modify(clients, one, wanted, keep=True)


def _modify(clients: Clients, one: Steered, wanted: Mapping[str, int], keep: bool) -> None:
    """``keep``: whether what is above the figures stays."""
    total, on_demand = wanted.get("desired", one.desired), wanted.get("on_demand_base", one.on_demand_base)
    backend = fleets if one.kind == EC2_FLEET else spot_fleets
    backend.set_capacity(clients.get("ec2", one.region), one.fleet.id, total, on_demand, keep)


def again(clients: Clients, one: Steered) -> Steered | None:
    """``None``: a fleet is not looked at again, its figures are what it was told."""
    return None


def fighting(one: Steered) -> list[str]:
    """What is still to be suspended."""
    return [] if one.fleet.keeps_excess else [EXCESS]


def suspend(clients: Clients, one: Steered, processes: Sequence[str]) -> None:
    """Write down that the fleet did not keep its excess, so that `resume` restores that; `set_figures` changes it."""
    tag(clients, one, {ours.SUSPENDED: EXCESS})


def suspended(one: Steered) -> list[str]:
    """What `suspend` wrote down."""
    return [one.tags[ours.SUSPENDED]] if ours.SUSPENDED in one.tags else []


def resume(clients: Clients, one: Steered) -> list[str]:
    """Undo what `suspend` did; returns what was written down."""
    found = suspended(one)
    if found:
        _modify(clients, one, {}, keep=False)
        fleets.delete_tags(clients.get("ec2", one.region), one.fleet.id, [ours.SUSPENDED])
    return found


def tag(clients: Clients, one: Steered, wanted: Mapping[str, str]) -> None:
    """Set tags of the fleet."""
    fleets.create_tags(clients.get("ec2", one.region), one.fleet.id, wanted)


def untag(clients: Clients, one: Steered, keys: Sequence[str]) -> None:
    """Remove tags of the fleet."""
    fleets.delete_tags(clients.get("ec2", one.region), one.fleet.id, keys)
