#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Let data volumes stay with their zone and be taken over by replacements there."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ebs_volume_affinity
version_added: 0.1.0
short_description: Give data volumes to the instances that replace others in their zone
description:
  - A stateful application has a data volume for each instance, with the tags C(spot.platform/app), C(spot.platform/environment) and
    C(spot.platform/mount). When its instance has gone, the volume goes to an instance of the application in the same zone that runs and
    has none. Many applications, mounts and regions in one task, side by side.
  - No volume is taken from an instance that may still write to it. EBS frees the volumes of instances that are terminated. One that
    runs and cannot be reached keeps its volume, until it is ended - by somebody, or by this module after
    O(volumes[].fence_after).
  - The claim of a volume is its attachment, for which EC2 has one answer whoever asks at the same time. So two runs at once, or two
    replacements, never get one volume.
  - Where nobody in its zone takes a volume for O(volumes[].move_after) seconds, it moves to the zone of an instance that lacks one, by
    a snapshot. The old volume is kept for O(volumes[].keep_days) days, with the tag C(spot.platform/delete-after).
  - M(spot.platform.spot_autoscale) launches the instances of a group with the tag C(spot.platform/stays), which names the mounts, in the
    zones where such a volume has nobody.
author:
  - The spot.platform developers (@spot-platform)
options:
  volumes:
    description: Which volumes of which applications.
    type: list
    elements: dict
    required: true
    suboptions:
      app:
        description: The application.
        type: str
        required: true
      mount:
        description: The mount point that the volumes are for.
        type: str
        required: true
      regions:
        description: Where to look; by default in O(regions).
        type: list
        elements: str
      device:
        description: The device name under which they are attached.
        type: str
        default: /dev/sdf
      detach_after:
        description: Seconds after which a detach that hangs is forced, where the instance is terminated. Never on one that runs.
        type: float
        default: 60
      fence_after:
        description:
          - Seconds for which an instance must have failed its status checks before it is terminated, so that a replacement that waits
            can have its volume. By default none is.
        type: float
      move_after:
        description: Seconds that a volume waits for an instance in its zone before it moves to another one. By default for ever.
        type: float
      keep_days:
        description: Days that a volume which moved, and its snapshot, are kept for.
        type: int
        default: 7
  regions:
    description: The regions to look in; by default that of the task.
    type: list
    elements: str
  environment:
    description: Only instances and volumes of this environment.
    type: str
  wait_timeout:
    description: Seconds to wait for volumes that are being detached, and that somebody waits for.
    type: int
    default: 120
notes:
  - "Required IAM actions: C(ec2:DescribeVolumes), C(ec2:DescribeInstances), C(ec2:DescribeInstanceStatus), C(ec2:AttachVolume),
    C(ec2:DetachVolume), C(ec2:DeleteTags), C(ec2:CreateTags); with O(volumes[].fence_after) also C(ec2:TerminateInstances), with
    O(volumes[].move_after) also C(ec2:DescribeSnapshots), C(ec2:CreateSnapshot) and C(ec2:CreateVolume)."
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    description: Can run in check mode, and says what the next step of each volume would be, with time and price of a move.
    support: full
  diff_mode:
    description: Says who has each volume, and who had it.
    support: full
"""

EXAMPLES = r"""
- name: Give each database its data again
  spot.platform.ebs_volume_affinity:
    regions: [us-east-1, eu-west-1]
    environment: production
    volumes:
      - app: orders
        mount: /var/lib/postgresql
        fence_after: 300

- name: See what it would take to have the volume in a zone with capacity
  spot.platform.ebs_volume_affinity:
    region: us-east-1
    volumes:
      - app: orders
        mount: /var/lib/postgresql
        move_after: 0
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
    zone:
      description: Its zone.
      type: str
      sample: us-east-1a
    app:
      description: Its application.
      type: str
      sample: orders
    mount:
      description: The mount point that it is for.
      type: str
      sample: /var/lib/postgresql
    instance:
      description: Who has it, in check mode who would have; null where it is nobody.
      type: str
      sample: i-0123456789abcdef0
    actions:
      description: What was done with it, in check mode the next step - C(claim), C(force_detach), C(fence), C(move).
      type: list
      elements: str
      sample: [claim]
    reasons:
      description: Why, with the figures.
      type: list
      elements: str
      sample: ["i-0123456789abcdef0 is in its zone, us-east-1a, and has none"]
lacking:
  description: The instances that run and wait for a volume, for which there is none.
  returned: always
  type: list
  elements: dict
  sample: [{app: orders, mount: /var/lib/postgresql, region: us-east-1, instance: i-0123456789abcdef1}]
errors:
  description: What could not be done.
  returned: always
  type: list
  elements: dict
  sample: []
activity:
  description: An event for each volume that was given, freed by force or moved, and for each instance that was ended.
  returned: always
  type: list
  elements: dict
  sample: [{kind: volume.claimed, resource: vol-0123456789abcdef0, changed: true}]
"""

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils.affinity import result_of
from ansible_collections.spot.platform.plugins.module_utils.aws import affinity
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, regions_of
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import FAILURES, finish, message
from ansible_collections.spot.platform.plugins.module_utils.engine.affinity import Policy

NAMES = {"type": "list", "elements": "str"}
ARGUMENTS = {
    "volumes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "app": {"type": "str", "required": True},
            "mount": {"type": "str", "required": True},
            "regions": NAMES,
            "device": {"type": "str", "default": "/dev/sdf"},
            "detach_after": {"type": "float", "default": 60},
            "fence_after": {"type": "float"},
            "move_after": {"type": "float"},
            "keep_days": {"type": "int", "default": 7},
        },
    },
    "regions": NAMES,
    "environment": {"type": "str"},
    "wait_timeout": {"type": "int", "default": 120},
}
SECONDS = ("detach_after", "fence_after", "move_after", "keep_days")


def wanted_of(module: AnsibleAWSModule) -> list[affinity.Wanted]:
    """The entries of ``volumes``, one for each region. Raises ``ValueError`` for what means nothing."""
    given = module.params
    if given["wait_timeout"] < 0:
        raise ValueError(f"wait_timeout is {given['wait_timeout']}: it must be 0 or more")
    found = []
    for number, one in enumerate(given["volumes"]):
        where = f"volumes[{number}]"
        for name in SECONDS:
            if one[name] is not None and one[name] < 0:
                raise ValueError(f"{where}.{name} is {one[name]:g}: it must be 0 or more")
        if not one["mount"].startswith("/"):
            raise ValueError(f"{where}.mount is {one['mount']!r}: it must be a path such as /srv/data")
        policy = Policy(one["detach_after"], one["fence_after"], one["move_after"])
        for region in regions_of(module, one["regions"]):
            found.append(
                affinity.Wanted(region, one["app"], one["mount"], given["environment"], policy, one["device"], one["keep_days"])
            )
    if len({(one.region, one.app, one.mount) for one in found}) < len(found):
        raise ValueError("volumes names an application's mount twice in a region: leave one")
    return found


def main() -> None:
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        wanted = wanted_of(module)
        results = []
        if wanted:
            clients = Clients.of_module(module, wanted[0].region)
            results = affinity.settle(clients, wanted, not module.check_mode, module.params["wait_timeout"])
        result = result_of(results, acted=not module.check_mode)
    except FAILURES as failure:
        module.fail_json(msg=message(failure), volumes=[], lacking=[], errors=[], activity=[])
    finish(module, result)


if __name__ == "__main__":
    main()
