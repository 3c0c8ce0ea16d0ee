# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading the activity file."""

from __future__ import annotations

import json

import pytest
from ansible_collections.spot.platform.plugins.module_utils.activity import Event, events_in


def test_what_was_written_is_read(tmp_path):
    event = Event("capacity.fallback", "web", "On-Demand stands in").as_dict()
    path = tmp_path / "activity.jsonl"
    path.write_text(f"{json.dumps(event)}\n", encoding="utf-8")
    assert events_in(str(path)) == [event]


@pytest.mark.parametrize(
    "line", ["no JSON", "[]", "{}", '{"time": "noon", "kind": "x"}', '{"time": "2026-01-31T12:00:00Z"}']
)
def test_a_line_that_is_no_event_is_named(tmp_path, line):
    path = tmp_path / "activity.jsonl"
    path.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=f"line 1 of the activity file {path} is not an event"):
        events_in(str(path))


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match="cannot read the activity file .*none.jsonl"):
        events_in(str(tmp_path / "none.jsonl"))
