"""SNS: subscriptions that are confirmed, signatures that verify, and HTTP endpoints."""

from __future__ import annotations

import json
import secrets
import uuid
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.sns.exceptions import SNSInvalidParameter, SNSNotFoundError
from moto.sns.models import Subscription, Topic, sns_backends
from moto.sns.responses import SNSResponse
from moto.sqs.models import sqs_backends
from spot_sandbox import clock
from spot_sandbox.services.sns import signing
from spot_sandbox.services.sns.delivery import Delivery, body, headers, send

ACCOUNT = "123456789012"
PENDING = "PendingConfirmation"
WEB = ("http", "https")

_tokens: dict[str, Subscription] = {}
"""Subscriptions that wait to be confirmed, by the token that does it."""


def version_of(topic: Topic) -> str:
    """How its messages are signed; SHA1 where nobody chose."""
    return str(getattr(topic, "signature_version", "1"))


def notification(
    topic: Topic, subscription: Subscription, message: str, message_id: str, subject: str | None, attributes: Any
) -> dict[str, Any]:
    """A signed message of a topic."""
    region = topic.arn.split(":")[3]
    made: dict[str, Any] = {"Type": "Notification", "MessageId": message_id, "TopicArn": topic.arn}
    if subject:
        made["Subject"] = subject
    made |= {"Message": message, "Timestamp": signing.timestamp()}
    made = signing.signed(made, version_of(topic))
    made["UnsubscribeURL"] = (
        f"https://sns.{region}.amazonaws.com/?Action=Unsubscribe&SubscriptionArn={subscription.arn}"
    )
    if attributes:
        made["MessageAttributes"] = attributes
    return made


def _get_post_data(
    self: Subscription, message: str, message_id: str, subject: str | None, message_attributes: Any = None
) -> dict[str, Any]:
    return notification(self.topic, self, message, message_id, subject, message_attributes)


def _publish(
    self: Subscription,
    message: str,
    message_id: str,
    subject: str | None = None,
    message_attributes: dict[str, Any] | None = None,
    group_id: str | None = None,
    deduplication_id: str | None = None,
    message_structure: str | None = None,
) -> None:
    """To an HTTP endpoint, once it is confirmed; all else is moto's."""
    if self.protocol not in WEB:
        _publish_elsewhere(self, message, message_id, subject, message_attributes, group_id, deduplication_id, message_structure)
        return
    matcher = self._filter_policy_matcher
    if not self.confirmed or matcher and not matcher.matches(message_attributes, message):
        return
    if message_structure == "json":
        message = self._parse_message_structure(message, self.protocol)
    raw = str(self.attributes.get("RawMessageDelivery", "false")).lower() == "true"
    text = message if raw else body(self.get_post_data(message, message_id, subject, message_attributes))
    _send(self, "Notification", message_id, text, raw)


_publish_elsewhere = Subscription.publish
Subscription.publish = _publish  # type: ignore[method-assign]
Subscription.get_post_data = _get_post_data  # type: ignore[method-assign]


def _send(subscription: Subscription, kind: str, message_id: str, text: str, raw: bool = False) -> None:
    topic, arn = subscription.topic, subscription.arn if subscription.confirmed else None

    def give_up() -> None:
        policy = json.loads(subscription.attributes.get("RedrivePolicy") or "{}")
        target = policy.get("deadLetterTargetArn", "")
        if kind == "Notification" and target.startswith("arn:aws:sqs:"):
            _arn, _aws, _sqs, region, account, name = target.split(":")
            with clock.LOCK:
                sqs_backends[account][region].send_message(name, text)
                clock.tell_changed()

    send(Delivery(subscription.endpoint, text, headers(kind, message_id, topic.arn, arn, raw), give_up))


def _ask_to_confirm(subscription: Subscription, kind: str, words: str) -> None:
    """Send the message that asks for a confirmation, or says that the subscription ended."""
    topic, token = subscription.topic, secrets.token_hex(64)
    _tokens[token] = subscription
    region = topic.arn.split(":")[3]
    message_id = str(uuid.uuid4())
    message = {
        "Type": kind,
        "MessageId": message_id,
        "Token": token,
        "TopicArn": topic.arn,
        "Message": words,
        "SubscribeURL": f"https://sns.{region}.amazonaws.com/?Action=ConfirmSubscription&TopicArn={topic.arn}&Token={token}",
        "Timestamp": signing.timestamp(),
    }
    _send(subscription, kind, message_id, body(signing.signed(message, version_of(topic))))


