"""SES: the mail that was sent can be read."""

from __future__ import annotations

import email
import email.policy
from typing import Any

from moto.ses.models import RawMessage, ses_backends
from spot_sandbox.services.events import ACCOUNT


def control_mail(_values: dict[str, Any]) -> dict[str, Any]:
    """Each mail: ``region``, ``from``, ``to``, ``subject``, ``headers``, ``text`` and ``html``, in the order of sending."""
    found = []
    for region, backend in ses_backends[ACCOUNT].items():
        for one in backend.sent_messages:
            if isinstance(one, RawMessage):
                found.append({"region": region, **_parsed(one)})
            else:
                to = [address for some in one.destinations.values() for address in some]
                shown = {"from": one.source, "to": to, "subject": one.subject, "headers": {}, "text": one.body, "html": None}
                found.append({"region": region, **shown})
    return {"mail": found}


def _parsed(one: RawMessage) -> dict[str, Any]:
    message = email.message_from_string(one.raw_data, policy=email.policy.default)
    parts = {kind: message.get_body((kind,)) for kind in ("plain", "html")}
    return {
        "from": one.source or message["From"],
        "to": list(dict.fromkeys(one.destinations)) or [message["To"]],  # moto adds those of the header
        "subject": message["Subject"],
        "headers": {key: str(value) for key, value in message.items()},
        "text": parts["plain"].get_content() if parts["plain"] else None,
        "html": parts["html"].get_content() if parts["html"] else None,
    }


CONTROL = {"GET /sandbox/mail": control_mail}
