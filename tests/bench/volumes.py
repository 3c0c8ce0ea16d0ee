"""`ebs_volume_resize` against a loop of `amazon.aws.ec2_vol`: what growing many volumes costs.

    python tests/bench/volumes.py [--volumes 200]

Volumes lie in four regions, each answer of EC2 takes 50 ms. Both run as a play in the same run, each on volumes of its own, and each
a second time with nothing to do. ec2_vol is given type and IOPS, or it would change them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import boto3
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.common import ROOT, ask, calls, clean_environment, record, sandbox  # noqa: E402 - the path has to be set first

REGIONS = ["us-east-1", "eu-west-1", "us-west-2", "ap-south-1"]
LATENCY = 0.05
FASTER, CALLS = 25.0, 1 / 3
TAG = "bench"


def make(url: str, region: str, whose: str, count: int) -> list[str]:
    """Volumes of 8 GiB of gp3."""
    ec2 = boto3.client("ec2", region, endpoint_url=url, aws_access_key_id="sandbox", aws_secret_access_key="sandbox")
    specification = [{"ResourceType": "volume", "Tags": [{"Key": TAG, "Value": whose}]}]
    wanted = {"AvailabilityZone": f"{region}a", "Size": 8, "VolumeType": "gp3", "TagSpecifications": specification}
    return [ec2.create_volume(**wanted)["VolumeId"] for _number in range(count)]


def play(url: str, folder: Path, tasks: list[dict[str, Any]]) -> tuple[float, dict[str, int]]:
    """Seconds of a play, and its API calls."""
    path = folder / "play.yml"
    path.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
    environment = {
        **clean_environment(url),
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "SPOT_ACTIVITY_FILE": str(folder / "activity.jsonl"),
    }
    ask(url, "/sandbox/calls/reset", all=True)
    began = time.monotonic()
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-c", "local", str(path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    wall = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(done.stdout[-3000:] + done.stderr[-1000:])
    return wall, calls(url)


def ours() -> list[dict[str, Any]]:
    """One task for all regions."""
    entry = {"filters": {f"tag:{TAG}": "ours"}, "size": 12}
    return [{"name": "Grow", "spot.platform.ebs_volume_resize": {"regions": REGIONS, "volumes": [entry]}}]


def peers(volumes: dict[str, list[str]]) -> list[dict[str, Any]]:
    """A loop over all volumes."""
    pairs = [{"id": name, "region": region} for region, names in volumes.items() for name in names]
    given = {
        "id": "{{ item.id }}",
        "region": "{{ item.region }}",
        "zone": "{{ item.region }}a",
        "volume_size": 12,
        "volume_type": "gp3",
        "iops": 3000,
        "throughput": 125,
        "modify_volume": True,
    }
    return [{"name": "Grow", "amazon.aws.ec2_vol": given, "loop": pairs, "loop_control": {"label": "{{ item.id }}"}}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=200)
    options = parser.parse_args()
    with sandbox("--regions", ",".join(REGIONS)) as url, tempfile.TemporaryDirectory() as name:
        each = options.volumes // len(REGIONS)
        theirs = {region: make(url, region, "theirs", each) for region in REGIONS}
        for region in REGIONS:
            make(url, region, "ours", each)
        ask(url, "/sandbox/volumes", modifying=0, optimizing=0)
        ask(url, "/sandbox/faults", rules=[{"service": "ec2", "kind": "latency", "seconds": LATENCY}])
        runs = {}
        for whose, tasks in (("ours", ours()), ("ec2_vol", peers(theirs))):
            for when in ("grow", "again"):
                runs[whose, when] = play(url, Path(name), tasks)
    wall = {key: value[0] for key, value in runs.items()}
    made = {key: sum(value[1].values()) for key, value in runs.items()}
    faster = wall["ec2_vol", "grow"] / wall["ours", "grow"]
    share = made["ours", "grow"] / made["ec2_vol", "grow"]
    writes = [one for one in runs["ours", "again"][1] if ":Describe" not in one]
    pages = runs["ours", "again"][1].get("ec2:DescribeVolumes", 0)
    figures: dict[str, Any] = {
        "volumes": options.volumes,
        "faster than a loop of ec2_vol": round(faster, 1),
        "calls, of those of ec2_vol": round(share, 3),
        "writes with nothing to do": len(writes),
        "pages with nothing to do": pages,
    }
    for (whose, when), (seconds, counted) in runs.items():
        figures[f"{whose}, {when}, s"] = round(seconds, 1)
        figures[f"{whose}, {when}, calls"] = counted
    met = faster >= FASTER and share <= CALLS and not writes and pages <= len(REGIONS)
    goal = f"{FASTER:g} times as fast as a loop of ec2_vol with a third of its calls; with nothing to do no write, and a page chain a region"
    print(json.dumps(record("volumes", figures, goal, met), indent=2))


if __name__ == "__main__":
    main()
