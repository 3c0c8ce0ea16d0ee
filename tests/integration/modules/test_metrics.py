# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics from the sandbox's CloudWatch and from a real Prometheus, up to the target that they ask for."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.metrics import Prometheus, Watch, observe
from ansible_collections.spot.platform.plugins.module_utils.engine.demand import DAY, decide
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import scaling_of

NOW = float(int(time.time()) // 60 * 60)
ARN = "arn:aws:elasticloadbalancing:us-east-1:123456789012:"
PASSWORD = "not-a-secret"
HASH = "$2b$04$xSEZlNnn7s1bYmYSA1G42uU2CjCe6TUttQW2yLuHA7scph4JF99aK"
"""bcrypt's of the password."""


@pytest.fixture
def clients(sandbox: Any) -> Clients:
    keys = {
        "aws_access_key_id": sandbox.env["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": sandbox.env["AWS_SECRET_ACCESS_KEY"],
    }
    return Clients("us-east-1", sandbox.url, keys)


def put(sandbox: Any, namespace: str, metric: str, values: dict[float, float], **dimensions: str) -> None:
    """Values by the end of their minute, as seconds before ``NOW``; moto, unlike AWS, minds the dimensions' order."""
    region = dimensions.pop("region", "us-east-1")
    data = [
        {
            "MetricName": metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in sorted(dimensions.items())],
            "Timestamp": datetime.fromtimestamp(NOW - before - 60, timezone.utc),
            "Value": value,
        }
        for before, value in values.items()
    ]
    client = sandbox.client("cloudwatch", region)
    client.put_metric_data(Namespace=namespace, MetricData=data)


def minutes(count: int, value: float) -> dict[float, float]:
    return {60.0 * number: value for number in range(count)}


def watch(*metrics: dict[str, Any], region: str = "us-east-1", serving: float = 4, **more: Any) -> Watch:
    options = {key: more.pop(key) for key in ("forecast", "stabilization_minutes") if key in more}
    scaling = scaling_of({"metrics": list(metrics), **options}, 2, 50)
    return Watch(region, scaling, serving, **{"group": "prod-web", **more})


CPU = {"name": "cpu", "target": 60}


def test_the_cpu_of_a_group(fresh: Any, clients: Clients) -> None:
    put(fresh, "AWS/EC2", "CPUUtilization", {**minutes(15, 30), 0.0: 84.0}, AutoScalingGroupName="prod-web")
    put(fresh, "AWS/EC2", "CPUUtilization", minutes(15, 1), AutoScalingGroupName="prod-other")
    (scaling,) = observe(clients, [watch(CPU)], NOW)
    series = scaling.metrics[0].series
    assert [point.time for point in series] == [NOW - 60 * number for number in range(14, -1, -1)]
    assert series[-1] == (NOW, 84, 4)
    assert decide(scaling, 4, NOW).target == 6


def test_what_served_at_the_time_is_read_where_it_is_collected(fresh: Any, clients: Clients) -> None:
    put(fresh, "AWS/EC2", "CPUUtilization", minutes(15, 60), AutoScalingGroupName="prod-web")
    served = {**minutes(15, 8), **minutes(5, 6)}
    put(fresh, "AWS/AutoScaling", "GroupInServiceCapacity", served, AutoScalingGroupName="prod-web")
    (scaling,) = observe(clients, [watch(CPU, serving=99)], NOW)
    assert [point.serving for point in scaling.metrics[0].series] == [8] * 10 + [6] * 5


def test_requests_queues_memory_and_custom_metrics(fresh: Any, clients: Clients) -> None:
    balancer = {"LoadBalancer": "app/prod-web/50dc", "TargetGroup": "targetgroup/prod-web/73e2"}
    put(fresh, "AWS/ApplicationELB", "RequestCount", minutes(3, 900), **balancer)
    put(fresh, "AWS/SQS", "ApproximateNumberOfMessagesVisible", minutes(3, 120), QueueName="production-jobs")
    put(fresh, "CWAgent", "mem_used_percent", minutes(3, 70), AutoScalingGroupName="prod-web")
    put(fresh, "Shop", "Carts", minutes(3, 40), Shop="web", Region="us-east-1")
    metrics = (
        {"name": "requests", "target": 100},
        {"name": "queue_depth", "target": 10, "queue": "$environment-jobs"},
        {"name": "memory", "target": 50},
        {
            "name": "custom",
            "kind": "load",
            "target": 5,
            "namespace": "Shop",
            "metric": "Carts",
            "statistic": "Maximum",
            "dimensions": {"Shop": "$app", "Region": "$region"},
        },
    )
    (scaling,) = observe(
        clients,
        [
            watch(
                *metrics,
                load_balancer=f"{ARN}loadbalancer/app/prod-web/50dc",
                target_group=f"{ARN}targetgroup/prod-web/73e2",
                names={"app": "web", "environment": "production"},
            )
        ],
        NOW,
    )
    assert [metric.series[-1].value for metric in scaling.metrics] == [900, 120, 70, 40]
    assert decide(scaling, 4, NOW).target == 12


def test_a_fleet_is_the_mean_of_its_instances(fresh: Any, clients: Clients) -> None:
    put(fresh, "AWS/EC2", "CPUUtilization", minutes(3, 40), InstanceId="i-1")
    put(fresh, "AWS/EC2", "CPUUtilization", minutes(2, 80), InstanceId="i-2")
    (scaling,) = observe(clients, [watch(CPU, group=None, instances=["i-1", "i-2"])], NOW)
    assert [point.value for point in scaling.metrics[0].series] == [40, 60, 60]


def test_many_applications_are_one_call_and_regions_their_own(fresh: Any, clients: Clients) -> None:
    for number in range(30):
        put(fresh, "AWS/EC2", "CPUUtilization", minutes(1, number), AutoScalingGroupName=f"prod-{number}")
    put(fresh, "AWS/EC2", "CPUUtilization", minutes(1, 99), AutoScalingGroupName="prod-0", region="eu-west-1")
    watches = [watch(CPU, group=f"prod-{number}") for number in range(30)]
    fresh.post("/sandbox/calls/reset")
    found = observe(clients, [*watches, watch(CPU, group="prod-0", region="eu-west-1")], NOW)
    assert [scaling.metrics[0].series[-1].value for scaling in found] == [*range(30), 99]
    assert fresh.get("/sandbox/calls")["services"] == {"cloudwatch": {"GetMetricData": 2}}


def test_earlier_days_are_read_once_an_hour(fresh: Any, clients: Clients, tmp_path: Path) -> None:
    hourly = {day * DAY - 300.0 * step: 500 + step for day in range(1, 5) for step in range(-12, 12)}
    put(fresh, "AWS/SQS", "ApproximateNumberOfMessagesVisible", {**minutes(40, 500), **hourly}, QueueName="jobs")
    far = {2 * DAY - 6 * 3600: 9999.0}
    put(fresh, "AWS/SQS", "ApproximateNumberOfMessagesVisible", far, QueueName="jobs")
    jobs = watch({"name": "queue_depth", "target": 100, "queue": "jobs"}, forecast=True)
    cache = Cache(tmp_path)
    (scaling,) = observe(clients, [jobs], NOW, cache=cache)
    daily = scaling.metrics[0].daily
    assert len({round((NOW - point.time) / DAY) for point in daily}) == 4
    assert max(point.value for point in daily) < 600, "six hours later is not the same hour"
    assert all(later.time > earlier.time for earlier, later in zip(daily, daily[1:]))
    assert "by the same hour of 4 earlier days" in decide(scaling, 5, NOW).reasons[0]
    fresh.post("/sandbox/calls/reset")
    (again,) = observe(clients, [jobs], NOW, cache=cache)
    assert again == scaling
    assert fresh.get("/sandbox/calls")["services"] == {"cloudwatch": {"GetMetricData": 1}}


def test_a_cloudwatch_that_refuses_is_a_metric_without_values(fresh: Any, clients: Clients) -> None:
    put(fresh, "AWS/EC2", "CPUUtilization", minutes(15, 1), AutoScalingGroupName="prod-web", region="eu-west-1")
    fresh.post(
        "/sandbox/faults",
        rules=[{"service": "cloudwatch", "operation": "GetMetricData", "rate": 1, "kind": "denied", "count": 1}],
    )
    (scaling,) = observe(clients, [watch(CPU)], NOW)
    demand = decide(scaling, 8, NOW)
    assert (demand.target, demand.missing) == (8, ("cpu",))
    assert "allow the IAM action cloudwatch:GetMetricData" in demand.reasons[0]
    (scaling,) = observe(clients, [watch(CPU, region="eu-west-1")], NOW)
    assert decide(scaling, 8, NOW).target == 2


def test_what_an_application_lacks_is_said(fresh: Any, clients: Clients) -> None:
    alone = watch({"name": "requests", "target": 5}, {**CPU, "source": "prometheus", "query": "up"})
    no_instances = watch(CPU, group=None)
    said = [metric.problem for scaling in observe(clients, [alone, no_instances], NOW) for metric in scaling.metrics]
    assert said[0] and "needs a load balancer" in said[0]
    assert said[1] and "no URL is given" in said[1]
    assert said[2] and "there are none" in said[2]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A real Prometheus with a password, with a day of values: it is given them as a file, made into its own blocks."""
    folder = tmp_path_factory.mktemp("prometheus")
    lines = ["# TYPE cpu_percent gauge"]
    for app, value in (("web", 84), ("shop", 30)):
        lines += [f'cpu_percent{{app="{app}"}} {value} {NOW - 60 * number:.0f}' for number in range(60, -1, -1)]
    lines += ["# TYPE jobs gauge"]
    for day in range(4, -1, -1):
        steps = range(24, -25, -1) if day else range(24, -1, -1)
        lines += [f"jobs {100 if step >= 0 else 300} {NOW - day * DAY - 150 * step:.0f}" for step in steps]
    (folder / "values").write_text("\n".join([*lines, "# EOF", ""]))
    done = subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", "values", "data"],
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    (folder / "web.yml").write_text(f"basic_auth_users: {{reader: {HASH}}}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            "prometheus",
            "--config.file=prometheus.yml",
            "--web.config.file=web.yml",
            f"--web.listen-address=127.0.0.1:{port}",
            "--storage.tsdb.path=data",
            "--storage.tsdb.retention.time=30d",
            "--log.level=error",
        ],
        cwd=folder,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url, process)
        yield Prometheus(f"{url}/", "reader", PASSWORD)
    finally:
        process.terminate()
        process.wait(20)


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    """It answers 401 (without the password) once it serves; its data are there from then on."""
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/-/ready", timeout=1)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("Prometheus did not start")


def asked(query: str, **more: Any) -> dict[str, Any]:
    return {**CPU, "source": "prometheus", "query": query, **more}


def test_a_query_of_prometheus_for_each_application(clients: Clients, prometheus: Prometheus) -> None:
    query = 'avg(cpu_percent{app=~"$app$"})'
    watches = [watch(asked(query), names={"app": app}) for app in ("web", "shop")]
    web, shop = observe(clients, watches, NOW, prometheus)
    assert web.metrics[0].series[-1] == (NOW, 84, 4)
    assert [decide(web, 4, NOW).target, decide(shop, 4, NOW).target] == [6, 2]


def test_earlier_days_of_prometheus(clients: Clients, prometheus: Prometheus, tmp_path: Path) -> None:
    jobs = {"name": "queue_depth", "target": 10, "source": "prometheus", "query": "jobs"}
    for _time in range(2):  # the second time from the cache
        (scaling,) = observe(clients, [watch(jobs, forecast=True)], NOW, prometheus, Cache(tmp_path))
        assert decide(scaling, 10, NOW).target == 30


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("cpu_percent", "gives 2 series; make it one by sum() or avg()"),
        ("avg(", "answers 400: 1:5: parse error: unclosed left parenthesis"),
    ],
)
def test_queries_that_prometheus_cannot_use(clients: Clients, prometheus: Prometheus, query: str, problem: str) -> None:
    bad, good = observe(clients, [watch(asked(query)), watch(asked("avg(cpu_percent)"))], NOW, prometheus)
    assert problem in (bad.metrics[0].problem or "")
    assert good.metrics[0].series[-1].value == 57


def test_nothing_found_and_no_numbers_are_no_values(clients: Clients, prometheus: Prometheus) -> None:
    found = observe(clients, [watch(asked("avg(none)")), watch(asked("sum(jobs) * NaN"))], NOW, prometheus)
    assert [scaling.metrics[0].series for scaling in found] == [(), ()]
    assert decide(found[0], 8, NOW).target == 8


def test_the_password_goes_to_its_own_server_only(clients: Clients, prometheus: Prometheus) -> None:
    same = (prometheus.url or "").replace("127.0.0.1", "localhost")
    (scaling,) = observe(clients, [watch(asked("avg(cpu_percent)", url=same))], NOW, prometheus)
    assert "answers 401: check the user name" in (scaling.metrics[0].problem or "")


class Silent(BaseHTTPRequestHandler):
    """Counts what it is asked, and answers nothing until it is released; or what Prometheus would not answer."""

    requests: list[str] = []
    released = Event()

    def do_GET(self) -> None:
        self.requests.append(self.path)
        if self.path.startswith("/page"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")
        else:
            self.released.wait(60)

    def log_message(self, *_arguments: Any) -> None:
        """Not on the terminal."""


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    Silent.released.set()
    server.shutdown()
    server.server_close()


def test_a_prometheus_that_does_not_answer_stops_nobody(
    fresh: Any, clients: Clients, prometheus: Prometheus, silent: str
) -> None:
    put(fresh, "AWS/EC2", "CPUUtilization", minutes(15, 90), AutoScalingGroupName="prod-web")
    impatient = Prometheus(prometheus.url, prometheus.username, prometheus.password, timeout=3)
    closed = watch(asked("up", url="http://127.0.0.1:9"), forecast=True)
    hanging = [watch(asked(f"up + {number}", url=silent)) for number in range(40)]
    page = watch(asked("up", url=f"{silent}/page"))
    good, *bad = observe(
        clients, [watch(CPU, asked("avg(cpu_percent)", name="memory")), closed, *hanging, page], NOW, impatient
    )
    assert [metric.series[-1].value for metric in good.metrics] == [90, 57]
    problems = [scaling.metrics[0].problem or "" for scaling in bad]
    assert "127.0.0.1:9 does not answer within 3 s" in problems[0] and "refused" in problems[0]
    assert all("does not answer within 3 s: timed out" in problem for problem in problems[1:-1])
    assert "is no Prometheus" in problems[-1]
    assert len(Silent.requests) < 20, "after those that were under way it is not asked again"
    demand = decide(bad[1], 8, NOW)
    assert demand.target == 8 and "does not answer" in demand.reasons[0]
