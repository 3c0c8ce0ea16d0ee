# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the dashboards ask is there: each of their expressions is put to a real Prometheus, which has what the playbooks wrote of the sandbox
and what a real node exporter tells of this machine."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from ansible_collections.spot.platform.plugins.filter.grafana_dashboard import grafana_dashboard
from ansible_collections.spot.platform.plugins.module_utils.engine.grafana_boards import BOARDS
from ansible_collections.spot.platform.tests.integration.modules.groups import REGION, advance, make

from .conftest import ROOT, WEB, Project

EC2, EBS = "Amazon Elastic Compute Cloud - Compute", "EC2 - Other"
TAGS = {"spot.platform/app": "web", "spot.platform/environment": "sandbox"}
INSTANCE = "i-0123456789abcdef0"
EMPTY = {("Volumes", "File systems", "Full in"): "nothing may fill here; test_when_a_file_system_is_full judges it"}
"""Queries that may have no answer in this test, and why."""


class Asked(NamedTuple):
    """An expression of a panel."""

    board: str
    panel: str
    legend: str
    expr: str


def dashboards() -> dict[str, dict[str, Any]]:
    return {name: json.loads(grafana_dashboard(name)) for name in BOARDS}


def asked(made: dict[str, dict[str, Any]]) -> list[Asked]:
    """What all panels ask; the columns of a table are called by their heads."""
    found = []
    for board in made.values():
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                found.append(Asked(board["title"], panel["title"], head_of(panel, target), target["expr"]))
    return found


def head_of(panel: dict[str, Any], target: dict[str, Any]) -> str:
    if panel["type"] != "table":
        return target["legendFormat"]
    heads = panel["transformations"][1]["options"]["renameByName"]
    return heads.get(f"Value #{target['refId']}") or heads["Value"]


def variables(made: dict[str, dict[str, Any]]) -> list[tuple[str, str, str]]:
    """``(dashboard, metric with its labels, label)`` of each variable that is asked for."""
    found = []
    for name, board in made.items():
        for one in board["templating"]["list"]:
            if one["type"] == "query":
                match = re.fullmatch(r"label_values\((.+), (\w+)\)", one["query"]["query"])
                assert match, one["query"]["query"]
                found.append((name, match[1], match[2]))
    return found


def names_in(expr: str) -> set[str]:
    """The metrics of an expression: what stands before a selector, and there is no metric without one."""
    bare = re.sub(r'"[^"]*"', '""', expr)
    names = re.findall(r"([a-zA-Z_:][\w:]*)\{", bare)
    assert names and len(names) == bare.count("{"), expr
    assert not re.search(r"\b(spot_platform|node)_\w+(?![\w{])", bare), f"a metric without a selector: {expr}"
    return set(names)


def named(made: dict[str, dict[str, Any]]) -> set[str]:
    """The metrics of all panels and variables."""
    found = set[str]().union(*(names_in(one.expr) for one in asked(made)))
    return found | {metric.partition("{")[0] for _board, metric, _label in variables(made)}


def missing(made: dict[str, dict[str, Any]], emitted: set[str]) -> set[str]:
    """The metrics that dashboards name and nobody emits."""
    return named(made) - emitted


def filled(expr: str, **chosen: str) -> str:
    """An expression with the variables as Grafana fills them in: all, where nothing is chosen."""
    return re.sub(r"\$(\w+)", lambda match: chosen.get(match[1], ".*"), expr)


