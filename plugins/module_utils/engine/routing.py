# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which regions a DNS name leads to, and with which weights: they follow the capacity that serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.spot.platform.plugins.module_utils.engine.proportion import divided

WEIGHTED = "weighted"
LATENCY = "latency"
POLICIES = (WEIGHTED, LATENCY)
WHOLE = 255
"""The sum of the weights, and the largest that Route 53 takes for one."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A region that a name may lead to. ``serving``: its units in service, ``None`` where it could not be observed.

    ``present``: whether the name leads to it now; ``weight``: the weight of that, of ``weighted`` records only.
    """

    region: str
    serving: int | None
    present: bool = False
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class Routing:
    """The regions that are to have a record, with their weights (``None`` each for ``latency``), and why."""

    weights: Mapping[str, int | None]
    reasons: tuple[str, ...]


def decide(endpoints: Sequence[Endpoint], policy: str, tolerance: float = 0.1, unit: str = "units") -> Routing:
    """What a name is to lead to. Pure: the same arguments give the same routing.

    ``tolerance``: the part by which a region's share of the weights may be off before any is changed, so that DNS does
    not change each minute. Raises ``ValueError`` for a ``policy`` that is not one of ``POLICIES``.
    """
    if policy not in POLICIES:
        raise ValueError(f"the routing policy is {policy!r}: use one of {', '.join(POLICIES)}")
    reasons = [
        f"{one.region} could not be observed: "
        + ("its record stays, and health checks decide" if one.present else "it gets no record until it is")
        for one in endpoints
        if one.serving is None
    ]
    routed = [one for one in endpoints if one.serving is not None or one.present]
    work = _latency if policy == LATENCY else _weighted
    return work(routed, tolerance, unit, reasons)


def _latency(endpoints: Sequence[Endpoint], tolerance: float, unit: str, reasons: list[str]) -> Routing:
    """Those that serve; where none is known to, those that are there now: never an answer without records."""
    if any(one.serving for one in endpoints):
        chosen = [one for one in endpoints if one.serving is None or one.serving]
        for one in endpoints:
            if one.present and one not in chosen:
                reasons.append(f"{one.region} serves nothing: its record goes")
            elif one in chosen and not one.present:
                reasons.append(f"{one.region} serves {one.serving} {unit}: it gets a record")
    else:
        chosen = [one for one in endpoints if one.present] or list(endpoints)
        reasons.append("no region is known to serve: the records are kept, a name needs some")
    return Routing({one.region: None for one in chosen}, tuple(reasons))


def _weighted(endpoints: Sequence[Endpoint], tolerance: float, unit: str, reasons: list[str]) -> Routing:
    """All, with weights in proportion to what serves; 0 for one that serves nothing while others do."""
    before = {one.region: one.weight for one in endpoints}
    after = dict(zip(before, _weights(endpoints)))
    if before != after and _near(list(before.values()), list(after.values()), tolerance):
        reasons.append(f"the weights stay: none is off by more than {100 * tolerance:g} %")
        after = before
    elif before != after:
        whole = sum(one.serving or 0 for one in endpoints)
        if not whole:
            reasons.append("no region is known to serve")
        for one in endpoints:
            serves = "serves unknown capacity" if one.serving is None else f"serves {one.serving} of {whole} {unit}"
            if before[one.region] is None:
                reasons.append(f"{one.region} {serves}: it gets the weight {after[one.region]}")
            elif before[one.region] != after[one.region]:
                reasons.append(f"{one.region} {serves}: weight {before[one.region]} -> {after[one.region]}")
    return Routing(after, tuple(reasons))


def _weights(endpoints: Sequence[Endpoint]) -> list[int]:
    """The weights that are right. A region that could not be observed keeps its share against the others."""
    known = [one for one in endpoints if one.serving is not None]
    serving, weighed = (sum(getattr(one, part) or 0 for one in known) for part in ("serving", "weight"))
    if serving and weighed:  # what serves and what is unknown in one measure, in whole numbers
        parts = [(one.weight or 0) * serving if one.serving is None else one.serving * weighed for one in endpoints]
    elif serving:  # nothing led to those that are known: one that is not counts as their mean
        parts = [
            (serving if one.weight else 0) if one.serving is None else one.serving * len(known) for one in endpoints
        ]
    else:  # those that are unknown may serve; where there are none, all are alike
        parts = [(one.weight or 0) if one.serving is None else 0 for one in endpoints]
        if not any(parts):
            parts = [int(one.serving is None or len(known) == len(endpoints)) for one in endpoints]
    found = divided(WHOLE, parts)
    for number, part in enumerate(parts):
        if part and not found[number]:  # a region that serves is never left out
            found[found.index(max(found))] -= 1
            found[number] = 1
    return found


def _near(before: Sequence[int | None], after: Sequence[int], tolerance: float) -> bool:
    """Whether each region's share of the weights is as it should be, but for ``tolerance`` of it or 1 of a weight."""
    if any(weight is None for weight in before) or not any(before):
        return False
    whole_before, whole_after = sum(before), sum(after)
    return all(
        bool(old) == bool(new)
        and abs(new * whole_before - old * whole_after) <= tolerance * old * whole_after + whole_before
        for old, new in zip(before, after)
    )
