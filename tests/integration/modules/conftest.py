# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the autoscaler take steps with."""

from __future__ import annotations

import pytest
from ansible_collections.spot.platform.tests.integration.modules.groups import REGION


@pytest.fixture
def step(run_module, tmp_path):
    """``step(**options)``: one step of all groups of the region, as the scheduled job takes it."""

    def take(check=False, **options):
        named = {} if "groups" in options else {"regions": [REGION]}
        given = {"cache_dir": str(tmp_path), "run_seconds": 10, **named, **options}
        return run_module("spot_autoscale", given, check=check, diff=True)

    return take
