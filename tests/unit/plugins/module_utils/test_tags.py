# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a volume is mounted, by its tags."""

from __future__ import annotations

import pytest
from ansible_collections.spot.platform.plugins.module_utils.tags import mount_of

LAUNCHED = {"spot.platform/app": "shop", "spot.platform/mount/sdf": "/srv/data", "spot.platform/mount/sdg": "/srv/logs"}


@pytest.mark.parametrize(
    ("labels", "device", "mount"),
    [
        (LAUNCHED, "/dev/sdf", "/srv/data"),
        (LAUNCHED, "/dev/sdg", "/srv/logs"),
        (LAUNCHED, "/dev/xvda", None),
        (LAUNCHED, None, None),
        ({**LAUNCHED, "spot.platform/mount": "/srv/new"}, "/dev/sdg", "/srv/new"),
        ({}, "/dev/sdf", None),
    ],
)
def test_a_volume_is_mounted_where_its_own_tag_or_that_of_its_device_says(labels, device, mount):
    assert mount_of(labels, device) == mount
