"""From one HTTP event to the first change in AWS: a signed webhook says that an instance is unhealthy, and its replacement is asked for.

The rulebook `health` runs in a real ansible-rulebook; each time is another instance of a group of a hundred. The legs: until the
source has the event on its disk and answers; until the rules have the batch (its window is in it); until the playbook's first API call;
until its first change, which observing the group, the market and what is paid for comes before.

    python tests/bench/reaction.py [--times 11]
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import statistics
import sys
import tempfile
import time
import urllib.request
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / ".collections")]

from ansible_collections.spot.platform.plugins.module_utils.sinks import (  # noqa: E402 - the paths above have to be set first
    signature,
)

from tests.bench import storm  # noqa: E402 - as above
from tests.bench.common import ask, calls, record, sandbox  # noqa: E402 - as above
from tests.integration.eda.conftest import Listener  # noqa: E402 - as above

GOAL = 4.0
"""Seconds, the median."""
SECRET = "a-secret-of-a-bench"
READING = ("Describe", "Get", "BatchGet", "List", "Receive")
REGION = storm.REGIONS[0]
OFFERED = re.compile(r"^(\S+ \S+) - spot\.platform\.events - INFO - webhook: 1 events", re.MULTILINE)


def post(port: int, instance: str) -> None:
    """The event."""
    body = json.dumps({"kind": "instance.unhealthy", "summary": "it does not answer", "ids": [instance]}).encode()
    moment = str(int(time.time()))
    headers = {"X-Spot-Timestamp": moment, "X-Spot-Signature": signature(SECRET, moment, body)}
    with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/", data=body, headers=headers)) as answer:
        answer.read()


def once(world: storm.World, listener: Listener, port: int, instance: str) -> dict[str, float]:
    """The seconds of each leg."""
    known = len(OFFERED.findall(listener.words()))
    ask(world.url, "/sandbox/calls/reset", all=True)
    began = time.time()
    post(port, instance)
    taken, first, changed = time.time(), 0.0, 0.0
    while not changed:
        made = calls(world.url)
        now = time.time()
        first = first or (now if made else 0.0)
        changed = now if any(not name.split(":")[1].startswith(READING) for name in made) else 0.0
        if now - began > 60:
            raise RuntimeError(f"nothing happened: {listener.words()[-2000:]}")
        time.sleep(0.02)
    text = OFFERED.findall(listener.words())[known]
    offered = datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f").timestamp()
    return {
        "taken in": taken - began,
        "at the rules": offered - taken,
        "first call": first - offered,
        "first change": changed - first,
        "whole": changed - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=11)
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found: list[dict[str, float]] = []
    with sandbox("--regions", ",".join(storm.REGIONS)) as url, tempfile.TemporaryDirectory() as folder:
        world = storm.World(url)
        world.build(100)
        listener = storm.listener_of(world, Path(folder))
        listener.start("spot.platform.health", spot_webhook_secret=SECRET, spot_webhook_port=port)
        try:
            told: set[str] = set()
            while len(found) <= options.times:
                instance = min(set(world.members(REGION)) - told)  # those that are there: the group ends some that were replaced
                told.add(instance)
                found.append(once(world, listener, port, instance))
                done = listener.words().count("PLAY RECAP")
                while listener.words().count("PLAY RECAP") == done and len(found) > done:
                    time.sleep(0.1)
        finally:
            listener.kill()
    legs = {name: round(statistics.median(one[name] for one in found[1:]), 2) for name in found[0]}  # the first fills caches
    record("reaction", {f"{name}, s": value for name, value in legs.items()}, f"median below {GOAL:g} s", legs["whole"] < GOAL)
    print(json.dumps(legs))


if __name__ == "__main__":
    main()
