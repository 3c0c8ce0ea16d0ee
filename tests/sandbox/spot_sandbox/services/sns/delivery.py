"""Messages on their way to HTTP endpoints, from threads of their own: no call waits for an endpoint."""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

import requests

log = logging.getLogger("spot_sandbox")

PAUSES = (0.2, 0.5, 1.0)
"""Real seconds before each further attempt; SNS waits longer, and tries more often."""
TIMEOUT = 15.0
WORKERS = 4
AGENT = "Amazon Simple Notification Service Agent"


@dataclass
class Delivery:
    """A message for an endpoint. ``give_up``: called where it could not be delivered."""

    endpoint: str
    body: str
    headers: dict[str, str]
    give_up: Callable[[], None]
    attempt: int = 0


_waiting: queue.Queue[Delivery] = queue.Queue()
_threads: list[threading.Thread] = []


def send(one: Delivery) -> None:
    """Deliver in the background, in several attempts."""
    if not _threads:
        _threads.extend(threading.Thread(target=_run, daemon=True, name=f"sns-{number}") for number in range(WORKERS))
        for thread in _threads:
            thread.start()
    _waiting.put(one)


def headers(kind: str, message_id: str, topic_arn: str, subscription_arn: str | None, raw: bool) -> dict[str, str]:
    """The headers of SNS."""
    found = {
        "x-amz-sns-message-type": kind,
        "x-amz-sns-message-id": message_id,
        "x-amz-sns-topic-arn": topic_arn,
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": AGENT,
    }
    if subscription_arn:
        found["x-amz-sns-subscription-arn"] = subscription_arn
    if raw:
        found["x-amz-sns-rawdelivery"] = "true"
    return found


def _run() -> None:
    while True:
        one = _waiting.get()
        if _deliver(one):
            continue
        if one.attempt < len(PAUSES):
            pause = PAUSES[one.attempt]
            one.attempt += 1
            timer = threading.Timer(pause, _waiting.put, [one])
            timer.daemon = True
            timer.start()
        else:
            one.give_up()


def _deliver(one: Delivery) -> bool:
    try:
        answer = requests.post(
            one.endpoint, data=one.body.encode(), headers=one.headers, timeout=TIMEOUT, allow_redirects=False, verify=False
        )
        return 200 <= answer.status_code < 300
    except (requests.RequestException, ValueError) as failed:
        log.info("SNS could not deliver to %s: %s", one.endpoint, failed)
        return False


def body(message: dict[str, object]) -> str:
    """As SNS writes a message."""
    return json.dumps(message, indent=2)


