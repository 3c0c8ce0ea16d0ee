#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare two trees of files."""

from __future__ import annotations

DOCUMENTATION = r"""
module: filesystem_compare_info
version_added: 0.1.0
short_description: Compare two trees of files in all that a copy is to keep
description:
  - Compares kinds, sizes, contents by SHA-256, owners, groups, modes, times of modification, extended attributes, ACLs, targets of
    symbolic links, hard links, device numbers and holes, of every path in two trees, each within its file system.
  - Contents are read from the disk, not from what the kernel remembers of it.
  - File flags (C(chattr)), quotas and times of access are not compared.
author:
  - The spot.platform developers (@spot-platform)
options:
  source:
    description: The one tree.
    type: path
    required: true
  copy:
    description: The other, which is to be its copy.
    type: path
    required: true
  record:
    description:
      - A file that remembers which files were found to have the same contents. They are not read again while inode numbers and times
        of change of both are what they were.
      - Nobody but root may be able to write to it.
    type: path
  lock:
    description: A file to keep open and locked meanwhile, which tells others who is at work.
    type: path
  idle:
    description: Whether to leave the processor and the disks to everybody else.
    type: bool
    default: false
  most:
    description: How many differences to return at most; RV(count) counts all.
    type: int
    default: 50
notes:
  - It needs root, to read all files and attributes. Two files are read at a time, one of each tree.
attributes:
  check_mode:
    description: Changes nothing but O(record).
    support: full
"""

EXAMPLES = r"""
- name: See what differs between the old and the new disk
  spot.platform.filesystem_compare_info:
    source: /srv/uploads
    copy: /mnt/new
  register: compared
  failed_when: compared.count > 0
"""

RETURN = r"""
differences:
  description: What is not the same, by path.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The path below both trees.
      type: str
      sample: 2026/photo.jpg
    what:
      description: >-
        C(missing) in the copy, C(extra) there, or what differs: C(kind), C(size), C(content), C(owner), C(group), C(mode), C(mtime),
        C(xattr), C(acl), C(target), C(hard link), C(device), C(sparse).
      type: str
      sample: mode
    source:
      description: What the source has.
      type: str
      sample: "0640"
    copy:
      description: What the copy has.
      type: str
      sample: "0644"
count:
  description: How many differences there are.
  returned: success
  type: int
  sample: 1
kinds:
  description: What differs anywhere, each of RV(differences[].what) once.
  returned: success
  type: list
  elements: str
  sample: [mode]
entries:
  description: How many paths both trees have.
  returned: success
  type: int
  sample: 12000
read:
  description: Of how many files the contents were read.
  returned: success
  type: int
  sample: 110
known:
  description: Of how many they were read before, as O(record) tells.
  returned: success
  type: int
  sample: 11000
bytes:
  description: How many bytes of the source were read.
  returned: success
  type: int
  sample: 1048576
"""

import fcntl
import os
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.spot.platform.plugins.module_utils import trees

ARGUMENTS = {
    "source": {"type": "path", "required": True},
    "copy": {"type": "path", "required": True},
    "record": {"type": "path"},
    "lock": {"type": "path"},
    "idle": {"type": "bool", "default": False},
    "most": {"type": "int", "default": 50},
}


def run(module: AnsibleModule) -> dict:
    """Compare. Raises ``OSError`` where a tree is not there, ``ValueError`` for one that is no folder."""
    source, copy, record = (module.params[name] for name in ("source", "copy", "record"))
    for path in (source, copy):
        if not os.path.isdir(path):
            raise ValueError(f"there is no folder {path}")
    if module.params["idle"]:
        os.nice(19)
        module.run_command(["ionice", "--class", "3", "--pid", str(os.getpid())], check_rc=True)
    if module.params["lock"]:
        lock = os.open(module.params["lock"], os.O_RDWR | os.O_CREAT, 0o600)  # it ends with the process
        fcntl.flock(lock, fcntl.LOCK_EX)
    known, synced = set(), None
    if record:
        known = trees.read_marks(record)
        synced = trees.sync(source, lambda command: module.run_command(command, check_rc=True))
    found = trees.compare(source, copy, known, synced)
    if record:
        trees.write_marks(record, found.same)
    return {
        "differences": [asdict(one) for one in found.differences[: module.params["most"]]],
        "count": len(found.differences),
        "kinds": sorted({one.what for one in found.differences}),
        "entries": found.entries,
        "read": found.read,
        "known": found.known,
        "bytes": found.size,
    }


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module)
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
