"""`spot_capacity` for twenty groups in one task against a loop of `amazon.aws.autoscaling_group`.

``python tests/bench/capacity.py`` starts a sandbox, gives each answer 20 ms of latency, and runs both on the same
subnets and launch template: once to make the groups, once more where nothing is to be changed. Ours plans each group
on the market of the day as well; the peer is given its instance types. Ours finds the market's slow answers (types,
zones, On-Demand prices) in its cache, as every run of a day but the first does; the first is told apart.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.common import (  # noqa: E402 - the repository's root has to be on the path first
    ROOT,
    ask,
    calls,
    clean_environment,
    record,
    sandbox,
    table,
)

GROUPS = 20
LATENCY = 0.02
GOAL = 4.0
TYPES = ["m5.large", "m5a.large", "m6i.large", "c5.large", "r5.large"]


def place(url: str) -> tuple[list[str], str]:
    """Public subnets in three zones, and the name of a launch template."""
    keys = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox"}
    ec2 = boto3.client("ec2", region_name="us-east-1", endpoint_url=url, **keys)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]][:3]
    subnets = []
    for number, zone in enumerate(zones):
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{16 * number}.0/20", AvailabilityZone=zone)["Subnet"]
        ec2.modify_subnet_attribute(SubnetId=subnet["SubnetId"], MapPublicIpOnLaunch={"Value": True})
        subnets.append(subnet["SubnetId"])
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    template = {"ImageId": image, "InstanceType": TYPES[0]}
    ec2.create_launch_template(LaunchTemplateName="bench", LaunchTemplateData=template)
    return subnets, "bench"


def ours(subnets: list[str], template: str, cache: str) -> dict[str, Any]:
    """The task with all groups."""
    groups = [
        {
            "name": f"ours-{number:02}",
            "app": f"app{number:02}",
            "environment": "bench",
            "launch_template": {"name": template},
            "subnets": subnets,
            "min": 1,
            "max": 4,
            "target": 2,
            "instance_types": TYPES,
        }
        for number in range(GROUPS)
    ]
    return {"spot.platform.spot_capacity": {"region": "us-east-1", "groups": groups, "cache_dir": cache}}


def peers(subnets: list[str], template: str) -> dict[str, Any]:
    """The task that is repeated for each group."""
    group = {
        "name": "peer-{{ item }}",
        "region": "us-east-1",
        "launch_template": {"launch_template_name": template},
        "mixed_instances_policy": {
            "instance_types": TYPES,
            "instances_distribution": {
                "on_demand_base_capacity": 0,
                "on_demand_percentage_above_base_capacity": 0,
                "spot_allocation_strategy": "price-capacity-optimized",
            },
        },
        "min_size": 1,
        "max_size": 4,
        "desired_capacity": 2,
        "vpc_zone_identifier": subnets,
        "wait_for_instances": False,
    }
    return {"amazon.aws.autoscaling_group": group, "loop": [f"{number:02}" for number in range(GROUPS)]}


def run(url: str, folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """What one playbook run with ``task`` took: seconds, API calls by operation, and whether it changed anything."""
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [{"name": "Run", **task}]}]
    (folder / "play.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
    environment = {
        **clean_environment(url),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    command = [Path(sys.executable).with_name("ansible-playbook"), "-i", "localhost,", folder / "play.yml"]
    ask(url, "/sandbox/calls/reset", all=True)
    began = time.monotonic()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    wall = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(f"{next(iter(task))} failed:\n{done.stdout[-3000:]}\n{done.stderr[-1000:]}")
    changed = re.search(r"changed=(\d+)", done.stdout)
    return {"wall": round(wall, 2), "calls": sum(calls(url).values()), "changed": bool(changed and int(changed.group(1)))}


def main() -> None:
    with tempfile.TemporaryDirectory() as name, sandbox() as url:
        folder = Path(name)
        subnets, template = place(url)
        ask(url, "/sandbox/faults", rules=[{"kind": "latency", "seconds": LATENCY}])
        mine, theirs = ours(subnets, template, str(folder / "cache")), peers(subnets, template)
        figures: dict[str, Any] = {"groups": GROUPS, "latency of an answer, s": LATENCY}
        figures["ours, made, cold cache"] = run(url, folder, mine)
        figures["ours, nothing to do"] = run(url, folder, mine)
        ask(url, "/sandbox/reset", all=True)
        subnets, template = place(url)
        ask(url, "/sandbox/faults", rules=[{"kind": "latency", "seconds": LATENCY}])
        mine, theirs = ours(subnets, template, str(folder / "cache")), peers(subnets, template)
        figures["ours, made"] = run(url, folder, mine)
        figures["peer, made"] = run(url, folder, theirs)
        figures["peer, nothing to do"] = run(url, folder, theirs)
    ratios = {
        phase: round(figures[f"peer, {phase}"]["wall"] / figures[f"ours, {phase}"]["wall"], 1)
        for phase in ("made", "nothing to do")
    }
    figures["times faster"] = ratios
    goal = f"{GROUPS} groups in one task at least {GOAL:g} times faster than a loop, and the second run changes nothing"
    met = min(ratios.values()) >= GOAL and not figures["ours, nothing to do"]["changed"]
    record("capacity", figures, goal, met)
    print(table())


if __name__ == "__main__":
    main()
