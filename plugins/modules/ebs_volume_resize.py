#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grow many EBS volumes in several regions."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ebs_volume_resize
version_added: 0.1.0
short_description: Grow many EBS volumes in several regions
description:
  - Grows volumes to a size, by a percentage, or until a part of them is free; all that are named, in all regions, side by side.
  - Type, IOPS and throughput change only where they are given.
  - A volume that EBS does not let be modified now - a modification is under way, or four began within 24 hours - is C(deferred),
    which is no failure; RV(volumes) says until when. To run the same again picks it up.
  - Where a wish can never be had, such as a size below the present one, nothing is changed at all, and the task fails.
  - A volume grows by O(max_growth_percent) in 24 hours at most, whatever is asked. Where that or O(volumes[].max_size) binds,
    RV(alert) is true.
  - EBS tells of the last modification of a volume only, so the module keeps the times of the last four in the volume's tag
    C(spot.platform/modified).
  - The file system on the volume grows afterwards, on the host, by M(spot.platform.filesystem_grow).
author:
  - The spot.platform developers (@spot-platform)
options:
  volumes:
    description:
      - Which volumes, and what they are to have. Where several entries name a volume, one with O(volumes[].ids) goes before others,
        and the first before later ones.
    type: list
    elements: dict
    required: true
    suboptions:
      ids:
        description: Ids of volumes, in any of the regions.
        type: list
        elements: str
      app:
        description: Volumes of this application, by their tag C(spot.platform/app). That there is none is an error.
        type: str
      mount:
        description:
          - Of the application's volumes those for this mount point, by their tag C(spot.platform/mount), or by the device that they are
            attached as and the tag of that, such as C(spot.platform/mount/sdf), which P(spot.platform.app#role) gives them.
        type: str
      filters:
        description: Volumes that pass filters of DescribeVolumes. Added to O(volumes[].app), both must hold.
        type: dict
      regions:
        description: Where to look; by default in O(regions).
        type: list
        elements: str
      size:
        description: Size to have, in GiB.
        type: int
      percent:
        description: Percent to grow by. Each run grows it again.
        type: float
      free_percent:
        description: Percent of the volume that are to be free, with O(volumes[].used) in use.
        type: float
      used:
        description: GiB in use, for O(volumes[].free_percent).
        type: float
      max_size:
        description: The most that the volume may have, in GiB; what is asked above it is cut.
        type: int
      type:
        description: Type to have.
        type: str
        choices: [gp2, gp3, io1, io2, st1, sc1, standard]
      iops:
        description: IOPS to have.
        type: int
      throughput:
        description: Throughput to have, in MiB/s.
        type: int
  regions:
    description: The regions to look in; by default that of the task.
    type: list
    elements: str
  environment:
    description: Only volumes of this environment, where they are named by their application.
    type: str
  max_growth_percent:
    description: By how much of the size that it had 24 hours ago a volume may grow in that time.
    type: float
    default: 100
  wait:
    description:
      - For which state to wait. From V(optimizing) on a volume has its new size, and its file system can grow; V(completed) may take
        hours; V(none) does not wait.
    type: str
    choices: [none, optimizing, completed]
    default: optimizing
  wait_timeout:
    description: Seconds to wait at most.
    type: int
    default: 600
notes:
  - "Required IAM actions: C(ec2:DescribeVolumes), C(ec2:DescribeVolumesModifications), C(ec2:ModifyVolume), C(ec2:CreateTags)."
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Says what was changed, or would be.
    support: full
"""

EXAMPLES = r"""
- name: Give the shop's uploads a fifth of free space, up to 500 GiB, wherever it runs
  spot.platform.ebs_volume_resize:
    regions: [us-east-1, eu-west-1]
    environment: production
    volumes:
      - app: shop
        mount: /srv/uploads
        free_percent: 20
        used: 87.5
        max_size: 500

- name: Grow two volumes, and do not wait
  spot.platform.ebs_volume_resize:
    region: us-east-1
    wait: none
    volumes:
      - ids: [vol-0123456789abcdef0]
        size: 200
      - ids: [vol-0123456789abcdef1]
        percent: 25

- name: See what it would take to have no gp2 any more
  spot.platform.ebs_volume_resize:
    region: us-east-1
    volumes:
      - filters: {volume-type: gp2}
        type: gp3
  check_mode: true
"""

RETURN = r"""
volumes:
  description: What became of each volume, by region and id.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: The volume.
      type: str
      sample: vol-0123456789abcdef0
    region:
      description: Its region.
      type: str
      sample: us-east-1
    app:
      description: Its application, null where it has none.
      type: str
      sample: shop
    mount:
      description: Where the application mounts it, null where that is not known.
      type: str
      sample: /srv/uploads
    instance:
      description: The instance that it is attached to, null where there is none.
      type: str
      sample: i-0123456789abcdef0
    device:
      description: Under which name.
      type: str
      sample: /dev/sdf
    outcome:
      description: C(changed), in check mode that it would be; C(kept), C(deferred), C(refused) or C(failed).
      type: str
      sample: changed
    before:
      description: Size in GiB, type, IOPS and throughput that it had.
      type: dict
      sample: {size: 100, type: gp3, iops: 3000, throughput: 125}
    after:
      description: The same, as they will be.
      type: dict
      sample: {size: 120, type: gp3, iops: 3000, throughput: 125}
    state:
      description: State of the modification, null where none was begun.
      type: str
      sample: optimizing
    not_before:
      description: Of a deferred one, when it may be modified; null where that is not known, as while a modification is under way.
      type: str
      sample: "2026-01-31T12:00:00.000Z"
    alert:
      description: Whether O(max_growth_percent) or O(volumes[].max_size) keeps it smaller than is wished.
      type: bool
    reasons:
      description: Why, with the figures.
      type: list
      elements: str
      sample: [with 87.5 GiB in use 20 % are free at 110 GiB]
alert:
  description: Whether a limit of ours keeps any volume smaller than is wished.
  returned: always
  type: bool
errors:
  description: What could not be done. To run it again is harmless.
  returned: always
  type: list
  elements: dict
  contains:
    region:
      description: The region, null where it is of none.
      type: str
      sample: us-east-1
    message:
      description: What failed, why, and what to do.
      type: str
      sample: "cannot list the volumes in us-east-1: access denied"
activity:
  description:
    - An event for each volume that was changed or should have been, C(volume.resized), C(volume.deferred), C(volume.full),
      C(volume.refused) or C(volume.failed).
  returned: always
  type: list
  elements: dict
  sample: [{kind: volume.resized, app: shop, region: us-east-1, resource: vol-0123456789abcdef0, changed: true}]
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import volumes
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import FAILURES, finish, message
from ansible_collections.spot.platform.plugins.module_utils.engine.volumes import LARGEST, Wish
from ansible_collections.spot.platform.plugins.module_utils.volumes import result_of

NAMES = {"type": "list", "elements": "str"}
ARGUMENTS = {
    "volumes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "ids": NAMES,
            "app": {"type": "str"},
            "mount": {"type": "str"},
            "filters": {"type": "dict"},
            "regions": NAMES,
            "size": {"type": "int"},
            "percent": {"type": "float"},
            "free_percent": {"type": "float"},
            "used": {"type": "float"},
            "max_size": {"type": "int"},
            "type": {"type": "str", "choices": list(LARGEST)},
            "iops": {"type": "int"},
            "throughput": {"type": "int"},
        },
        "mutually_exclusive": [("size", "percent", "free_percent"), ("ids", "app"), ("ids", "filters")],
        "required_one_of": [("ids", "app", "filters"), ("size", "percent", "free_percent", "type", "iops", "throughput")],
        "required_together": [("free_percent", "used")],
        "required_by": {"mount": "app"},
    },
    "regions": NAMES,
    "environment": {"type": "str"},
    "max_growth_percent": {"type": "float", "default": 100},
    "wait": {"type": "str", "choices": ["none", "optimizing", "completed"], "default": "optimizing"},
    "wait_timeout": {"type": "int", "default": 600},
}
POSITIVE = ("size", "percent", "max_size", "iops", "throughput")


