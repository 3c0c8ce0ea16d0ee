# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a description becomes a dashboard, and that every one of ours is whole."""

from __future__ import annotations

import json
import re

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.spot.platform.plugins.filter.grafana_dashboard import grafana_dashboard
from ansible_collections.spot.platform.plugins.module_utils.engine.grafana import COLUMNS, Board, Panel, Query, Row, Variable, dashboard, placed
from ansible_collections.spot.platform.plugins.module_utils.engine.grafana_boards import BOARDS

UNITS = {"short", "percentunit", "currencyUSD", "s", "bytes"}
"""Ids of Grafana's units that are used: packages/grafana-data/src/valueFormats/categories.ts."""


def panel(kind="stat", **more):
    return Panel(kind, "A title", "What it is.", more.pop("queries", [Query("up{}")]), **more)


def grid(rows):
    return [tuple(one["gridPos"][key] for key in "xywh") for one in placed(rows)]


def test_panels_stand_beside_each_other_and_below_where_there_is_no_room():
    rows = [Row("", [panel(width=16, height=3), panel(width=8, height=5), panel(width=4, height=2)]), Row("More", [panel(width=24, height=1)])]
    assert grid(rows) == [(0, 0, 16, 3), (16, 0, 8, 5), (0, 5, 4, 2), (0, 7, 24, 1), (0, 8, 24, 1)]


def test_the_columns_of_a_table_are_labels_and_then_queries_with_their_units():
    (made,) = placed([Row("", [panel("table", queries=[Query("a{}", "One", "s"), Query("b{}", "Two")], labels=[("app", "Application")], sort="Two")])])
    merge, organize = made["transformations"]
    assert merge["id"] == "merge"
    assert organize["options"]["renameByName"] == {"app": "Application", "Value #A": "One", "Value #B": "Two"}
    assert organize["options"]["indexByName"] == {"app": 0, "Value #A": 1, "Value #B": 2}
    assert made["fieldConfig"]["overrides"] == [{"matcher": {"id": "byName", "options": "One"}, "properties": [{"id": "unit", "value": "s"}]}]
    assert made["options"]["sortBy"] == [{"displayName": "Two", "desc": True}]
    assert [target["format"] for target in made["targets"]] == ["table", "table"] and all(target["instant"] for target in made["targets"])
    (alone,) = placed([Row("", [panel("table", queries=[Query("a{}", "One")])])])
    assert alone["transformations"][1]["options"]["renameByName"] == {"Value": "One"}


def test_what_is_not_said_of_a_panel_is_not_in_it():
    (made,) = placed([Row("", [panel(low=0)])])
    defaults = made["fieldConfig"]["defaults"]
    assert defaults["min"] == 0 and not {"max", "decimals"} & set(defaults)


def test_variables_ask_the_chosen_source_and_begin_with_all():
    made = dashboard("x", Board("X", "", [Variable("app", "Application", "label_values(up{}, app)")], []))
    source, app = made["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    assert app["datasource"]["uid"] == "${datasource}" and app["allValue"] == ".*" and app["current"]["value"] == ["$__all"]


def test_prefix_refresh_and_page_are_as_asked_for():
    made = json.loads(grafana_dashboard("fleet", prefix="Shop: ", refresh="", page_url="https://page.example.com/"))
    assert (made["title"], made["refresh"], made["uid"]) == ("Shop: Fleet", "", "spot-platform-fleet")
    assert [link.get("url") for link in made["links"]] == ["", "https://page.example.com/"]
    assert len(json.loads(grafana_dashboard("fleet"))["links"]) == 1


def test_a_name_that_is_none_is_refused():
    with pytest.raises(AnsibleFilterError, match="no dashboard 'spend': it must be one of fleet, cost"):
        grafana_dashboard("spend")


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_whole(name):
    made = json.loads(grafana_dashboard(name))
    panels = made["panels"]
    assert len({one["id"] for one in panels}) == len(panels) and len(made["uid"]) <= 40
    taken = set()
    for one in panels:
        place = one["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= COLUMNS
        taken |= cells
    shown = [one for one in panels if one["type"] != "row"]
    assert len({one["title"] for one in shown}) == len(shown)
    chosen = {one["name"] for one in made["templating"]["list"]}
    for one in shown:
        assert one["description"].endswith(".") and one["targets"]
        assert one["fieldConfig"]["defaults"]["unit"] in UNITS
        assert {entry["properties"][0]["value"] for entry in one["fieldConfig"]["overrides"]} <= UNITS
        steps = one["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None and all(a["value"] < b["value"] for a, b in zip(steps[1:], steps[2:]))
        assert len({target["refId"] for target in one["targets"]}) == len(one["targets"])
        for target in one["targets"]:
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= chosen, one["title"]
        if one["type"] == "table":
            assert set(labels_of(one)) <= set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", one["targets"][0]["expr"]))))


def labels_of(table):
    return [name for name in table["transformations"][1]["options"]["renameByName"] if not name.startswith("Value")]


def test_dashboards_have_titles_of_their_own():
    assert len({board.title for board in BOARDS.values()}) == len(BOARDS)
