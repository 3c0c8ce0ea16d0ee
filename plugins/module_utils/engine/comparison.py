# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a market would have cost and served: our policy in its profiles beside what people do without it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.replay import Ours
from ansible_collections.spot.platform.plugins.module_utils.engine.simulation import (
    ON_DEMAND,
    SPOT,
    Ask,
    Policy,
    Trace,
    View,
    play,
)

OURS = "spot.platform"


class AllOnDemand:
    """The target, On-Demand."""

    def step(self, view: View) -> Ask:
        return Ask(on_demand=view.target - len(view.instances))


class StaticMix:
    """What an Auto Scaling group with a mixed instances policy does: a fixed share On-Demand, no fallback.

    It balances zones; one that refused is passed over until all of them have refused or nothing is missing.
    """

    def __init__(self, share: float = 1 / 3) -> None:
        self.share = share
        self.refused: set[str] = set()

    def step(self, view: View) -> Ask:
        base = round(view.target * self.share)
        alive = [one for one in view.instances if one.told_at is None]
        spot = Counter(one.zone for one in alive if one.lifecycle is SPOT)
        ask = Ask(on_demand=base - sum(1 for one in alive if one.lifecycle is ON_DEMAND))
        missing = view.target - base - spot.total()
        self.refused |= set(view.refused)
        if not missing or self.refused >= set(view.zones):
            self.refused = set()
        zones = [zone for zone in view.zones if zone not in self.refused]
        for _each in range(missing):
            zone = min(zones, key=lambda name: (spot[name], name))
            spot[zone] += 1
            ask.spot[zone] = ask.spot.get(zone, 0) + 1
        return ask


OTHERS: Mapping[str, Callable[[], Policy]] = {"static-mix": StaticMix, "all-on-demand": AllOnDemand}
"""What our policy is compared with, by the name that a row has."""


@dataclass(frozen=True)
class Setting:
    """What is asked of a fleet: ``target`` units, On-Demand at ``od_ratio`` times the mean Spot price; times in seconds."""

    target: int
    od_ratio: float
    cold_start: float
    notice: float


def rows(trace: Trace, setting: Setting, profiles: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each policy, the cheapest first.

    ``cost`` is the share of the target On-Demand, ``cost_usd_per_hour`` the money, where the trace knows a price. Raises
    ``ValueError`` for a trace that is over before an instance can serve.
    """
    if len(trace) * trace.gap <= setting.cold_start:
        raise ValueError(
            f"{trace.name} is {len(trace) * trace.gap:g} s long, no longer than the cold start of {setting.cold_start:g} s: "
            "nothing is left to judge; give a longer one, or a shorter cold_start"
        )
    named: list[tuple[str, str | None, Policy]] = [(OURS, profile, Ours(profile)) for profile in profiles]
    named += [(name, None, make()) for name, make in OTHERS.items()]
    found = []
    for policy, profile, player in named:
        asked = (setting.target, setting.od_ratio, setting.cold_start, setting.notice)
        outcome = play(trace, player, 0, len(trace), *asked)
        paid = None if trace.mean_price is None else round(outcome.cost * trace.mean_price / outcome.seconds, 6)
        found.append(
            {
                "trace": trace.name,
                "policy": policy,
                "profile": profile,
                "target": setting.target,
                "notice": setting.notice,
                **{key: round(figure, 6) for key, figure in outcome.figures().items()},
                "cost_usd_per_hour": paid,
            }
        )
    return sorted(found, key=lambda row: row["cost"])


def sentences(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the rows say, a sentence each."""
    return [f"{row['trace']}: {_name(row)} would have cost {_cost(row)} and {_served(row)}." for row in found]


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['policy']} ({row['profile']})" if row["profile"] else row["policy"]


def _cost(row: Mapping[str, Any]) -> str:
    share = f"{row['cost']:.1%} of the target On-Demand"
    paid = row["cost_usd_per_hour"]
    return share if paid is None else f"{paid:.4f} USD an hour, {share},"


def _served(row: Mapping[str, Any]) -> str:
    if row["availability"] == 1:
        return f"served the target of {row['target']} throughout"
    return (
        f"served the target of {row['target']} for {row['availability']:.3%} of the time, {row['service']:.3%} of it in all, "
        f"short for up to {row['longest_shortfall']:.0f} s on end"
    )
