# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of a step share."""

from __future__ import annotations

import pytest
from ansible_collections.spot.platform.plugins.module_utils.aws import autoscaling, state, steering, stepping
from ansible_collections.spot.platform.plugins.module_utils.aws import steering_groups as acting
from ansible_collections.spot.platform.plugins.module_utils.engine import autoscaling as engine
from ansible_collections.spot.platform.tests.unit.plugins.module_utils.aws.stepped import World


@pytest.fixture
def world(monkeypatch):
    made = World()
    monkeypatch.setattr(steering, "observe", made.observe)
    monkeypatch.setattr(engine, "decide", made.decide)
    monkeypatch.setattr(stepping, "launch", made.launch)
    monkeypatch.setattr(stepping, "running", lambda *_args: made.runs)
    monkeypatch.setattr(autoscaling, "groups", lambda *_args: [])
    monkeypatch.setattr(state, "acquire", made.acquire)
    monkeypatch.setattr(state, "release", made.write("release"))
    monkeypatch.setattr(state, "remember", made.write("remember"))
    monkeypatch.setattr(stepping.time, "sleep", lambda seconds: made.calls.append(("sleep", seconds)))
    for name in ("attach", "end", "set_figures", "suspend", "tag", "untag"):
        monkeypatch.setattr(acting, name, made.acts(name))
    return made
