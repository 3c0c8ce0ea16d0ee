"""`estate_info` for 10,000 resources in 8 regions with 50 ms of latency: wall against the critical path, memory, calls.

The sandbox makes the resources; a server far away (`far.py`) gives its answers from memory, 50 ms after each question, as many at
once as are asked. The critical path is the longest chain of calls of which each needs the answer before it: that of the kind and region
with the most pages, after the tags that tell whose they are, and the details after that. Python's start, with its imports, is measured
by itself, on a region with nothing in it.

Side by side: the same kinds in the same regions by amazon.aws's and community.aws's `_info` modules, both as a play.

    python tests/bench/estate.py [--resources 10000] [--regions 8] [--latency 0.05] [--without-peer]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.common import ROOT, ask, clean_environment, record, sandbox, table  # noqa: E402 - as above
from tests.bench.far import Call, Far  # noqa: E402 - the repository's root has to be on the path first

MODULE = "ansible_collections.spot.platform.plugins.modules.estate_info"
REGIONS = [
    "us-east-1",
    "us-west-2",
    "eu-west-1",
    "ap-south-1",
    "eu-central-1",
    "us-east-2",
    "ca-central-1",
    "sa-east-1",
]
WITHIN, MEMORY = 1.5, 300
TAGS = {"spot.platform/app": "shop", "spot.platform/environment": "bench", "spot.platform/managed-by": "spot.platform"}
LISTED = [{"Key": key, "Value": value} for key, value in TAGS.items()]
SHARES = {
    "instance": 0.32,
    "volume": 0.32,
    "snapshot": 0.16,
    "log_group": 0.12,
    "queue": 0.02,
    "topic": 0.026,
    "target_group": 0.01,
    "key_pair": 0.01,
    "certificate": 0.004,
    "table": 0.005,
    "bucket": 0.005,
}
"""What part of the resources is of which kind; each instance has its volume."""
PEERS = {
    "amazon.aws.ec2_instance_info": {"filters": {"tag-key": "spot.platform/environment"}},
    "amazon.aws.ec2_vol_info": {"filters": {"tag-key": "spot.platform/environment"}},
    "amazon.aws.ec2_snapshot_info": {"filters": {"tag-key": "spot.platform/environment"}},
    "amazon.aws.cloudwatchlogs_log_group_info": {},
    "amazon.aws.ec2_key_info": {"filters": {"tag-key": "spot.platform/environment"}},
    "community.aws.elb_target_group_info": {"collect_targets_health": True},
    "community.aws.acm_certificate_info": {},
    "community.aws.sns_topic_info": {},
}
"""Of queues, tables and buckets with their tags they have no list."""
OURS = ["instance", "volume", "snapshot", "log_group", "key_pair", "target_group", "certificate", "topic"]


def client(url: str, service: str, region: str) -> Any:
    keys = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox"}
    return boto3.client(service, region_name=region, endpoint_url=url, **keys)


def build(url: str, region: str, count: int) -> int:
    """The resources of a region; returns how many were made."""
    numbers = {kind: max(1, round(count * share)) for kind, share in SHARES.items()}
    ask(url, "/sandbox/instances", region=region, count=numbers["instance"], app="shop", environment="bench")
    ec2 = client(url, "ec2", region)
    volumes = [one["VolumeId"] for page in ec2.get_paginator("describe_volumes").paginate() for one in page["Volumes"]]
    for start in range(0, len(volumes), 500):
        ec2.create_tags(Resources=volumes[start : start + 500], Tags=LISTED)
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    logs, queues, topics = (client(url, service, region) for service in ("logs", "sqs", "sns"))
    balancing, acm, tables = (client(url, service, region) for service in ("elbv2", "acm", "dynamodb"))
    storage = client(url, "s3", region)
    where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}

    def snapshot(number: int) -> None:
        own = [{"ResourceType": "snapshot", "Tags": LISTED}]
        ec2.create_snapshot(VolumeId=volumes[number % len(volumes)], TagSpecifications=own)

    def bucket(number: int) -> None:
        name = f"bench-{region}-{number}"
        storage.create_bucket(Bucket=name, **where)
        storage.put_bucket_tagging(Bucket=name, Tagging={"TagSet": LISTED})

    makers = {
        "snapshot": snapshot,
        "log_group": lambda n: logs.create_log_group(logGroupName=f"/shop/{n}", tags=TAGS),
        "queue": lambda n: queues.create_queue(QueueName=f"shop-{n}", tags=TAGS),
        "topic": lambda n: topics.create_topic(Name=f"shop-{n}", Tags=LISTED),
        "target_group": lambda n: balancing.create_target_group(
            Name=f"shop-{n}", Protocol="HTTP", Port=80, VpcId=vpc, Tags=LISTED
        ),
        "key_pair": lambda n: ec2.create_key_pair(
            KeyName=f"shop-{n}", KeyType="ed25519", TagSpecifications=[{"ResourceType": "key-pair", "Tags": LISTED}]
        ),
        "certificate": lambda n: acm.request_certificate(DomainName=f"{n}.example.com", Tags=LISTED),
        "table": lambda n: tables.create_table(
            TableName=f"shop-{n}",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            Tags=LISTED,
        ),
        "bucket": bucket,
    }
    with ThreadPoolExecutor(4) as pool:
        for kind, make in makers.items():
            list(pool.map(make, range(numbers[kind])))
    return sum(numbers.values())


def run(url: str, folder: Path, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The module as Ansible runs it, without Ansible's own second: its figures, and its result."""
    arguments = {"cache_dir": str(folder / "cache"), **options}
    (folder / "input").write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), encoding="utf-8")
    environment = {**clean_environment(url), "PYTHONPATH": str(ROOT / ".collections")}
    began = time.monotonic()
    with (folder / "input").open() as given, (folder / "output").open("w") as told:
        process = subprocess.Popen([sys.executable, "-m", MODULE], stdin=given, stdout=told, env=environment)
        _pid, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    result = json.loads((folder / "output").read_text(encoding="utf-8"))
    if result.get("failed") or result["errors"]:
        raise RuntimeError(str(result.get("msg") or result["errors"])[:3000])
    figures = {
        "wall, s": round(wall, 2),
        "CPU, s": round(usage.ru_utime + usage.ru_stime, 2),
        "memory, MiB": usage.ru_maxrss // 1024,
    }
    return figures, result


