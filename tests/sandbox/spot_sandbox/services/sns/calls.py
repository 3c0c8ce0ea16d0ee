"""The operations of SNS that moto answers otherwise, those that need no credentials, and the controls."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import parse_qs

from moto.core.responses import ActionResult, EmptyResult
from moto.sns.exceptions import SNSInvalidParameter, SNSNotFoundError
from moto.sns.models import Subscription, sns_backends
from moto.sns.responses import SNSResponse
from spot_sandbox import ACCOUNT, market, sns_signing
from spot_sandbox.services.sns import deliveries
from spot_sandbox.services.sns.subscriptions import HTTP, confirm, end, invite, pending
from werkzeug.wrappers import Response


class Topics(SNSResponse):
    """SNS's operations."""

    def create_topic(self) -> ActionResult:
        _check_version(self._get_attributes().get("SignatureVersion"))
        return super().create_topic()

    def get_topic_attributes(self) -> ActionResult:
        answer = super().get_topic_attributes()
        topic = self.backend.get_topic(self._get_param("TopicArn"))
        mine = [s for s in self.backend.subscriptions.values() if s.topic is topic]
        shown: dict[str, Any] = answer.result["Attributes"]  # type: ignore[index]
        shown["SubscriptionsPending"] = str(sum(pending(s) for s in mine))
        shown["SubscriptionsConfirmed"] = str(sum(not pending(s) for s in mine))
        if hasattr(topic, "signature_version"):
            shown["SignatureVersion"] = topic.signature_version
        return answer

    def set_topic_attributes(self) -> ActionResult:
        if self._get_param("AttributeName") == "SignatureVersion":
            _check_version(self._get_param("AttributeValue"))
        return super().set_topic_attributes()

    def subscribe(self) -> ActionResult:
        protocol, endpoint = self._get_param("Protocol"), self._get_param("Endpoint") or ""
        if protocol in HTTP and not endpoint.startswith(f"{protocol}://"):
            raise SNSInvalidParameter("Invalid parameter: Endpoint must match the specified protocol")
        answer = super().subscribe()
        arn = answer.result["SubscriptionArn"]  # type: ignore[index]
        subscription = self.backend.subscriptions[arn]
        if protocol not in HTTP or subscription.confirmed:
            return answer
        invite(subscription)
        return answer if self._get_param("ReturnSubscriptionArn") else ActionResult(
            {"SubscriptionArn": "pending confirmation"}
        )

    def confirm_subscription(self) -> ActionResult:
        guarded = str(self._get_param("AuthenticateOnUnsubscribe") or "").lower() == "true"
        topic = self.backend.get_topic(self._get_param("TopicArn"))
        return ActionResult({"SubscriptionArn": confirm(topic, self._get_param("Token"), True, guarded).arn})

    def unsubscribe(self) -> ActionResult:
        end(self.backend, self._get_param("SubscriptionArn"), True)
        return EmptyResult()

    def list_subscriptions(self) -> ActionResult:
        return self._listed(*self.backend.list_subscriptions(next_token=self._get_param("NextToken")))

    def list_subscriptions_by_topic(self) -> ActionResult:
        topic, token = self._get_param("TopicArn"), self._get_param("NextToken")
        return self._listed(*self.backend.list_subscriptions_by_topic(topic, next_token=token))

    @staticmethod
    def _listed(found: list[Subscription], token: Any) -> ActionResult:
        shown = [
            {
                "SubscriptionArn": "PendingConfirmation" if pending(one) else one.arn,
                "Owner": one.owner,
                "Protocol": one.protocol,
                "Endpoint": one.endpoint,
                "TopicArn": one.topic.arn,
            }
            for one in found
        ]
        return ActionResult({"Subscriptions": shown, "NextToken": token})


def _check_version(version: Any) -> None:
    if version is not None and str(version) not in sns_signing.HASHES:
        raise SNSInvalidParameter(f"Invalid parameter: SignatureVersion Reason: {version} must be 1 or 2")


