# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""event_routing against the sandbox: what it makes, that it mends what was changed, and what it leaves alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

REGION = "eu-west-1"
ALIAS = "alias/spot-platform-it-events"
QUEUES = ["audit", "audit-dead", "events", "events-dead"]
RULES = ["capacity", "capacity-changes", "health", "instances", "others", "spot"]
ENDPOINT = "https://127.0.0.1:9/sns"


@pytest.fixture
def route(fresh, run_module):
    """``route(**options)``: the module for the environment ``it``."""
    fresh.post("/sandbox/faults", rules=[])

    def run(check: bool = False, **options: Any) -> dict[str, Any]:
        return run_module("event_routing", {"environment": "it", "region": REGION, **options}, check=check, diff=True)

    return run


def writes(sandbox) -> list[str]:
    calls = sandbox.get("/sandbox/calls")["services"]
    reading = ("Describe", "Get", "List")
    return sorted({name for counts in calls.values() for name in counts if not name.startswith(reading)})


def names(sandbox, region: str = REGION) -> dict[str, list[str]]:
    """All queues, topics, rules and aliases of ours in the region."""
    queues = sandbox.client("sqs", region).list_queues().get("QueueUrls", [])
    topics = sandbox.client("sns", region).list_topics()["Topics"]
    aliases = sandbox.client("kms", region).list_aliases()["Aliases"]
    rules = sandbox.client("events", region).list_rules()["Rules"]
    return {
        "queues": sorted(url.rsplit("/", 1)[1] for url in queues),
        "topics": sorted(one["TopicArn"].rsplit(":", 1)[1] for one in topics),
        "rules": sorted(one["Name"] for one in rules),
        "aliases": sorted(one["AliasName"] for one in aliases if not one["AliasName"].startswith("alias/aws/")),
    }


def named(ends: list[str]) -> list[str]:
    return [f"spot-platform-it-{end}" for end in ends]


ALL = {"queues": named(QUEUES), "topics": named(["events"]), "rules": named(RULES), "aliases": [ALIAS]}
NOTHING = {"queues": [], "topics": [], "rules": [], "aliases": []}


def test_checked_then_made_then_unchanged_with_no_call_that_writes(route, fresh):
    checked = route(check=True)
    assert checked["changed"] and not checked["activity"], checked
    assert checked["regions"][0]["action"] == "created"
    assert names(fresh) == NOTHING

    made = route()
    assert made["changed"], made
    assert made["regions"][0]["changes"] == checked["regions"][0]["changes"]
    assert made["diff"] == checked["diff"]
    assert sorted(made["regions"][0]["queue_urls"]) == QUEUES
    assert made["activity"][0]["kind"] == "events.created"
    assert names(fresh) == ALL

    fresh.post("/sandbox/calls/reset")
    again = route()
    assert not again["changed"], again["diff"]
    assert again["regions"][0] == {**made["regions"][0], "action": "unchanged", "changes": []}
    assert writes(fresh) == []