def chain(calls: list[Call]) -> tuple[int, str]:
    """The longest chain of calls that need each other, and what it is of.

    A service's list in a region is one chain of pages. What is told apart by its tags comes after those; a call for each
    resource after the list, as many at a time as one likes.
    """
    pages = Counter((call.region, call.service, call.operation) for call in calls)
    singly = {
        "DescribeTargetHealth",
        "DescribeCertificate",
        "DescribeTable",
        "GetQueueAttributes",
        "GetTopicAttributes",
    }
    details = defaultdict(int)
    for region, service, name in pages:
        if name in singly:
            details[region, service] = 1
    found = []
    for (region, service, name), number in pages.items():
        if name in singly or service in ("tagging", "sts"):
            continue
        tags = (
            0
            if service in ("ec2", "autoscaling", "rds", "elasticfilesystem")
            else pages[region, "tagging", "GetResources"]
        )
        steps = tags + number + details[region, service]
        found.append(
            (
                steps,
                f"{service}:{name} in {region}: {tags} of tags, {number} of the list, {details[region, service]} of details",
            )
        )
    return max(found)


def play(folder: Path, url: str, name: str, tasks: list[dict[str, Any]]) -> dict[str, Any]:
    """A play on localhost: its seconds."""
    path = folder / f"{name}.yml"
    hosts = {"hosts": "localhost", "gather_facts": False, "tasks": tasks}
    path.write_text(yaml.safe_dump([{"name": "Gather", **hosts}]), encoding="utf-8")
    environment = {**clean_environment(url), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_DEPRECATION_WARNINGS": "false"}
    environment["ANSIBLE_LOCALHOST_WARNING"] = "false"
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", str(path)]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    told = process.stdout.read() if process.stdout else ""
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the play {name} failed:\n{told[-3000:]}")
    return {"wall, s": round(time.monotonic() - began, 1), "CPU, s": round(usage.ru_utime + usage.ru_stime, 1)}


def compare(far: Far, folder: Path, regions: list[str]) -> dict[str, Any]:
    """The same kinds, by one task of ours and by a loop over the regions for each of the peers."""
    python = {"ansible_python_interpreter": sys.executable}
    task = {"regions": regions, "gather": ["resources"], "kinds": OURS, "cache_dir": str(folder / "cache")}
    ours = [{"name": "Ours", "spot.platform.estate_info": task, "vars": python}]
    theirs = [
        {
            "name": name,
            name: {**options, "region": "{{ item }}"},
            "loop": regions,
            "loop_control": {"label": "{{ item }}"},
            "no_log": True,  # of thousands of resources the output alone takes seconds
            "vars": python,
        }
        for name, options in PEERS.items()
    ]
    figures = {}
    for name, tasks in (("estate_info", ours), ("_info modules", theirs)):
        far.forget_calls()
        took = play(folder, far.url, name.replace(" ", ""), tasks)
        live = sum(not call.known for call in far.calls)
        figures[name] = {**took, "calls": len(far.calls), "answers that the sandbox had to give": live}
        print(f"  {name}: {figures[name]}", file=sys.stderr)
    for measure in ("wall, s", "CPU, s", "calls"):
        figures[f"times less {measure}"] = round(figures["_info modules"][measure] / figures["estate_info"][measure], 1)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resources", type=int, default=10_000)
    parser.add_argument("--regions", type=int, default=8, choices=range(1, 9))
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--without-peer", action="store_true", help="do not run the modules of others")
    options = parser.parse_args()
    regions = REGIONS[: options.regions]
    empty = "ap-northeast-1"
    with tempfile.TemporaryDirectory() as name, sandbox("--regions", ",".join([*regions, empty])) as url:
        folder, made = Path(name), 0
        for region in regions:
            print(f"making the resources of {region} ...", file=sys.stderr)
            made += build(url, region, options.resources // len(regions))
        with Far(url, options.latency) as far:
            start = min(
                run(far.url, folder, regions=[empty], gather=["resources"], kinds=["key_pair"])[0]["wall, s"]
                for _each in range(3)
            )
            start -= options.latency  # the one call and that for the account are side by side
            wanted = {"regions": regions, "gather": ["resources"]}
            run(far.url, folder, **wanted)  # the answers are fetched
            runs = []
            for _each in range(3):
                far.forget_calls()
                figures, result = run(far.url, folder, **wanted)
                runs.append(figures)
            calls = list(far.calls)
            whole = {**wanted, "gather": ["resources", "instances", "certificates", "service_accounts", "quotas"]}
            run(far.url, folder, **whole)
            more, _result = run(far.url, folder, **whole)
            report(options, regions, made, start, runs, calls, len(result["resources"]), more, {})
            if not options.without_peer:
                peers = compare(far, folder, regions)
                report(options, regions, made, start, runs, calls, len(result["resources"]), more, peers)
    print(table())


def report(
    options: argparse.Namespace,
    regions: list[str],
    made: int,
    start: float,
    runs: list[dict[str, Any]],
    calls: list[Call],
    found: int,
    more: dict[str, Any],
    peers: dict[str, Any],
) -> None:
    """Leave the record. ``start``: the seconds that Python and its imports take; ``more``: of a run for nearly all parts."""
    best = min(runs, key=lambda one: one["wall, s"])
    steps, what = chain(calls)
    path = start + steps * options.latency
    gathering = best["wall, s"] - start
    figures = {
        "resources": f"{found} in {len(regions)} regions, of {made} that were made",
        "best of three": best,
        "all three, wall, s": [one["wall, s"] for one in runs],
        "Python's start, s": round(start, 2),
        "longest chain": f"{steps} calls ({what}), {steps * options.latency:.2f} s",
        "wall / (start + chain)": round(best["wall, s"] / path, 2),
        "gathering alone / chain": round(gathering / (steps * options.latency), 2),
        "calls": len(calls),
        "calls one after the other, s": round(len(calls) * options.latency, 1),
        "answers not from memory": sum(not call.known for call in calls),
        "calls by operation": {
            f"{service}:{name}": number
            for (service, name), number in Counter((call.service, call.operation) for call in calls).most_common()
        },
        "with instances, certificates, service accounts, quotas": more,
        "side by side, as plays": peers,
    }
    met = best["wall, s"] <= WITHIN * path and best["memory, MiB"] < MEMORY and found >= options.resources * 0.98
    goal = f"{options.resources} resources in {len(regions)} regions within {WITHIN} times of start and longest chain, under {MEMORY} MiB"
    record("estate", figures, goal, met)


if __name__ == "__main__":
    main()
