# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dashboards in Grafana's own model, its Foundation SDK: it keeps the fields that it knows, so that what is gone after reading and writing
is nothing that Grafana knows. It does not draw them; no Grafana is here that would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import Enum
from typing import Any

import pytest
from ansible_collections.spot.platform.plugins.filter.grafana_dashboard import grafana_dashboard
from ansible_collections.spot.platform.plugins.module_utils.engine.grafana_boards import BOARDS
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common, units
from grafana_foundation_sdk.models.dashboard import Dashboard, VariableRefresh, VariableSort

plugins.register_default_plugins()
CHOICES: dict[str, type[Enum]] = {
    "colorMode": common.BigValueColorMode,
    "graphMode": common.BigValueGraphMode,
    "justifyMode": common.BigValueJustifyMode,
    "textMode": common.BigValueTextMode,
    "displayMode": common.BarGaugeDisplayMode,
    "valueMode": common.BarGaugeValueMode,
    "namePlacement": common.BarGaugeNamePlacement,
    "sizing": common.BarGaugeSizing,
    "drawStyle": common.GraphDrawStyle,
    "lineInterpolation": common.LineInterpolation,
    "showPoints": common.VisibilityMode,
    "axisPlacement": common.AxisPlacement,
    "cellHeight": common.TableCellHeight,
    "placement": common.LegendPlacement,
}
"""Of fields with few values what these are."""


def lost(given: Any, kept: Any, path: str = "") -> Iterator[str]:
    """Where ``kept`` is not what was ``given``."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key, value in given.items():
            yield from lost(value, kept.get(key, "nothing"), f"{path}.{key}")
    elif isinstance(given, list) and isinstance(kept, list) and len(given) == len(kept):
        for one, other in zip(given, kept):
            yield from lost(one, other, path)
    elif given != kept:
        yield f"{path}: {given!r} became {kept!r}"


def through(made: dict[str, Any]) -> dict[str, Any]:
    """Read into the model and written from it."""
    return dict(json.loads(json.dumps(Dashboard.from_json(made), cls=JSONEncoder)))


def fields(value: Any) -> Iterator[tuple[str, Any]]:
    """All keys with their values, in all depths."""
    if isinstance(value, dict):
        yield from value.items()
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from fields(part)


@pytest.mark.parametrize("name", BOARDS)
def test_grafana_knows_every_field(name: str) -> None:
    made = json.loads(grafana_dashboard(name, page_url="https://page.example.com/"))
    assert set(lost(made, through(made))) == set()


@pytest.mark.parametrize("name", BOARDS)
def test_grafana_knows_every_value(name: str) -> None:
    made = json.loads(grafana_dashboard(name))
    known = {value for key, value in vars(units).items() if isinstance(value, str) and not key.startswith("_")}
    for panel in made["panels"]:
        for key, value in fields(panel):
            if key in CHOICES and not (key == "displayMode" and value == "list"):
                assert value in {one.value for one in CHOICES[key]}, (panel["title"], key)
        if panel["type"] != "row":
            config = panel["fieldConfig"]
            properties = [one for override in config["overrides"] for one in override["properties"]]
            assert {config["defaults"]["unit"], *(one["value"] for one in properties if one["id"] == "unit")} <= known, panel["title"]
    for one in made["templating"]["list"]:
        assert one["refresh"] in {each.value for each in VariableRefresh}
        assert one.get("sort", 0) in {each.value for each in VariableSort}


def test_a_field_that_grafana_does_not_know_is_found() -> None:
    made = json.loads(grafana_dashboard("fleet"))
    made["panels"][0]["options"]["colourMode"] = "value"
    made["refreshEvery"] = "1m"
    assert set(lost(made, through(made))) == {".panels.options.colourMode: 'value' became 'nothing'", ".refreshEvery: '1m' became 'nothing'"}
