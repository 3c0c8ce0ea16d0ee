"""SES: what was sent can be read; senders that are not verified are refused."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import pytest

SENDER = "Platform <platform@example.com>"


def v1(sandbox: Any, sender: str = SENDER, to: list[str] | None = None) -> dict[str, Any]:
    return sandbox.client("ses").send_email(
        Source=sender,
        Destination={"ToAddresses": to or ["owner@example.org"], "CcAddresses": ["team@example.org"]},
        Message={"Subject": {"Data": "Wëlcome"}, "Body": {"Text": {"Data": "plain"}, "Html": {"Data": "<b>rich</b>"}}},
        ReplyToAddresses=["help@example.com"],
        Tags=[{"Name": "kind", "Value": "onboarding"}],
    )


def v2(sandbox: Any, sender: str = SENDER, to: list[str] | None = None) -> dict[str, Any]:
    return sandbox.client("sesv2").send_email(
        FromEmailAddress=sender,
        Destination={"ToAddresses": to or ["owner@example.org"], "CcAddresses": ["team@example.org"]},
        Content={
            "Simple": {
                "Subject": {"Data": "Wëlcome"},
                "Body": {"Text": {"Data": "plain"}, "Html": {"Data": "<b>rich</b>"}},
            }
        },
        ReplyToAddresses=["help@example.com"],
        EmailTags=[{"Name": "kind", "Value": "onboarding"}],
    )


@pytest.mark.parametrize("send", [v1, v2])
def test_a_mail_that_was_sent_can_be_read(fresh: Any, send: Any) -> None:
    fresh.client("ses").verify_domain_identity(Domain="example.com")
    message_id = send(fresh)["MessageId"]
    (mail,) = fresh.get("/sandbox/mail")["mails"]
    assert mail == {
        "id": message_id,
        "time": mail["time"],
        "region": "us-east-1",
        "from": SENDER,
        "to": ["owner@example.org"],
        "cc": ["team@example.org"],
        "bcc": [],
        "reply_to": ["help@example.com"],
        "subject": "Wëlcome",
        "text": "plain",
        "html": "<b>rich</b>",
        "headers": {},
        "tags": {"kind": "onboarding"},
        "configuration_set": None,
        "raw": None,
    }
    assert fresh.get("/sandbox/mail", to="nobody@example.org")["mails"] == []
    assert len(fresh.get("/sandbox/mail", to="team@example.org", region="us-east-1")["mails"]) == 1
    assert fresh.get("/sandbox/mail", region="eu-west-1")["mails"] == []
    service = {v1: "ses", v2: "sesv2"}[send]
    assert fresh.get("/sandbox/calls")["services"][service]["SendEmail"] == 1


@pytest.mark.parametrize("version", ["ses", "sesv2"])
def test_a_mail_of_several_parts_is_taken_apart(fresh: Any, version: str) -> None:
    client = fresh.client(version)
    fresh.client("sesv2").create_email_identity(EmailIdentity="platform@example.com")
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = SENDER, "owner@example.org", "Report"
    made["List-Unsubscribe"] = "<https://example.com/u>"
    made.set_content("plain\n")
    made.add_alternative("<p>rich</p>\n", subtype="html")
    if version == "ses":
        client.send_raw_email(RawMessage={"Data": made.as_bytes()})
    else:
        client.send_email(Content={"Raw": {"Data": made.as_bytes()}})
    (mail,) = fresh.get("/sandbox/mail")["mails"]
    assert (mail["from"], mail["to"], mail["subject"]) == (SENDER, ["owner@example.org"], "Report")
    assert (mail["text"], mail["html"]) == ("plain\n", "<p>rich</p>\n")
    assert mail["headers"]["List-Unsubscribe"] == "<https://example.com/u>"
    assert "multipart/alternative" in mail["raw"]


@pytest.mark.parametrize("send", [v1, v2])
def test_a_sender_that_is_not_verified_is_refused(fresh: Any, refused: Any, send: Any) -> None:
    code, message = refused(lambda: send(fresh))
    assert code == "MessageRejected"
    assert message == (
        "Email address is not verified. The following identities failed the check in region US-EAST-1: " + SENDER
    )
    ses = fresh.client("ses")
    ses.verify_email_identity(EmailAddress="platform@example.com")
    fresh.post("/sandbox/mail", identity="platform@example.com", verified=False)
    assert refused(lambda: send(fresh))[0] == "MessageRejected"
    fresh.post("/sandbox/mail", identity="platform@example.com", verified=True)
    send(fresh)
    assert refused(lambda: send(fresh, "other@example.com"))[0] == "MessageRejected"
    assert len(fresh.get("/sandbox/mail")["mails"]) == 1


@pytest.mark.parametrize("send", [v1, v2])
def test_too_many_recipients_are_refused(fresh: Any, refused: Any, send: Any) -> None:
    fresh.client("ses").verify_domain_identity(Domain="example.com")
    many = [f"u{n}@example.org" for n in range(50)]
    assert refused(lambda: send(fresh, SENDER, many))[0] == "MessageRejected"
    send(fresh, "a@mail.example.com", many[:49])
    assert fresh.client("ses").get_send_quota()["SentLast24Hours"] == 50


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"identity": "a@b.example", "verified": True}, "identity 'a@b.example' is not there in us-east-1"),
        ({"identity": "a", "region": "us-east-9"}, "region 'us-east-9' is not served"),
        ({"mail": 1}, "unknown key 'mail'"),
    ],
)
def test_bad_controls_are_clear_errors(fresh: Any, body: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="^") as refusal:
        fresh.post("/sandbox/mail", **body)
    assert message in str(refusal.value)
