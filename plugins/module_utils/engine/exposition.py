# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics in Prometheus's text format, as the textfile collector of its node exporter reads them.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/. All are gauges: they are figures of one moment.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

PREFIX = "spot_platform_"

Sample = tuple[Mapping[str, str], "float | None"]
"""Labels and value; one without a value is left out."""


class Family(NamedTuple):
    """The samples of one name, which is without `PREFIX`, and what they mean."""

    name: str
    meaning: str
    samples: Sequence[Sample]


def text(families: Iterable[Family], labels: Mapping[str, str] | None = None) -> str:
    """The families as text, those without samples left out; every sample also has ``labels``.

    A value that is ``None`` or no finite number is absent, so that nothing reckons with it. Raises ``ValueError`` for a series that comes
    twice, for the node exporter refuses the whole file then.
    """
    lines = []
    for family in families:
        name, seen = PREFIX + family.name, set()
        for own, value in family.samples:
            if value is None or not math.isfinite(value):
                continue
            series = name + _labels({**(labels or {}), **own})
            if series in seen:
                raise ValueError(f"there are two values of {series}")
            if not seen:
                lines += [f"# HELP {name} {_escaped(family.meaning)}", f"# TYPE {name} gauge"]
            seen.add(series)
            lines.append(f"{series} {int(value) if isinstance(value, bool) else value}")
    return "".join(f"{line}\n" for line in lines)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ((name, _escaped(value).replace('"', '\\"')) for name, value in labels.items())
    return "{" + ",".join(f'{name}="{value}"' for name, value in pairs) + "}" if labels else ""
