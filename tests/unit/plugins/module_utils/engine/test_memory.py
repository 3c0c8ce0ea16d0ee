# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered between steps, as text."""

from __future__ import annotations

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.memory import Remembered, read, written
from ansible_collections.spot.platform.plugins.module_utils.engine.risk import Memory, learn


def test_what_is_written_is_read_again():
    memory = learn(learn(Memory(), 0.0, ["a", "b", "c"], [], []), 600.0, ["c"], ["a", "b"], ["d"])
    remembered = Remembered(memory, frozenset({"i-1", "i-2"}), 300.0)
    assert read(written(remembered)) == remembered
    assert memory.together, "pairs of pools are remembered too"


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"form": 99}', '{"form": 1, "at": 1, "pools": {"a": [1, 2]}}'])
def test_what_cannot_be_read_is_nothing_known(text):
    assert read(text) == Remembered()
