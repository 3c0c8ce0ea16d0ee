"""`spot.platform.fleet` against `amazon.aws.aws_ec2`: what listing thousands of instances costs.

``python tests/bench/inventory.py`` starts a sandbox, gives each answer of EC2 50 ms of latency, and runs
``ansible-inventory --list`` with both on the same instances: the same filter, three keyed groups and one composed
variable. CPU is that of the client's process alone; a second run of ours has its On-Demand prices cached, so the
first one is thrown away as a warm-up.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.common import ROOT, record, table  # noqa: E402 - the repository's root has to be on the path first

REGIONS = ["us-east-1", "eu-west-1", "us-west-2", "ap-south-1"]
SIZES = {"4 x 500": (REGIONS, 500), "1 x 5000": (REGIONS[:1], 5000)}
LATENCY = 0.05
GOALS = {"default": 4.0, "all": 1.5}
CONSTRUCTED = {
    "filters": {"instance-state-name": "running"},
    "keyed_groups": [
        {"key": "placement.availability_zone", "prefix": "az"},
        {"key": "instance_type", "prefix": "kind"},
        {"key": "tags.Name", "prefix": "name"},
    ],
    "compose": {"ansible_host": "private_ip_address"},
}
OURS = {"plugin": "spot.platform.fleet", "environment": "sandbox", **CONSTRUCTED}
PEER = {"plugin": "amazon.aws.aws_ec2", "hostnames": ["instance-id"], **CONSTRUCTED}


def ask(url: str, path: str, **body: Any) -> dict[str, Any]:
    """The sandbox's control interface: POST with a body, GET without."""
    data = json.dumps(body).encode() if body else None
    with urllib.request.urlopen(urllib.request.Request(url + path, data=data), timeout=300) as answer:
        return json.load(answer)


def listing(url: str, folder: Path, config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """One run of ``ansible-inventory``: what it took, and what it listed."""
    source = folder / ("aws_ec2.yml" if config["plugin"].endswith("aws_ec2") else "fleet.yml")
    source.write_text(yaml.safe_dump(config), encoding="utf-8")
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("AWS_")},
        "HOME": str(folder),
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        "ANSIBLE_INVENTORY_ENABLED": config["plugin"],
        "ANSIBLE_DEPRECATION_WARNINGS": "false",
    }
    command = [Path(sys.executable).with_name("ansible-inventory"), "-i", source, "--list"]
    ask(url, "/sandbox/calls/reset", all=True)
    with (folder / "listing.json").open("w+b") as output:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(command, cwd=ROOT, env=environment, stdout=output, check=True)
        wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        output.seek(0)
        listed = json.load(output)
    calls = {
        f"{service}:{operation}": count
        for service, operations in ask(url, "/sandbox/calls")["services"].items()
        for operation, count in operations.items()
    }
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"  {config['plugin']}, {config.get('host_variables', '')}: {wall:.1f} s, CPU {cpu:.1f} s", file=sys.stderr)
    return {"wall": round(wall, 2), "cpu": round(cpu, 2), "calls": calls}, listed


def members(listed: dict[str, Any]) -> dict[str, list[str]]:
    """The keyed groups and their hosts, for comparison."""
    prefixes = tuple(f"{keyed['prefix']}_" for keyed in CONSTRUCTED["keyed_groups"])
    return {name: sorted(group["hosts"]) for name, group in listed.items() if name.startswith(prefixes)}


def compare(url: str, folder: Path, regions: list[str], count: int) -> tuple[dict[str, Any], bool]:
    """The figures of one size of fleet, and whether both goals are met in it."""
    print(f"{len(regions)} x {count} instances ...", file=sys.stderr)
    ask(url, "/sandbox/reset", all=True)
    for region in regions:
        ask(url, "/sandbox/instances", region=region, count=count, app="bench", environment="sandbox")
    ask(url, "/sandbox/faults", rules=[{"service": "ec2", "rate": 1, "kind": "latency", "seconds": LATENCY}])
    listing(url, folder, {**OURS, "regions": regions})
    theirs, wanted = listing(url, folder, {**PEER, "regions": regions})
    figures, met = {"aws_ec2": theirs}, True
    for variables, goal in GOALS.items():
        ours, listed = listing(url, folder, {**OURS, "regions": regions, "host_variables": variables})
        if members(listed) != members(wanted) or len(listed["_meta"]["hostvars"]) != count * len(regions):
            raise AssertionError(f"{variables}: the two inventories do not list the same groups and hosts")
        ours["times_faster"] = {key: round(theirs[key] / ours[key], 1) for key in ("wall", "cpu")}
        figures[f"fleet, {variables} variables"] = ours
        met = met and ours["times_faster"]["wall"] >= goal
    return figures, met


def main() -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "spot_sandbox", "--port", "0", "--seed", "1", "--regions", ",".join(REGIONS)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests" / "sandbox")},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = server.stdout.readline()
        url = line[line.index("http://") :].split()[0]
        with tempfile.TemporaryDirectory() as folder:
            results = {name: compare(url, Path(folder), *size) for name, size in SIZES.items()}
    finally:
        server.terminate()
        server.wait(30)
    record(
        "inventory",
        {name: figures for name, (figures, _met) in results.items()},
        "at least 4 times faster than amazon.aws.aws_ec2 (wall) with the default host variables, 1.5 times with all",
        all(met for _figures, met in results.values()),
    )
    print(table())


if __name__ == "__main__":
    main()
