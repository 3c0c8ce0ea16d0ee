"""SNS over HTTP: confirmed, signed, filtered, tried again and given up, as AWS does it."""

from __future__ import annotations

import base64
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.verification import PolicyBuilder, Store
from spot_sandbox.sns_signing import Authority, string_to_sign

from .endpoint import Endpoint


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """An endpoint that takes everything."""
    made = Endpoint()
    yield made
    made.close()


def subscribe(aws: Any, topic: str, endpoint: Endpoint, **attributes: str) -> str:
    """Subscribe, confirm by the token, and return the subscription's ARN."""
    number = len(endpoint.posts) + 1
    aws.sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url, Attributes=attributes)
    token = endpoint.message(number)["Token"]
    return aws.sns.confirm_subscription(TopicArn=topic, Token=token)["SubscriptionArn"]


def signing_certificate(aws: Any, message: dict[str, Any]) -> x509.Certificate:
    """From the address in the message, asked of the sandbox instead of AWS; its chain leads to the sandbox's root."""
    path = message["SigningCertURL"].removeprefix(f"https://sns.{aws.region}.amazonaws.com")
    assert re.fullmatch(r"/SimpleNotificationService-[0-9a-f]{32}\.pem", path)
    pem = urllib.request.urlopen(aws.sandbox.url + path, timeout=10).read()
    root = x509.load_pem_x509_certificate(aws.sandbox.get("/sandbox/sns/root")["pem"].encode())
    leaf, *others = x509.load_pem_x509_certificates(pem)
    verifier = PolicyBuilder().store(Store([root])).build_server_verifier(x509.DNSName("sns.amazonaws.com"))
    verifier.verify(leaf, others)
    return leaf


def verify(certificate: x509.Certificate, message: dict[str, Any]) -> None:
    algorithm = {"1": hashes.SHA1, "2": hashes.SHA256}[message["SignatureVersion"]]()
    signature = base64.b64decode(message["Signature"])
    certificate.public_key().verify(signature, string_to_sign(message), padding.PKCS1v15(), algorithm)


def listed(aws: Any, topic: str) -> list[str]:
    return [s["SubscriptionArn"] for s in aws.sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]]


def counted(aws: Any, topic: str) -> tuple[str, str]:
    found = aws.sns.get_topic_attributes(TopicArn=topic)["Attributes"]
    return found["SubscriptionsPending"], found["SubscriptionsConfirmed"]


def through_the_sandbox(aws: Any, url: str) -> str:
    """What AWS's host would answer without credentials."""
    path = url.removeprefix(f"https://sns.{aws.region}.amazonaws.com")
    return urllib.request.urlopen(aws.sandbox.url + path, timeout=10).read().decode()


def test_a_subscription_is_pending_until_its_url_is_visited(aws: Any, endpoint: Endpoint) -> None:
    topic = aws.topic("news")
    answer = aws.sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url)
    assert answer["SubscriptionArn"] == "pending confirmation"
    assert (listed(aws, topic), counted(aws, topic)) == (["PendingConfirmation"], ("1", "0"))
    headers, _body = endpoint.wait(1)[0]
    message = endpoint.message(1)
    assert headers["x-amz-sns-message-type"] == message["Type"] == "SubscriptionConfirmation"
    assert headers["x-amz-sns-message-id"] == message["MessageId"]
    assert headers["x-amz-sns-topic-arn"] == message["TopicArn"] == topic
    assert headers["content-type"] == "text/plain; charset=UTF-8"
    assert headers["user-agent"] == "Amazon Simple Notification Service Agent"
    assert "x-amz-sns-subscription-arn" not in headers
    assert message["SubscribeURL"] == (
        f"https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={topic}&Token={message['Token']}"
    )
    verify(signing_certificate(aws, message), message)
    aws.sns.publish(TopicArn=topic, Message="too early")
    shown = through_the_sandbox(aws, message["SubscribeURL"])
    (arn,) = re.findall("<SubscriptionArn>(.+)</SubscriptionArn>", shown)
    assert (listed(aws, topic), counted(aws, topic)) == ([arn], ("0", "1"))
    attributes = aws.sns.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    assert (attributes["PendingConfirmation"], attributes["ConfirmationWasAuthenticated"]) == ("false", "false")
    aws.sns.publish(TopicArn=topic, Message="now")
    assert endpoint.message(2)["Message"] == "now"


