# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Applications on the sandbox, their traffic, and the controller that steers them, in one process.

The controller is that of the module spot_autoscale, `control.step`. It runs without threads, and waits on the
sandbox's time, so that what is drawn by chance is drawn in the same order in every run with the same seed.
"""

from __future__ import annotations

import json
import math
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.autoscaling import result_of
from ansible_collections.spot.platform.plugins.module_utils.aws import cache, clients, control, market, observing, stepping
from ansible_collections.spot.platform.plugins.module_utils.aws.metrics import Prometheus
from ansible_collections.spot.platform.plugins.module_utils.aws.steering import Question
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import scaling_of

from .sandbox import URL, Sandbox

START = "2026-01-05T00:00:00+00:00"
"""A Monday."""
ENVIRONMENT = "chaos"
TYPES = {"m5.large": 2, "m5a.large": 2, "m6i.large": 2, "c5.xlarge": 4}
LOAD = 100.0
"""What one vCPU serves."""
PENDING_SECONDS, BOOT_SECONDS = 30, 45
"""Until an instance runs, and until one that a group launched is in service."""
KEYS = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "not-a-secret"}
READS = ("Describe", "Get", "BatchGet", "List")


class Killed(BaseException):
    """The controller is killed on the spot: nothing that it would clean up is cleaned up."""


@dataclass(frozen=True)
class App:
    """An application in a region: the vCPUs of its day's mean, the hour of its peak, and the drift that is its own."""

    name: str
    region: str
    mean: float
    peak_hour: float
    drift: int
    profile: str

    @property
    def group(self) -> str:
        return f"{ENVIRONMENT}-{self.name}"

    def wanted(self, moment: float) -> float:
        """The vCPUs of traffic at a time, seconds since the epoch."""
        day = math.cos(2 * math.pi * (moment / 86400 - self.peak_hour / 24))
        drift = math.sin(2 * math.pi * moment / (7200 + 300 * self.drift) + self.drift)
        return self.mean * (1 + 0.5 * day + 0.08 * drift)


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


