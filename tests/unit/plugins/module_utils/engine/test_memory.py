# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered between steps, as text."""

from __future__ import annotations

import json

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.memory import Peer, Remembered, read, written
from ansible_collections.spot.platform.plugins.module_utils.engine.risk import Memory, learn


def test_what_is_written_is_read_again():
    memory = learn(learn(Memory(), 0.0, ["a", "b", "c"], [], []), 600.0, ["c"], ["a", "b"], ["d"])
    peers = {"eu-west-1": Peer(6, 2), "us-west-2": Peer(4, 0, 250.0)}
    remembered = Remembered(memory, frozenset({"i-1", "i-2"}), frozenset({"i-3"}), 300.0, 240.0, peers, frozenset({"i-4"}))
    assert read(written(remembered)) == remembered
    assert memory.together, "pairs of pools are remembered too"


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"form": 99}', '{"form": 1, "at": 1, "pools": {"a": [1, 2]}}'])
def test_what_cannot_be_read_is_nothing_known(text):
    assert read(text) == Remembered()


def test_what_was_written_before_anything_could_be_replaced_is_read():
    older = json.loads(written(Remembered(counted=frozenset({"i-1"}))))
    del older["replaced"]
    assert read(json.dumps(older)) == Remembered(counted=frozenset({"i-1"}))
