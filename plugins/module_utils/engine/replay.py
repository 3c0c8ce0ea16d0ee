# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The autoscaler's own decision, played to a trace: no copy of it, only the translation of what a tick shows."""

from __future__ import annotations

import math

from ansible_collections.spot.platform.plugins.module_utils.engine import autoscaling, risk, supply
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import Scaling
from ansible_collections.spot.platform.plugins.module_utils.engine.simulation import Ask, View


class Ours:
    """`autoscaling.decide` in a profile; its memory goes from tick to tick, as it does between steps on AWS.

    A pool of a trace is called ``zone`` or ``zone/type``. A refusal is known at the next tick only.
    """

    def __init__(self, profile: str) -> None:
        self.profile = profile
        self.memory = risk.Memory()

    def step(self, view: View) -> Ask:
        instances = [
            supply.Instance(
                str(one.id),
                one.zone,
                1,
                one.launched_at,
                view.now - one.launched_at >= view.cold_start,
                one.told_at is not None,
            )
            for one in view.instances
        ]
        decision = autoscaling.decide(
            autoscaling.Observation(
                now=view.now,
                target=view.target,
                instances=instances,
                pools=[pool_of(name, price) for name, price in view.prices.items()],
                memory=self.memory,
                on_demand_price=view.od_ratio,
                lost=[one.zone for one in view.taken],
                refused=list(view.refused),
            ),
            autoscaling.Policy(
                scaling=Scaling(view.target, view.target),
                profile=self.profile,
                outage_hours=math.ceil(view.cold_start / view.gap) * view.gap / risk.HOUR,
                answered=False,
            ),
        )
        self.memory = decision.memory
        return Ask(dict(decision.moves.spot), decision.moves.on_demand, [int(one) for one in decision.moves.end])


def pool_of(name: str, price: float) -> risk.Pool:
    """The pool of a trace."""
    zone, _slash, instance_type = name.partition("/")
    return risk.Pool(name, zone, price, family=instance_type.partition(".")[0])
