"""SES: mails are not sent but kept, and can be read; a sender that is not verified is refused, as by AWS.

The identities, templates, configuration sets and quotas are moto's.
"""

from __future__ import annotations

import base64
import email
import email.policy
import json
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any

from moto.core.responses import TYPE_RESPONSE, ActionResult
from moto.ses.exceptions import InvalidParameterValue, MessageRejectedError
from moto.ses.models import Message, SESBackend, ses_backends
from moto.ses.responses import EmailResponse
from moto.ses.utils import get_random_message_id, is_valid_address
from moto.sesv2.responses import SESV2Response
from spot_sandbox import ACCOUNT, clock, market

MOST_RECIPIENTS = 50
MAILS: list[dict[str, Any]] = []
"""All that were accepted, the newest last."""
UNVERIFIED: set[tuple[str, str]] = set()
"""(region, identity) of those whose owner has not said yes yet; ``POST /sandbox/mail`` sets it."""


def verified(region: str, address: str) -> bool:
    """Whether mail may be sent as this address: it, its domain or a domain above is a verified identity."""
    address = parseaddr(address)[1]
    parts = address.rpartition("@")[2].lower().split(".")
    names = [address, *(".".join(parts[n:]) for n in range(len(parts) - 1))]
    known = ses_backends[ACCOUNT][region].email_identities
    return any(name in known and (region, name) not in UNVERIFIED for name in names)


def accept(region: str, mail: dict[str, Any]) -> str:
    """Keep a mail and return its id; raises SES's errors."""
    backend: SESBackend = ses_backends[ACCOUNT][region]
    sender, recipients = mail["from"], [*mail["to"], *mail["cc"], *mail["bcc"]]
    if not verified(region, sender):
        backend.rejected_messages_count += 1
        raise MessageRejectedError(
            "Email address is not verified. The following identities failed the check in region"
            f" {region.upper()}: {sender}"
        )
    if not recipients:
        raise InvalidParameterValue("Missing required header 'To'.")
    if len(recipients) > MOST_RECIPIENTS:
        raise MessageRejectedError(f"Recipient count exceeds {MOST_RECIPIENTS}.")
    for address in (sender, *recipients):
        if wrong := is_valid_address(address):
            raise InvalidParameterValue(wrong)
    to = {"ToAddresses": mail["to"], "CcAddresses": mail["cc"], "BccAddresses": mail["bcc"]}
    backend.__process_sns_feedback__(sender, to)
    message_id = get_random_message_id()
    backend.sent_messages.append(Message(message_id, sender, mail["subject"], mail["html"] or mail["text"] or "", to))
    backend.sent_message_count += len(recipients)
    MAILS.append({"id": message_id, "time": clock.now().isoformat(), "region": region, **mail})
    return message_id


def simple(
    sender: str, to: dict[str, Any], message: dict[str, Any], replies: list[str] | None, more: dict[str, Any]
) -> dict[str, Any]:
    """A mail from its parts, which both versions of the API name alike."""

    def data(part: str) -> str | None:
        found = (message.get("Body") or {}).get(part)
        return found["Data"] if found else None

    return {
        "from": sender,
        "to": list(to.get("ToAddresses") or []),
        "cc": list(to.get("CcAddresses") or []),
        "bcc": list(to.get("BccAddresses") or []),
        "reply_to": list(replies or []),
        "subject": message["Subject"]["Data"],
        "text": data("Text"),
        "html": data("Html"),
        "headers": {h["Name"]: h["Value"] for h in message.get("Headers") or []},
        "tags": {t["Name"]: t["Value"] for t in more.get("Tags") or []},
        "configuration_set": more.get("ConfigurationSetName"),
        "raw": None,
    }


def raw(sender: str | None, to: dict[str, Any], data: bytes, more: dict[str, Any]) -> dict[str, Any]:
    """A mail from its MIME text; who sends it and who gets it may be said beside it."""
    parsed = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)

    def addresses(header: str) -> list[str]:
        field = parsed.get(header)
        return [str(one) for one in field.addresses] if field is not None else []

    def body(kind: str) -> str | None:
        part = parsed.get_body(preferencelist=(kind,))
        return str(part.get_content()) if part is not None else None

    given = {name: list(to.get(f"{name.title()}Addresses") or []) for name in ("to", "cc", "bcc")}
    if not any(given.values()):
        given = {name: addresses(name) for name in given}
    return {
        "from": sender or next(iter(addresses("from")), ""),
        **given,
        "reply_to": addresses("reply-to"),
        "subject": str(parsed.get("subject", "")),
        "text": body("plain"),
        "html": body("html"),
        "headers": {name: str(value) for name, value in parsed.items()},
        "tags": {t["Name"]: t["Value"] for t in more.get("Tags") or []},
        "configuration_set": more.get("ConfigurationSetName"),
        "raw": data.decode("utf-8", "replace"),
    }


