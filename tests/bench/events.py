"""Events on their way in: how many messages of SNS one core verifies, and how many events the inbox takes and gives.

Messages are signed with a key of 2048 bits, as SNS's are, and carry a recorded interruption notice. What the verification costs is
compared with the signature's alone, by `cryptography`, in the same run. Times are CPU times of one thread; those of 500 events that
come at once, onto the disk, are the clock's.

    python tests/bench/events.py [--messages 3000] [--events 20000]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / ".collections")]

from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.envelope import (
    envelopes,
    now_text,
)  # noqa: E402  the paths above come first
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.inbox import Arrival, Inbox  # noqa: E402
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.sns import (  # noqa: E402
    HASHES,
    Certificates,
    Expected,
    Verifier,
    string_to_sign,
)
from ansible_collections.spot.platform.tests.unit.eda import signing  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import padding  # noqa: E402
from tests.bench.common import record  # noqa: E402

NOTICE = json.loads((ROOT / "tests/integration/eda/fixtures/aws/spot_interruption.json").read_text(encoding="utf-8"))
BATCH = 10
"""Messages of one call of SQS, and so of one transaction."""


def notice(number: int) -> dict[str, Any]:
    """The notice for an instance of its own."""
    detail = {"instance-id": f"i-{number:017x}", "instance-action": "terminate"}
    return {**NOTICE, "id": f"{number:032x}", "region": f"us-east-{1 + number % 4}", "detail": detail}


def verification(count: int) -> tuple[dict[str, Any], bool]:
    """Messages a second, whole and the signature alone, and the certificates that were fetched."""
    authority, key = signing.Authority("root"), signing.new_key("sns")
    chain, fetched = signing.pem(authority.leaf(key)), []
    figures: dict[str, Any] = {"messages": count}
    share = 1.0

    async def fetch(url: str) -> bytes:
        fetched.append(url)
        return chain

    async def all_of(verifier: Verifier, bodies: list[bytes]) -> None:
        for one in bodies:
            await verifier.verified(one)

    verifier = Verifier(Expected([signing.TOPIC]), Certificates(fetch, [authority.certificate]))
    for version in ("1", "2"):
        messages = [signing.signed(signing.message(version=version, Message=json.dumps(notice(n))), key) for n in range(count)]
        bodies = [json.dumps(one).encode() for one in messages]
        bare = [(base64.b64decode(one["Signature"]), string_to_sign(one)) for one in messages]
        public, algorithm, scheme = key.public_key(), HASHES[version], padding.PKCS1v15()
        start = time.process_time()
        for signature, signed in bare:
            public.verify(signature, signed, scheme, algorithm)
        alone = time.process_time() - start
        start = time.process_time()
        asyncio.run(all_of(verifier, bodies))
        whole = time.process_time() - start
        share = min(share, alone / whole)
        figures[f"version_{version}"] = {
            "messages_per_second": round(count / whole),
            "signatures_alone_per_second": round(count / alone),
            "share_of_the_signature": round(alone / whole, 2),
        }
    figures["certificate_fetches"] = len(fetched)
    return figures, share >= 0.25 and len(fetched) == 1


def passage(folder: str | None, count: int, clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of the clock in which so many messages become envelopes, are taken in, leave in batches and are done."""
    bodies = [json.dumps(notice(number)) for number in range(count)]
    inbox = Inbox(folder, "bench")
    start = clock()
    for begin in range(0, count, BATCH):
        part = range(begin, min(begin + BATCH, count))
        inbox.add([Arrival(one, f"handle {n}") for n in part for one in envelopes(bodies[n], "bench", now_text())], time.time())
    done = 0
    while batches := inbox.take(time.time(), 0, 100, 8):
        for batch in batches:
            inbox.offer(batch.id)
            done += len(inbox.finish(batch.id, time.time()))
    spent = clock() - start
    assert done == count, f"{done} of {count} came out"
    inbox.close()
    return spent


def throughput(count: int) -> tuple[dict[str, Any], bool]:
    """Events a second through the inbox, in memory and on the disk of this machine's temporary folder, and of envelopes alone."""
    message = json.dumps(notice(1))
    start = time.process_time()
    for _number in range(count):
        envelopes(message, "bench", "2026-11-11T21:30:00.000Z")
    alone = time.process_time() - start
    memory = passage(None, count)
    with tempfile.TemporaryDirectory() as folder:
        disk = passage(folder, count)
    with tempfile.TemporaryDirectory() as folder:
        storm = passage(folder, 500, time.perf_counter)
    figures = {
        "events": count,
        "envelopes_per_second": round(count / alone),
        "per_second_in_memory": round(count / memory),
        "per_second_on_disk": round(count / disk),
        "disk_to_memory": round(disk / memory, 1),
        "seconds_of_500_on_disk": round(storm, 3),
    }
    return figures, storm < 1


def main() -> None:
    """Run both and record them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--events", type=int, default=20000)
    arguments = parser.parse_args()
    figures, met = verification(arguments.messages)
    goal = "a message of SNS is verified whole in at most four times what its signature alone costs; one certificate fetch"
    print(record("events_sns", figures, goal, met))
    figures, met = throughput(arguments.events)
    goal = "500 interruptions are taken in and given out, safely on disk, within the second in which they come"
    print(record("events_inbox", figures, goal, met))


if __name__ == "__main__":
    main()
