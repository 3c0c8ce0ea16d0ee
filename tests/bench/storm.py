"""500 interruptions in one second over four regions, from SQS to a real ansible-rulebook, until each is dealt with.

Each region has a group of 150 Spot Instances behind a target group, of which 125 are told to go. EventBridge brings the notices to a queue; the rulebook
`spot` starts playbooks. An instance is dealt with when it is out of its target group and its replacement was asked for: as many
launches of its region as came before it in the order of removal. Times are real seconds from the notice; the sandbox's clock runs with
them. Three times: undisturbed, with the listener killed in the middle and started again, and with 30 % of the API calls throttled.

    python tests/bench/storm.py [--instances 500] [--only calm|killed|throttled]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / ".collections")]

from tests.bench.common import ask, clean_environment, record, sandbox  # noqa: E402 - the paths above have to be set first
from tests.integration.eda.conftest import Listener  # noqa: E402 - as above

REGIONS = ("us-east-1", "eu-west-1", "us-west-2", "ap-south-1")
ENVIRONMENT, APP = "bench", "web"
QUEUE = f"spot-platform-{ENVIRONMENT}-events"
GROUP = f"{ENVIRONMENT}-{APP}"
TYPES = ("m5.large", "m5a.large", "m6i.large")
GOAL = 60.0
"""Seconds, of the slowest of a hundred."""
PATIENT = Config(retries={"mode": "standard", "max_attempts": 20})
"""For what looks on: its calls are throttled too."""
AFTER_KILL = 3.0
"""Seconds after the notices at which the listener is killed."""


class World:
    """The sandbox with its groups, queues and rules."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.env = {key: value for key, value in clean_environment(url).items() if key.startswith("AWS_")}
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str) -> Any:
        if (service, region) not in self._clients:
            keys = {"aws_access_key_id": "sandbox", "aws_secret_access_key": "sandbox", "config": PATIENT}
            self._clients[service, region] = boto3.client(service, region_name=region, endpoint_url=self.url, **keys)
        return self._clients[service, region]

    def build(self, instances: int) -> None:
        """A group of ``instances`` in each region, in service behind a target group, and its queue."""
        for region in REGIONS:
            ask(self.url, "/sandbox/capacity", region=region, room=10**6)
            ec2, elbv2, sqs, events = (self.client(one, region) for one in ("ec2", "elbv2", "sqs", "events"))
            subnets = sorted(ec2.describe_subnets()["Subnets"], key=lambda one: one["AvailabilityZone"])[:3]
            image = "resolve:ssm:/aws/service/debian/release/12/latest/amd64"
            ec2.create_launch_template(LaunchTemplateName=GROUP, LaunchTemplateData={"ImageId": image})
            target_group = elbv2.create_target_group(
                Name=GROUP, Protocol="HTTP", Port=80, VpcId=subnets[0]["VpcId"], TargetType="instance"
            )["TargetGroups"][0]["TargetGroupArn"]
            elbv2.modify_target_group_attributes(
                TargetGroupArn=target_group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "10"}]
            )
            self.client("dynamodb", region).create_table(
                TableName=f"spot-platform-{ENVIRONMENT}",
                BillingMode="PAY_PER_REQUEST",
                KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            )
            policy = {
                "app": APP, "environment": ENVIRONMENT, "managed-by": "spot.platform", "unit": "instances",
                "target": instances, "min": 1, "max": 2 * instances, "on-demand-base": 0, "fallback": "on_demand",
            }  # fmt: skip
            self.client("autoscaling", region).create_auto_scaling_group(
                AutoScalingGroupName=GROUP,
                MinSize=1,
                MaxSize=4 * instances,
                DesiredCapacity=instances,
                TargetGroupARNs=[target_group],
                VPCZoneIdentifier=",".join(one["SubnetId"] for one in subnets),
                MixedInstancesPolicy={
                    "LaunchTemplate": {
                        "LaunchTemplateSpecification": {"LaunchTemplateName": GROUP, "Version": "$Latest"},
                        "Overrides": [{"InstanceType": kind, "WeightedCapacity": "1"} for kind in TYPES],
                    },
                    "InstancesDistribution": {
                        "OnDemandBaseCapacity": 0,
                        "OnDemandPercentageAboveBaseCapacity": 0,
                        "SpotAllocationStrategy": "price-capacity-optimized",
                    },
                },
                Tags=[
                    {"Key": f"spot.platform/{key}", "Value": str(value), "PropagateAtLaunch": True}
                    for key, value in policy.items()
                ],
            )
            queue = sqs.create_queue(QueueName=QUEUE)["QueueUrl"]
            arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            rule = events.put_rule(
                Name=QUEUE,
                EventPattern=json.dumps(
                    {"source": ["aws.ec2"], "detail-type": ["EC2 Spot Instance Interruption Warning"]}
                ),
            )["RuleArn"]
            statement = {
                "Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage",
                "Resource": arn, "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
            }  # fmt: skip
            allow = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": allow})
            events.put_targets(Rule=QUEUE, Targets=[{"Id": "queue", "Arn": arn}])
        ask(self.url, "/sandbox/clock", advance=600)

    def members(self, region: str) -> list[str]:
        pages = self.client("autoscaling", region).get_paginator("describe_auto_scaling_groups").paginate()
        return [one["InstanceId"] for page in pages for group in page["AutoScalingGroups"] for one in group["Instances"]]

    def registered(self, region: str) -> set[str]:
        """The targets that get requests."""
        (group,) = self.client("elbv2", region).describe_target_groups()["TargetGroups"]
        found = self.client("elbv2", region).describe_target_health(TargetGroupArn=group["TargetGroupArn"])
        return {
            one["Target"]["Id"]
            for one in found["TargetHealthDescriptions"]
            if one["TargetHealth"]["State"] not in ("draining", "unused")
        }

    def launched(self, region: str, known: set[str]) -> int:
        """How many instances there are that were not ``known``."""
        pages = self.client("ec2", region).get_paginator("describe_instances").paginate()
        return sum(
            one["InstanceId"] not in known for page in pages for part in page["Reservations"] for one in part["Instances"]
        )