def test_tokens_are_checked_and_run_out(aws: Any, endpoint: Endpoint, refused: Any) -> None:
    topic, other = aws.topic("news"), aws.topic("other")
    aws.sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url)
    token = endpoint.message(1)["Token"]
    for arn, value in ((topic, "wrong"), (other, token)):
        assert refused(aws.sns.confirm_subscription, TopicArn=arn, Token=value)[0] == "InvalidParameter"
    with pytest.raises(urllib.error.HTTPError) as failed:
        through_the_sandbox(aws, f"https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn={topic}&Token=x")
    assert failed.value.code == 400
    aws.advance(2 * 86400 + 1)
    assert "expired" in refused(aws.sns.confirm_subscription, TopicArn=topic, Token=token)[1]
    aws.advance(86400)
    assert listed(aws, topic) == []


def test_an_endpoint_must_be_of_its_protocol(aws: Any, refused: Any) -> None:
    topic = aws.topic("news")
    given = {"TopicArn": topic, "Protocol": "https", "Endpoint": "http://127.0.0.1/"}
    assert refused(aws.sns.subscribe, **given)[0] == "InvalidParameter"


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "Hé, a subject"])
def test_a_notification_is_signed_with_what_it_holds(
    aws: Any, endpoint: Endpoint, version: str, subject: str | None
) -> None:
    topic = aws.topic("news", SignatureVersion=version)
    arn = subscribe(aws, topic, endpoint)
    attributes = {"kind": {"DataType": "String", "StringValue": "spot"}}
    more = {"Subject": subject} if subject else {}
    sent = aws.sns.publish(TopicArn=topic, Message="two\nlines, ü", MessageAttributes=attributes, **more)
    message = endpoint.message(2)
    headers = endpoint.wait(2)[1][0]
    assert headers["x-amz-sns-message-type"] == message["Type"] == "Notification"
    assert headers["x-amz-sns-subscription-arn"] == arn
    assert message["MessageId"] == sent["MessageId"] and message["Message"] == "two\nlines, ü"
    assert message["SignatureVersion"] == version and message.get("Subject") == subject
    assert message["MessageAttributes"] == {"kind": {"Type": "String", "Value": "spot"}}
    assert message["UnsubscribeURL"].endswith(f"/?Action=Unsubscribe&SubscriptionArn={arn}")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", message["Timestamp"])
    certificate = signing_certificate(aws, message)
    verify(certificate, message)
    for key in ("Message", "MessageId", "Timestamp", "TopicArn"):
        with pytest.raises(InvalidSignature):
            verify(certificate, {**message, key: message[key] + "."})


def test_the_version_of_the_signature_can_be_changed_and_must_be_known(aws: Any, refused: Any) -> None:
    topic = aws.topic("news")
    change = {"TopicArn": topic, "AttributeName": "SignatureVersion"}
    aws.sns.set_topic_attributes(**change, AttributeValue="2")
    assert aws.sns.get_topic_attributes(TopicArn=topic)["Attributes"]["SignatureVersion"] == "2"
    assert refused(aws.sns.set_topic_attributes, **change, AttributeValue="3")[0] == "InvalidParameter"


def test_an_ended_subscription_is_told_and_can_be_taken_back(aws: Any, endpoint: Endpoint) -> None:
    topic = aws.topic("news")
    arn = subscribe(aws, topic, endpoint)
    aws.sns.publish(TopicArn=topic, Message="x")
    through_the_sandbox(aws, endpoint.message(2)["UnsubscribeURL"])
    assert listed(aws, topic) == []
    farewell = endpoint.message(3)
    assert (farewell["Type"], arn in farewell["Message"]) == ("UnsubscribeConfirmation", True)
    assert endpoint.wait(3)[2][0]["x-amz-sns-subscription-arn"] == arn
    verify(signing_certificate(aws, farewell), farewell)
    through_the_sandbox(aws, farewell["SubscribeURL"])
    assert listed(aws, topic) == [arn]


def test_only_its_owner_ends_a_guarded_subscription(aws: Any, endpoint: Endpoint) -> None:
    topic = aws.topic("news")
    aws.sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=endpoint.url)
    token = endpoint.message(1)["Token"]
    confirmed = aws.sns.confirm_subscription(TopicArn=topic, Token=token, AuthenticateOnUnsubscribe="true")
    arn = confirmed["SubscriptionArn"]
    with pytest.raises(urllib.error.HTTPError) as failed:
        through_the_sandbox(aws, f"https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={arn}")
    assert failed.value.code == 403 and listed(aws, topic) == [arn]
    aws.sns.unsubscribe(SubscriptionArn=arn)
    assert listed(aws, topic) == []


