# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of an environment has all that there is, and says of what it could not read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ansible_collections.spot.platform.tests.integration.modules.groups import REGION, advance, make

from .conftest import ROOT, WEB, Project

SCHEMA = json.loads((ROOT / "roles/dashboard/files/snapshot.schema.json").read_text("utf-8"))
EVENT = {
    "id": "1", "time": "2026-01-01T00:00:00.000Z", "app": "web", "region": REGION, "kind": "capacity.fallback", "resource": "sandbox-web",
    "summary": "On-Demand stands in", "reasons": [], "before": {}, "after": {}, "changed": True, "actor": "jane", "run": "1",
}  # fmt: skip


@pytest.fixture
def web(project: Project) -> Project:
    project.write("targets.spot.yml", {"plugin": "spot.platform.targets", "environment": "sandbox"})
    project.app({**WEB, "regions": [REGION], "budget": {"monthly": 100, "alerts": [80]}})
    make(project.sandbox)
    advance(project.sandbox, 3600)
    return project


def written(project: Project, costs: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    folder = project.directory / "page"
    kept = {"cache_dir": str(project.directory / "cache")}
    run = project.play("platform_report", dashboard_directory=str(folder), spot_costs={**kept, **(costs or {})}, **options)
    assert run.code == 0, run.output
    made = json.loads((folder / "data/snapshot.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(made)
    return made


def test_the_page_has_every_part(web: Project, tmp_path: Path) -> None:
    log = tmp_path / "activity.jsonl"
    log.write_text(json.dumps({**EVENT, "time": web.sandbox.get("/sandbox/health")["time"]}) + "\n")
    made = written(web, dashboard_activity_file=str(log))
    assert made["errors"] == []
    assert [one["app"] for one in made["apps"]] == ["web"] and made["apps"][0]["budget"]["monthly"] == 100
    running = {one["id"] for one in made["instances"]}
    assert running and {one["lifecycle"] for one in made["instances"]} == {"spot", "on_demand"}
    assert running <= {one["id"] for one in made["resources"] if one["kind"] == "instance"}
    costs = made["costs"]
    assert costs["month_usd"] > 0 and {row["purchase"] for row in costs["days"]} >= {"spot", "on_demand"}
    assert costs["saved_basis"] == "billed, On-Demand at list price" and costs["fallback_since"]
    days = [row for row in costs["days"] if "on_demand_usd" in row]
    assert {row["purchase"] for row in days} == {"spot", "on_demand"}
    saved = sum(row["on_demand_usd"] - row["usd"] for row in days)
    assert costs["saved_usd"] == pytest.approx(saved, abs=1e-5) and costs["saved_usd"] > 0
    assert 0 < costs["saved_share"] < 1 and [one["app"] for one in costs["budgets"]] == ["web"]
    held = [pool for pool in made["market"]["pools"] if pool["held"]]
    assert held and all(0 < pool["price"] < pool["on_demand_price"] and 0 < pool["saving"] < 1 for pool in held)
    assert {one["instance"] for one in made["volumes"]} <= running and made["quotas"]
    kinds = {event["kind"]: event for event in made["activity"]}
    assert "capacity.launched" in kinds and "scaling.launched" not in kinds, "what a group did is told once"
    assert kinds["capacity.fallback"]["actor"] == "jane" and {event["source"] for event in made["activity"]} >= {"platform", "autoscaling"}


def test_what_cannot_be_read_is_missing_and_the_rest_is_there(web: Project) -> None:
    denied = [("ce", "GetCostAndUsage"), ("ec2", "DescribeAddresses"), ("ec2", "DescribeVolumes"), ("cloudtrail", "LookupEvents")]
    web.sandbox.post("/sandbox/faults", rules=[{"service": name, "operation": call, "kind": "denied"} for name, call in denied])
    made = written(web, costs={"source": "billed"})
    words = json.dumps(made["errors"])
    assert "costs" not in made and "volumes" not in made and made["instances"] and made["market"]["pools"] and made["activity"]
    assert any(error["what"] == "waste" and "ec2:DescribeAddresses" in error["message"] for error in made["errors"])
    for action in ("ce:GetCostAndUsage", "ec2:DescribeVolumes", "cloudtrail:LookupEvents"):
        assert action in words
    assert {"costs", "volumes"} <= {error["what"] for error in made["errors"]}
