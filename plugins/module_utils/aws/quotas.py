# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service quotas of an account, by region. What is used of them is counted where the resources are listed.

Required IAM actions: ``servicequotas:ListServiceQuotas``, ``servicequotas:ListAWSDefaultServiceQuotas``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.aws.gathering import Found, Part
from ansible_collections.spot.platform.plugins.module_utils.aws.kinds import KINDS
from ansible_collections.spot.platform.plugins.module_utils.engine import quotas as engine


class Limits:
    """The limits that apply, read service by service: a list of a hundred costs as much as one."""

    def __init__(self, regions: Sequence[str]) -> None:
        self._regions = regions
        self._limits: dict[str, dict[str, float]] = defaultdict(dict)

    def parts(self) -> Iterator[Part]:
        """What to read."""
        for service in engine.SERVICES:
            for region in self._regions:
                yield region, "service-quotas", f"the quotas of {service}", partial(self._read, region, service)

    def _read(self, region: str, service: str, client: Any) -> None:
        wanted = {quota.code for quota in engine.QUOTAS if quota.service == service}
        limits: dict[str, float] = {}
        # A quota that was never raised may have no applied value: then AWS's default holds.
        for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
            if wanted <= limits.keys():
                break
            pages = client.get_paginator(operation).paginate(ServiceCode=service, PaginationConfig={"PageSize": 100})
            for page in pages:
                for quota in page["Quotas"]:
                    if quota["QuotaCode"] in wanted and "Value" in quota:
                        limits.setdefault(quota["QuotaCode"], quota["Value"])
        self._limits[region].update(limits)

    def rows(self, found: Found) -> list[dict[str, Any]]:
        """The quotas of which limit and use are known, the Spot quotas first, then by share."""
        counted = {kind.name: kind for kind in KINDS if kind.use}
        uses: list[engine.Use] = []
        for region in self._regions:
            missing = {_PREFIX[name] for name in found.uncounted[region] if name in counted}
            uses += [
                use
                for use in engine.uses(region, self._limits[region], found.used[region])
                if use.quota.use.partition(":")[0] not in {part for names in missing for part in names}
            ]
        return [
            {
                "region": use.region,
                "service": use.quota.service,
                "name": use.quota.name,
                "code": use.quota.code,
                "limit": use.limit,
                "used": use.used,
                "share": use.share,
                "health": use.health,
                "note": engine.note(use, (one for one in uses if one.region == use.region)),
            }
            for use in engine.in_order(uses)
        ]


_PREFIX = {
    "instance": ("spot", "on_demand"),
    "volume": ("volumes",),
    "snapshot": ("snapshots",),
    "group": ("groups",),
    "address": ("addresses",),
    "launch_template": ("launch_templates",),
    "load_balancer": ("load_balancers",),
    "target_group": ("target_groups",),
    "database": ("databases",),
}
"""What is counted where a kind is listed; without the list it is not known."""