class SNS(SNSResponse):
    """Subscriptions to HTTP endpoints are pending until their token comes back."""

    def get_topic_attributes(self) -> ActionResult:
        """moto's, with the version of the signatures, where it was set."""
        shown = super().get_topic_attributes()
        topic = self.backend.get_topic(self._get_param("TopicArn"))
        if hasattr(topic, "signature_version"):
            shown.result["Attributes"]["SignatureVersion"] = topic.signature_version
        return shown

    def subscribe(self) -> ActionResult:
        topic_arn, endpoint, protocol = (self._get_param(name) for name in ("TopicArn", "Endpoint", "Protocol"))
        if protocol in WEB and not str(endpoint).startswith(f"{protocol}://"):
            raise SNSInvalidParameter(f"Invalid parameter: Endpoint must match the specified protocol: {endpoint}")
        known = self.backend._find_subscription(topic_arn, endpoint, protocol)
        result = super().subscribe()
        if protocol not in WEB:
            return result
        subscription = self.backend._find_subscription(topic_arn, endpoint, protocol)
        if known is None or not subscription.confirmed:
            subscription.confirmed = False
            words = (
                f"You have chosen to subscribe to the topic {topic_arn}.\n"
                "To confirm the subscription, visit the SubscribeURL included in this message."
            )
            _ask_to_confirm(subscription, "SubscriptionConfirmation", words)
        shown = str(self._get_param("ReturnSubscriptionArn")).lower() == "true" or subscription.confirmed
        return ActionResult({"SubscriptionArn": subscription.arn if shown else "pending confirmation"})

    def confirm_subscription(self) -> ActionResult:
        topic_arn, token = self._get_param("TopicArn"), self._get_param("Token")
        backend = sns_backends[ACCOUNT][(str(topic_arn).split(":") + [""] * 4)[3] or self.region]
        if topic_arn not in backend.topics:
            raise SNSNotFoundError("Topic does not exist")
        subscription = _tokens.get(token)
        if subscription is None or subscription.topic.arn != topic_arn:
            raise SNSInvalidParameter("Invalid parameter: Token")
        subscription.confirmed = True
        backend.subscriptions[subscription.arn] = subscription
        return ActionResult({"SubscriptionArn": subscription.arn})

    def unsubscribe(self) -> ActionResult:
        subscription = self.backend.subscriptions.get(self._get_param("SubscriptionArn"))
        super().unsubscribe()
        if subscription is not None and subscription.protocol in WEB and subscription.confirmed:
            words = (
                f"You have chosen to deactivate subscription {subscription.arn}.\n"
                "To cancel this operation and restore the subscription, visit the SubscribeURL included in this message."
            )
            _ask_to_confirm(subscription, "UnsubscribeConfirmation", words)
        return EmptyResult()

    def _shown(self, result: ActionResult) -> ActionResult:
        """A list of subscriptions as AWS shows it: one that is not confirmed has no ARN yet."""
        listed = [
            {
                "SubscriptionArn": PENDING if one.protocol in WEB and not one.confirmed else one.arn,
                "Owner": one.owner,
                "Protocol": one.protocol,
                "Endpoint": one.endpoint,
                "TopicArn": one.topic.arn,
            }
            for one in result.result["Subscriptions"]
        ]
        return ActionResult({**result.result, "Subscriptions": listed})

    def list_subscriptions(self) -> ActionResult:
        return self._shown(super().list_subscriptions())

    def list_subscriptions_by_topic(self) -> ActionResult:
        return self._shown(super().list_subscriptions_by_topic())


def control_sign(values: dict[str, Any]) -> dict[str, Any]:
    """Sign any message: ``{"message": {...}, "version": "1" | "2"}``."""
    message, version = values.get("message"), values.get("version", "1")
    if not isinstance(message, dict) or not {"Type", "TopicArn", "Message", "MessageId", "Timestamp"} <= message.keys():
        raise ValueError("message must be an object with Type, TopicArn, Message, MessageId and Timestamp")
    if version not in signing.HASHES:
        raise ValueError(f"version {version!r} is not known: use 1 or 2")
    return signing.signed(message, version)


def control_certificates(_values: dict[str, Any]) -> dict[str, Any]:
    """The signing certificate, and that of who issued it, as PEM."""
    return {
        "certificate": signing.pem(signing.certificate()).decode(),
        "root": signing.pem(signing.authority().certificate).decode(),
    }


def reset() -> None:
    _tokens.clear()


RESPONSES = {"sns": SNS}
PAGES = {f"/{signing.PEM_NAME}": lambda: signing.pem(signing.certificate())}
CONTROL = {"POST /sandbox/sns/sign": control_sign, "GET /sandbox/sns/certificates": control_certificates}
