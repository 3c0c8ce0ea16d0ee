"""An event of a role's own."""

from __future__ import annotations

import uuid


def test_an_event_is_returned_as_activity(run_module):
    task = {"kind": "volume.shrunk", "resource": "vol-1", "summary": "it is smaller", "app": "shop", "after": {"size": 8}, "made": False, "reasons": ["why"]}
    result = run_module("activity_event", task)
    (event,) = result["activity"]
    expected = {"kind": "volume.shrunk", "app": "shop", "after": {"size": 8}, "before": None, "changed": False, "reasons": ["why"]}
    assert not result["changed"] and {key: event[key] for key in expected} == expected


def test_an_event_that_is_told_again_has_the_same_id(run_module):
    def ids(**options):
        task = {"kind": "volume.shrunk", "resource": "vol-2", "summary": "it is smaller", **options}
        return [run_module("activity_event", task)["activity"][0]["id"] for _time in range(2)]

    one, same = ids(once="vol-1 vol-2")
    assert one == same == str(uuid.UUID(one))
    assert one not in ids(once="vol-1 vol-3") + ids(once="vol-1 vol-2", kind="volume.grown")
    assert len({one, *ids()}) == 3, "without it each is another event"


def test_a_kind_that_nobody_could_filter_by_is_refused(run_module):
    result = run_module("activity_event", {"kind": "shrunk", "resource": "vol-1", "summary": "it is smaller"})
    assert result["failed"] and "<area>.<what>" in result["msg"]
