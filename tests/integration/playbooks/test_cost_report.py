"""cost_report against the sandbox: table, files, metrics, mail, and what it asks Cost Explorer."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from .conftest import ENVIRONMENT, REGION, ROOT, WORKER, Project

EC2, EBS = "Amazon Elastic Compute Cloud - Compute", "EC2 - Other"
HOURS = {"Spot Instances": 60.0, "On Demand Instances": 20.0}
"""A day of m5.large."""
M5_LARGE = 0.096
TODAY = datetime.now(timezone.utc).date()


@pytest.fixture
def costs(project: Project) -> dict[str, Any]:
    """An application with a budget that is spent, and sixty days of costs, one of them out of line; the variables of the playbook."""
    project.app({**WORKER, "budget": {"monthly": 1, "alerts": [50, 100]}})
    lines = []
    for number in range(60):
        day = TODAY - timedelta(days=number)
        for service, purchase, usd in ((EC2, "Spot Instances", 3.1), (EC2, "On Demand Instances", 1.7), (EBS, "On Demand Instances", 0.3)):
            odd = 20 if number == 3 and service == EBS else 0
            lines.append({"day": str(day), "usd": usd + odd, "service": service, "purchase": purchase, "usage": HOURS[purchase]})
    tags = {"spot.platform/app": "worker", "spot.platform/environment": ENVIRONMENT}
    project.sandbox.post("/sandbox/costs", lines=[{**line, "tags": tags} for line in lines])
    project.sandbox.post("/sandbox/costs", lines=[{"day": str(TODAY), "usd": 5000}])
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    address = [{"ResourceType": "elastic-ip", "Tags": listed}]
    project.sandbox.client("ec2", REGION).allocate_address(Domain="vpc", TagSpecifications=address)
    return {
        "spot_costs": {"cache_dir": str(project.directory / "cache")},
        "cost_report_state": str(project.directory / "told.json"),
        "cost_report_json": str(project.directory / "costs.json"),
        "cost_report_csv": str(project.directory / "costs.csv"),
        "cost_report_metrics": str(project.directory / "costs.prom"),
    }


def run(project: Project, variables: dict[str, Any], **environment: str) -> str:
    """The playbook with a callback that finds AWS and its channels in ``environment``; its output on one line."""
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            *("-i", str(project.directory / "targets.spot.yml"), "spot.platform.cost_report", "-e", json.dumps(variables)),
        ],
        cwd=ROOT,
        env={**os.environ, "AWS_EC2_METADATA_DISABLED": "true", "ANSIBLE_NOCOLOR": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join(done.stdout.split())


def test_a_month_is_reported_in_every_form_and_again_for_nothing(project: Project, costs: dict[str, Any]) -> None:
    project.sandbox.client("sesv2", REGION).create_email_identity(EmailIdentity="spot@example.com")
    channel = {"name": "money", "type": "mail", "sender": "spot@example.com", "to": ["cfo@example.com"], "region": REGION}
    channels = project.directory / "channels.yml"
    channels.write_text(yaml.safe_dump({"channels": [channel | {"kinds": ["cost.*", "budget.*"]}], "apps": {}}), encoding="utf-8")
    channels.chmod(0o600)
    environment = {
        **project.sandbox.env,
        "SPOT_ACTIVITY_FILE": str(project.directory / "activity.jsonl"),
        "SPOT_ACTIVITY_CHANNELS": str(channels),
        "SPOT_ACTIVITY_SPOOL": str(project.directory / "spool"),
    }
    project.sandbox.post("/sandbox/calls/reset")
    words = run(project, {**costs, "cost_report_send": True}, **environment)
    assert project.sandbox.get("/sandbox/calls")["services"]["ce"] == {"GetCostAndUsage": 3}, "two for its costs, and one for its hours"
    assert "worker" in words and "USD are to be expected at its end" in words and "for 3 requests" in words

    report = json.loads(Path(costs["cost_report_json"]).read_text("utf-8"))
    assert report["total_usd"] < 5000, "only what belongs to the environment"
    assert sum(Decimal(str(row["usd"])) for row in report["rows"]) == Decimal(str(report["total_usd"]))
    told, days = report["equivalents"], TODAY.day
    assert (told["start"], told["spot_hours"], told["on_demand_hours"]) == (str(TODAY.replace(day=1)), 60.0 * days, 20.0 * days)
    assert told["on_demand_usd"] == pytest.approx(80 * M5_LARGE * days) and told["paid_usd"] == pytest.approx(4.8 * days)
    assert f"so {told['saved_usd']:.2f} ({told['saved_percent']:.1f} %) were saved" in words
    (app,) = report["apps"]
    assert app["app"] == "worker" and app["usd"] == report["total_usd"] and app["budget"]["crossed_percent"] == 100
    with Path(costs["cost_report_csv"]).open(encoding="utf-8", newline="") as file:
        assert sum(Decimal(line["usd"]) for line in csv.DictReader(file)) == Decimal(str(report["total_usd"]))
    metrics = Path(costs["cost_report_metrics"]).read_text("utf-8")
    assert f'spot_platform_budget_usd{{environment="{ENVIRONMENT}",app="worker"}} 1.0' in metrics
    month = f'spot_platform_instance_month_on_demand_usd{{environment="{ENVIRONMENT}",app="worker",month="{report["month"]}"}}'
    assert f'{month} {told["on_demand_usd"]}' in metrics
    assert f'spot_platform_waste_month_usd{{environment="{ENVIRONMENT}",kind="address.unattached",region="{REGION}"}} 3.65' in metrics
    (wasted,) = report["waste"]
    assert wasted["command"].startswith(f"aws ec2 release-address --region {REGION}") and "3.65 USD a month are wasted in 1 place;" in words

    odd = TODAY - timedelta(days=3)
    kinds = ["budget.exceeded", "cost.anomaly", "cost.report"]
    events = [json.loads(line) for line in (project.directory / "activity.jsonl").read_text("utf-8").splitlines()]
    assert sorted(event["kind"] for event in events if event["kind"] in kinds) == kinds
    mails = {mail["subject"].split(":")[0].strip(): mail for mail in project.sandbox.get("/sandbox/mail", to="cfo@example.com")["mails"]}
    assert set(mails) == {"Costs", "worker"}
    sent = mails["Costs"]
    assert "Applications" in sent["text"] and "<td" in sent["html"] and f"{report['total_usd']:.2f}" in sent["html"]
    (anomaly,) = [event for event in events if event["kind"] == "cost.anomaly"]
    assert str(odd) in anomaly["summary"] and anomaly["reasons"][0].startswith(f"{EBS} of worker: 20.30 USD")

    project.sandbox.post("/sandbox/calls/reset")
    words = run(project, costs, **environment)
    assert "ce" not in project.sandbox.get("/sandbox/calls")["services"] and "for 0 requests" in words
    after = [json.loads(line) for line in (project.directory / "activity.jsonl").read_text("utf-8").splitlines()]
    assert [event for event in after[len(events) :] if event["kind"] in kinds] == [], "nothing is told twice"


def test_a_month_that_is_over_is_reported_and_is_no_news(project: Project, costs: dict[str, Any]) -> None:
    month = (TODAY.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    words = run(project, {**costs, "cost_report_month": month}, SPOT_ACTIVITY_FILE=str(project.directory / "activity.jsonl"))
    assert f"{month} has cost" in words and "to be expected" not in words
    report = json.loads(Path(costs["cost_report_json"]).read_text("utf-8"))
    assert {row["day"][:7] for row in report["rows"]} == {month} and report["budgets"][0]["month"] == month
    over = report["equivalents"]
    assert over["start"] == f"{month}-01" and over["end"] == str(TODAY.replace(day=1)) and over["saved_usd"] > 0 and "were saved" in words
    assert not (project.directory / "told.json").exists()


def test_where_cost_explorer_is_denied_the_saving_is_the_estimate(project: Project, costs: dict[str, Any]) -> None:
    project.sandbox.post("/sandbox/instances", region=REGION, count=2, app="worker", environment=ENVIRONMENT)
    project.sandbox.post("/sandbox/faults", rules=[{"kind": "denied", "service": "ce"}])
    words = run(project, costs)
    report = json.loads(Path(costs["cost_report_json"]).read_text("utf-8"))
    assert report["basis"] == "estimated" and report["equivalents"] is None and "were saved" not in words
    assert "the same hours On-Demand are not known without Cost Explorer" in words


def test_the_comparison_can_be_turned_off(project: Project, costs: dict[str, Any]) -> None:
    project.sandbox.post("/sandbox/calls/reset")
    run(project, {**costs, "spot_costs": {**costs["spot_costs"], "equivalents": False}})
    assert project.sandbox.get("/sandbox/calls")["services"]["ce"] == {"GetCostAndUsage": 2}
    assert json.loads(Path(costs["cost_report_json"]).read_text("utf-8"))["equivalents"] is None


@pytest.mark.parametrize("month", ["2099-01", "2026-13", "January"])
def test_a_month_that_cannot_be_is_refused_before_anything_is_asked(project: Project, costs: dict[str, Any], month: str) -> None:
    done = project.play("cost_report", **costs, cost_report_month=month)
    assert done.code != 0 and f"cost_report_month is {month}: it must be a month that has begun" in done.words
    assert "ce" not in project.sandbox.get("/sandbox/calls")["services"]


def test_without_applications_it_says_what_is_missing(project: Project) -> None:
    done = project.play("cost_report")
    assert done.code != 0 and "The inventory has no targets" in done.words
