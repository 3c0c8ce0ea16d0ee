#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have a mount point's entry in fstab name another file system."""

from __future__ import annotations

DOCUMENTATION = r"""
module: fstab_device
version_added: 0.1.0
short_description: Have a mount point's entry in fstab name another file system
description:
  - Changes what is mounted at a path, by UUID, and keeps everything else of the entry and of the file.
  - The new entry is checked by C(findmnt --verify) before anything is written. After a crash the file is the old or the new one.
  - Nothing is mounted or unmounted.
author:
  - The spot.platform developers (@spot-platform)
options:
  path:
    description: The mount point, which has one entry.
    type: path
    required: true
  uuid:
    description: The UUID of the file system.
    type: str
    required: true
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Shows the file before and after.
    support: full
"""

EXAMPLES = r"""
- name: Mount the new disk from now on
  spot.platform.fstab_device:
    path: /srv/uploads
    uuid: 5f4a3c2e-9b1d-4c57-8a1f-2f6e1b0c7d11
"""

RETURN = r"""
before:
  description: What the entry named before.
  returned: success
  type: str
  sample: LABEL=uploads
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.spot.platform.plugins.module_utils import mounts

FSTAB = "/etc/fstab"
ARGUMENTS = {"path": {"type": "path", "required": True}, "uuid": {"type": "str", "required": True}}


def check(module: AnsibleModule, text: str, path: str) -> None:
    """Have ``findmnt`` judge the entry. Raises ``ValueError`` with what it says."""
    number = next(one.line for one in mounts.entries_in(text) if one.target == path)
    with tempfile.NamedTemporaryFile("w", dir=module.tmpdir, suffix=".fstab") as file:
        file.write(text.splitlines(keepends=True)[number])
        file.flush()
        status, said, error = module.run_command(["findmnt", "--verify", "--verbose", "--tab-file", file.name])
    if status:
        raise ValueError(f"findmnt refuses the new entry of {path}: {' '.join((said + error).split())}")


def run(module: AnsibleModule) -> dict:
    """Change the entry. Raises ``ValueError`` where it cannot be, ``OSError`` where the file cannot be written."""
    path = os.path.normpath(module.params["path"])
    text = mounts.read(FSTAB)
    new = mounts.with_spec(text, path, f"UUID={module.params['uuid']}")
    before = next(one.spec for one in mounts.entries_in(text) if one.target == path)
    changed = new != text
    if changed:
        check(module, new, path)
        if not module.check_mode:
            mounts.write(FSTAB, new)
    diff = {"before": text, "after": new, "before_header": FSTAB, "after_header": FSTAB}
    return {"changed": changed, "before": before, "diff": diff}


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module)
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
