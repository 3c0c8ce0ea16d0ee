# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Groups and their activities as AWS describes them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling as aws

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)


def activity(description, status="Successful", age=60, took=30):
    begun = NOW - timedelta(seconds=age)
    return {
        "Description": description,
        "StatusCode": status,
        "StartTime": begun,
        "EndTime": begun + timedelta(seconds=took),
    }


def test_what_was_launched_or_attached_went_into_service_at_its_end():
    found = aws.launches(
        [
            activity("Launching a new EC2 instance: i-0123456789abcdef0"),
            activity("Attaching an EC2 instance: i-0123456789abcdef1"),
            activity("Launching a new EC2 instance.  Status Reason: none", "Failed"),
            activity("Terminating EC2 instance: i-0123456789abcdef2"),
        ]
    )
    assert found == dict.fromkeys(["i-0123456789abcdef0", "i-0123456789abcdef1"], NOW - timedelta(seconds=30))


def test_a_message_is_cut_after_a_sentence():
    assert aws.shortened("One.  Two is\nlonger. Three is the longest.", 20) == "One. Two is longer."
    assert aws.shortened("word " * 50, 20) == "word word word wo..."


def test_a_group_without_a_mixed_policy_is_on_demand_throughout():
    assert aws.Group({"AutoScalingGroupName": "a", "DesiredCapacity": 3}, {}, "us-east-1", NOW).on_demand_base == 3


def test_only_a_healthy_member_in_service_serves():
    well = {"LifecycleState": "InService", "HealthStatus": "Healthy"}
    assert aws.serves(well)
    assert not aws.serves({**well, "LifecycleState": "Pending"}) and not aws.serves({**well, "HealthStatus": "Unhealthy"})
