"""A queue worker that may be interrupted at any time: a job is deleted from the queue only once it is done."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import threading
import time
import urllib.request
from typing import Any

METADATA = "http://169.254.169.254/latest"
VISIBILITY = 120
"""Seconds until a job that was not finished goes to another worker: the length of an interruption notice."""

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("worker")
stopping = threading.Event()


def metadata(path: str, method: str = "GET", **headers: str) -> str:
    """The instance metadata at `path`, by version 2 of the service. Raises OSError when there is none."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"{METADATA}/{path}", method=method, headers=names)
    with urllib.request.urlopen(request, timeout=2) as answer:
        return answer.read().decode()


def watch_for_interruption(every: float = 5.0) -> None:
    """Stop taking jobs as soon as EC2 announces that it takes the instance away."""
    while not stopping.wait(every):
        try:
            token = metadata("api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
            log.info(
                "interruption announced: %s", metadata("meta-data/spot/instance-action", X_aws_ec2_metadata_token=token)
            )
            stopping.set()
        except OSError:  # 404: nothing is announced
            continue


def work(job: dict[str, Any]) -> str:
    """The job itself: the digest of its text, after as many seconds as it asks for."""
    time.sleep(float(job.get("seconds", 0)))
    return hashlib.sha256(str(job.get("text", "")).encode()).hexdigest()


def run(queue: Any, url: str) -> int:
    """Take and do jobs from the queue until told to stop; the number of jobs done."""
    done = 0
    while not stopping.is_set():
        answer = queue.receive_message(QueueUrl=url, WaitTimeSeconds=10, VisibilityTimeout=VISIBILITY)
        for message in answer.get("Messages", []):
            try:
                log.info("%s: %s", message["MessageId"], work(json.loads(message["Body"])))
            except ValueError as error:
                log.warning("%s is not a job, dropped: %s", message["MessageId"], error)
            queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            done += 1
    return done


def main() -> None:
    """Work on the queue that the environment names, until SIGTERM or an interruption notice."""
    import boto3  # from the Debian package python3-boto3, which the manifest asks for

    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    threading.Thread(target=watch_for_interruption, daemon=True).start()
    token = metadata("api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
    region = metadata("meta-data/placement/region", X_aws_ec2_metadata_token=token)
    queue = boto3.client("sqs", region_name=region)
    url = queue.get_queue_url(QueueName=os.environ["QUEUE_NAME"])["QueueUrl"]
    log.info("%d jobs done", run(queue, url))


if __name__ == "__main__":
    main()
