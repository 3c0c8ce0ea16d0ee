"""What a subscription is sent: its invitation, the notifications that its filter lets through, its farewell."""

from __future__ import annotations

import base64
import json
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from moto.moto_api._internal import mock_random
from moto.sns.exceptions import SNSException, SNSInvalidParameter
from moto.sns.models import SNSBackend, Subscription, Topic, sns_backends
from spot_sandbox import ACCOUNT, clock, patterns, policies, sns_signing
from spot_sandbox.services import sqs
from spot_sandbox.services.sns import deliveries
from spot_sandbox.sns_signing import CONFIRMATION, FAREWELL, NOTIFICATION

PRINCIPAL = "sns.amazonaws.com"
HTTP = ("http", "https")
TOKEN_LIFE, PENDING_LIFE = 2 * 86400.0, 3 * 86400.0
"""Sandbox seconds in which a token can be used, and after which a subscription that nobody confirms is gone."""
AGENT = "Amazon Simple Notification Service Agent"
log = logging.getLogger("spot_sandbox")


@dataclass
class Token:
    """What confirms a subscription, or brings one back that was ended."""

    subscription: Subscription
    until: float


class NotAuthorized(SNSException):
    """The owner of the subscription wants whoever ends it to say who they are."""

    code, message, status = "AuthorizationError", "Unsubscribe requires authentication for this subscription", 403


TOKENS: dict[str, Token] = {}


def reset() -> None:
    """No tokens."""
    TOKENS.clear()


def pending(subscription: Subscription) -> bool:
    """Whether nobody has confirmed it yet."""
    return bool(subscription.attributes.get("PendingConfirmation"))


def topic_region(topic: Topic) -> str:
    return str(topic.arn).split(":")[3]


def backend_of(topic: Topic) -> SNSBackend:
    return sns_backends[ACCOUNT][topic_region(topic)]


# Confirming and ending


def invite(subscription: Subscription) -> None:
    """Ask the endpoint of a new subscription to confirm it."""
    if not hasattr(subscription, "invited"):
        subscription.attributes.update(PendingConfirmation=True, ConfirmationWasAuthenticated=False)
        subscription.invited = True
        clock.call_later(PENDING_LIFE, _expire, subscription)
    topic = subscription.topic
    words = (
        f"You have chosen to subscribe to the topic {topic.arn}.\n"
        "To confirm the subscription, visit the SubscribeURL included in this message."
    )
    _ask(subscription, CONFIRMATION, words)


def confirm(topic: Topic, value: str, authenticated: bool, on_unsubscribe: bool) -> Subscription:
    """Confirm by a token; ``on_unsubscribe``: only who is authenticated may end it."""
    token = TOKENS.get(value)
    if token is None or token.subscription.topic is not topic:
        raise SNSInvalidParameter("Invalid parameter: Token")
    if token.until < clock.time():
        raise SNSInvalidParameter("Invalid parameter: Token Reason: the token has expired")
    subscription = token.subscription
    if pending(subscription):
        subscription.attributes.update(PendingConfirmation=False, ConfirmationWasAuthenticated=authenticated)
        subscription.guarded = authenticated and on_unsubscribe
    subscription.confirmed = True
    backend_of(topic).subscriptions.setdefault(subscription.arn, subscription)
    return subscription


def end(backend: SNSBackend, arn: str, authenticated: bool) -> None:
    """Unsubscribe; an endpoint over HTTP is told, and may take it back."""
    subscription = backend.subscriptions.get(arn)
    if subscription is None:
        return
    if not authenticated and getattr(subscription, "guarded", False):
        raise NotAuthorized()
    del backend.subscriptions[arn]
    if subscription.protocol in HTTP and not pending(subscription):
        words = (
            f"You have chosen to deactivate subscription {arn}.\n"
            "To cancel this operation and restore the subscription, visit the SubscribeURL included in this message."
        )
        _ask(subscription, FAREWELL, words)


def _expire(subscription: Subscription) -> None:
    if pending(subscription):
        backend_of(subscription.topic).subscriptions.pop(subscription.arn, None)


def _ask(subscription: Subscription, kind: str, words: str) -> None:
    topic, value = subscription.topic, secrets.token_hex(150)
    TOKENS[value] = Token(subscription, clock.time() + TOKEN_LIFE)
    host = f"https://sns.{topic_region(topic)}.amazonaws.com"
    message = {
        "Type": kind,
        "MessageId": str(mock_random.uuid4()),
        "Token": value,
        "TopicArn": topic.arn,
        "Message": words,
        "SubscribeURL": f"{host}/?Action=ConfirmSubscription&TopicArn={topic.arn}&Token={value}",
        "Timestamp": sns_signing.timestamp(),
    }
    _post(subscription, message, lambda: _signed(topic, message))


# Notifications


@dataclass
class Notice:
    """A message as it was published."""

    message_id: str
    message: str
    subject: str | None
    attributes: dict[str, Any]
    group: str | None
    deduplication: str | None


def publish(arn: str, message: str, service: str, source_arn: str, role: bool = False) -> str | None:
    """A message from another service to a topic: ``None``, or why not, ``NO_RESOURCE`` or ``NO_PERMISSIONS``."""
    _arn, _partition, _service, region, account, _name = arn.split(":", 5)
    topic = sns_backends[account][region].topics.get(arn)
    if topic is None:
        return "NO_RESOURCE"
    if not role and not policies.allows(topic._policy_json, service, "sns:Publish", arn, source_arn, ACCOUNT):
        return "NO_PERMISSIONS"
    topic.publish(message)
    return None


