# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tags that mark a resource as one of ours; whatever observes or cleans up goes by them."""

from __future__ import annotations

from collections.abc import Mapping

APP = "spot.platform/app"
ENVIRONMENT = "spot.platform/environment"
MANAGED_BY = "spot.platform/managed-by"
TARGET = "spot.platform/target"
"""On a group: the capacity that the application wants, in the group's unit, without On-Demand fallback."""
OVERRIDE = "spot.platform/override"
"""On a group: the bounds that somebody set for some hours, see `engine.overrides`."""
LENT = "spot.platform/lent"
"""On a group: the part of the target that it carries for other regions of the application."""
MINIMUM = "spot.platform/min"
MAXIMUM = "spot.platform/max"
"""On a group: the bounds of the target. The group's own MaxSize is larger, by what fallback may add."""
ON_DEMAND_BASE = "spot.platform/on-demand-base"
"""On a group: the On-Demand capacity that the application always wants; what is in force above it is fallback."""
FALLBACK = "spot.platform/fallback"
"""On a group: ``on_demand`` or ``none``."""
UNIT = "spot.platform/unit"
"""On a group: ``vcpus`` or ``instances``, what the figures above count."""
PROFILE = "spot.platform/profile"
"""On a group: ``cost``, ``balanced`` or ``availability``."""
ZONE_SHARE = "spot.platform/max-zone-share"
"""On a group: the largest part of the target that one zone may hold, from 0 to 1."""
SUSPENDED = "spot.platform/suspended"
"""On a group: the processes that spot_autoscale suspended, to be resumed when it lets go of the group."""
DRAINING = "spot.platform/draining"
"""On a Spot Fleet: its instances are being taken out of their target groups, so it does not serve again."""
MOUNT = "spot.platform/mount"
"""On a volume: where the application mounts it."""
STAYS = "spot.platform/stays"
"""On a group: the mounts whose data volumes stay with their zones, so that its instances are launched there; spaces between them."""
MOUNT_OF = "spot.platform/mount/"
"""On all volumes that an instance is launched with, followed by the name of a device, ``sdf``: where the one at that device is mounted."""
MODIFIED = "spot.platform/modified"
"""On a volume: its last modifications, ``<seconds since 1970>:<GiB before>`` each."""
SHRINKS = "spot.platform/shrinks"
"""On a volume: the larger one whose place it is to take, or has taken and the rest is to be done. On a snapshot: what it is of."""
SHRINK_STATE = "spot.platform/shrink-state"
"""On such a volume: ``made``, ``formatted``, or ``switching`` from when on the host's fstab tells which of the two is in use."""
REPLACED_BY = "spot.platform/replaced-by"
"""On a volume: the smaller one, or the one in another zone, that took its place."""
FREE_SINCE = "spot.platform/free-since"
"""On a volume: since when nobody in its zone takes it, in seconds since 1970."""
MAY_MOVE = "spot.platform/may-move"
"""On such a volume: it has waited long enough to go to an instance in another zone."""
MOVES = "spot.platform/moves"
"""On a volume in another zone that is to take the place of one, and on the snapshot that it is made of: that one, and its mount."""
DELETE_AFTER = "spot.platform/delete-after"
"""On a volume or a snapshot: the day, ``2026-01-31``, after which nobody needs it."""
GROUP = "spot.platform/group"
"""On an instance that spot_autoscale launched: the group or fleet that it belongs to, or is to be attached to."""


def mount_of(labels: Mapping[str, str], device: str | None) -> str | None:
    """Where the volume with these tags, attached as ``device``, is mounted, ``None`` where they do not tell."""
    return labels.get(MOUNT) or labels.get(f"{MOUNT_OF}{(device or '').removeprefix('/dev/')}")


def of(app: str, environment: str) -> dict[str, str]:
    """The three tags that every resource of an application carries."""
    return {APP: app, ENVIRONMENT: environment, MANAGED_BY: "spot.platform"}