def test_raw_delivery_is_the_message_alone(aws: Any, endpoint: Endpoint) -> None:
    topic = aws.topic("news")
    subscribe(aws, topic, endpoint, RawMessageDelivery="true")
    aws.sns.publish(TopicArn=topic, Message="bare", Subject="unseen")
    headers, body = endpoint.wait(2)[1]
    assert (body, headers["x-amz-sns-rawdelivery"]) == ("bare", "true")


def test_filters_let_through_what_they_name(aws: Any, endpoint: Endpoint) -> None:
    topic = aws.topic("news")
    policy = {"kind": [{"prefix": "spot"}], "size": [{"numeric": [">", 3]}], "zone": ["a", {"exists": False}]}
    arn = subscribe(aws, topic, endpoint, FilterPolicy=json.dumps(policy))

    def publish(message: str, **attributes: str) -> None:
        made = {
            name: {"DataType": "Number" if value.isdigit() else "String", "StringValue": value}
            for name, value in attributes.items()
        }
        aws.sns.publish(TopicArn=topic, Message=message, MessageAttributes=made)

    publish("no kind", size="9")
    publish("small", kind="spot.x", size="3")
    publish("elsewhere", kind="spot.x", size="9", zone="b")
    publish("first", kind="spot.x", size="9")
    assert endpoint.message(2)["Message"] == "first"
    change = {"SubscriptionArn": arn}
    aws.sns.set_subscription_attributes(**change, AttributeName="FilterPolicyScope", AttributeValue="MessageBody")
    body = json.dumps({"detail": {"state": ["terminated"]}})
    aws.sns.set_subscription_attributes(**change, AttributeName="FilterPolicy", AttributeValue=body)
    for state in ("running", "terminated"):
        aws.sns.publish(TopicArn=topic, Message=json.dumps({"detail": {"state": state}}))
    aws.sns.publish(TopicArn=topic, Message="no JSON")
    assert json.loads(endpoint.message(3)["Message"]) == {"detail": {"state": "terminated"}}
    assert aws.sandbox.get("/sandbox/sns/deliveries")["pending"] == 0


def settled(aws: Any) -> list[dict[str, Any]]:
    until = time.monotonic() + 20
    while (found := aws.sandbox.get("/sandbox/sns/deliveries"))["pending"]:
        assert time.monotonic() < until
        time.sleep(0.05)
    return found["deliveries"]


def test_an_endpoint_that_fails_is_tried_again_then_given_up_to_the_dead_letters(aws: Any, endpoint: Endpoint) -> None:
    aws.sandbox.post("/sandbox/sns", pauses=[0.01, 0.02, 0.03])
    topic = aws.topic("news")
    dead = aws.queue("dead")
    redrive = json.dumps({"deadLetterTargetArn": aws.queue_arn("dead")})
    subscribe(aws, topic, endpoint, RedrivePolicy=redrive)
    endpoint.answers = [503, 429, 500]
    aws.sns.publish(TopicArn=topic, Message="at last")
    endpoint.wait(5)
    assert [one["status"] for one in settled(aws)][1:] == [503, 429, 500, 200]
    assert len({headers["x-amz-sns-message-id"] for headers, _body in endpoint.posts[1:]}) == 1
    assert aws.messages(dead) == []
    endpoint.answers = [500] * 4
    aws.sns.publish(TopicArn=topic, Message="never")
    endpoint.wait(9)
    settled(aws)
    (letter,) = aws.messages(dead)
    verify(signing_certificate(aws, letter), letter)
    assert letter["Message"] == "never"
    endpoint.answers = [403]
    aws.sns.publish(TopicArn=topic, Message="unwanted")
    endpoint.wait(10)
    assert [one["status"] for one in settled(aws)][-1] == 403
    assert [one["Message"] for one in aws.messages(dead)] == ["unwanted"]


def test_an_endpoint_that_is_not_there_is_given_up(aws: Any, endpoint: Endpoint) -> None:
    aws.sandbox.post("/sandbox/sns", pauses=[0.01])
    topic, dead = aws.topic("news"), aws.queue("dead")
    redrive = json.dumps({"deadLetterTargetArn": aws.queue_arn("dead")})
    subscribe(aws, topic, endpoint, RedrivePolicy=redrive)
    endpoint.close()
    aws.sns.publish(TopicArn=topic, Message="gone")
    assert [one["status"] for one in settled(aws)] == [200, None, None]
    assert [one["Message"] for one in aws.messages(dead)] == ["gone"]


