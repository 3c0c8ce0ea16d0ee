# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What scaling activities tell of Spot."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws import history
from ansible_collections.spot.platform.plugins.module_utils.engine.market import GRANTED, LOST, REFUSED

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)
ID = "i-0123456789abcdef0"
SPOT = {"instance_id": ID, "instance_type": "m5.large", "instance_lifecycle": "spot"}
ON_DEMAND = {"instance_id": ID, "instance_type": "m5.large"}
LAUNCH, END = f"Launching a new EC2 instance: {ID}", f"Terminating EC2 instance: {ID}"
UNFULFILLABLE = (
    "Could not launch Spot Instances. UnfulfillableCapacity - Unable to fulfill capacity due to your request "
    "configuration. Please adjust your request and try again. Launching EC2 instance failed."
)
SCARCE = (
    "Could not launch Spot Instances. InsufficientInstanceCapacity - We currently do not have sufficient c5.large capacity "
    "in the Availability Zone you requested (us-east-1a). Launching EC2 instance failed."
)
UNHEALTHY = "At .. an instance was taken out of service in response to an EC2 health check indicating it has been terminated or stopped."


def activity(description, status="Successful", message=None, cause="", zone="us-east-1a", ago=timedelta()):
    details = {"Subnet ID": "subnet-1", **({"Availability Zone": zone} if zone else {})}
    return {
        "Description": description,
        "StatusCode": status,
        "StatusMessage": message,
        "Cause": cause,
        "StartTime": NOW - ago,
        "Details": json.dumps(details),
    }


def failed(message):
    return activity(f"Launching a new EC2 instance.  Status Reason: {message}", "Failed", message)


@pytest.mark.parametrize(
    ("told", "instance", "wanted"),
    [
        (activity(LAUNCH), SPOT, (GRANTED, "m5.large")),
        (activity(LAUNCH, "PreInService"), SPOT, (GRANTED, "m5.large")),
        (activity(LAUNCH), None, (GRANTED, None)),
        (activity(LAUNCH), ON_DEMAND, None),
        (activity(f"Attaching an existing EC2 instance: {ID}"), SPOT, (GRANTED, "m5.large")),
        (activity(f"Detaching EC2 instance: {ID}"), SPOT, None),
        (failed(UNFULFILLABLE), None, (REFUSED, None)),
        (failed(SCARCE), None, (REFUSED, "c5.large")),
        (failed(SCARCE.replace("Spot", "On-Demand")), None, None),
        (failed("The image id '[ami-1]' does not exist. Launching EC2 instance failed."), None, None),
        (activity(END), SPOT | {"state_reason": {"code": "Server.SpotInstanceTermination"}}, (LOST, "m5.large")),
        (activity(END, cause=UNHEALTHY), SPOT | {"state_reason": {"code": "Client.UserInitiatedShutdown"}}, None),
        (activity(END, cause=UNHEALTHY), None, (LOST, None)),
        (activity(END, cause="an instance was taken out of service in response to a user request"), None, None),
        (activity(LAUNCH, zone=None), SPOT, None),
    ],
)
def test_an_activity_tells_of_spot_or_nothing(told, instance, wanted):
    found = history.sighting(told, {ID: instance} if instance else {})
    assert (found and (found.what, found.instance_type)) == wanted
    assert found is None or (found.zone, found.time) == ("us-east-1a", NOW)


def test_sightings_are_in_order_of_time():
    activities = [failed(SCARCE), activity(LAUNCH, ago=timedelta(hours=1))]
    assert [one.what for one in history.sightings(activities, {})] == [GRANTED, REFUSED]


def test_ec2_is_asked_only_for_instances_that_it_may_remember():
    old = activity("Terminating EC2 instance: i-00000001", ago=timedelta(hours=3))
    assert history.lately_ended(
        [activity(END, ago=timedelta(hours=1)), old, activity(LAUNCH), failed(SCARCE)], NOW
    ) == {ID}
