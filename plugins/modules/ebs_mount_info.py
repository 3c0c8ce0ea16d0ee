#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See what is mounted at a path, on which EBS volume, and who uses it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ebs_mount_info
version_added: 0.1.0
short_description: See what is mounted at a path, on which EBS volume, and who uses it
description:
  - Runs on the host. It finds EBS volumes by the names that the instance's disks have on Nitro instances, and asks nothing of AWS.
author:
  - The spot.platform developers (@spot-platform)
options:
  path:
    description: The mount point.
    type: path
    required: true
  units:
    description: Units of systemd to tell of as well.
    type: list
    elements: str
    default: []
  lock:
    description: A file that jobs of ours keep open. They are RV(holders), and are not among the processes that use the mount.
    type: path
notes:
  - It needs root, and C(blkid), C(systemctl) and C(systemd-escape); for Btrfs C(btrfs).
attributes:
  check_mode:
    description: Changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: See who uses the uploads
  spot.platform.ebs_mount_info:
    path: /srv/uploads
  register: uploads

- name: Say it
  ansible.builtin.debug:
    msg: "{{ uploads.mount.volume }} is used by {{ uploads.mount.processes | map(attribute='unit') | unique }}"
"""

RETURN = r"""
mount:
  description: What is at the path. From C(device) on only where something is mounted there.
  returned: success
  type: dict
  contains:
    path:
      description: The mount point.
      type: str
      sample: /srv/uploads
    mounted:
      description: Whether anything is mounted there.
      type: bool
    fstab:
      description: Its entries in fstab, each with C(spec), C(type), C(options), and the C(uuid) that it leads to, null where to none.
      type: list
      elements: dict
    nested:
      description: What is mounted below it.
      type: list
      elements: str
    volumes:
      description: The EBS volumes that the host sees, by id, each with C(device), C(size), C(type), C(uuid) and C(mounts).
      type: dict
    units:
      description: The active units that need the mount, as systemd knows.
      type: list
      elements: str
      sample: [uploads.service]
    device:
      description: What is mounted.
      type: str
      sample: /dev/nvme1n1
    type:
      description: The type of the file system.
      type: str
      sample: ext4
    options:
      description: With which options.
      type: str
      sample: rw,noatime
    root:
      description: Which folder or subvolume of the file system; C(/) for the whole.
      type: str
      sample: /
    layers:
      description: How many mounts lie upon each other there.
      type: int
      sample: 1
    uuid:
      description: The UUID of the file system.
      type: str
    label:
      description: Its label, null where it has none.
      type: str
    elsewhere:
      description: Where else it is mounted.
      type: list
      elements: str
    volume:
      description: The EBS volume that it is on, null where it is on none, or not alone.
      type: str
      sample: vol-0123456789abcdef0
    block:
      description: >-
        The C(kind) of block device, C(disk), C(partition), C(lvm), C(crypt), C(raid), C(mapper) or C(none); the whole C(disk), and how
        many C(partitions) that has.
      type: dict
    processes:
      description: Who has a file of it open or mapped, or works in a folder of it, each with C(pid), C(command), C(unit) and one C(file).
      type: list
      elements: dict
    subvolumes:
      description: Of Btrfs, how many subvolumes and further devices it has.
      type: int
      sample: 0
    size:
      description: Bytes that the file system has.
      type: int
    used:
      description: Bytes in use.
      type: int
    available:
      description: Bytes that are free for others than root.
      type: int
    inodes:
      description: Inodes that the file system has; 0 where it does not count them.
      type: int
    inodes_used:
      description: Inodes in use.
      type: int
units:
  description: C(LoadState), C(ActiveState) and C(TriggeredBy) of each unit of O(units).
  returned: success
  type: dict
holders:
  description: The processes that have O(lock) open.
  returned: success
  type: list
  elements: int
tools:
  description: Which of the commands that copy and make file systems are there.
  returned: success
  type: list
  elements: str
  sample: [ionice, mkfs.ext4, rsync]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.spot.platform.plugins.module_utils import mounts

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "units": {"type": "list", "elements": "str", "default": []},
    "lock": {"type": "path"},
}
TOOLS = ("rsync", "flock", "ionice", "mkfs.ext4", "mkfs.xfs", "mkfs.btrfs")


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        lock = module.params["lock"]
        holders = mounts.holders(lock) if lock else []
        mount = mounts.facts(module.params["path"], module.run_command, holders)
        units = mounts.units(module.params["units"], module.run_command)
    except (OSError, ValueError) as error:
        module.fail_json(msg=f"cannot see what is at {module.params['path']}: {error}")
    tools = [name for name in TOOLS if module.get_bin_path(name)]
    module.exit_json(changed=False, mount=mount, units=units, holders=holders, tools=tools)


if __name__ == "__main__":
    main()