def selector_of(number: int, given: dict[str, Any], regions: list[str], environment: str | None) -> volumes.Selector:
    """An entry of ``volumes``. Raises ``ValueError`` for what means nothing."""
    where = f"volumes[{number}]"
    for name in POSITIVE:
        if given[name] is not None and given[name] <= 0:
            raise ValueError(f"{where}.{name} is {given[name]:g}: it must be above 0")
    free, used = given["free_percent"], given["used"]
    if free is not None and not 0 <= free < 100:
        raise ValueError(f"{where}.free_percent is {free:g}: it must be 0 or more and below 100")
    if used is not None and used < 0:
        raise ValueError(f"{where}.used is {used:g}: it must be 0 or more")
    for name in given["ids"] or ():
        if not name.startswith("vol-"):
            raise ValueError(f"{where}.ids has {name!r}: the id of a volume begins with vol-")
    found = sorted(set(given["regions"] or regions))
    if not found:
        raise ValueError("there is no region: set regions, region or AWS_DEFAULT_REGION")
    filters = {name: values if isinstance(values, list) else [str(values)] for name, values in (given["filters"] or {}).items()}
    for tag, value in ((tags.APP, given["app"]), (tags.ENVIRONMENT, given["app"] and environment)):
        if value:
            filters[f"tag:{tag}"] = [value]
    wish = Wish(
        size=given["size"],
        percent=given["percent"],
        free_percent=free,
        used=used,
        maximum=given["max_size"],
        kind=given["type"],
        iops=given["iops"],
        throughput=given["throughput"],
    )
    words = f"{given['app']}{' for ' + given['mount'] if given['mount'] else ''}" if given["app"] else None
    return volumes.Selector(tuple(found), wish, tuple(given["ids"] or ()), filters, words, given["mount"])


def run(module: AnsibleAWSModule) -> tuple[list[volumes.Judged], list[tuple[str | None, str]]]:
    """Judge and change what is named. Raises ``ValueError`` for what means nothing."""
    given = module.params
    regions = given["regions"] or ([module.region] if module.region else [])
    if given["max_growth_percent"] <= 0:
        raise ValueError(f"max_growth_percent is {given['max_growth_percent']:g}: it must be above 0")
    if given["wait_timeout"] < 0:
        raise ValueError(f"wait_timeout is {given['wait_timeout']}: it must be 0 or more")
    chosen = [selector_of(number, one, regions, given["environment"]) for number, one in enumerate(given["volumes"])]
    if not chosen:
        return [], []
    wait = None if given["wait"] == "none" else given["wait"]
    options = volumes.Options(given["max_growth_percent"], not module.check_mode, wait, given["wait_timeout"])
    return volumes.resize(Clients.of_module(module, chosen[0].regions[0]), chosen, options)


def main() -> None:
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = result_of(*run(module), acted=not module.check_mode)
    except FAILURES as failure:
        module.fail_json(msg=message(failure), volumes=[], alert=False, errors=[], activity=[])
    finish(module, result)


if __name__ == "__main__":
    main()
