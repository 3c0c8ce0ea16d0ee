# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dashboards of Grafana from a short description: what is asked is said there, where and how it stands is worked out here.

The JSON is the classic model, which Grafana 11 and 12 read from files, with the schema version of 11.0; later releases bring it up to theirs.
https://grafana.com/docs/grafana/v11.6/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

SCHEMA = 39
COLUMNS = 24
"""Of Grafana's grid."""
TAG = "spot.platform"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
REFS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
GREEN = ((None, "green"),)
SIZES = {"stat": (4, 4), "timeseries": (12, 8), "bargauge": (8, 8), "table": (24, 8)}
"""Width and height of a panel, in cells of the grid, where it does not say its own."""

Steps = Sequence[tuple["float | None", str]]
"""From which value on which colour; the first has none."""


class Query(NamedTuple):
    """An expression of PromQL, and what its series are called: of a table the head of a column, with its own unit."""

    expr: str
    legend: str = ""
    unit: str = ""


class Panel(NamedTuple):
    """What is shown. ``labels`` of a table are the labels of all its queries and the heads of their columns; ``sort`` one of its heads."""

    kind: str
    title: str
    description: str
    queries: Sequence[Query]
    unit: str = "short"
    steps: Steps = GREEN
    labels: Sequence[tuple[str, str]] = ()
    sort: str = ""
    stacked: bool = False
    bars: bool = False
    low: float | None = None
    high: float | None = None
    decimals: int | None = None
    width: int = 0
    height: int = 0


class Row(NamedTuple):
    """Panels below a heading; the first row of a dashboard has none."""

    title: str
    panels: Sequence[Panel]


class Variable(NamedTuple):
    """What is chosen at the top of a dashboard: a label's values of a metric."""

    name: str
    label: str
    query: str


class Board(NamedTuple):
    """A dashboard."""

    title: str
    description: str
    variables: Sequence[Variable]
    rows: Sequence[Row]


def dashboard(name: str, board: Board, prefix: str = "", refresh: str = "1m", page: str = "") -> dict[str, Any]:
    """The dashboard as Grafana reads it. ``name`` is the end of its uid, ``prefix`` the beginning of its title, ``page`` an address to link."""
    return {
        "uid": f"spot-platform-{name}",
        "title": f"{prefix}{board.title}",
        "description": board.description,
        "tags": [TAG],
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "schemaVersion": SCHEMA,
        "version": 1,
        "refresh": refresh,
        "time": {"from": "now-24h", "to": "now"},
        "timepicker": {},
        "fiscalYearStartMonth": 0,
        "weekStart": "",
        "annotations": {"list": [_annotations()]},
        "templating": {"list": [_source(), *map(_variable, board.variables)]},
        "links": _links(page),
        "panels": placed(board.rows),
    }


