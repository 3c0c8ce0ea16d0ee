"""The rulebook spot, in a real ansible-rulebook: what is told to go is replaced and drained, from SQS and from SNS."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.spot.platform.tests.integration.modules import balanced
from ansible_collections.spot.platform.tests.integration.modules.groups import advance, make, serving, spot_members

from .conftest import ENVIRONMENT, QUEUE, Listener, free_port, wait_for

REGION = "us-east-1"
APP = {
    "name": "web",
    "owner": "owner@example.com",
    "regions": [REGION],
    "capacity": {"unit": "vcpus", "min": 2, "max": 20, "instance_types": ["m5.large"]},
    "runtime": {"kind": "systemd", "command": "/usr/bin/sleep infinity"},
}
QUEUES = [{"name": QUEUE, "region": REGION}]


class Scene:
    """An application behind a target group, whose events come to a queue and a topic."""

    def __init__(self, sandbox: Any, listener: Listener, run_module: Any) -> None:
        self.sandbox, self.listener = sandbox, listener
        make(sandbox)
        self.target_group = balanced.balance(sandbox)
        sandbox.client("elbv2", REGION).modify_target_group_attributes(
            TargetGroupArn=self.target_group,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}],
        )
        advance(sandbox, 300)
        routed = run_module("event_routing", {"environment": ENVIRONMENT, "regions": [REGION]})
        assert not routed.get("failed"), routed
        self.topic = routed["regions"][0]["topic_arn"]
        listener.app(APP)

    def left(self, queue: str = QUEUE) -> int:
        """Messages that are in a queue, hidden or not."""
        sqs = self.sandbox.client("sqs", REGION)
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def interrupt(self, count: int = 2) -> list[str]:
        """Notices for instances that serve; returns their ids."""
        victims = self.members()[:count]
        assert len(victims) == count
        self.sandbox.post("/sandbox/interrupt", instance_ids=victims)
        return victims

    def handled(self, victims: list[str]) -> None:
        """Wait until they are out of the target group, and were told of once; what replaces them serves."""
        wait_for(lambda: not set(victims) & balanced.serving(self.sandbox, self.target_group), "they are drained", 90)
        wait_for(lambda: set(self.told()) >= set(victims), "they are in the activity", 60)
        wait_for(lambda: serving(self.sandbox) >= 8, "what replaces them serves", 60)
        assert self.told() == Counter(victims)

    def members(self) -> list[str]:
        """Spot Instances that serve."""
        return sorted(set(spot_members(self.sandbox)) & balanced.serving(self.sandbox, self.target_group))

    def replaced(self) -> Counter[str]:
        """How often each was told of as replaced for its health."""
        return Counter(one for event in self.listener.activity("health.replaced") for one in event["after"]["ids"])

    def waiting(self) -> set[str]:
        """Those that are unhealthy and wait."""
        return {one for event in self.listener.activity("health.waiting") for one in event["after"]["ids"]}

    def told(self) -> Counter[str]:
        """How often each was told of as handled."""
        return Counter(one for event in self.listener.activity("interruption.handled") for one in event["after"]["ids"])


@pytest.fixture
def scene(fresh: Any, listener: Listener, run_module: Any) -> Scene:
    return Scene(fresh, listener, run_module)


def test_interruptions_from_a_queue(scene: Scene) -> None:
    scene.listener.start("spot.platform.spot", spot_queues=QUEUES)
    scene.handled(scene.interrupt())
    wait_for(lambda: scene.left() == 0, "the messages are deleted")
    assert scene.left(f"{QUEUE}-dead") == 0


def test_interruptions_from_a_topic(scene: Scene, tmp_path: Path) -> None:
    roots, port = tmp_path / "roots.pem", free_port()
    roots.write_text(scene.sandbox.get("/sandbox/sns/root")["pem"], encoding="utf-8")
    scene.listener.start("spot.platform.spot", spot_topics=[scene.topic], spot_sns_port=port, spot_ca_file=str(roots))
    sns = scene.sandbox.client("sns", REGION)
    sns.subscribe(TopicArn=scene.topic, Protocol="http", Endpoint=f"http://127.0.0.1:{port}/")

    def confirmed() -> bool:
        (one,) = sns.list_subscriptions_by_topic(TopicArn=scene.topic)["Subscriptions"]
        return str(one["SubscriptionArn"]).startswith("arn:")

    wait_for(confirmed, "the subscription is confirmed")
    scene.handled(scene.interrupt())


def test_a_listener_that_is_killed_leaves_nothing_undone_and_does_nothing_twice(scene: Scene) -> None:
    scene.listener.start("spot.platform.spot", spot_queues=QUEUES)
    victims = scene.interrupt()
    wait_for(lambda: "PLAY [" in scene.listener.words(), "a playbook runs")
    scene.listener.kill()
    scene.listener.start("spot.platform.spot", spot_queues=QUEUES)
    scene.handled(victims)
    scene.sandbox.post("/sandbox/clock", advance=60)  # what the killed one had received comes again
    wait_for(lambda: scene.left() == 0, "the messages are deleted")
    assert scene.told() == Counter(victims)


def test_a_playbook_that_fails_is_run_again(scene: Scene) -> None:
    victims = scene.interrupt()
    denied = {"kind": "denied", "service": "ec2", "operation": "DescribeInstances"}
    scene.sandbox.post("/sandbox/faults", rules=[denied])
    scene.listener.start("spot.platform.spot", spot_queues=QUEUES)
    wait_for(lambda: "failed=1" in scene.listener.words(), "it fails")
    assert scene.left() >= len(victims)
    scene.sandbox.post("/sandbox/faults", rules=[])
    scene.handled(victims)