def listener_of(world: World, folder: Path) -> Listener:
    """ansible-rulebook, as the role event_listener starts it, with the application's manifest."""
    made = Listener(world, folder, sys.executable, ENVIRONMENT)
    made.app(
        {
            "name": APP, "owner": "owner@example.com", "regions": list(REGIONS),
            "capacity": {"unit": "instances", "min": 1, "max": 10, "instance_types": list(TYPES)},
            "runtime": {"kind": "systemd", "command": "/usr/bin/sleep infinity"},
        }
    )  # fmt: skip
    return made


def listen(listener: Listener) -> None:
    """Begin to listen to the queues."""
    listener.start("spot.platform.spot", spot_queues=[{"name": QUEUE, "region": region} for region in REGIONS])


def storm(instances: int, how: str) -> dict[str, Any]:
    """Play it; the figures."""
    with sandbox("--regions", ",".join(REGIONS)) as url, tempfile.TemporaryDirectory() as name:
        world, folder = World(url), Path(name)
        world.build(instances // len(REGIONS) * 6 // 5)
        listener = listener_of(world, folder)
        listen(listener)
        try:
            return _storm(world, listener, instances // len(REGIONS), how)
        finally:
            listener.kill()


def _storm(world: World, listener: Listener, count: int, how: str) -> dict[str, Any]:
    known = {region: set(world.members(region)) for region in REGIONS}
    victims = {region: sorted(ids)[:count] for region, ids in known.items()}
    if how == "throttled":
        ask(world.url, "/sandbox/faults", rules=[{"kind": "throttle", "rate": 0.3}])
    ask(world.url, "/sandbox/interrupt", instance_ids=[one for ids in victims.values() for one in ids])
    began = time.monotonic()
    removed: dict[str, dict[str, float]] = {region: {} for region in REGIONS}
    asked: dict[str, list[float]] = {region: [] for region in REGIONS}
    killer = threading.Timer(AFTER_KILL, lambda: (listener.kill(), listen(listener)))
    if how == "killed":
        killer.start()
    looking = World(world.url)  # its calls are struck by faults too, and tried again
    while time.monotonic() - began < 115:
        for region in REGIONS:
            now = time.monotonic() - began
            if len(removed[region]) < len(victims[region]):
                gone = set(victims[region]) - looking.registered(region)
                removed[region].update({one: now for one in gone if one not in removed[region]})
            if len(asked[region]) < len(victims[region]):
                more = looking.launched(region, known[region]) - len(asked[region])
                asked[region] += [now] * more
        if all(len(removed[r]) >= len(victims[r]) and len(asked[r]) >= len(victims[r]) for r in REGIONS):
            break
        time.sleep(0.5)
    killer.join() if how == "killed" else None
    done = [
        max(out, launch)
        for region in REGIONS
        for out, launch in zip(sorted(removed[region].values()), sorted(asked[region]))
    ]
    missing = sum(map(len, victims.values())) - len(done)
    deadline = time.monotonic() + 240  # until all drained, or it would not be seen that a thing was done twice
    while time.monotonic() < deadline and any(_left(world, region) for region in REGIONS):
        time.sleep(0.5)
    told = Counter(one for event in listener.activity("interruption.handled") for one in event["after"]["ids"])
    surplus = {r: world.launched(r, known[r]) - len(victims[r]) for r in REGIONS}
    return {
        "instances": sum(map(len, victims.values())),
        "out of the target group, s": _spread([at for region in REGIONS for at in removed[region].values()]),
        "replacement asked for, s": _spread([at for region in REGIONS for at in asked[region]]),
        "dealt with, s": _spread(done),
        "lost": missing,
        "told twice": sum(count > 1 for count in told.values()),
        "launched beyond, share": round(sum(surplus.values()) / max(1, len(done)), 3),
        "runs of playbooks": listener.words().count("PLAY RECAP"),
        "messages left": sum(_left(world, region) for region in REGIONS),
    }


def _left(world: World, region: str) -> int:
    sqs = world.client("sqs", region)
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"], AttributeNames=names)
    return sum(int(found["Attributes"][one]) for one in names)


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 1),
        "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 1),
        "last": round(ordered[-1], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--instances", type=int, default=500)
    parser.add_argument("--only", choices=["calm", "killed", "throttled"])
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    for how in [options.only] if options.only else ["calm", "killed", "throttled"]:
        figures[how] = storm(options.instances, how)
        print(how, json.dumps(figures[how]), flush=True)
    met = all(
        one["dealt with, s"].get("p99", GOAL + 1) <= GOAL and not one["lost"] and not one["told twice"]
        for one in figures.values()
    )
    record("storm", figures, f"each dealt with within {GOAL:g} s (p99), none lost, none twice", met)


if __name__ == "__main__":
    main()
