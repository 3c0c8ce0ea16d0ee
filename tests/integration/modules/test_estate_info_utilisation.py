# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""estate_info against the sandbox's CloudWatch and a stand-in for Prometheus: what instances use."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.spot.platform.plugins.modules import estate_info
from ansible_collections.spot.platform.tests.integration.modules import estates
from ansible_collections.spot.platform.tests.integration.modules.groups import make

HOUR = 3600


@pytest.fixture
def estate(run_module, tmp_path):
    """Run the module for utilisation, with a cache of the test's own."""

    def run(**options):
        given = {"cache_dir": str(tmp_path), "regions": ["us-east-1"], "gather": ["utilisation"], **options}
        return run_module("estate_info", given)

    return run


@pytest.fixture
def members(sandbox, fresh):
    """The ids of a group's instances."""
    make(sandbox)
    found = sandbox.client("autoscaling").describe_auto_scaling_instances()["AutoScalingInstances"]
    return sorted(one["InstanceId"] for one in found)


def put(sandbox, namespace, metric, values, **dimensions):
    """``values``: by whole hours before the present hour; each is put in the middle of its hour."""
    end = int(time.time()) // HOUR * HOUR
    sandbox.client("cloudwatch").put_metric_data(
        Namespace=namespace,
        MetricData=[
            {
                "MetricName": metric,
                "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
                "Timestamp": datetime.fromtimestamp(end - (before - 0.5) * HOUR, timezone.utc),
                "Value": value,
            }
            for before, value in values.items()
        ],
    )


def of(found, name):
    return next(one for one in found["instances"] if one["id"] == name)["utilisation"]


def test_cpu_network_memory_and_the_fullest_disk_by_the_hour(sandbox, members, estate):
    one, two, *_others = members
    put(sandbox, "AWS/EC2", "CPUUtilization", {1: 40.0, 24: 10.0, 25: 99.0}, InstanceId=one)
    put(sandbox, "AWS/EC2", "NetworkIn", {1: 3_600_000.0}, InstanceId=one)
    put(sandbox, "AWS/EC2", "NetworkOut", {1: 7_200_000.0}, InstanceId=one)
    put(sandbox, "CWAgent", "mem_used_percent", {1: 55.5}, InstanceId=one, AutoScalingGroupName="sandbox-web")
    for path, device, kind, value in (
        ("/", "a", "ext4", 20.0),
        ("/srv", "b", "xfs", 70.0),
        ("/run", "c", "tmpfs", 99.0),
    ):
        put(sandbox, "CWAgent", "disk_used_percent", {1: value}, InstanceId=one, path=path, device=device, fstype=kind)
    sandbox.post("/sandbox/calls/reset")
    found = estate()
    assert found["errors"] == []
    use = of(found, one)
    assert {measure: len(hours) for measure, hours in use.items()} == dict.fromkeys(
        ("cpu", "memory", "disk", "network"), 24
    )
    assert (use["cpu"][-1], use["cpu"][0], use["cpu"][1]) == (40.0, 10.0, None)
    assert (use["network"][-1], use["memory"][-1], use["disk"][-1]) == (3000, 55.5, 70.0)
    assert set(of(found, two)["memory"]) == {None}
    calls = sandbox.get("/sandbox/calls")["services"]["cloudwatch"]
    assert calls == {"GetMetricData": 1, "ListMetrics": 2}
    assert estates.made_calls(sandbox) <= estates.documented(estate_info.DOCUMENTATION)


def test_without_permission_the_instances_are_there_without_utilisation(sandbox, members, estate):
    sandbox.post("/sandbox/faults", rules=[{"operation": "GetMetricData", "kind": "denied"}])
    found = estate()
    assert [error["action"] for error in found["errors"]] == ["cloudwatch:GetMetricData"]
    assert {one["id"] for one in found["instances"]} == set(members)


class Scraped(BaseHTTPRequestHandler):
    """Answers range queries with half of the memory of each instance, and refuses one of the queries."""

    instances: list[str] = []
    asked: list[str] = []

    def do_GET(self):
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        self.asked.append(query["query"])
        if "node_filesystem" in query["query"]:
            return self._tell(400, {"status": "error", "error": "too many samples"})
        end = float(query["end"])
        series = [
            {"metric": {"instance_id": name}, "values": [[end - HOUR, "50"], [end, "NaN"]]}
            for name in (*self.instances, "i-of-others")
        ]
        return self._tell(200, {"status": "success", "data": {"resultType": "matrix", "result": series}})

    def _tell(self, code, body):
        text = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def prometheus(members):
    Scraped.instances, Scraped.asked = members, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scraped)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_prometheus_tells_of_what_cloudwatch_does_not(sandbox, members, estate, prometheus):
    put(sandbox, "AWS/EC2", "CPUUtilization", {2: 40.0}, InstanceId=members[0])
    found = estate(prometheus={"url": prometheus})
    assert of(found, members[0])["cpu"][-2:] == [40.0, None], "CloudWatch comes first, and NaN is not known"
    assert of(found, members[1])["cpu"][-2] == 50.0 and of(found, members[1])["memory"][-2] == 50.0
    assert [(error["region"], error["what"]) for error in found["errors"]] == [("*", "utilisation from Prometheus")]
    assert "too many samples" in found["errors"][0]["message"]
    assert all("instance_id" in query for query in Scraped.asked)


def test_a_prometheus_that_does_not_answer_is_asked_once(sandbox, members, estate):
    found = estate(prometheus={"url": "http://127.0.0.1:9", "timeout": 2})
    (error,) = found["errors"]
    assert "does not answer" in error["message"] and len(found["instances"]) == len(members)
