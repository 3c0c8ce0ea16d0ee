# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications on the sandbox, their traffic, and the controller that steers them, in one process.

The controller is the one of the module spot_autoscale, `control.step_region`, with a thread of its own for nothing: what is
drawn by chance is drawn in the same order in every run with the same seed.
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.autoscaling import result_of
from ansible_collections.spot.platform.plugins.module_utils.aws import clients as clients_of
from ansible_collections.spot.platform.plugins.module_utils.aws import control
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import Cache
from ansible_collections.spot.platform.plugins.module_utils.aws.metrics import Prometheus
from ansible_collections.spot.platform.plugins.module_utils.aws.steering import Question
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import scaling_of

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = "chaos"
TYPES = {"m5.large": 2, "m5a.large": 2, "m6i.large": 2, "c5.xlarge": 4}
LOAD = 100.0
"""What one vCPU serves."""
KEYS = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "not-a-secret"}


class Killed(BaseException):
    """The controller is killed on the spot: nothing that it would clean up is cleaned up."""


@dataclass(frozen=True)
class App:
    """An application in a region: the vCPUs that it wants in the middle of the day's wave, and when that is highest."""

    name: str
    region: str
    mean: float
    peak_hour: float
    noise: int
    profile: str

    @property
    def group(self) -> str:
        return f"{ENVIRONMENT}-{self.name}"

    def wanted(self, seconds: float) -> float:
        """The vCPUs of traffic at a time of the day, with a slow drift that is its own."""
        day = 2 * math.pi * (seconds / 86400 - self.peak_hour / 24)
        drift = math.sin(2 * math.pi * seconds / (7200 + 300 * self.noise) + self.noise)
        return self.mean * (1 + 0.5 * math.cos(day) + 0.08 * drift)


