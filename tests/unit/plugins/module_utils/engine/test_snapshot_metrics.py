# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The metrics of a snapshot: sums that are right, nothing for what is not known, and no series for each instance."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.snapshot_metrics import metrics

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)
FLEET = {"app": "web", "region": "eu-west-1", "unit": "vcpus", "target": 8, "serving": 7, "fallback": None, "cost_per_hour": 0.25}
WHERE = 'app="web",region="eu-west-1"'


def ago(**time):
    return (NOW - timedelta(**time)).isoformat().replace("+00:00", "Z")


def told(**parts):
    """The series of a snapshot, ``{name with labels: value}``, without what every snapshot has."""
    lines = metrics({"made_at": ago(), "errors": [], "activity": [], **parts}).splitlines()
    found = dict(line.removeprefix("spot_platform_").rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in found.items() if not name.startswith("snapshot_")}


def event(kind, source="platform", **more):
    return {"id": "1", "time": ago(hours=1), "app": "web", "region": "eu-west-1", "kind": kind, "source": source, "changed": True, **more}


def counts(*events, **parts):
    return {name.partition("{")[0]: value for name, value in told(activity=list(events), **parts).items() if "area" not in name}


def test_a_snapshot_of_nothing_has_its_age_and_no_zeros():
    made = metrics({"made_at": ago(), "environment": "it", "errors": [{"message": "denied"}], "activity": []})
    series = [line for line in made.splitlines() if not line.startswith("#")]
    assert series == [
        'spot_platform_snapshot_errors{environment="it"} 1',
        f'spot_platform_snapshot_timestamp_seconds{{environment="it"}} {NOW.timestamp()}',
    ]


def test_a_fleet_has_what_is_known_of_it():
    assert told(fleets=[FLEET]) == {
        f'fleet_target{{{WHERE},unit="vcpus"}}': 8,
        f'fleet_serving{{{WHERE},unit="vcpus"}}': 7,
        f"fleet_cost_usd_per_hour{{{WHERE}}}": 0.25,
    }


def test_groups_of_one_application_are_added_up_and_a_sum_without_one_of_its_parts_is_absent():
    found = told(fleets=[FLEET, {**FLEET, "target": 2, "cost_per_hour": None}])
    assert found[f'fleet_target{{{WHERE},unit="vcpus"}}'] == 10
    assert not [name for name in found if name.startswith("fleet_cost")]


def test_instances_are_counted_and_never_named():
    rows = [{"id": f"i-{number}", "app": "web", "region": "eu-west-1", "lifecycle": "spot", "health": "healthy"} for number in range(500)]
    found = told(instances=[*rows, {**rows[0], "health": None}, {**rows[0], "lifecycle": "on_demand", "health": "unhealthy"}])
    assert len(found) == 6 and "i-" not in "".join(found)
    assert found[f'instances{{{WHERE},lifecycle="spot",health="healthy"}}'] == 500
    assert found[f'instances{{{WHERE},lifecycle="spot",health="unknown"}}'] == 1
    assert found[f'instances{{{WHERE},lifecycle="spot",health="unhealthy"}}'] == 0


def test_pools_are_in_base_units():
    pool = {"region": "eu-west-1", "zone": "eu-west-1a", "type": "m5.large", "held": 2, "price": 0.03, "hours_to_a_loss": 10, "chance_open": None}
    place = 'region="eu-west-1",zone="eu-west-1a",type="m5.large"'
    assert told(market={"pools": [pool]}) == {
        f"pool_held{{{place}}}": 2,
        f"pool_price_usd_per_hour{{{place}}}": 0.03,
        f"pool_loss_seconds{{{place}}}": 36000,
    }


def test_volumes_are_told_by_mount():
    row = {"id": "vol-1", "app": "web", "region": "eu-west-1", "mount": "/srv", "size_gib": 10, "used_bytes": 5, "may_change": True}
    rows = [{**row, "growth_bytes_per_day": 86400.0, "days_left": 3.0}, {**row, "used_bytes": None, "may_change": False, "days_left": 2.0}]
    place = f'{{{WHERE},mount="/srv"}}'
    assert told(volumes=rows) == {
        f"volumes{place}": 2,
        f"volumes_size_bytes{place}": 20 * 1024**3,
        f"volumes_changeable{place}": 1,
        f"volumes_full_seconds{place}": 2 * 86400,
    }


def test_events_of_the_last_day_are_counted_by_the_instances_that_they_are_about():
    found = counts(
        event("interruption.handled", after={"ids": ["i-1", "i-2"]}),
        event("interruption.handled", time=ago(hours=25), after={"ids": ["i-3"]}),
        event("rebalance.noted", changed=False, after={"ids": ["i-4"]}),
        event("rebalance.replaced", after={"ids": ["i-5"]}),
        event("capacity.fallback"),
        event("capacity.fallback", changed=False),
    )
    assert found == {
        "interruption_notices_last_day": 2,
        "rebalance_recommendations_last_day": 2,
        "fallbacks_last_day": 1,
        "returns_last_day": 0,
        "events_complete": 1,
    }


def test_without_the_log_of_the_platform_nothing_is_counted():
    assert counts(event("capacity.launched", source="autoscaling")) == {}


def test_counts_of_events_of_which_some_are_missing_say_so():
    cut = {"truncated": {"activity": {"kept": 1, "of": 9}}}
    assert counts(event("capacity.fallback"), **cut)["events_complete"] == 0
    assert counts(event("app.onboarded", time=ago(days=2)), event("capacity.fallback"), **cut)["events_complete"] == 1


def test_of_certificates_of_one_name_the_first_end_counts_and_quotas_come_once():
    row = {"name": "a.example.com", "app": None, "region": "us-east-1", "expires_at": ago(days=-9), "in_use": True}
    quota = {"region": "us-east-1", "service": "ec2", "name": "Spot", "used": None, "limit": 32}
    found = told(certificates=[row, {**row, "expires_at": ago(days=-3)}, {**row, "expires_at": None}], quotas=[quota, quota])
    assert found == {
        'certificate_expiry_timestamp_seconds{app="",region="us-east-1",name="a.example.com",in_use="true"}': (NOW + timedelta(days=3)).timestamp(),
        'quota_limit{region="us-east-1",service="ec2",name="Spot"}': 32,
    }


def test_a_time_that_is_none_is_refused():
    with pytest.raises(ValueError, match="yesterday"):
        metrics({"made_at": "yesterday", "activity": []})
