# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How resources are judged and summed up, and what is said of what could not be read."""

from __future__ import annotations

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine import estate
from ansible_collections.spot.platform.plugins.module_utils.engine.estate import DAY, Gap

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("state", "days", "in_use", "renewal", "health", "said"),
    [
        ("ISSUED", 200, True, None, "ok", ""),
        ("ISSUED", 20, True, None, "warning", "expires in 20 days"),
        ("ISSUED", 5, True, None, "problem", "expires in 5 days"),
        ("ISSUED", 5, False, None, "warning", "expires in 5 days"),
        ("ISSUED", -2, True, None, "problem", "expired 2 days ago"),
        ("ISSUED", -2, False, None, "warning", "expired 2 days ago"),
        ("EXPIRED", 0, True, None, "problem", "has expired"),
        ("ISSUED", 50, True, "FAILED", "warning", "its renewal failed, 50 days are left"),
        ("ISSUED", 20, True, "PENDING_VALIDATION", "problem", "waits for validation"),
        ("ISSUED", 20, True, "SUCCESS", "warning", "expires in 20 days"),
        ("PENDING_VALIDATION", None, False, None, "warning", "set the DNS records"),
        ("FAILED", None, False, None, "problem", "is FAILED"),
    ],
)
def test_a_certificate_by_the_days_that_are_left(state, days, in_use, renewal, health, said):
    ends = None if days is None else NOW + days * DAY
    found = estate.of_certificate(state, ends, NOW, in_use, renewal)
    assert found[0] == health and said in found[1]


@pytest.mark.parametrize(
    ("states", "health", "said"),
    [
        ({}, "warning", "has no targets"),
        ({"a": "healthy"}, "ok", ""),
        ({"a": "healthy", "b": "unhealthy", "c": "draining"}, "warning", "1 healthy, 1 draining, 1 unhealthy"),
        ({"a": "unhealthy"}, "problem", "no healthy target: 1 unhealthy"),
    ],
)
def test_a_target_group_by_its_targets(states, health, said):
    found = estate.of_targets(states)
    assert found[0] == health and said in found[1]


@pytest.mark.parametrize(
    ("state", "member", "targets", "impaired", "health"),
    [
        ("running", "healthy", [], False, "healthy"),
        ("running", None, ["healthy"], False, "healthy"),
        ("running", "healthy", ["healthy", "unhealthy"], False, "unhealthy"),
        ("running", "healthy", ["initial"], False, "unknown"),
        ("running", "healthy", ["healthy"], True, "unhealthy"),
        ("running", "unhealthy", [], False, "unhealthy"),
        ("running", "starting", [], False, "unknown"),
        ("running", None, [], False, "unknown"),
        ("stopped", "healthy", ["healthy"], False, "unhealthy"),
    ],
)
def test_an_instance_by_its_group_its_targets_and_its_checks(state, member, targets, impaired, health):
    found = estate.of_instance(state, member, targets, impaired)
    assert found[0] == health and bool(found[1]) == (health != "healthy")


def test_groups_by_what_serves():
    assert estate.of_group(4, 4) == estate.FINE and estate.of_group(0, 0) == estate.FINE
    assert estate.of_group(4, 3) == ("warning", "3 of 4 are in service")
    assert estate.of_group(4, 0)[0] == "problem"


def test_states():
    assert estate.of_state("active", ("active",)) == estate.FINE
    assert estate.of_state(None, ("active",))[0] == "unknown"
    assert estate.of_state("failed", ("active",), ("failed",), "no room") == ("problem", "is failed: no room")
    assert estate.of_state("creating", ("active",), ("failed",)) == ("warning", "is creating")
    assert estate.of_volume("available")[0] == "warning" and estate.of_volume("in-use")[0] == "ok"


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("debian-12-amd64-20260901", "admin"),
        ("ubuntu/images/hvm-ssd/ubuntu-noble-24.04", "ubuntu"),
        ("al2023-ami-2023.5", "ec2-user"),
        ("our-own", None),
        (None, None),
    ],
)
def test_the_user_of_an_image(name, user):
    assert estate.user_of(name) == user


def test_a_summary_by_application():
    rows = [
        {"app": "web", "kind": "volume", "health": "ok", "region": "b"},
        {"app": "web", "kind": "volume", "health": "problem", "region": "a"},
        {"app": None, "kind": "queue", "health": "unknown", "region": "a"},
    ]
    assert estate.by_app(rows) == [
        {"app": "web", "regions": ["a", "b"], "kinds": {"volume": 2}, "health": {"problem": 1, "ok": 1}},
        {"app": None, "regions": ["a"], "kinds": {"queue": 1}, "health": {"unknown": 1}},
    ]
    assert estate.by_app([]) == []


def test_a_region_that_is_silent_is_told_of_once_and_each_missing_permission_by_itself():
    gaps = [
        Gap("b", "volume", "b does not answer", None),
        Gap("b", "queue", "b does not answer", None),
        Gap("a", "volume", "denied v", "AccessDenied", "ec2:DescribeVolumes"),
        Gap("a", "queue", "denied q", "AccessDenied", "sqs:ListQueues"),
        Gap("a", "topic", "expired", "credentials"),
        Gap("a", "key", "expired", "credentials"),
    ]
    assert [(one["region"], one["what"], one["action"]) for one in estate.told(gaps)] == [
        ("a", "key, topic", None),
        ("a", "queue", "sqs:ListQueues"),
        ("a", "volume", "ec2:DescribeVolumes"),
        ("b", "queue, volume", None),
    ]
