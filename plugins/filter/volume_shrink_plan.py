# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be done for a smaller volume."""

from __future__ import annotations

DOCUMENTATION = r"""
name: volume_shrink_plan
short_description: Say what is to be done so that a mount is on a smaller volume
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Decides for the role P(spot.platform.volume_shrink#role), by what is there now.
options:
  _input:
    description: What RV(spot.platform.ebs_mount_info#module:mount) returns of a path where something is mounted.
    type: dict
    required: true
  volumes:
    description: The volumes of the instance and those that are to replace one of them, as M(amazon.aws.ec2_vol_info) returns them.
    type: list
    elements: dict
    required: true
  instance:
    description: The instance.
    type: str
    required: true
  size:
    description: Size to have, in GiB.
    type: int
    required: true
  margin:
    description: Percent of bytes and inodes that the new file system must have above those in use.
    type: float
    required: true
  units:
    description: C(LoadState) and more of each unit that is stopped, as RV(spot.platform.ebs_mount_info#module:units) returns them.
    type: dict
    required: true
  tools:
    description: The commands that the host has.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Say what would be done
  ansible.builtin.debug:
    msg: "{{ seen.mount | spot.platform.volume_shrink_plan(volumes, instance_id, 20, 15, seen.units, seen.tools) }}"
"""

RETURN = r"""
_value:
  description:
    - C(action) is V(replace), V(finish) or V(nothing), C(old) and C(new) are the ids of the volumes, C(new) null where it is to be made,
      C(device) the name for its attachment, C(need) and C(need_inodes) what the new file system must have.
    - C(problems) has a sentence for each reason why it cannot be.
  type: dict
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.engine import shrinking


def volume_of(found: Mapping[str, Any]) -> shrinking.Volume:
    """A volume that ``ec2_vol_info`` returns."""
    attached = [one for one in found.get("attachment_set") or [] if one.get("status") in ("attached", "attaching", "busy")]
    return shrinking.Volume(
        id=found["id"],
        size=int(found["size"]),
        kind=found["type"],
        zone=found["zone"],
        iops=found.get("iops"),
        throughput=found.get("throughput"),
        instance=attached[0]["instance_id"] if attached else None,
        device=attached[0]["device"] if attached else None,
        shrinks=(found.get("tags") or {}).get(tags.SHRINKS),
        multi_attach=len(attached) > 1 or bool(found.get("multi_attach_enabled")),
    )


def mount_of(found: Mapping[str, Any]) -> shrinking.Mount:
    """What ``ebs_mount_info`` returns."""
    return shrinking.Mount(
        path=found["path"],
        kind=found["type"],
        volume=found["volume"],
        block=found["block"]["kind"],
        partitions=found["block"]["partitions"],
        root=found["root"],
        options=found["options"],
        uuid=found["uuid"],
        used=found["used"],
        inodes_used=found["inodes_used"],
        fstab=tuple(one["uuid"] for one in found["fstab"]),
        nested=tuple(found["nested"]),
        elsewhere=tuple(found["elsewhere"]),
        twins=tuple(name for name, one in found["volumes"].items() if one["uuid"] == found["uuid"] and name != found["volume"] and one["uuid"]),
        layers=found["layers"],
        subvolumes=found["subvolumes"],
        units=tuple(found["units"]),
        processes=tuple(shrinking.Process(one["pid"], one["command"], one["unit"]) for one in found["processes"]),
    )


def volume_shrink_plan(
    mount: Mapping[str, Any],
    volumes: Sequence[Mapping[str, Any]],
    instance: str,
    size: int,
    margin: float,
    units: Mapping[str, Mapping[str, str]],
    tools: Sequence[str],
) -> dict[str, Any]:
    """The plan, as a dictionary."""
    missing = tuple(name for name, state in units.items() if state.get("LoadState") == "not-found")
    wish = shrinking.Wish(int(size), instance, float(margin), tuple(units), missing, tuple(tools))
    found = {one["id"]: volume_of(one) for one in volumes}
    return asdict(shrinking.plan(mount_of(mount), list(found.values()), wish))


class FilterModule:
    """The filter of this file."""

    def filters(self) -> dict[str, Any]:
        """Names of filters, and their functions."""
        return {"volume_shrink_plan": volume_shrink_plan}
