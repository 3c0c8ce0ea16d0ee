# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tags that mark a resource as one of ours; whatever observes or cleans up goes by them."""

from __future__ import annotations

APP = "spot.platform/app"
ENVIRONMENT = "spot.platform/environment"
MANAGED_BY = "spot.platform/managed-by"
TARGET = "spot.platform/target"
"""On a group: the capacity that the application wants, in the group's unit, without On-Demand fallback."""


def of(app: str, environment: str) -> dict[str, str]:
    """The three tags that every resource of an application carries."""
    return {APP: app, ENVIRONMENT: environment, MANAGED_BY: "spot.platform"}