# Without credentials


def unsigned(environ: dict[str, Any]) -> tuple[Any, str, str, str, str] | None:
    """Confirming and ending by the addresses in the messages or by an unsigned call, and the certificate."""
    path, query = environ.get("PATH_INFO", ""), parse_qs(environ.get("QUERY_STRING", ""))
    if environ["REQUEST_METHOD"] == "POST" and str(environ.get("CONTENT_TYPE")).startswith("application/x-www-form"):
        query = parse_qs(environ["wsgi.input"].getvalue().decode("utf-8", "replace"))
    elif environ["REQUEST_METHOD"] != "GET":
        return None
    if path.startswith("/SimpleNotificationService-"):
        return _certificate_file, "sns", "us-east-1", "query", "GetCertificate"
    action = query.get("Action", [""])[0]
    if path != "/" or action not in _OPEN:
        return None
    arn = query.get("TopicArn", query.get("SubscriptionArn", [""]))[0]
    region = (arn.split(":") + [""] * 4)[3] or "us-east-1"
    return lambda _environ: _OPEN[action](region, arn, query), "sns", region, "query", action


def _confirm(region: str, arn: str, query: dict[str, list[str]]) -> Response:
    topic = sns_backends[ACCOUNT][region].topics.get(arn) if region in market.regions() else None
    if topic is None:
        raise SNSNotFoundError("Topic does not exist")
    subscription = confirm(topic, query.get("Token", [""])[0], False, False)
    return _xml("ConfirmSubscription", f"<SubscriptionArn>{subscription.arn}</SubscriptionArn>")


def _unsubscribe(region: str, arn: str, _query: dict[str, list[str]]) -> Response:
    if region in market.regions():
        end(sns_backends[ACCOUNT][region], arn, False)
    return _xml("Unsubscribe", "")


_OPEN = {"ConfirmSubscription": _confirm, "Unsubscribe": _unsubscribe}


def _xml(operation: str, result: str) -> Response:
    inner = f"<{operation}Result>{result}</{operation}Result>" if result else ""
    body = (
        f'<{operation}Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/">{inner}'
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{operation}Response>"
    )
    return Response(body, content_type="text/xml")


def _certificate_file(environ: dict[str, Any]) -> Response:
    authority = sns_signing.shared()
    if environ["PATH_INFO"] != f"/{authority.file}":
        return Response("<Error><Code>NoSuchKey</Code></Error>", 404, content_type="application/xml")
    return Response(authority.certificate_pem, content_type="application/x-pem-file")


# Controls


def control_certificate(query: dict[str, Any]) -> dict[str, Any]:
    """The certificate of the signatures, with the one that issued it."""
    region = query.get("region", "us-east-1")
    if region not in market.regions():
        raise ValueError(f"region {region!r} is not served: use one of {', '.join(market.regions())}")
    authority = sns_signing.shared()
    return {"url": authority.url(region), "file": authority.file, "pem": authority.certificate_pem}


def control_root(_query: dict[str, Any]) -> dict[str, Any]:
    """The root that a verifier is to trust."""
    return {"pem": sns_signing.shared().root_pem}


def control_sign(body: dict[str, Any]) -> dict[str, Any]:
    """Sign any message as SNS would."""
    if unknown := sorted(set(body) - {"message", "version"}):
        raise ValueError(f"unknown key {unknown[0]!r}: use message, version")
    message = body.get("message")
    if not isinstance(message, dict):
        raise ValueError(f"message {json.dumps(message)} must be an object, such as {{\"Message\": \"text\"}}")
    return {"message": sns_signing.shared().sign(message, str(body.get("version", "1")))}


RESPONSES = {"sns": Topics}
CONTROL = {
    "POST /sandbox/sns": deliveries.control,
    "GET /sandbox/sns/deliveries": deliveries.control_deliveries,
    "GET /sandbox/sns/certificate": control_certificate,
    "GET /sandbox/sns/root": control_root,
    "POST /sandbox/sns/sign": control_sign,
}