def publish_to_topic(
    topic: Topic,
    message: str,
    subject: str | None = None,
    message_attributes: dict[str, Any] | None = None,
    group_id: str | None = None,
    deduplication_id: str | None = None,
    message_structure: str | None = None,
) -> str:
    """In moto's words, for all of moto that publishes."""
    message_id = str(mock_random.uuid4())
    attributes = message_attributes or {}
    for subscription in [s for s in backend_of(topic).subscriptions.values() if s.topic is topic]:
        text = message
        if message_structure == "json":
            text = subscription._parse_message_structure(message, subscription.protocol)
        if not pending(subscription) and accepts(subscription, text, attributes):
            _notify(subscription, Notice(message_id, text, subject, attributes, group_id, deduplication_id))
    topic.sent_notifications.append((message_id, message, subject, message_attributes, group_id))
    return message_id


Topic.publish = publish_to_topic  # type: ignore[method-assign]


def accepts(subscription: Subscription, message: str, attributes: dict[str, Any]) -> bool:
    """Whether the filter policy of a subscription lets a message through."""
    policy = subscription._filter_policy
    if not policy:
        return True
    if subscription.attributes.get("FilterPolicyScope") == "MessageBody":
        try:
            return patterns.matches(policy, json.loads(message))
        except ValueError:
            return False
    return patterns.matches(policy, {name: _plain(one) for name, one in attributes.items()})


def _plain(attribute: dict[str, Any]) -> Any:
    """A message attribute as the JSON value that a filter policy speaks of."""
    kind, value = attribute["Type"].split(".")[0], attribute["Value"]
    try:
        if kind == "Number" or attribute["Type"] == "String.Array":
            return json.loads(value)
    except ValueError:
        pass
    return value if kind == "String" else {}


def _notify(subscription: Subscription, notice: Notice) -> None:
    topic, raw = subscription.topic, str(subscription.attributes.get("RawMessageDelivery")).lower() == "true"
    if subscription.protocol not in (*HTTP, "sqs"):
        Subscription.publish(subscription, notice.message, notice.message_id, notice.subject, notice.attributes)
        return
    message: dict[str, Any] = {"Type": NOTIFICATION, "MessageId": notice.message_id, "TopicArn": topic.arn}
    if notice.subject:
        message["Subject"] = notice.subject
    message.update(Message=notice.message, Timestamp=sns_signing.timestamp())
    added: dict[str, Any] = {
        "UnsubscribeURL": f"https://sns.{topic_region(topic)}.amazonaws.com/"
        f"?Action=Unsubscribe&SubscriptionArn={subscription.arn}"
    }
    if notice.attributes:
        added["MessageAttributes"] = notice.attributes

    def make() -> str:
        return notice.message if raw else _signed(topic, message, added)

    if subscription.protocol == "sqs":
        attributes = _queue_attributes(notice.attributes) if raw else None
        error = sqs.put(
            subscription.endpoint, make(), PRINCIPAL, topic.arn, attributes, notice.group, notice.deduplication
        )
        if error:
            _dead_letter(subscription, make(), error)
    else:
        _post(subscription, message, make, raw)


def _queue_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    made = {}
    for name, one in attributes.items():
        binary = one["Type"].startswith("Binary")
        value = {"BinaryValue": base64.b64decode(one["Value"])} if binary else {"StringValue": one["Value"]}
        made[name] = {"DataType": one["Type"], **value}
    return made


def _signed(topic: Topic, message: dict[str, Any], added: dict[str, Any] | None = None) -> str:
    version = str(getattr(topic, "signature_version", "1"))
    return sns_signing.body({**sns_signing.shared().sign(message, version), **(added or {})})


def _post(subscription: Subscription, message: dict[str, Any], make: Callable[[], str], raw: bool = False) -> None:
    """Over HTTP, with AWS's headers; what the endpoint does not take goes to the dead-letter queue."""
    kind = message["Type"]
    headers = {
        "x-amz-sns-message-type": kind,
        "x-amz-sns-message-id": message["MessageId"],
        "x-amz-sns-topic-arn": subscription.topic.arn,
        "Content-Type": "text/plain; charset=UTF-8",
        "User-Agent": AGENT,
        "Accept-Encoding": "gzip,deflate",
    }
    if kind != CONFIRMATION:
        headers["x-amz-sns-subscription-arn"] = subscription.arn
    if raw:
        headers["x-amz-sns-rawdelivery"] = "true"
    about = {"type": kind, "message_id": message["MessageId"], "subscription": subscription.arn}

    def give_up(error: str) -> None:
        log.info("%s to %s was given up: %s", kind, subscription.endpoint, error)
        if kind == NOTIFICATION:
            _dead_letter(subscription, make(), error)

    deliveries.post(deliveries.Post(subscription.endpoint, headers, make, give_up, about))


def _dead_letter(subscription: Subscription, body: str, error: str) -> None:
    redrive = subscription.attributes.get("RedrivePolicy")
    arn = (json.loads(redrive) if isinstance(redrive, str) and redrive else redrive or {}).get("deadLetterTargetArn")
    if arn and not sqs.dead_letter(arn, body, PRINCIPAL, subscription.topic.arn):
        log.warning("the dead-letter queue %s took nothing from %s: %s", arn, subscription.arn, error)