def test_a_slow_endpoint_holds_up_no_call_and_no_other_endpoint(aws: Any, endpoint: Endpoint) -> None:
    topic, other = aws.topic("news"), Endpoint()
    try:
        subscribe(aws, topic, endpoint)
        subscribe(aws, topic, other)
        endpoint.hold.clear()
        for number in range(5):
            aws.sns.publish(TopicArn=topic, Message=str(number))
        assert sorted(other.message(n)["Message"] for n in range(2, 7)) == [str(n) for n in range(5)]
        assert aws.sandbox.get("/sandbox/sns/deliveries")["pending"] == 5
        endpoint.hold.set()
        endpoint.wait(6)
        settled(aws)
    finally:
        other.close()


def test_an_endpoint_with_tls_is_posted_to_whoever_vouches_for_it(aws: Any, tmp_path: Path) -> None:
    authority = Authority(common_name="listener.example")
    key = authority.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "tls.pem").write_bytes(key + authority.certificate_pem.encode())
    endpoint = Endpoint(tmp_path / "tls.pem")
    try:
        topic = aws.topic("news")
        aws.sns.subscribe(TopicArn=topic, Protocol="https", Endpoint=endpoint.url)
        aws.sns.confirm_subscription(TopicArn=topic, Token=endpoint.message(1)["Token"])
        aws.sns.publish(TopicArn=topic, Message="sealed")
        assert endpoint.message(2)["Message"] == "sealed"
    finally:
        endpoint.close()


def test_a_queue_must_let_the_topic_send(aws: Any) -> None:
    topic = aws.topic("news")
    dead = aws.queue("dead")
    shut = aws.queue("shut", open_to_all=False)
    redrive = json.dumps({"deadLetterTargetArn": aws.queue_arn("dead")})
    subscription = aws.sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=aws.queue_arn("shut"), Attributes={"RedrivePolicy": redrive}
    )["SubscriptionArn"]
    assert subscription.startswith(topic)
    aws.sns.publish(TopicArn=topic, Message="1")
    policy = aws.send_policy("shut", "sns.amazonaws.com", ArnEquals={"aws:SourceArn": topic})
    aws.sqs.set_queue_attributes(QueueUrl=shut, Attributes={"Policy": policy})
    aws.sns.publish(TopicArn=topic, Message="2", Subject="S")
    (message,) = aws.messages(shut)
    verify(signing_certificate(aws, message), message)
    assert (message["Message"], message["Subject"]) == ("2", "S")
    assert [one["Message"] for one in aws.messages(dead)] == ["1"]


def test_any_message_can_be_signed_and_another_authority_is_not_believed(aws: Any) -> None:
    made = aws.sandbox.post("/sandbox/sns/sign", message={"Message": "m", "TopicArn": "arn:aws:sns:us-east-1:1:t"}, version="2")
    message = made["message"]
    certificate = signing_certificate(aws, message)
    verify(certificate, message)
    asked = aws.sandbox.get("/sandbox/sns/certificate", region="eu-west-1")
    assert asked["url"] == f"https://sns.eu-west-1.amazonaws.com/{asked['file']}"
    stranger = Authority()
    with pytest.raises(InvalidSignature):
        verify(certificate, stranger.sign({"Message": "m"}))
    with pytest.raises(x509.verification.VerificationError):
        root = x509.load_pem_x509_certificate(aws.sandbox.get("/sandbox/sns/root")["pem"].encode())
        verifier = PolicyBuilder().store(Store([root])).build_server_verifier(x509.DNSName("sns.amazonaws.com"))
        verifier.verify(*_chain(stranger))


def _chain(authority: Authority) -> tuple[x509.Certificate, list[x509.Certificate]]:
    leaf, *others = x509.load_pem_x509_certificates(authority.certificate_pem.encode())
    return leaf, others


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/sandbox/sns/sign", {}, "message null must be an object"),
        ("/sandbox/sns/sign", {"message": {}, "version": "3"}, "SignatureVersion '3' is not known"),
        ("/sandbox/sns/sign", {"message": {"Type": "Letter"}}, "Type 'Letter' is not one that SNS sends"),
        ("/sandbox/sns", {"pauses": "many"}, "pauses 'many' must be a list"),
        ("/sandbox/sns", {"timeout": 0}, "timeout 0 must be seconds"),
        ("/sandbox/sns", {"pause": []}, "unknown key 'pause'"),
    ],
)
def test_bad_controls_are_clear_errors(fresh: Any, path: str, body: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^") as refused:
        fresh.post(path, **body)
    assert message in str(refused.value)
