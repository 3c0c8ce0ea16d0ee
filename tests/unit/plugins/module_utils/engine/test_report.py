# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from ansible_collections.spot.platform.plugins.module_utils.engine.report import compose, scaling_events, total_cost

NOW = "2026-01-31T12:00:00.000Z"


def fleet(app, region, **more):
    return {
        "app": app,
        "region": region,
        "cost": {"since": "2026-01-31T11:00:00.000Z", "spot_platform": 0.25, "all_on_demand": 1.0, "basis": "estimated"},
        **more,
    }


def test_fleets_are_grouped_by_app_and_sorted_by_region():
    report = compose([fleet("web", "us-east-1"), fleet("api", "us-east-1"), fleet("web", "eu-west-1")], [], NOW)
    assert [(app["name"], [region["region"] for region in app["regions"]]) for app in report["apps"]] == [
        ("api", ["us-east-1"]),
        ("web", ["eu-west-1", "us-east-1"]),
    ]


def test_cost_is_the_sum_and_savings_follow_from_it():
    report = compose([fleet("web", "us-east-1"), fleet("web", "eu-west-1")], [], NOW)
    assert report["cost"] == {
        "since": "2026-01-31T11:00:00.000Z",
        "spot_platform": 0.5,
        "all_on_demand": 2.0,
        "savings_percent": 75.0,
        "basis": "estimated",
    }


def test_nothing_ran_means_no_cost_and_no_savings():
    assert total_cost([]) == {
        "since": None,
        "spot_platform": 0,
        "all_on_demand": 0,
        "savings_percent": 0.0,
        "basis": None,
    }


def test_events_come_newest_first():
    events = [{"time": "2026-01-31T10:00:00.000Z", "id": "old"}, {"time": "2026-01-31T11:00:00.000Z", "id": "new"}]
    assert [event["id"] for event in compose([], events, NOW)["events"]] == ["new", "old"]


def activity(time, status, description, message="", cause=""):
    return {"time": time, "status": status, "description": description, "message": message, "cause": cause}


def test_like_activities_close_together_are_one_event():
    lost = "At 2026-01-31T11:00:{:02}Z an instance was taken out of service."
    activities = [
        activity("2026-01-31T11:00:05.000Z", "Successful", "Terminating EC2 instance: i-1", cause=lost.format(5)),
        activity("2026-01-31T11:00:02.000Z", "Successful", "Terminating EC2 instance: i-2", cause=lost.format(2)),
        activity("2026-01-31T11:00:30.000Z", "Failed", "Launching a new EC2 instance", message="No capacity."),
        activity("2026-01-31T11:09:30.000Z", "Failed", "Launching a new EC2 instance", message="No capacity."),
        activity("2026-01-31T11:02:00.000Z", "Successful", "Launching a new EC2 instance: i-3"),
    ]
    events = scaling_events([fleet("web", "us-east-1", group="g", activities=activities)])
    assert [(event["kind"], event["time"][11:19], event["summary"], event["reasons"]) for event in events] == [
        ("scaling.ended", "11:00:02", "The group ended 2 instances", ["an instance was taken out of service."]),
        ("scaling.failed", "11:00:30", "The group tried in vain to launch instances, 2 times", ["No capacity."]),
        ("scaling.launched", "11:02:00", "The group launched 1 instance", []),
    ]
