"""The rulebook spot, in a real ansible-rulebook: what is told to go is replaced and drained, from SQS and from SNS."""

from __future__ import annotations

from pathlib import Path

from .conftest import QUEUE, QUEUES, REGION, Scene, free_port, wait_for


def test_interruptions_from_a_queue(scene: Scene) -> None:
    scene.listener.start("spot.platform.spot", spot_queues=QUEUES)
    scene.handled(scene.interrupt())
    wait_for(lambda: scene.left() == 0, "the messages are deleted", 180)
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
    scene.replaced_and_drained(victims)
    scene.sandbox.post("/sandbox/clock", advance=60)  # what the killed one had received comes again
    wait_for(lambda: scene.left() == 0, "the messages are deleted", 180)
    assert max(scene.told().values(), default=0) <= 1  # who is killed before it records leaves no word


def test_a_playbook_that_fails_is_run_again(scene: Scene) -> None:
    victims = scene.interrupt()
    denied = {"kind": "denied", "service": "ec2", "operation": "DescribeInstances"}
    scene.sandbox.post("/sandbox/faults", rules=[denied])
    scene.listener.start("spot.platform.spot", spot_queues=QUEUES)
    wait_for(lambda: "failed=1" in scene.listener.words(), "it fails")
    assert scene.left() >= len(victims)
    scene.sandbox.post("/sandbox/faults", rules=[])
    scene.handled(victims)
