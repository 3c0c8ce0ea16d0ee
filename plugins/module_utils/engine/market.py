# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The market as the engine sees it: offers, one for each pool of region, zone and instance type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

ARCHITECTURES = ("x86_64", "arm64")
PRESENCE = ("included", "excluded", "required")
BANDS = ("<5 %", "5-10 %", "10-15 %", "15-20 %", ">20 %")
"""The Spot Instance Advisor's bands: the share of instances that were interrupted in the last month."""
GRANTED, REFUSED, LOST = "granted", "refused", "lost"
"""What is seen of pools; ``after`` in an activity event has a list of pools for each, named as ``us-east-1a/m5.large``."""


@dataclass(frozen=True)
class InstanceType:
    """What the allocation needs to know of an instance type; ``accelerators`` counts GPUs and the like."""

    name: str
    vcpus: int
    memory_mib: int
    architectures: tuple[str, ...]
    burstable: bool
    current_generation: bool
    accelerators: int
    bare_metal: bool

    @property
    def family(self) -> str:
        """``m5`` of ``m5.large``."""
        return self.name.split(".", 1)[0]


@dataclass(frozen=True)
class Offer:
    """One pool. Prices are USD an hour; ``interruption_band`` 0 (<5 % a month) to 4 (>20 %); scores 1 to 10.

    ``None`` means not known: no Spot price in the last 90 days, no band without a bands file, no score unless asked.
    """

    region: str
    zone: str
    zone_id: str
    instance_type: InstanceType
    spot_price: float | None
    on_demand_price: float | None
    interruption_band: int | None = None
    placement_score: int | None = None
    price_time: str | None = None
    typical_spot_price: float | None = None

    @property
    def savings_percent(self) -> float | None:
        """The share of the On-Demand price that Spot saves, in percent, to one place."""
        if not self.spot_price or not self.on_demand_price:
            return None
        return round(100.0 * (1.0 - self.spot_price / self.on_demand_price), 1)


@dataclass(frozen=True)
class Range:
    """From ``min`` to ``max``, both inclusive; ``None`` is no bound."""

    min: int | None = None
    max: int | None = None

    def __contains__(self, value: int) -> bool:
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


@dataclass(frozen=True)
class Families:
    """Instance families by name or shell pattern (``m5``, ``c6*``): none included means all; excluded wins."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __contains__(self, family: str) -> bool:
        if any(fnmatchcase(family, pattern) for pattern in self.exclude):
            return False
        return not self.include or any(fnmatchcase(family, pattern) for pattern in self.include)


@dataclass(frozen=True)
class Requirements:
    """What an application needs of an instance type.

    The defaults are what an ordinary application can take: current x86 types, not burstable, no accelerator, no
    bare metal. ``current_generation=False`` lets earlier generations in beside the current one.
    """

    vcpus: Range = Range()
    memory_mib: Range = Range()
    architectures: tuple[str, ...] = ("x86_64",)
    burstable: str = "excluded"
    accelerators: str = "excluded"
    bare_metal: str = "excluded"
    families: Families = Families()
    current_generation: bool = True


def matches(requirements: Requirements, instance_type: InstanceType) -> bool:
    """Whether the application can run on ``instance_type``."""
    return (
        instance_type.vcpus in requirements.vcpus
        and instance_type.memory_mib in requirements.memory_mib
        and not set(requirements.architectures).isdisjoint(instance_type.architectures)
        and _allows(requirements.burstable, instance_type.burstable)
        and _allows(requirements.accelerators, instance_type.accelerators > 0)
        and _allows(requirements.bare_metal, instance_type.bare_metal)
        and (instance_type.current_generation or not requirements.current_generation)
        and instance_type.family in requirements.families
    )


def requirements_from(wanted: Mapping[str, Any] | None) -> Requirements:
    """``Requirements`` of the mapping that the module option and the manifest have: the same keys, nested.

    A key that is missing or ``None`` takes its default. Raises ``ValueError`` for an unknown key, a wrong value or a
    range that nothing can be in; the message names the key, the value and what would be right.
    """
    given = _known(wanted, Requirements, "requirements")
    for key in ("vcpus", "memory_mib"):
        if key in given:
            given[key] = _range(key, given[key])
    if "families" in given:
        families = _known(given["families"], Families, "requirements.families")
        given["families"] = Families(**{key: _names(f"families.{key}", value) for key, value in families.items()})
    if "architectures" in given:
        given["architectures"] = _names("architectures", given["architectures"])
        if not given["architectures"]:
            raise ValueError(f"requirements.architectures is empty: name at least one of {', '.join(ARCHITECTURES)}")
        for architecture in given["architectures"]:
            _one_of("architectures", architecture, ARCHITECTURES)
    for key in ("burstable", "accelerators", "bare_metal"):
        if key in given:
            _one_of(key, given[key], PRESENCE)
    if not isinstance(given.get("current_generation", True), bool):
        raise ValueError(f"requirements.current_generation is {given['current_generation']!r}: use true or false")
    return Requirements(**given)


@dataclass(frozen=True)
class Selection:
    """The instance types that an application can take: by name, by requirements, or both; neither means all."""

    names: frozenset[str] | None = None
    requirements: Requirements | None = None

    @classmethod
    def of(cls, instance_types: Iterable[str] | None, requirements: Mapping[str, Any] | None) -> "Selection":
        """Of the options of those names. Raises ``ValueError`` for requirements that nothing can meet."""
        return cls(
            frozenset(instance_types) if instance_types else None,
            requirements_from(requirements) if requirements is not None else None,
        )

    def __contains__(self, kind: InstanceType) -> bool:
        if self.names is not None and kind.name not in self.names:
            return False
        return self.requirements is None or matches(self.requirements, kind)


def _allows(presence: str, present: bool) -> bool:
    return presence == "included" or present == (presence == "required")


def _known(given: Any, shape: type, where: str) -> dict[str, Any]:
    """The keys of ``given`` that have a value; all must be fields of ``shape``."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValueError(f"{where} is {given!r}: it must be a mapping")
    names = [field.name for field in fields(shape)]
    unknown = sorted(str(key) for key in given if key not in names)
    if unknown:
        raise ValueError(f"{where} has no {', '.join(unknown)}: its keys are {', '.join(names)}")
    return {key: value for key, value in given.items() if value is not None}


def _range(key: str, given: Any) -> Range:
    bounds = _known(given, Range, f"requirements.{key}")
    for name, value in bounds.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"requirements.{key}.{name} is {value!r}: it must be a whole number, 0 or more")
    result = Range(**bounds)
    if result.min is not None and result.max is not None and result.min > result.max:
        raise ValueError(f"requirements.{key} is impossible: min {result.min} is above max {result.max}")
    return result


def _names(key: str, given: Any) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, (list, tuple)) or any(not isinstance(x, str) for x in given):
        raise ValueError(f"requirements.{key} is {given!r}: it must be a list of names")
    return tuple(given)


def _one_of(key: str, given: Any, choices: tuple[str, ...]) -> None:
    if given not in choices:
        raise ValueError(f"requirements.{key} is {given!r}: use one of {', '.join(choices)}")
