"""capacity_simulate: from the inventory's applications, and from a folder of traces."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.spot.platform.tests.integration.modules.groups import TYPES, make

from .conftest import ENVIRONMENT, WORKER, Project


def traces(folder: Path) -> Path:
    folder.mkdir()
    for zone, data in {"z1": [1] * 60 + [0] * 60, "z2": [1] * 120}.items():
        content = {"metadata": {"gap_seconds": 60}, "data": data}
        (folder / f"{zone}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_the_history_of_an_application_is_shown_and_written(project: Project, tmp_path: Path) -> None:
    make(project.sandbox, app="worker", region="eu-west-1", **{"spot.platform/environment": ENVIRONMENT})
    project.sandbox.post("/sandbox/clock", advance=3600)
    project.sandbox.post("/sandbox/calls/reset")
    project.app(WORKER)
    written = tmp_path / "simulation.json"

    run = project.play(
        "capacity_simulate", apps="worker", profiles="cost,balanced", capacity_simulate_file=str(written)
    )

    assert run.code == 0, run.output
    assert project.writes() == []
    content = json.loads(written.read_text(encoding="utf-8"))
    rows = content["rows"]
    assert content.keys() == {"rows", "summary", "observed"}
    assert sorted((row["policy"], row["profile"] or "") for row in rows) == [
        ("all-on-demand", ""),
        ("spot.platform", "balanced"),
        ("spot.platform", "cost"),
        ("static-mix", ""),
    ]
    assert {row["trace"] for row in rows} == {"sandbox-worker@eu-west-1"}
    assert "spot.platform (balanced)" in run.output and "9 pools were replayed" in run.words


def test_the_activity_file_tells_what_was_refused(project: Project, tmp_path: Path) -> None:
    """The autoscaler's own launches are refused by EC2: only its events tell of that."""
    make(project.sandbox, app="worker", region="eu-west-1", **{"spot.platform/environment": ENVIRONMENT})
    began = datetime.fromisoformat(project.sandbox.get("/sandbox/clock")["time"])
    project.sandbox.post("/sandbox/clock", advance=4 * 3600)
    project.app(WORKER)
    pools = [f"eu-west-1{zone}/{kind}" for zone in "abc" for kind in TYPES]
    events = [
        {
            "kind": "capacity.moved",
            "time": (began + timedelta(hours=hour)).isoformat(),
            "region": "eu-west-1",
            "resource": "sandbox-worker",
            "changed": True,
            "after": after,
        }
        for hour, after in ((1, {"refused": pools}), (3, {"granted": pools}))
    ]
    (tmp_path / "activity.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in events), encoding="utf-8")

    written = tmp_path / "simulation.json"
    files = {"activity_file": str(tmp_path / "activity.jsonl"), "capacity_simulate_file": str(written)}
    run = project.play("capacity_simulate", apps="worker", profiles="cost", **files)
    assert run.code == 0, run.output
    (observed,) = json.loads(written.read_text(encoding="utf-8"))["observed"]
    shares = {pool["pool"]: pool["open_share"] for pool in observed["pools"]}
    assert shares.keys() == set(pools)
    assert all(0.4 < share < 0.6 for share in shares.values()), "closed for two hours of four"


def test_a_folder_of_traces_is_shown(project: Project, tmp_path: Path) -> None:
    run = project.play("capacity_simulate", traces=str(traces(tmp_path / "recorded")), target=2, days=7)
    assert run.code == 0, run.output
    assert "recorded spot.platform (availability)" in run.words and "all-on-demand" in run.words
    assert project.sandbox.get("/sandbox/calls")["total"] == 0


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"traces": "no/such/folder"}, "no/such/folder holds no trace: *.json"),
        ({"apps": "wrker"}, "No manifest for wrker in the inventory; there is worker."),
        ({"days": 0}, "days is 0: it must be 1 to 42"),
        ({"apps": "worker"}, "the application worker has no group in eu-west-1, environment it: onboard it first"),
    ],
)
def test_bad_input_is_named_with_its_remedy(project: Project, variables: dict[str, Any], message: str) -> None:
    project.app(WORKER)
    run = project.play("capacity_simulate", **variables)
    assert run.code != 0
    assert message in run.words, run.output
    assert project.writes() == []
