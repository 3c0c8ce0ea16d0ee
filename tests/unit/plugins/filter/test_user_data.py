# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""User data, compressed."""

from __future__ import annotations

import base64
import gzip
import time

import pytest
from ansible_collections.spot.platform.plugins.filter.user_data import user_data

TEXT = "#cloud-config\n" + "runcmd: [ls] # größer\n" * 100


def test_the_text_comes_back_and_takes_less(monkeypatch):
    packed = user_data(TEXT)
    assert gzip.decompress(base64.b64decode(packed)).decode() == TEXT
    assert len(packed) < len(TEXT) / 4
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1000)
    assert user_data(TEXT) == packed, "it does not tell when it was made"


@pytest.mark.parametrize("data", [gzip.compress(TEXT.encode(), 1), TEXT.encode()], ids=["compressed by another zlib", "not compressed"])
def test_what_stands_stays_where_it_says_the_same(data):
    known = base64.b64encode(data).decode()
    assert known != user_data(TEXT)
    assert user_data(TEXT, known) == known
    assert user_data(TEXT + "more", known) == user_data(TEXT + "more")


@pytest.mark.parametrize(
    "known",
    ["", None, "no base64!", base64.b64encode(gzip.compress(TEXT.encode())[:-9]).decode(), base64.b64encode(b"\x1f\x8bnothing").decode()],
    ids=["empty", "none", "no base64", "cut off", "no gzip"],
)
def test_what_cannot_be_read_is_replaced(known):
    assert user_data(TEXT, known) == user_data(TEXT)