class Monitoring:
    """A Prometheus that scrapes; ``ask`` is its API."""

    def __init__(self, textfiles: Path, folder: Path, rules: Path, stack: ExitStack) -> None:
        self._stack, self._folder = stack, folder
        controller, host, self._port = (free_port() for _each in range(3))
        exporter = ["prometheus-node-exporter", "--collector.disable-defaults"]
        self._start(*exporter, "--collector.textfile", f"--collector.textfile.directory={textfiles}", f"--web.listen-address=127.0.0.1:{controller}")
        self._start(*exporter, "--collector.filesystem", f"--web.listen-address=127.0.0.1:{host}")
        # The root of this machine may be of any type.
        relabel = {"source_labels": ["mountpoint"], "regex": "/", "target_label": "fstype", "replacement": "ext4"}
        of_host = {"app": "web", "region": REGION, "instance_id": INSTANCE}
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules)],
            "scrape_configs": [
                {"job_name": "controller", "static_configs": [{"targets": [f"127.0.0.1:{controller}"]}]},
                {
                    "job_name": "hosts",
                    "static_configs": [{"targets": [f"127.0.0.1:{host}"], "labels": of_host}],
                    "metric_relabel_configs": [relabel],
                },
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self._start(
            "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        )

    def _start(self, *command: str) -> None:
        assert shutil.which(command[0]), f"make debian-{command[0]} installs it"
        with (self._folder / f"{command[0]}.log").open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        self._stack.callback(process.wait)
        self._stack.callback(process.terminate)

    def ask(self, path: str, **query: str) -> Any:
        """What its API answers; an expression that it does not understand is an ``HTTPError``."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def values(self, expr: str) -> list[float]:
        return [float(one["value"][1]) for one in self.ask("query", query=expr)["result"]]

    def names(self) -> set[str]:
        return set(self.ask("label/__name__/values"))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(what: str, done: Callable[[], Any], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if done():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def textfiles(sandbox: Any, tmp_path_factory: pytest.TempPathFactory, interpreter: str) -> Path:
    """A folder with what both playbooks write of an application that runs, has costs, a certificate and waste, and was interrupted."""
    project = Project(sandbox, tmp_path_factory.mktemp("project"), interpreter)
    project.write("targets.spot.yml", {"plugin": "spot.platform.targets", "environment": "sandbox"})
    project.app({**WEB, "regions": [REGION], "budget": {"monthly": 100, "alerts": [80]}})
    make(sandbox)
    listed = [{"Key": key, "Value": value} for key, value in TAGS.items()]
    sandbox.client("acm", REGION).request_certificate(DomainName="shop.example.com", ValidationMethod="DNS", Tags=listed)
    sandbox.client("ec2", REGION).allocate_address(Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": listed}])
    volume = [*listed, {"Key": "spot.platform/mount", "Value": "/srv/data"}]
    sandbox.client("ec2", REGION).create_volume(
        AvailabilityZone=f"{REGION}a", Size=20, VolumeType="gp3", TagSpecifications=[{"ResourceType": "volume", "Tags": volume}]
    )
    today = datetime.now(timezone.utc).date()
    spot = {"service": EC2, "purchase": "Spot Instances", "usage": 60.0}  # hours of m5.large
    disks = {"service": EBS, "purchase": "On Demand Instances"}
    lines = [
        {"day": str(today - timedelta(days=number)), "usd": 3.1 + (20 if number == 3 else 0), "tags": TAGS, **one}
        for number in range(60)
        for one in (spot, disks)
    ]
    sandbox.post("/sandbox/costs", lines=lines)
    advance(sandbox, 3600)
    log = project.directory / "activity.jsonl"
    log.write_text("".join(json.dumps(event) + "\n" for event in happened(sandbox.get("/sandbox/health")["time"])), encoding="utf-8")
    folder = tmp_path_factory.mktemp("textfiles")
    common = {"spot_costs": {"cache_dir": str(project.directory / "cache")}, "cost_report_state": str(project.directory / "told.json")}
    page = {"dashboard_directory": str(project.directory / "page"), "dashboard_activity_file": str(log)}
    run = project.play("platform_report", **common, **page, dashboard_metrics=str(folder / "snapshot.prom"))
    assert run.code == 0, run.output
    assert json.loads((project.directory / "page/data/snapshot.json").read_text("utf-8"))["errors"] == []
    run = project.play("cost_report", **common, cost_report_metrics=str(folder / "costs.prom"))
    assert run.code == 0, run.output
    return folder


def happened(when: str) -> list[dict[str, Any]]:
    """Events as the platform's log has them."""
    common = {"app": "web", "region": REGION, "resource": "sandbox-web", "summary": "It happened", "reasons": [], "before": {}, "time": when}
    kinds = {
        "interruption.handled": {"ids": ["i-1", "i-2"]},
        "rebalance.noted": {"ids": ["i-3"]},
        "capacity.fallback": {},
        "capacity.returned": {},
    }
    return [
        {**common, "id": str(number), "kind": kind, "after": after, "changed": True, "actor": "jane", "run": "1"}
        for number, (kind, after) in enumerate(kinds.items())
    ]


@pytest.fixture(scope="module")
def monitoring(textfiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitoring]:
    """A Prometheus that has it, and two node exporters: the controller's, with the files, and that of a host. An alert fires."""
    folder = tmp_path_factory.mktemp("monitoring")
    rules = folder / "rules.yml"
    play = [{"hosts": "localhost", "gather_facts": False, "roles": ["spot.platform.volume_alerts"], "handlers": [RELOAD]}]
    (folder / "play.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
    given: dict[str, Any] = {"volume_alerts_file": str(rules), "volume_alerts_below_percent": 99.9, "volume_alerts_forecast_below_percent": 100}
    given |= {"volume_alerts_for": "0s", "ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    command = [str(Path(sys.executable).parent / "ansible-playbook"), str(folder / "play.yml"), "-i", "localhost,", "-e", json.dumps(given)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    with ExitStack() as stack:
        running = Monitoring(textfiles, folder, rules, stack)
        wait_for("both exporters are scraped", lambda: running.values("sum(up)") == [2])
        wait_for("an alert fires", lambda: running.values('ALERTS{alertstate="firing"}'))
        yield running


RELOAD = {"name": "Reload Prometheus", "ansible.builtin.debug": {"msg": "reloaded"}}


def test_the_files_are_what_prometheus_wants(textfiles: Path) -> None:
    for file in sorted(textfiles.glob("*.prom")):
        assert file.stat().st_mode & 0o777 == 0o644
        done = subprocess.run(["promtool", "check", "metrics"], input=file.read_text("utf-8"), check=False, capture_output=True, text=True)
        assert (done.returncode, done.stdout + done.stderr) == (0, ""), file.name


def test_no_series_is_about_an_instance_or_a_volume(textfiles: Path) -> None:
    text = "".join(file.read_text("utf-8") for file in textfiles.glob("*.prom"))
    assert not re.search(r'"(i|vol|eni|eipalloc)-[0-9a-f]+"', text)


def test_every_metric_of_a_dashboard_is_emitted(monitoring: Monitoring) -> None:
    assert missing(dashboards(), monitoring.names()) == set()


def test_a_metric_that_is_renamed_is_found_missing(textfiles: Path, monitoring: Monitoring) -> None:
    made = dashboards()
    lines = [line for file in textfiles.glob("*.prom") for line in file.read_text("utf-8").splitlines()]
    emitted = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    shown = {name for name in named(made) if name.startswith("spot_platform_")}
    assert shown <= emitted
    for name in sorted(shown):
        renamed = (monitoring.names() - {name}) | {f"{name}_total"}
        assert missing(made, renamed) == {name}


def test_every_expression_is_answered(monitoring: Monitoring) -> None:
    """Once with all chosen and once with one of each variable, a few scrapes later, for rates need two."""
    wait_for("two scrapes", lambda: monitoring.values(f'min(count_over_time(node_filesystem_avail_bytes{{instance_id="{INSTANCE}"}}[1h])) >= 2'))
    chosen = {"environment": "sandbox", "region": REGION, "app": "web"}
    unanswered = {
        one[:3]
        for one in asked(dashboards())
        for choice in ({}, chosen)
        if not monitoring.values(filled(one.expr, **choice))
    }
    assert unanswered <= set(EMPTY)


def test_every_variable_has_its_values(monitoring: Monitoring) -> None:
    for board, metric, label in variables(dashboards()):
        found = monitoring.ask(f"label/{label}/values", **{"match[]": filled(metric)})
        assert found == {"environment": ["sandbox"], "region": [REGION], "app": ["web"]}[label], board


def test_the_figures_are_those_of_the_sandbox(monitoring: Monitoring) -> None:
    figures = {(one.panel, one.legend): monitoring.values(filled(one.expr)) for one in asked(dashboards()) if one.board != "Volumes"}
    assert figures["Serving of target", "__auto"] == [1.0]
    assert figures["Applications", "Target"] == [8.0] and figures["Applications", "On-Demand"] == [2.0]
    assert 0 < figures["Saved now", "__auto"][0] < 1
    assert figures["Told to go, at each moment", "{{app}}"] == [2.0] and figures["24 hours", "Recommended to leave"] == [1.0]
    assert figures["All events counted", "__auto"] == [1.0]
    (alerts,) = (one for one in asked(dashboards()) if one.panel == "Alerts")
    assert monitoring.values(filled(alerts.expr))[0] >= 1 and monitoring.values(filled(alerts.expr, app="other")) == [0.0]


def test_when_a_file_system_is_full(tmp_path: Path) -> None:
    """What this machine does not do: a host that fills by a percent an hour, one that stands still, and what is no file system of a volume."""
    (full,) = (one for one in asked(dashboards()) if (one.board, one.panel, one.legend) in EMPTY)
    (growth,) = (one for one in asked(dashboards()) if (one.panel, one.legend) == ("File systems", "Growth a day"))

    def series(name: str, rate: int, fstype: str = "ext4") -> dict[str, str]:
        labels = f'app="web",region="eu-west-1",instance_id="{name}",mountpoint="/srv",fstype="{fstype}"'
        return {"series": f"node_filesystem_avail_bytes{{{labels}}}", "values": f"100000-{rate}x600" if rate else "100000x600"}

    def sample(name: str, value: float) -> dict[str, Any]:
        return {"labels": f'{{app="web",instance_id="{name}",mountpoint="/srv",region="eu-west-1"}}', "value": value}

    judged = {
        "input_series": [series("i-fills", 10), series("i-rests", 0), series("i-memory", 10, "tmpfs")],
        "interval": "1m",
        "promql_expr_test": [
            {"expr": filled(full.expr), "eval_time": "10h", "exp_samples": [sample("i-fills", 94000 / (10 / 60))]},
            {"expr": filled(growth.expr), "eval_time": "10h", "exp_samples": [sample("i-fills", 14400), sample("i-rests", 0)]},
        ],
    }
    (tmp_path / "tests.yml").write_text(yaml.safe_dump({"rule_files": [], "evaluation_interval": "1m", "tests": [judged]}), encoding="utf-8")
    done = subprocess.run(["promtool", "test", "rules", str(tmp_path / "tests.yml")], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
