"""An event of a role's own."""

from __future__ import annotations


def test_an_event_is_returned_as_activity(run_module):
    task = {"kind": "volume.shrunk", "resource": "vol-1", "summary": "it is smaller", "app": "shop", "after": {"size": 8}, "made": False, "reasons": ["why"]}
    result = run_module("activity_event", task)
    (event,) = result["activity"]
    expected = {"kind": "volume.shrunk", "app": "shop", "after": {"size": 8}, "before": None, "changed": False, "reasons": ["why"]}
    assert not result["changed"] and {key: event[key] for key in expected} == expected


def test_a_kind_that_nobody_could_filter_by_is_refused(run_module):
    result = run_module("activity_event", {"kind": "shrunk", "resource": "vol-1", "summary": "it is smaller"})
    assert result["failed"] and "<area>.<what>" in result["msg"]
