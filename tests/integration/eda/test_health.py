"""The rulebook health, in a real ansible-rulebook: alerts and signed webhooks replace an instance, strangers replace none."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.sinks import signature

from .conftest import Scene, free_port, wait_for

TOKEN, SECRET = "a-token-of-a-test", "a-secret-of-a-test"


def post(port: int, message: Any, **headers: str) -> int:
    """The status of the answer."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=json.dumps(message).encode(), headers=named)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def alert(instance: str) -> dict[str, Any]:
    """What Alertmanager posts, of one alert that fires and one that has another meaning."""
    labels = {"alertname": "HostDown", "app": "web", "region": "us-east-1", "instance_id": instance}
    firing = {"status": "firing", "startsAt": "2026-11-25T10:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "annotations": {}}
    return {
        "version": "4",
        "groupKey": "{}",
        "status": "firing",
        "alerts": [
            {**firing, "fingerprint": "a", "labels": {**labels, "event_kind": "instance.unhealthy"}},
            {**firing, "fingerprint": "b", "labels": {**labels, "alertname": "DiskFull"}},
        ],
    }


def test_alerts_and_webhooks_replace_instances_within_the_budget(scene: Scene) -> None:
    alerts, webhooks = free_port(), free_port()
    scene.listener.start(
        "spot.platform.health",
        spot_alertmanager_port=alerts,
        spot_alertmanager_token=TOKEN,
        spot_webhook_port=webhooks,
        spot_webhook_secret=SECRET,
    )
    first, second = scene.members()[:2]
    assert post(alerts, alert(first)) == 401
    assert post(alerts, alert(first), Authorization=f"Bearer {TOKEN}") == 200
    wait_for(lambda: first in scene.replaced(), "the alert's instance is replaced", 90)
    message = {"kind": "instance.unhealthy", "summary": "it does not answer", "ids": [second]}
    assert post(webhooks, message) == 403
    moment = str(int(time.time()))
    signed = signature(SECRET, moment, json.dumps(message).encode())
    assert post(webhooks, message, X_Spot_Timestamp=moment, X_Spot_Signature=signed) == 200
    wait_for(lambda: second in scene.waiting(), "the webhook's instance waits: one of four goes at a time", 90)
    assert set(scene.replaced()) == {first}