class Serial:
    """A pool of threads that has none."""

    def __init__(self, max_workers: int = 1) -> None:
        self.max_workers = max_workers

    def __enter__(self) -> Serial:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def map(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        return map(work, items)


class World:
    """A running sandbox with applications; `close` ends it."""

    def __init__(self, seed: int, apps: int, regions: Sequence[str]) -> None:
        self.regions = list(regions)
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "spot_sandbox", "--port", "0", "--seed", str(seed), "--regions", ",".join(regions)],
            env={**os.environ, "PYTHONPATH": str(ROOT / "tests" / "sandbox"), "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self.process.stdout.readline() if self.process.stdout else ""
        if "http://" not in line:
            raise RuntimeError(f"the sandbox did not start: exit code {self.process.wait()}")
        self.url = line[line.index("http://") :].split()[0]
        self.ask("clock", speed=0)
        self.threads = clients_of.ThreadPoolExecutor
        clients_of.ThreadPoolExecutor = Serial
        self.clients = self.new_clients()
        self.apps = self._apps(random.Random(seed), apps)
        self.prices: dict[tuple[str, str, str], float] = {}
        self.activity: list[dict[str, Any]] = []
        self.errors: list[str] = []
        for region in self.regions:
            self._place(region)
        self.pass_time(180)

    def close(self) -> None:
        """End the sandbox."""
        clients_of.ThreadPoolExecutor = self.threads
        self.process.terminate()
        self.process.wait(10)
        self.folder.cleanup()

    def new_clients(self) -> clients_of.Clients:
        """The AWS clients of one controller."""
        os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
        return clients_of.Clients(self.regions[0], self.url, dict(KEYS))

    def ask(self, path: str, **body: Any) -> Any:
        """The sandbox's control interface: POST with a body, GET without."""
        data = json.dumps(body).encode() if body else None
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/sandbox/{path}", data), timeout=120) as answer:
            return json.load(answer)

    def now(self) -> float:
        """The sandbox's time, in seconds since the epoch."""
        return self.ask("clock")["epoch"]

    def pass_time(self, seconds: float) -> None:
        self.ask("clock", advance=seconds)

    def _apps(self, dice: random.Random, count: int) -> list[App]:
        """``count`` applications, each in two of the regions."""
        profiles = ("balanced", "balanced", "cost", "availability")
        return [
            App(
                f"app{number:02}",
                region,
                dice.choice((6, 8, 12, 16)),
                dice.uniform(10, 20),
                number,
                profiles[number % len(profiles)],
            )
            for number in range(count)
            for region in sorted(dice.sample(self.regions, min(2, len(self.regions))))
        ]

    def _place(self, region: str) -> None:
        """The table, a template and the groups of a region, as onboarding leaves them."""
        ec2, autoscaling = self.clients.get("ec2", region), self.clients.get("autoscaling", region)
        self.clients.get("dynamodb", region).create_table(
            TableName=f"spot-platform-{ENVIRONMENT}",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
        subnets = sorted(ec2.describe_subnets()["Subnets"], key=lambda one: one["AvailabilityZone"])[:3]
        image = "resolve:ssm:/aws/service/debian/release/12/latest/amd64"
        for app in (one for one in self.apps if one.region == region):
            ec2.create_launch_template(LaunchTemplateName=app.group, LaunchTemplateData={"ImageId": image})
            target, least, most = math.ceil(app.wanted(self.now())), 2, math.ceil(2 * app.mean)
            identity = {"app": app.name, "environment": ENVIRONMENT, "managed-by": "spot.platform"}
            policy = {
                "unit": "vcpus",
                "target": target,
                "min": least,
                "max": most,
                "on-demand-base": 2,
                "fallback": "on_demand",
                "profile": app.profile,
                "max-zone-share": 0.75,
            }
            autoscaling.create_auto_scaling_group(
                AutoScalingGroupName=app.group,
                MinSize=least,
                MaxSize=2 * most,
                DesiredCapacity=target,
                VPCZoneIdentifier=",".join(one["SubnetId"] for one in subnets),
                MixedInstancesPolicy={
                    "LaunchTemplate": {
                        "LaunchTemplateSpecification": {"LaunchTemplateName": app.group, "Version": "$Latest"},
                        "Overrides": [{"InstanceType": k, "WeightedCapacity": str(v)} for k, v in TYPES.items()],
                    },
                    "InstancesDistribution": {
                        "OnDemandAllocationStrategy": "lowest-price",
                        "OnDemandBaseCapacity": 2,
                        "OnDemandPercentageAboveBaseCapacity": 0,
                        "SpotAllocationStrategy": "price-capacity-optimized",
                    },
                },
                Tags=[
                    {"Key": f"spot.platform/{key}", "Value": str(value), "PropagateAtLaunch": key in identity}
                    for key, value in {**identity, **policy}.items()
                ],
            )

    def report_traffic(self, now: float) -> None:
        """Write the traffic of the applications to CloudWatch, as their own exporters would."""
        for region in self.regions:
            data = [
                {
                    "MetricName": "Load",
                    "Dimensions": [{"Name": "App", "Value": app.name}],
                    "Timestamp": now - 60,
                    "Value": LOAD * app.wanted(now - 60),
                }
                for app in self.apps
                if app.region == region
            ]
            if data:
                self.clients.get("cloudwatch", region).put_metric_data(Namespace="Chaos", MetricData=data)

    def options(self, holder: str) -> control.Options:
        """The options of a controller: each application follows its load."""
        metric = {
            "name": "custom",
            "kind": "load",
            "target": LOAD,
            "namespace": "Chaos",
            "metric": "Load",
            "dimensions": {"App": "$app"},
        }
        scaling = scaling_of({"metrics": [metric], "stabilization_minutes": 15}, 0, 10**6, "vcpus")
        return control.Options(
            question=Question(environment=ENVIRONMENT),
            policy={},
            scalings={app.name: scaling for app in self.apps},
            prometheus=Prometheus(),
            holder=holder,
            act=True,
            release=False,
            boot_seconds=120,
            run_seconds=10,
            lease_seconds=0,
        )

    def step(self, clients: clients_of.Clients, holder: str) -> int:
        """One step of one controller in all regions; returns in how many seconds it wants the next one."""
        soonest = 300
        cache = Cache(self.folder.name, self.url)
        for region in self.regions:
            outcomes = control.step_region(clients, region, None, self.options(holder), cache)
            result = result_of(outcomes)
            self.activity += result["activity"]
            self.errors += [one["message"] for one in result["errors"]]
            soonest = min([soonest, *(one["ask_again_seconds"] for one in result["decisions"] if one["kind"] != "steady")])
        return max(60, soonest)

    @contextmanager
    def on_write(self, clients: clients_of.Clients, number: int, what: Callable[[], None]) -> Iterator[None]:
        """Do ``what`` before the ``number``-th write of ``clients`` within, counted from 1."""
        left = [number]

        def look(request: Any, **_event: Any) -> None:
            if request.headers.get("x-chaos-write"):
                left[0] -= 1
                if left[0] == 0:
                    what()

        def mark(params: dict[str, Any], model: Any, **_event: Any) -> None:
            if not model.name.startswith(("Describe", "Get", "BatchGet", "List")):
                params["headers"]["x-chaos-write"] = "1"

        services = [clients.get(name, region) for name in ("ec2", "autoscaling", "dynamodb") for region in self.regions]
        for service in services:
            service.meta.events.register("before-call", mark, unique_id="chaos-mark")
            service.meta.events.register("before-send", look, unique_id="chaos-look")
        try:
            yield
        finally:
            for service in services:
                service.meta.events.unregister("before-call", unique_id="chaos-mark")
                service.meta.events.unregister("before-send", unique_id="chaos-look")

    def groups(self, region: str) -> list[dict[str, Any]]:
        pages = self.clients.get("autoscaling", region).get_paginator("describe_auto_scaling_groups").paginate()
        return [group for page in pages for group in page["AutoScalingGroups"]]

    def instances(self, region: str) -> list[dict[str, Any]]:
        """What runs, as the EC2 API says it, whether by botocore's parser or by ours."""
        pages = self.reader(region).get_paginator("describe_instances").paginate(
            Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        )
        return [one for page in pages for part in page["Reservations"] for one in part["Instances"]]

    def reader(self, region: str) -> Any:
        """An EC2 client of the judge's own: the controller's reads in a way of its own."""
        import boto3

        if not hasattr(self, "_readers"):
            self._readers: dict[str, Any] = {}
        if region not in self._readers:
            self._readers[region] = boto3.client("ec2", region_name=region, endpoint_url=self.url, **KEYS)
        return self._readers[region]

    def look_up_prices(self) -> None:
        """The prices of the hour: Spot by pool, On-Demand under the zone ``""``."""
        for region in self.regions:
            for kind in TYPES:
                for pool in self.ask(f"market?region={region}&instance_type={kind}")["pools"]:
                    self.prices[region, pool["zone"], kind] = pool["spot_price"] or pool["on_demand_price"]
                    self.prices[region, "", kind] = pool["on_demand_price"]
