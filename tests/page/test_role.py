# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role writes."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
import snapshots
from conftest import ROOT, header, played, run, write

SCHEMA = json.loads((ROOT / "roles/dashboard/files/snapshot.schema.json").read_text("utf-8"))
NAMES = {"index.html", "page.js", "style.css", "icon.svg", "data/snapshot.json", "data/snapshot.js"}


def test_the_site_is_whole_readable_and_small(site):
    found = {str(path.relative_to(site)): path for path in site.rglob("*") if path.is_file()}
    assert set(found) == NAMES
    assert {path.stat().st_mode & 0o777 for path in found.values()} == {0o644}
    assert sum(path.stat().st_size for name, path in found.items() if not name.startswith("data/")) < 1_500_000


def test_the_same_snapshot_again_changes_nothing(site):
    before = {path: path.stat().st_mtime_ns for path in site.rglob("*")}
    assert write(site, snapshots.estate())["changed"] == 0
    assert {path: path.stat().st_mtime_ns for path in site.rglob("*")} == before


def test_what_is_written_fits_the_schema(site):
    written = json.loads((site / "data/snapshot.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(written)
    assert written["page"] == {"title": "spot.platform", "refresh_seconds": 60}
    made = snapshots.estate()
    assert {key: written[key] for key in made if key != "actions"} == {
        key: made[key] for key in made if key != "actions"
    }
    assert written["actions"]["grow"]["command"] == "ansible-playbook spot.platform.volume_grow"


def test_the_schema_refuses_what_the_page_would_not_understand(site):
    written = json.loads((site / "data/snapshot.json").read_text("utf-8"))
    for part, wrong in (
        ("made_at", 7),
        ("instances", [{"id": None}]),
        ("actions", {"deploy": {"url": "javascript:1"}}),
        ("resources", [{"kind": "x", "id": "y", "health": "green"}]),
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(SCHEMA).validate(written | {part: wrong})


def test_templates_in_tags_are_text(tmp_path):
    made = snapshots.estate(2, 2)
    made["instances"][0]["group"] = (
        "{{ lookup('ansible.builtin.pipe', 'touch " + str(tmp_path / "made") + "') }}{% raw %}"
    )
    write(tmp_path / "site", made)
    assert (
        json.loads((tmp_path / "site/data/snapshot.json").read_text("utf-8"))["instances"][0]["group"]
        == made["instances"][0]["group"]
    )
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "say what is to be observed"),
        ({"dashboard_snapshot": {"fleets": []}}, "does not say when it was made"),
        (
            {
                "dashboard_snapshot": {"made_at": "2026-01-31T12:00:00.000Z"},
                "dashboard_actions": {"deploy": {"url": "http://awx"}},
            },
            "links only what begins with https://",
        ),
        (
            {"dashboard_snapshot": {"made_at": "2026-01-31T12:00:00.000Z"}, "dashboard_metrics": "/tmp/metrics.txt"},
            "dashboard_metrics is /tmp/metrics.txt, but the node exporter reads only files whose names end with .prom",
        ),
        (
            {"dashboard_snapshot": {"made_at": "2026-01-31T12:00:00.000Z"}, "dashboard_metrics": "/nowhere/metrics.prom"},
            "dashboard_metrics is /nowhere/metrics.prom, but there is no such folder",
        ),
    ],
)
def test_inputs_that_do_not_do_are_refused_before_anything_is_written(tmp_path, given, said):
    done = run(tmp_path / "play.json", {"dashboard_directory": str(tmp_path / "site"), **given})
    assert done.returncode == 2
    assert said in re.sub(r"\s+", " ", done.stdout)
    assert not (tmp_path / "site").exists()


def test_the_page_has_nothing_inline_and_nothing_of_others(site):
    html = (site / "index.html").read_text("utf-8")
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|//", html.replace("<!DOCTYPE html>", ""))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)
    assert policy and set(policy[1].split("; ")) <= set(header().split("; "))
    for needed in (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "require-trusted-types-for 'script'",
        "frame-ancestors 'none'",
    ):
        assert needed in header()
    written = "".join(path.read_text("utf-8") for path in (ROOT / "roles/dashboard/files/site").glob("*.js"))
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", written)


def test_what_is_vendored_is_what_the_lock_names(site):
    lock = json.loads((ROOT / "tests/vendor/package-lock.json").read_text("utf-8"))["packages"]
    script = (site / "page.js").read_text("utf-8")
    assert f"uPlot (v{lock['node_modules/uplot']['version']})" in script
    assert "The MIT License (MIT)" in script
    axe = (ROOT / "tests/page/vendor/axe.min.js").read_text("utf-8")[:400]
    assert f"axe v{lock['node_modules/axe-core']['version']}" in axe


def test_an_event_with_a_line_separator_is_one_event(tmp_path):
    events = [
        {"id": name, "time": "2026-01-31T11:00:00.000Z", "kind": "a.b", "summary": "one\u2028two {{ 1 }}"}
        for name in "12"
    ]
    activity = tmp_path / "activity.jsonl"
    activity.write_text("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events), encoding="utf-8")
    role = ROOT / "roles/dashboard"
    given = {
        "dashboard_activity_file": str(activity),
        "__dashboard_activity": {"stat": {"exists": True}},
        "__dashboard_estate": {"fleets": [], "errors": [], "generated_at": "2026-01-31T12:00:00.000Z"},
    }
    task = {
        "ansible.builtin.copy": {
            "content": "{{ __dashboard_content | to_json }}",
            "dest": str(tmp_path / "made.json"),
            "mode": "0644",
        }
    }
    files = [str(role / "defaults/main.yml"), str(role / "vars/main.yml")]
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars_files": files,
        "tasks": [{"ansible.builtin.set_fact": given}, task],
    }
    done = played(tmp_path / "play.json", play)
    assert done.returncode == 0, done.stdout
    assert json.loads((tmp_path / "made.json").read_text("utf-8"))["activity"] == [
        event | {"source": "platform"} for event in events
    ]
