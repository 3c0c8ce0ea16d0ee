#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grow mounted file systems, and all that is under them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: filesystem_grow
version_added: 0.1.0
short_description: Grow mounted file systems to what their disks have
description:
  - Grows partition, physical and logical volume, LUKS mapping and file system under a mount point, online, to all that the disk has.
  - Runs on the host, as root. C(growpart), C(lvm2), C(cryptsetup) and the tools of the file systems do the work; after each of their
    steps the module looks whether the size is what it should be.
  - ext3, ext4, XFS and Btrfs grow, on GPT, on MBR, and on whole disks. What alignment and the metadata of each layer leave over
    at the end is no growth, so that a second run changes nothing.
  - To run it again completes what was interrupted, from whatever state.
  - Runs on one host wait for each other.
author:
  - The spot.platform developers (@spot-platform)
options:
  paths:
    description:
      - Mount points. They grow one after another; of logical volumes in one group the first takes what is free,
        within O(volume_group_percent).
    type: list
    elements: path
    required: true
  size:
    description:
      - What the disk is to have, as C(100G) or in bytes. Waits until the kernel knows the disk with this size, and makes it look.
      - With one mount point on one disk only. In check mode, what would be done with a disk of this size.
    type: bytes
  wait_timeout:
    description: Seconds to wait for O(size), and as many for another run on the host.
    type: int
    default: 300
  volume_group_percent:
    description: The most that a logical volume may have of its volume group, in percent.
    type: float
    default: 100
  key_file:
    description: On the host, a file with a key of the LUKS mapping. LUKS2 asks for it where the kernel's keyring holds the key.
    type: path
notes:
  - The tools of what is to grow must be installed. The error of a missing one names its package.
  - Where C(/) itself is full, Ansible can put no module there. Let C(ansible_remote_tmp) be a folder below C(/run).
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Says what was changed, or would be.
    support: full
"""

EXAMPLES = r"""
- name: Give the uploads all that their volume has
  become: true
  spot.platform.filesystem_grow:
    paths: [/srv/uploads]

- name: Wait until the kernel knows that the volume has 200 GiB, then grow
  become: true
  spot.platform.filesystem_grow:
    paths: [/srv/uploads]
    size: 200G

- name: See what would grow
  become: true
  spot.platform.filesystem_grow:
    paths: [/, /var, /srv/uploads]
    volume_group_percent: 40
  check_mode: true
"""

RETURN = r"""
filesystems:
  description: What became of each mount point, in the order of O(paths).
  returned: always
  type: list
  elements: dict
  contains:
    mount:
      description: The mount point.
      type: str
      sample: /srv/uploads
    outcome:
      description: C(changed), in check mode that it would be; C(kept), C(refused) or C(failed).
      type: str
      sample: changed
    device:
      description: What the file system is on; the first device, where there are several. Null where it is on none.
      type: str
      sample: /dev/nvme1n1p1
    disk:
      description: The disk under it; the first, where there are several.
      type: str
      sample: /dev/nvme1n1
    volume_id:
      description: The EBS volume that the disk is. Null where the disk does not tell, as on Xen.
      type: str
      sample: vol-0123456789abcdef0
    disks:
      description: All disks under it, each with C(disk), C(volume_id) and C(size).
      type: list
      elements: dict
      sample: [{disk: /dev/nvme1n1, volume_id: vol-0123456789abcdef0, size: 214748364800}]
    fstype:
      description: Its type.
      type: str
      sample: ext4
    before:
      description:
        - Bytes that C(disk), C(partition), C(filesystem) had, how many were C(used), and how many C(available) to ordinary users. Null
          C(partition) where there is none.
      type: dict
      sample: {disk: 214748364800, partition: 107373116928, filesystem: 107373116928, used: 101873116928, available: 1024}
    after:
      description: The same afterwards. In check mode, as far as can be foretold, which C(used) and C(available) cannot.
      type: dict
      sample: {disk: 214748364800, partition: 214747299328, filesystem: 214747299328, used: 101873116928, available: 105226698752}
    steps:
      description: What was done, in check mode what would be. C(before) and C(after) are bytes of C(device).
      type: list
      elements: dict
      sample:
        - action: partition
          device: /dev/nvme1n1p1
          command: [growpart, /dev/nvme1n1, "1"]
          before: 107373116928
          after: 214747299328
          reason: 107374182400 bytes behind /dev/nvme1n1p1 on /dev/nvme1n1 are free
    reasons:
      description: What else is to know, and why it was refused or has failed.
      type: list
      elements: str
      sample: []
errors:
  description: What could not be done, and the way out. To run it again is harmless.
  returned: always
  type: list
  elements: dict
  contains:
    mount:
      description: The mount point.
      type: str
      sample: /srv/cache
    message:
      description: What failed, why, and what to do.
      type: str
      sample: "/srv/cache is tmpfs, which is on no disk: ext3, ext4, XFS and Btrfs grow here"
activity:
  description: An event for each file system that grew or should have, C(filesystem.grown), C(filesystem.refused) or C(filesystem.failed).
  returned: always
  type: list
  elements: dict
  sample: [{kind: filesystem.grown, resource: /srv/uploads, changed: true}]
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.spot.platform.plugins.module_utils.engine.filesystems import Wish
from ansible_collections.spot.platform.plugins.module_utils.filesystems import LOCK, Grown, Host, Trouble, alone, grow
from ansible_collections.spot.platform.plugins.module_utils.growths import result_of

ARGUMENTS = {
    "paths": {"type": "list", "elements": "path", "required": True},
    "size": {"type": "bytes"},
    "wait_timeout": {"type": "int", "default": 300},
    "volume_group_percent": {"type": "float", "default": 100},
    "key_file": {"type": "path", "no_log": False},
}


def run(module: AnsibleModule) -> list[Grown]:
    """Grow what is named. Raises ``ValueError`` for what means nothing, and `Trouble`."""
    given = module.params
    paths = list(dict.fromkeys(os.path.realpath(path) for path in given["paths"]))
    if given["size"] is not None and (len(paths) != 1 or given["size"] <= 0):
        raise ValueError(f"size is {given['size']} for {len(paths)} mount points: it must be above 0, and of one mount point")
    if not 0 < given["volume_group_percent"] <= 100:
        raise ValueError(f"volume_group_percent is {given['volume_group_percent']:g}: it must be above 0 and at most 100")
    if given["wait_timeout"] < 0:
        raise ValueError(f"wait_timeout is {given['wait_timeout']}: it must be 0 or more")
    if os.geteuid() != 0:
        raise ValueError("only root may read and grow file systems: set become")
    wish = Wish(given["size"], given["volume_group_percent"], given["key_file"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # a tool that asks for a key or an answer gets none, and does not wait
    host = Host(
        lambda command, environment: module.run_command(command, environ_update=environment),
        lambda name: module.get_bin_path(name, opt_dirs=["/usr/sbin", "/sbin"]),
    )
    if module.check_mode:
        return [grow(host, path, wish, False, 0) for path in paths]
    with alone(LOCK, given["wait_timeout"]):
        return [grow(host, path, wish, True, given["wait_timeout"]) for path in paths]


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        result: dict[str, Any] = result_of(run(module), acted=not module.check_mode)
    except (ValueError, OSError, Trouble) as failure:
        module.fail_json(msg=str(failure), filesystems=[], errors=[], activity=[])
    if result["errors"]:
        said = "; ".join(error["message"] for error in result["errors"])
        module.fail_json(msg=f"not all could be done: {said}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
