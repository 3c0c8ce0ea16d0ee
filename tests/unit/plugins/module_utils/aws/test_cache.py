# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers are kept, for their time, for their question, and never at the cost of an answer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws.cache import HOUR, Cache


class Source:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> Any:
        self.asked += 1
        return {"answer": self.asked}


def test_asked_once(tmp_path: Path) -> None:
    source = Source()
    answers = [Cache(tmp_path).remember(["prices", "us-east-1"], HOUR, source) for number in range(3)]
    assert source.asked == 1 and answers == [{"answer": 1}] * 3


def test_another_question_endpoint_or_time_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source()
    Cache(tmp_path).remember(["a"], HOUR, source)
    Cache(tmp_path).remember(["b"], HOUR, source)
    Cache(tmp_path, "http://127.0.0.1:1").remember(["a"], HOUR, source)
    assert source.asked == 3
    later = time.time() + HOUR + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert Cache(tmp_path).remember(["a"], HOUR, source) == {"answer": 4}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"key": "other", "time": 1e12, "answer": 1}', "\x00\xff"])
def test_a_damaged_file_is_asked_anew(tmp_path: Path, damage: str) -> None:
    source = Source()
    cache = Cache(tmp_path)
    cache.remember(["a"], HOUR, source)
    next(tmp_path.glob("*.json")).write_text(damage, encoding="latin-1")
    assert cache.remember(["a"], HOUR, source) == {"answer": 2}
    assert cache.remember(["a"], HOUR, source) == {"answer": 2}
    assert cache.problem is None


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "cache")
    assert cache.remember(["a"], HOUR, Source()) == {"answer": 1}
    assert "answers are not cached in" in cache.problem


def test_a_failed_question_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError):
        Cache(tmp_path).remember(["a"], HOUR, fail)
    assert not list(tmp_path.iterdir())