def placed(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The panels of all rows, from left to right; what does not fit beside the others begins a new line."""
    found: list[dict[str, Any]] = []
    top = 0
    for row in rows:
        if row.title:
            place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
            found.append({"id": len(found) + 1, "type": "row", "title": row.title, "collapsed": False, "gridPos": place, "panels": []})
            top += 1
        left = tallest = 0
        for panel in row.panels:
            width, height = panel.width or SIZES[panel.kind][0], panel.height or SIZES[panel.kind][1]
            if left + width > COLUMNS:
                left, top, tallest = 0, top + tallest, 0
            found.append({"id": len(found) + 1, "gridPos": {"x": left, "y": top, "w": width, "h": height}, **_panel(panel)})
            left, tallest = left + width, max(tallest, height)
        top += tallest
    return found


def _panel(panel: Panel) -> dict[str, Any]:
    options, custom, extra = SHAPES[panel.kind](panel)
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": [{"color": color, "value": value} for value, color in panel.steps]},
        "mappings": [],
        "noValue": "not known",
        "custom": custom,
    }
    limits = {"min": panel.low, "max": panel.high, "decimals": panel.decimals}
    defaults.update({key: value for key, value in limits.items() if value is not None})
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "targets": [_target(panel, ref, query) for ref, query in zip(REFS, panel.queries)],
        "fieldConfig": {"defaults": defaults, "overrides": _overrides(panel)},
        "options": options,
        **extra,
    }


def _target(panel: Panel, ref: str, query: Query) -> dict[str, Any]:
    over_time = panel.kind in ("stat", "timeseries")
    return {
        "refId": ref,
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "instant": not over_time,
        "range": over_time,
        "format": "table" if panel.kind == "table" else "time_series",
    }


def _overrides(panel: Panel) -> list[dict[str, Any]]:
    """Units of a table's columns."""
    return [
        {"matcher": {"id": "byName", "options": query.legend}, "properties": [{"id": "unit", "value": query.unit}]}
        for query in panel.queries
        if panel.kind == "table" and query.unit
    ]


Shape = tuple["dict[str, Any]", "dict[str, Any]", "dict[str, Any]"]
"""The options of a panel, of its fields, and what it has besides."""
LAST = {"calcs": ["lastNotNull"], "fields": "", "values": False}


def _stat(_panel: Panel) -> Shape:
    options = {
        "reduceOptions": LAST,
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "value",
        "wideLayout": True,
        "showPercentChange": False,
    }
    return options, {}, {}


def _timeseries(panel: Panel) -> Shape:
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    custom = {
        "drawStyle": "bars" if panel.bars else "line",
        "lineInterpolation": "stepAfter",
        "lineWidth": 1,
        "fillOpacity": 60 if panel.bars else 30 if panel.stacked else 5,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "axisPlacement": "auto",
    }
    return options, custom, {}


def _bargauge(_panel: Panel) -> Shape:
    options = {
        "reduceOptions": LAST,
        "displayMode": "basic",
        "orientation": "horizontal",
        "valueMode": "color",
        "namePlacement": "auto",
        "showUnfilled": True,
        "minVizHeight": 16,
        "minVizWidth": 8,
        "sizing": "auto",
        "maxVizHeight": 300,
    }
    return options, {}, {}


def _table(panel: Panel) -> Shape:
    """Each query gives a column for its values, called ``Value`` where it is alone and ``Value #A`` and so on otherwise."""
    values = ["Value"] if len(panel.queries) == 1 else [f"Value #{ref}" for ref, _query in zip(REFS, panel.queries)]
    heads = [*panel.labels, *((value, query.legend) for value, query in zip(values, panel.queries))]
    order = {name: number for number, (name, _head) in enumerate(heads)}
    organize = {"excludeByName": {"Time": True}, "includeByName": {}, "indexByName": order, "renameByName": dict(heads)}
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": ""},
        "sortBy": [{"displayName": panel.sort, "desc": True}] if panel.sort else [],
    }
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False, "filterable": True}
    return options, custom, {"transformations": [{"id": "merge", "options": {}}, {"id": "organize", "options": organize}]}


SHAPES = {"stat": _stat, "timeseries": _timeseries, "bargauge": _bargauge, "table": _table}


def _source() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "regex": "",
        "refresh": 1,
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "options": [],
        "current": {},
        "skipUrlSync": False,
    }


def _variable(variable: Variable) -> dict[str, Any]:
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"qryType": 1, "query": variable.query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "regex": "",
        "refresh": 2,
        "sort": 1,
        "hide": 0,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "options": [],
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "skipUrlSync": False,
    }


def _annotations() -> dict[str, Any]:
    """What every dashboard has: the annotations that are kept in Grafana itself."""
    return {
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": True,
        "hide": True,
        "iconColor": "rgba(0, 211, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    }


def _links(page: str) -> list[dict[str, Any]]:
    common = {"tooltip": "", "asDropdown": False, "targetBlank": False}
    others = {"type": "dashboards", "title": "", "icon": "external link", "url": "", "tags": [TAG], "includeVars": True, "keepTime": True}
    ours = {"type": "link", "title": "The page", "icon": "dashboard", "url": page, "tags": [], "includeVars": False, "keepTime": False}
    return [{**others, **common}, *([{**ours, **common, "targetBlank": True}] if page else [])]
