"""Kill the controller, as if its machine had lost its power: after the first changed task that it was not killed after before.

``KILLER=each`` does so, and notes the task's name in the file of ``KILLER_LOG``; ``KILLER=in:<task>:<seconds>`` kills it while the task
of that name runs, so many seconds after its start; ``KILLER=before:<task>`` before it begins.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: killer
type: notification
short_description: Kill the controller
description: It is for tests.
"""


class CallbackModule(CallbackBase):
    """The callback of this file."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "killer"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._how, _colon, self._what = os.environ.get("KILLER", "").partition(":")
        self._log = Path(os.environ.get("KILLER_LOG", os.devnull))

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        name, _colon, seconds = self._what.rpartition(":")
        if self._how == "in" and task.get_name().split(" : ")[-1] == name:
            threading.Timer(float(seconds), self._kill, [name]).start()
        if self._how == "before" and task.get_name().split(" : ")[-1] == self._what:
            self._kill(self._what)

    def v2_runner_on_ok(self, result: Any) -> None:
        name = result._task.get_name().split(" : ")[-1]
        if self._how == "each" and result._result.get("changed") and name not in self._killed():
            self._kill(name)

    def _killed(self) -> list[str]:
        return self._log.read_text(encoding="utf-8").splitlines() if self._log.exists() else []

    def _kill(self, name: str) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{name}\n")
        os.kill(os.getpid(), signal.SIGKILL)
