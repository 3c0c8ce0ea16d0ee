# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""event_record: a batch of events becomes activity."""

from __future__ import annotations

import json

import pytest

EVENT = {"id": "1", "kind": "instance.state", "summary": "i-0abc is terminated", "ids": ["i-0abc"]}


@pytest.mark.parametrize("check", [False, True])
def test_the_events_of_a_batch_are_activity(run_module, tmp_path, check):
    receipt = tmp_path / "batch.json"
    receipt.write_text(json.dumps({"batch": "b", "events": [EVENT, {**EVENT, "id": "2"}]}), encoding="utf-8")
    result = run_module("event_record", {"receipt": str(receipt)}, check=check)
    assert not result["changed"] and result["recorded"] == 2
    assert [one["id"] for one in result["activity"]] == ["1", "2"] and receipt.exists()


def test_a_batch_that_was_handled_meanwhile_is_nothing(run_module, tmp_path):
    result = run_module("event_record", {"receipt": str(tmp_path / "gone.json")})
    assert not result.get("failed") and (result["recorded"], result["activity"]) == (0, [])


@pytest.mark.parametrize("text", ["", "[]", '{"events": 1}', '{"events": [{"id": "1"}]}'])
def test_what_is_no_batch_is_refused(run_module, tmp_path, text):
    receipt = tmp_path / "batch.json"
    receipt.write_text(text, encoding="utf-8")
    result = run_module("event_record", {"receipt": str(receipt)})
    assert result["failed"] and str(receipt) in result["msg"]
