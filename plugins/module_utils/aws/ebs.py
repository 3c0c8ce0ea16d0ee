# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes as EC2 shows them, for all who look at them.

Required IAM action: ``ec2:DescribeVolumes``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.aws.autoscaling import time_of
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import Errors

PAGE = 500


@Errors.common_error_handler("list the volumes")
def describe_volumes(client: Any, filters: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], float]:
    """The volumes that pass the filters, all pages, and EC2's time in seconds since 1970. Raises `AwsError`."""
    found, now = [], time.time()
    for page in client.get_paginator("describe_volumes").paginate(Filters=list(filters), PaginationConfig={"PageSize": PAGE}):
        found += page["Volumes"]
        now = time_of(page).timestamp()
    return found, now
