#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have another file system mounted at a mount point, now and after a boot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mount_switch
version_added: 0.1.0
short_description: Have another file system mounted at a mount point, now and after a boot
description:
  - Has the mount point's entry in fstab name a file system by its UUID, with everything else of the entry and of the file as it is, and
    that file system mounted, by this entry only. What else is mounted at the path is unmounted.
  - The new entry is checked by C(findmnt --verify) before anything is changed. After a crash fstab is the old or the new one.
  - Run again after it was ended anywhere, it goes on.
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
notes:
  - Nothing may have files open there; see M(spot.platform.ebs_mount_info).
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Shows fstab before and after.
    support: full
"""

EXAMPLES = r"""
- name: Have the uploads on the new disk
  spot.platform.mount_switch:
    path: /srv/uploads
    uuid: 5f4a3c2e-9b1d-4c57-8a1f-2f6e1b0c7d11
"""

RETURN = r"""
before:
  description: What fstab named before.
  returned: success
  type: str
  sample: LABEL=uploads
device:
  description: What is mounted, or would be.
  returned: success
  type: str
  sample: /dev/nvme2n1
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.spot.platform.plugins.module_utils import mounts

FSTAB = "/etc/fstab"
ARGUMENTS = {"path": {"type": "path", "required": True}, "uuid": {"type": "str", "required": True}}


class Switch:
    """The mount point, and the file system that is to be there."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._path = os.path.normpath(module.params["path"])
        self._spec = f"UUID={module.params['uuid']}"
        self.device = os.path.realpath(self._run("blkid", "--uuid", module.params["uuid"]).strip())
        self.text = mounts.read(FSTAB)
        self.new = mounts.with_spec(self.text, self._path, self._spec)
        (entry,) = [one for one in mounts.entries_in(self.text) if one.target == self._path]
        self.before = entry.spec

    def run(self) -> bool:
        """Do it. Whether there was anything to do. Raises ``ValueError`` with what a command says that fails."""
        wrong = [one for one in self._mounted() if not self._right(one)]
        right = [one for one in self._mounted() if self._right(one)]
        changed = self.new != self.text or bool(wrong) or not right
        if not changed or self._module.check_mode:
            return changed
        self._check()
        for mount in reversed(wrong):
            self._run("umount", mount.target)
        if self.new != self.text:
            mounts.write(FSTAB, self.new)
        self._run("systemctl", "daemon-reload")  # else systemd would unmount the new one when the device of the old one goes
        if not right:
            self._run("mount", self._path)
        if [one.target for one in self._mounted() if self._right(one)] != [self._path]:
            raise ValueError(f"{self.device} is not mounted at {self._path} after the mount")
        return True

    def _mounted(self) -> list:
        """What is mounted at the path, and where the file system is mounted."""
        found = mounts.mounts_in(mounts.read("/proc/self/mountinfo"))
        return [one for one in found if one.target == self._path or os.path.realpath(one.source) == self.device]

    def _right(self, mount: mounts.Mount) -> bool:
        return mount.target == self._path and os.path.realpath(mount.source) == self.device

    def _check(self) -> None:
        """Have ``findmnt`` judge the new entry."""
        number = next(one.line for one in mounts.entries_in(self.new) if one.target == self._path)
        with tempfile.NamedTemporaryFile("w", dir=self._module.tmpdir, suffix=".fstab") as file:
            file.write(self.new.splitlines(keepends=True)[number])
            file.flush()
            self._run("findmnt", "--verify", "--verbose", "--tab-file", file.name)

    def _run(self, *command: str) -> str:
        status, said, error = self._module.run_command(list(command))
        if status:
            raise ValueError(f"{' '.join(command)}: {' '.join((error + said).split()) or f'ended with {status}'}")
        return said


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        switch = Switch(module)
        changed = switch.run()
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    diff = {"before": switch.text, "after": switch.new, "before_header": FSTAB, "after_header": FSTAB}
    module.exit_json(changed=changed, before=switch.before, device=switch.device, diff=diff)


if __name__ == "__main__":
    main()