class Clock:
    """The time of the controller's machine, in the place of the module ``time``: whoever sleeps lets the sandbox's pass."""

    def __init__(self, world: World) -> None:
        self.world = world

    def time(self) -> float:
        return self.world.now + self.world.skew

    def monotonic(self) -> float:
        return self.world.now

    def sleep(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    def datetime(self) -> type[datetime]:
        """In the place of the class ``datetime``."""
        clock = self

        class Shown(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return datetime.fromtimestamp(clock.time(), tz)

        return Shown


class Kept(cache.Cache):
    """A cache that lasts for a run, in memory."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.answers: dict[str, Any] = {}

    def remember(self, question: Any, seconds: float, ask: Callable[[], Any]) -> Any:
        key = json.dumps(question)
        if key not in self.answers:
            self.answers[key] = super().remember(question, seconds, ask)
        return self.answers[key]


class Connected(clients.Clients):
    """The AWS clients of one controller, that ask the sandbox; ``short``: see `shortcuts`."""

    def __init__(self, world: World, short: bool) -> None:
        os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
        super().__init__(world.regions[0], URL, dict(KEYS))
        self.world, self.short = world, short
        self.connected: set[Any] = set()

    def get(self, service: str, region: str | None = None) -> Any:
        client = super().get(service, region)
        if client not in self.connected:
            self.connected.add(client)
            self.world.sandbox.connect(client, self.short, self._look)
        return client

    def _look(self, operation: str) -> None:
        if self in self.world.looks:
            self.world.looks[self](operation)


class World:
    """The sandbox with applications, each in two of the regions; `close` ends it.

    ``skew``: seconds by which the clock of the controller's machine is ahead.
    """

    def __init__(self, seed: int, apps: int, regions: Sequence[str], short: bool = True) -> None:
        self.regions = list(regions)
        self.folder = tempfile.TemporaryDirectory()
        self.sandbox = Sandbox(seed, regions, START)
        self.ask = self.sandbox.ask
        self.began = self.now = datetime.fromisoformat(START).timestamp()
        self.skew = 0.0
        clock = Clock(self)
        self.kept = []
        for module, name, other in (
            (clients, "ThreadPoolExecutor", Serial),
            *((module, "time", clock) for module in (cache, observing, stepping)),
            (market, "datetime", clock.datetime()),
            (time, "sleep", clock.sleep),
        ):
            self.kept.append((module, name, getattr(module, name)))
            setattr(module, name, other)
        random.seed(seed)  # the pauses before a call is repeated
        self.cache = Kept(self.folder.name)
        self.looks: dict[Connected, Callable[[str], None]] = {}
        self.clients, self.others, self.reader = (Connected(self, one) for one in (short, short, False))
        self.ask("launches", pending_seconds=PENDING_SECONDS)
        self.ask("autoscaling", boot_seconds=BOOT_SECONDS)
        self.apps = self._apps(random.Random(seed), apps)
        self.reported = {region: self.now - 3600 for region in self.regions}
        self.zones = {region: self._place(region) for region in self.regions}
        self.pass_time(180)

    def close(self) -> None:
        """Give this process its time and its threads back."""
        for module, name, own in self.kept:
            setattr(module, name, own)
        self.folder.cleanup()

    def pass_time(self, seconds: float) -> None:
        if seconds > 0:
            self.now = self.ask("clock", advance=seconds)["epoch"]

    def _apps(self, dice: random.Random, count: int) -> list[App]:
        profiles = ("balanced", "balanced", "cost", "availability")
        return [
            App(f"app{number:02}", region, mean, peak_hour, number, profiles[number % len(profiles)])
            for number in range(count)
            for mean, peak_hour in [(dice.choice((6, 8, 12, 16)), dice.uniform(10, 20))]
            for region in sorted(dice.sample(self.regions, min(2, len(self.regions))))
        ]

    def _place(self, region: str) -> list[str]:
        """The table, the templates and the groups of a region, as onboarding leaves them; returns their zones."""
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
            target, least, most = math.ceil(app.wanted(self.now)), 2, math.ceil(2 * app.mean)
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
        return [one["AvailabilityZone"] for one in subnets]

    def report_traffic(self, region: str) -> None:
        """Write the traffic of each minute that is over to CloudWatch, as the applications' own exporters would: they try again."""
        first, last = int(self.reported[region] // 60 + 1), int(self.now // 60)
        data = [
            {
                "MetricName": "Load",
                "Dimensions": [{"Name": "App", "Value": app.name}],
                "Timestamp": datetime.fromtimestamp(60 * (minute - 1), timezone.utc),
                "Value": LOAD * app.wanted(60 * minute),
            }
            for minute in range(first, last + 1)
            for app in self.apps
            if app.region == region
        ]
        self.sandbox.put_metric_data(region, "Chaos", data)
        self.reported[region] = 60.0 * last

    def options(self, holder: str, notices: frozenset[str]) -> control.Options:
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
            question=Question(environment=ENVIRONMENT, notices=notices),
            policy={},
            scalings={app.name: scaling for app in self.apps},
            prometheus=Prometheus(),
            holder=holder,
            act=True,
            release=False,
            boot_seconds=120,
            run_seconds=1,
            lease_seconds=0,
        )

    def step(
        self, using: Connected, region: str, holder: str, notices: frozenset[str] = frozenset()
    ) -> tuple[dict[str, Any], dict[str, dict[str, int]]]:
        """One step of a controller in a region: the module's result, and the units of each group's best fleet."""
        stepped = control.step(using, {region: None}, self.options(holder, notices), self.cache)
        best = {
            f"{one.name}@{region}": {"on_demand": made.on_demand, "spot": sum(made.spot.values())}
            for one in stepped.outcomes
            if one.decisions and (made := one.decisions[-1].best)
        }
        return result_of(stepped), best

    @contextmanager
    def on_write(self, using: Connected, number: int, what: Callable[[], None]) -> Iterator[None]:
        """Do ``what`` before the ``number``-th write of ``using`` within, counted from 1. Once it raised `Killed`, nothing
        more is asked or written."""
        left, dead = [number], []

        def look(operation: str) -> None:
            if dead:
                raise Killed
            left[0] -= not operation.startswith(READS)
            if left[0] == 0:
                left[0] = -1
                try:
                    what()
                except Killed:
                    dead.append(True)
                    raise

        self.looks[using] = look
        try:
            yield
        finally:
            del self.looks[using]

    def forget(self, region: str) -> None:
        """Lose all that the controllers remember of a region."""
        client, table = self.reader.get("dynamodb", region), f"spot-platform-{ENVIRONMENT}"
        for item in client.scan(TableName=table)["Items"]:
            client.delete_item(TableName=table, Key={"id": item["id"]})

    def on_demand_price(self, region: str) -> float:
        """USD for a vCPU of the cheapest On-Demand Instance, for an hour."""
        return min(
            pool["on_demand_price"] / units
            for name, units in TYPES.items()
            for pool in self.ask(f"market?region={region}&instance_type={name}")["pools"]
        )

    def remains(self) -> dict[str, Any]:
        """What is there now, in the words of the judge."""
        found: dict[str, Any] = {"groups": {}, "instances": [], "fleets": [], "spot_requests": [], "leases": []}
        for region in self.regions:
            ec2, autoscaling, dynamodb = (self.reader.get(one, region) for one in ("ec2", "autoscaling", "dynamodb"))
            members: dict[str, str] = {}
            for group in _all(autoscaling, "describe_auto_scaling_groups", "AutoScalingGroups"):
                tags = {one["Key"]: one["Value"] for one in group["Tags"]}
                name = group["AutoScalingGroupName"]
                members |= {one["InstanceId"]: name for one in group["Instances"]}
                found["groups"][f"{name}@{region}"] = {
                    "target": int(tags["spot.platform/target"]),
                    "base": int(tags["spot.platform/on-demand-base"]),
                    "desired": group["DesiredCapacity"],
                    "suspended": sorted(one["ProcessName"] for one in group["SuspendedProcesses"]),
                    "noted": sorted(tags.get("spot.platform/suspended", "").split()),
                }
            alive = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
            for reservation in _all(ec2, "describe_instances", "Reservations", Filters=alive):
                for one in reservation["Instances"]:
                    tags = {each["Key"]: each["Value"] for each in one["Tags"]}
                    found["instances"].append(
                        {
                            "id": one["InstanceId"],
                            "region": region,
                            "group": tags.get("aws:autoscaling:groupName") or tags.get("spot.platform/group"),
                            "member_of": members.get(one["InstanceId"]),
                            "age": round(self.now - one["LaunchTime"].timestamp()),
                        }
                    )
            fleets = _all(ec2, "describe_fleets", "Fleets")
            found["fleets"] += [
                {"id": one["FleetId"], "region": region} for one in fleets if one["Type"] != "instant"
            ]
            running = {one["id"] for one in found["instances"]}
            requests = _all(ec2, "describe_spot_instance_requests", "SpotInstanceRequests")
            found["spot_requests"] += [
                {"id": one["SpotInstanceRequestId"], "region": region}
                for one in requests
                if one["State"] in ("open", "active") and one.get("InstanceId") not in running
            ]
            found["leases"] += [
                {"id": item["id"]["S"], "region": region, "holder": item["holder"]["S"]}
                for item in dynamodb.scan(TableName=f"spot-platform-{ENVIRONMENT}")["Items"]
                if "holder" in item
            ]
        return found


def _all(client: Any, operation: str, key: str, **arguments: Any) -> list[dict[str, Any]]:
    """All pages of an operation."""
    return [one for page in client.get_paginator(operation).paginate(**arguments) for one in page[key]]