class MailV2(SESV2Response):
    """Version 2 of the API."""

    def send_email(self) -> str:
        given = json.loads(self.body)
        content, to = given.get("Content") or {}, given.get("Destination") or {}
        sender = given.get("FromEmailAddress") or ""
        more = {"Tags": given.get("EmailTags"), "ConfigurationSetName": given.get("ConfigurationSetName")}
        if "Raw" in content:
            mail = raw(sender, to, base64.b64decode(content["Raw"]["Data"]), more)
        elif "Simple" in content:
            mail = simple(sender, to, content["Simple"], given.get("ReplyToAddresses"), more)
        else:
            raise NotImplementedError("mails from templates")
        return json.dumps({"MessageId": accept(self.region, mail)})

    def create_email_identity(self) -> str:
        answer = super().create_email_identity()
        name = self._get_param("EmailIdentity")
        ses_backends[self.current_account][self.region].email_identities[name].verified_for_sending_status = True
        return answer


class Mail(EmailResponse):
    """Version 1 of the API, and the way to version 2, which is signed with the same name."""

    @classmethod
    def dispatch(cls, request: Any, full_url: str, headers: Any) -> TYPE_RESPONSE:
        if request.path.startswith("/v2/"):
            return MailV2.dispatch(request, full_url, headers)
        return super().dispatch(request, full_url, headers)

    def send_email(self) -> ActionResult:
        more = {name: self._get_param(name) for name in ("Tags", "ConfigurationSetName")}
        mail = simple(
            self._get_param("Source"),
            self._get_param("Destination") or {},
            self._get_param("Message"),
            self._get_param("ReplyToAddresses"),
            more,
        )
        return ActionResult({"MessageId": accept(self.region, mail)})

    def send_raw_email(self) -> ActionResult:
        more = {name: self._get_param(name) for name in ("Tags", "ConfigurationSetName")}
        to = {"ToAddresses": self._get_param("Destinations") or []}
        mail = raw(self._get_param("Source"), to, self._get_param("RawMessage.Data"), more)
        return ActionResult({"MessageId": accept(self.region, mail)})


def reset() -> None:
    """No mails."""
    MAILS.clear()
    UNVERIFIED.clear()


def control_mails(query: dict[str, Any]) -> dict[str, Any]:
    """The mails that were sent, the newest last."""
    if unknown := sorted(set(query) - {"region", "to"}):
        raise ValueError(f"unknown key {unknown[0]!r}: use region, to")
    to, region = query.get("to"), query.get("region")
    found = [
        mail
        for mail in MAILS
        if region in (None, mail["region"])
        and (to is None or to in [parseaddr(one)[1] for one in (*mail["to"], *mail["cc"], *mail["bcc"])])
    ]
    return {"mails": found}


def control_identity(body: dict[str, Any]) -> dict[str, Any]:
    """Whether an identity's owner has said yes; without this it is verified at once."""
    if unknown := sorted(set(body) - {"region", "identity", "verified"}):
        raise ValueError(f"unknown key {unknown[0]!r}: use region, identity, verified")
    region, identity, yes = body.get("region", "us-east-1"), body.get("identity"), body.get("verified")
    if region not in market.regions():
        raise ValueError(f"region {region!r} is not served: use one of {', '.join(market.regions())}")
    if identity not in ses_backends[ACCOUNT][region].email_identities:
        raise ValueError(f"identity {identity!r} is not there in {region}: create it first")
    if not isinstance(yes, bool):
        raise ValueError(f"verified {yes!r} must be true or false")
    ses_backends[ACCOUNT][region].email_identities[identity].verified_for_sending_status = yes
    (UNVERIFIED.discard if yes else UNVERIFIED.add)((region, identity))
    return {"region": region, "identity": identity, "verified": yes}


RESPONSES = {"ses": Mail}
CONTROL = {"GET /sandbox/mail": control_mails, "POST /sandbox/mail": control_identity}
