"""A thousand applications in one `spot_autoscale` task: seconds, and API calls for each of them.

Each application has a group of its own, in three zones, of five types, with two Spot Instances. The first step suspends
what would fight it and writes the memory of each; the next has nothing to do; then one in twenty is told that it loses an
instance. The module runs as Ansible runs it, but without Ansible's own second; the sandbox answers one call at a time, so
the seconds on the clock are mostly its own, and the CPU seconds are the module's.

    python tests/bench/apps.py [--apps 1000] [--profile FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.capacity import TYPES, place  # noqa: E402 - the repository's root has to be on the path first
from tests.bench.common import (  # noqa: E402 - as above
    ROOT,
    ask,
    calls,
    clean_environment,
    record,
    sandbox,
    table,
)

MODULE = "ansible_collections.spot.platform.plugins.modules.spot_autoscale"
REGION = "us-east-1"
READING = ("Describe", "Get", "BatchGet", "List")
MEMORY = "dynamodb:UpdateItem"
LOSING = 20
"""One in so many loses an instance."""
PER_PAGE, PER_READ = 50, 100
"""Groups on a page of DescribeAutoScalingGroups where no larger one is asked for, and keys in one BatchGetItem."""
ONCE = 20
"""Calls that a region is asked once, whatever it runs, at most: prices, types, zones, subnets, Spot requests."""
GOAL = 10.0
"""CPU seconds of the module where there is nothing to do."""


def client(url: str, service: str) -> Any:
    keys = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox"}
    return boto3.client(service, region_name=REGION, endpoint_url=url, **keys)


def build(url: str, apps: int) -> None:
    """The groups as spot_capacity leaves them, and the table of their environment."""
    subnets, template = place(url)
    ask(url, "/sandbox/capacity", region=REGION, room=10**6)
    client(url, "dynamodb").create_table(
        TableName="spot-platform-bench",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    autoscaling = client(url, "autoscaling")

    def make(number: int) -> None:
        tags = {
            "app": f"app{number:04}",
            "environment": "bench",
            "managed-by": "spot.platform",
            "unit": "instances",
            "target": "2",
            "min": "1",
            "max": "8",
            "on-demand-base": "0",
            "fallback": "on_demand",
        }
        autoscaling.create_auto_scaling_group(
            AutoScalingGroupName=f"bench-app{number:04}",
            MinSize=1,
            MaxSize=16,
            DesiredCapacity=2,
            VPCZoneIdentifier=",".join(subnets),
            MixedInstancesPolicy={
                "LaunchTemplate": {
                    "LaunchTemplateSpecification": {"LaunchTemplateName": template, "Version": "$Latest"},
                    "Overrides": [{"InstanceType": kind, "WeightedCapacity": "1"} for kind in TYPES],
                },
                "InstancesDistribution": {
                    "OnDemandBaseCapacity": 0,
                    "OnDemandPercentageAboveBaseCapacity": 0,
                    "SpotAllocationStrategy": "price-capacity-optimized",
                },
            },
            Tags=[
                {"Key": f"spot.platform/{key}", "Value": value, "PropagateAtLaunch": True}
                for key, value in tags.items()
            ],
        )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(apps)))
    ask(url, "/sandbox/clock", advance=120)


def step(url: str, folder: Path, profile: Path | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """One step of all groups: its figures, and the module's result."""
    arguments = {"regions": [REGION], "cache_dir": str(folder / "cache")}
    (folder / "input").write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), encoding="utf-8")
    profiled = ["-m", "cProfile", "-o", str(profile)] if profile else []
    environment = {**clean_environment(url), "PYTHONPATH": str(ROOT / ".collections")}
    ask(url, "/sandbox/calls/reset", all=True)
    began = time.monotonic()
    with (folder / "input").open() as given, (folder / "output").open("w") as told:
        command = [sys.executable, *profiled, "-m", MODULE]
        process = subprocess.Popen(command, stdin=given, stdout=told, env=environment)
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    result = json.loads((folder / "output").read_text(encoding="utf-8"))
    if result.get("failed"):
        raise RuntimeError(result["msg"][:3000])
    made = calls(url)
    writes = {name: count for name, count in made.items() if not name.split(":")[1].startswith(READING)}
    figures = {
        "wall, s": round(wall, 1),
        "CPU, s": round(usage.ru_utime + usage.ru_stime, 1),
        "memory, MiB": usage.ru_maxrss // 1024,
        "calls": sum(made.values()),
        "calls for each": round(sum(made.values()) / len(result["decisions"]), 3),
        "writes": writes,
        "reads": {name: count for name, count in sorted(made.items()) if name not in writes},
        "changed": sum(one["changes"] for one in result["decisions"]),
    }
    return figures, result


def lose(url: str, apps: int) -> None:
    """One in twenty applications is told that one of its instances goes."""
    wanted = {f"bench-app{number:04}" for number in range(0, apps, LOSING)}
    pages = client(url, "autoscaling").get_paginator("describe_auto_scaling_groups").paginate()
    found = [group for page in pages for group in page["AutoScalingGroups"] if group["AutoScalingGroupName"] in wanted]
    victims = [min(one["InstanceId"] for one in group["Instances"]) for group in found]
    ask(url, "/sandbox/interrupt", instance_ids=victims)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apps", type=int, default=1000)
    parser.add_argument("--profile", type=Path, help="leave the profiles of the module's runs in this folder")
    options = parser.parse_args()
    if options.profile:
        options.profile.mkdir(parents=True, exist_ok=True)

    def profile(name: str) -> Path | None:
        return options.profile and options.profile / f"{name}.profile"

    with tempfile.TemporaryDirectory() as name, sandbox() as url:
        folder = Path(name)
        build(url, options.apps)
        first, result = step(url, folder, profile("first"))
        if len(result["decisions"]) != options.apps:
            raise RuntimeError(f"{len(result['decisions'])} of {options.apps} applications were decided on")
        while result["changed"]:  # until all of them have come to rest
            ask(url, "/sandbox/clock", advance=60)
            _figures, result = step(url, folder)
        ask(url, "/sandbox/clock", advance=60)
        idle, _result = step(url, folder, profile("idle"))
        lose(url, options.apps)
        lost, _result = step(url, folder, profile("lost"))
    floor = -(-options.apps // PER_PAGE) + -(-options.apps // PER_READ) + ONCE
    figures = {"apps": options.apps, "first step": first, "nothing to do": idle, "one in twenty loses an instance": lost}
    reads = sum(idle["reads"].values())
    figures["reads where there is nothing to do"] = {"made": reads, "at most": floor}
    met = reads <= floor and not idle["changed"] and idle["writes"].keys() <= {MEMORY} and idle["CPU, s"] < GOAL
    goal = (
        f"{options.apps} applications with nothing to do take one task, {floor} reads, no write but the memory's, and less "
        f"than {GOAL:g} CPU seconds"
    )
    record("apps", figures, goal, met)
    print(table())


if __name__ == "__main__":
    main()
