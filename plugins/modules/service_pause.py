#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stop units of systemd for a while, and start again those that ran."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_pause
version_added: 0.1.0
short_description: Stop units of systemd for a while, and start again those that ran
description:
  - A pause is written down on the host before anything is stopped, so that whoever comes later, after a crash too, can end it.
  - The timers, sockets and paths that would start a unit again are stopped with it.
author:
  - The spot.platform developers (@spot-platform)
options:
  name:
    description: The name of the pause.
    type: str
    required: true
  state:
    description:
      - V(paused) stops what runs of O(units), adds it to the pause, and begins that if there is none.
      - V(resumed) starts what the pause stopped, and keeps how long it lasted. Without a pause nothing is done.
      - V(absent) forgets the pause; what it stopped stays so.
    type: str
    choices: [paused, resumed, absent]
    required: true
  units:
    description: The units to stop, for V(paused).
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Shows nothing.
    support: none
"""

EXAMPLES = r"""
- name: Stop what writes
  spot.platform.service_pause:
    name: backup
    state: paused
    units: [uploads.service]

- name: Let it write again
  spot.platform.service_pause:
    name: backup
    state: resumed
  register: pause

- name: Say how long it took
  ansible.builtin.debug:
    msg: "{{ pause.units | join(', ') }} stood still for {{ pause.seconds }} seconds"
"""

RETURN = r"""
units:
  description: What the pause stopped.
  returned: success
  type: list
  elements: str
  sample: [uploads.service]
seconds:
  description: From stopping the first to having started the last one; null while the pause lasts, and without one.
  returned: success
  type: float
  sample: 2.4
"""

import json
import os
import re
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.spot.platform.plugins.module_utils import mounts

FOLDER = "/var/lib/spot-platform/paused"
ACTIVE = ("active", "activating", "reloading")
TRIGGERS = (".timer", ".socket", ".path")
ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["paused", "resumed", "absent"], "required": True},
    "units": {"type": "list", "elements": "str", "default": []},
}


class Pause:
    """A pause on this host."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        name = module.params["name"]
        if not re.match(r"^[\w.@-]+$", name):
            raise ValueError(f"{name!r} is no name of a pause: it may have letters, digits and _ . @ -")
        self._path = f"{FOLDER}/{name}.json"
        text = mounts.read(self._path)
        self._record = json.loads(text) if text else None

    def pause(self, names: list) -> bool:
        """Stop what is active. Whether there was anything to do."""
        known = [] if self._record is None or self._record["seconds"] is not None else self._record["units"]
        active = self._active([*known, *names])
        begun = self._record is None or self._record["seconds"] is not None
        if not begun and not active:
            return False
        units = [*known, *(name for name in active if name not in known)]
        again = begun or set(units) == set(active)  # after a boot all of them run again
        since = _clock() if again else self._record["since"]
        if not self._module.check_mode:
            self._write({"units": units, "since": since, "seconds": None})
            if active:
                self._systemctl("stop", active)
        return True

    def resume(self) -> bool:
        """Start what was stopped. Whether there was anything to do."""
        if self._record is None or self._record["seconds"] is not None:
            return False
        if self._module.check_mode:
            return True
        units = self._record["units"]
        if units:
            self._systemctl("start", [name for name in units if not name.endswith(TRIGGERS)])
            self._systemctl("start", [name for name in units if name.endswith(TRIGGERS)])
            states = mounts.units(units, self._module.run_command)
            failed = [name for name in units if states[name].get("ActiveState") not in ACTIVE]
            if failed:
                raise ValueError(f"{', '.join(failed)} ended at once after the start: see journalctl --unit={failed[0]}")
        self._write({**self._record, "seconds": _passed(self._record["since"])})
        return True

    def forget(self) -> bool:
        """Remove the record."""
        if self._record is None:
            return False
        if not self._module.check_mode:
            os.remove(self._path)
        return True

    def told(self) -> dict:
        """What the module returns of it."""
        record = self._record or {"units": [], "seconds": None}
        return {"units": record["units"], "seconds": record["seconds"]}

    def _active(self, names: list) -> list:
        """Those that run of ``names`` and of what triggers them; the triggers first. Raises ``ValueError`` for units that are not there."""
        states = mounts.units(dict.fromkeys(names), self._module.run_command)
        unknown = [name for name in states if states[name].get("LoadState") == "not-found"]
        if unknown:
            raise ValueError(f"there is no unit {', '.join(unknown)}")
        triggers = [trigger for state in states.values() for trigger in state.get("TriggeredBy", "").split()]
        states = {**mounts.units(dict.fromkeys(triggers), self._module.run_command), **states}
        active = [name for name in states if states[name].get("ActiveState") in ACTIVE]
        return sorted(active, key=lambda name: not name.endswith(TRIGGERS))

    def _systemctl(self, verb: str, names: list) -> None:
        if not names:
            return
        status, said, error = self._module.run_command(["systemctl", verb, "--", *names])
        if status:
            raise ValueError(f"cannot {verb} {', '.join(names)}: {' '.join((said + error).split())}")

    def _write(self, record: dict) -> None:
        os.makedirs(FOLDER, mode=0o700, exist_ok=True)
        mounts.write(self._path, json.dumps(record))
        self._record = record


def _clock() -> dict:
    """Now, by the clock that nobody sets as long as this boot lasts, and by the one that everybody knows."""
    boot = mounts.read("/proc/sys/kernel/random/boot_id").strip()
    return {"boot": boot, "uptime": time.clock_gettime(time.CLOCK_BOOTTIME), "time": time.time()}


def _passed(since: dict) -> float:
    now = _clock()
    clock = "uptime" if now["boot"] == since["boot"] else "time"
    return round(now[clock] - since[clock], 3)


def main() -> None:
    module = AnsibleModule(ARGUMENTS, supports_check_mode=True)
    try:
        pause = Pause(module)
        act = {"paused": lambda: pause.pause(module.params["units"]), "resumed": pause.resume, "absent": pause.forget}
        changed = act[module.params["state"]]()
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, **pause.told())


if __name__ == "__main__":
    main()
