# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's own step, played to a trace: no copy of it, only the translation of what a tick shows."""

from __future__ import annotations

import math

from ansible_collections.spot.platform.plugins.module_utils.engine import risk, supply
from ansible_collections.spot.platform.plugins.module_utils.engine.simulation import Ask, View


class Ours:
    """`supply.step` with the worth of a profile; its memory goes from tick to tick, as it does between steps on AWS."""

    def __init__(self, profile: str) -> None:
        self.worth = supply.WORTH[profile]
        self.memory = risk.Memory()

    def step(self, view: View) -> Ask:
        outage = math.ceil(view.cold_start / view.gap) * view.gap / risk.HOUR
        instances = [
            supply.Instance(
                one.id,
                one.zone,
                1,
                one.launched_at,
                view.now - one.launched_at >= view.cold_start,
                one.told_at is not None,
            )
            for one in view.instances
        ]
        taken = supply.step(
            supply.Seen(
                view.now,
                view.target,
                0,
                instances,
                [risk.Pool(zone, zone, view.prices[zone]) for zone in view.zones],
                self.memory,
                [one.zone for one in view.taken],
                list(view.refused),
            ),
            supply.Stakes(self.worth, view.od_ratio, outage),
        )
        self.memory = taken.memory
        return Ask(dict(taken.moves.spot), taken.moves.on_demand, taken.moves.end)
