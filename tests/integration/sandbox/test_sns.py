"""SNS: subscriptions of HTTP endpoints, and signatures that verify."""

from __future__ import annotations

import base64
import json
import queue
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

REGION = "eu-west-1"
SIGNED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
ASKED = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


class Endpoint(ThreadingHTTPServer):
    """Keeps what it is posted; answers with the next of ``answers``, then with 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Post)
        self.url = f"http://127.0.0.1:{self.server_port}/events"
        self.posts: queue.Queue[tuple[dict[str, str], str]] = queue.Queue()
        self.answers: list[int] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def next(self) -> tuple[dict[str, str], Any]:
        headers, text = self.posts.get(timeout=10)
        return headers, json.loads(text)

    def nothing(self) -> bool:
        try:
            self.posts.get(timeout=0.5)
        except queue.Empty:
            return True
        return False


class Post(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.posts.put(({key.lower(): value for key, value in self.headers.items()}, text))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def topic(fresh: Any) -> str:
    return fresh.client("sns", REGION).create_topic(Name="events")["TopicArn"]


def subscribed(sandbox: Any, topic: str, endpoint: Endpoint, **attributes: str) -> str:
    """Subscribe the endpoint, and confirm it; returns the subscription."""
    sns = sandbox.client("sns", REGION)
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url, Attributes=attributes)
    token = endpoint.next()[1]["Token"]
    return sns.confirm_subscription(TopicArn=topic, Token=token)["SubscriptionArn"]


def verify(sandbox: Any, message: dict[str, str], keys: tuple[str, ...] = SIGNED) -> None:
    """As the SNS developer guide says."""
    address = message["SigningCertURL"]
    assert address.startswith(f"https://sns.{REGION}.amazonaws.com/SimpleNotificationService-")
    with urllib.request.urlopen(sandbox.url + "/" + address.rpartition("/")[2]) as answer:
        certificate = x509.load_pem_x509_certificate(answer.read())
    text = "".join(f"{key}\n{message[key]}\n" for key in keys if key in message)
    algorithm = {"1": hashes.SHA1(), "2": hashes.SHA256()}[message["SignatureVersion"]]
    certificate.public_key().verify(base64.b64decode(message["Signature"]), text.encode(), padding.PKCS1v15(), algorithm)


def test_an_endpoint_gets_nothing_before_it_confirmed(fresh: Any, topic: str, endpoint: Endpoint) -> None:
    sns = fresh.client("sns", REGION)
    answer = sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url)
    assert answer["SubscriptionArn"] == "pending confirmation"
    headers, asked = endpoint.next()
    assert headers["x-amz-sns-message-type"] == asked["Type"] == "SubscriptionConfirmation"
    assert (headers["x-amz-sns-topic-arn"], headers["user-agent"]) == (topic, "Amazon Simple Notification Service Agent")
    assert headers["content-type"] == "text/plain; charset=UTF-8" and "x-amz-sns-subscription-arn" not in headers
    verify(fresh, asked, ASKED)
    (listed,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert listed["SubscriptionArn"] == "PendingConfirmation"
    sns.publish(TopicArn=topic, Message="too early")
    assert endpoint.nothing()
    query = asked["SubscribeURL"].partition("/?")[2]
    with urllib.request.urlopen(f"{fresh.url}/?{query}") as page:  # as whoever clicks on it
        assert topic in page.read().decode()
    sns.publish(TopicArn=topic, Message="now")
    headers, message = endpoint.next()
    (listed,) = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert message["Message"] == "now" and headers["x-amz-sns-subscription-arn"] == listed["SubscriptionArn"]


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "Of the market"])
def test_a_message_verifies(fresh: Any, topic: str, endpoint: Endpoint, version: str, subject: str | None) -> None:
    sns = fresh.client("sns", REGION)
    sns.set_topic_attributes(TopicArn=topic, AttributeName="SignatureVersion", AttributeValue=version)
    subscribed(fresh, topic, endpoint)
    sns.publish(TopicArn=topic, Message="line\nand ümlaut", **({"Subject": subject} if subject else {}))
    message = endpoint.next()[1]
    assert (message["SignatureVersion"], message.get("Subject")) == (version, subject)
    verify(fresh, message)


def test_a_token_of_another_topic_confirms_nothing(fresh: Any, topic: str, endpoint: Endpoint) -> None:
    sns = fresh.client("sns", REGION)
    other = sns.create_topic(Name="other")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url)
    token = endpoint.next()[1]["Token"]
    for arn, wrong in ((other, token), (topic, "0" * 128)):
        with pytest.raises(sns.exceptions.InvalidParameterException):
            sns.confirm_subscription(TopicArn=arn, Token=wrong)


def test_raw_delivery_and_filters(fresh: Any, topic: str, endpoint: Endpoint) -> None:
    subscription = subscribed(fresh, topic, endpoint, FilterPolicy=json.dumps({"kind": ["spot"]}))
    sns = fresh.client("sns", REGION)
    sns.set_subscription_attributes(
        SubscriptionArn=subscription, AttributeName="RawMessageDelivery", AttributeValue="true"
    )
    for kind in ("other", "spot"):
        attributes = {"kind": {"DataType": "String", "StringValue": kind}}
        sns.publish(TopicArn=topic, Message=json.dumps({"kind": kind}), MessageAttributes=attributes)
    headers, message = endpoint.next()
    assert message == {"kind": "spot"} and headers["x-amz-sns-rawdelivery"] == "true" and endpoint.nothing()


def test_what_fails_is_tried_again_and_then_a_dead_letter(fresh: Any, topic: str, endpoint: Endpoint) -> None:
    sqs = fresh.client("sqs", REGION)
    url = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    subscribed(fresh, topic, endpoint, RedrivePolicy=json.dumps({"deadLetterTargetArn": arn}))
    sns = fresh.client("sns", REGION)
    endpoint.answers = [500, 503]
    sns.publish(TopicArn=topic, Message="patience")
    assert len({endpoint.next()[1]["MessageId"] for _attempt in range(3)}) == 1 and endpoint.nothing()
    endpoint.answers = [500] * 4
    sns.publish(TopicArn=topic, Message="in vain")
    ids = {endpoint.next()[1]["MessageId"] for _attempt in range(4)}
    (dead,) = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
    assert {json.loads(dead["Body"])["MessageId"]} == ids


def test_an_endpoint_that_is_gone_hears_of_it(fresh: Any, topic: str, endpoint: Endpoint) -> None:
    subscription = subscribed(fresh, topic, endpoint)
    sns = fresh.client("sns", REGION)
    sns.unsubscribe(SubscriptionArn=subscription)
    assert endpoint.next()[1]["Type"] == "UnsubscribeConfirmation"
    sns.publish(TopicArn=topic, Message="nobody")
    assert endpoint.nothing()


def test_anything_can_be_signed(fresh: Any) -> None:
    message = {
        "Type": "Notification",
        "MessageId": "1",
        "TopicArn": f"arn:aws:sns:{REGION}:123456789012:any",
        "Message": "forged",
        "Timestamp": "2020-01-01T00:00:00.000Z",
    }
    verify(fresh, fresh.post("/sandbox/sns/sign", message=message, version="2"))
    with pytest.raises(ValueError, match="version '3' is not known"):
        fresh.post("/sandbox/sns/sign", message=message, version="3")
