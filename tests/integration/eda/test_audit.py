"""The rulebook audit, in a real ansible-rulebook: what comes to the queue is in the activity log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .conftest import Listener, Mailbox, wait_for

FIXTURES = Path(__file__).parent / "fixtures"


def test_what_aws_tells_is_in_the_activity_log_once(listener: Listener, fresh: Any) -> None:
    mailbox = Mailbox(fresh, "us-east-1")
    events = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(FIXTURES.glob("*.json"))]
    mailbox.send(*events, *events)
    listener.start("spot.platform.audit", spot_audit_queues=[mailbox.as_variable], spot_audit_window=1.0)
    wait_for(lambda: mailbox.left() == 0, "the messages are handled and deleted")
    told = listener.activity()
    assert sorted(one["id"] for one in told) == sorted(one["id"] for one in events)
    assert mailbox.left(mailbox.dead) == 0
