# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interpreter that the tests of playbooks run modules in does as Python does."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

LOOK = """
import json, os, sys
given = sys.argv, os.getcwd(), os.environ.get("GREETING"), __name__, [name for name in sys.modules if "ansible" in name]
os.environ["GREETING"] = "of another run"
sys.modules["ansible_left"] = sys
print(json.dumps(given))
"""


def test_each_run_has_its_own_arguments_folder_environment_and_modules(interpreter: str, tmp_path: Path) -> None:
    script = tmp_path / "look.py"
    script.write_text(LOOK, encoding="utf-8")

    def run(*arguments: str, **options: str) -> list[object]:
        done = subprocess.run([interpreter, *arguments], check=True, cwd=tmp_path, stdout=subprocess.PIPE, text=True, **options)
        return json.loads(done.stdout)

    assert run(input=LOOK, env={"GREETING": "hello"}) == [[""], str(tmp_path), "hello", "__main__", []]
    assert run(str(script), "one", env={}) == [[str(script), "one"], str(tmp_path), None, "__main__", []]


def test_what_a_run_prints_and_how_it_ends_comes_back(interpreter: str) -> None:
    for script, code, words in (
        ("import sys; print('out'); sys.exit(3)", 3, ""),
        ("print('out')", 0, ""),
        ("import sys; print('out'); sys.exit('no such file')", 1, "no such file"),
        ("print('out'); raise ValueError('no such thing')", 1, "ValueError: no such thing"),
    ):
        done = subprocess.run([interpreter], input=script, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (code, "out\n") and words in done.stderr


def test_a_run_ends_with_its_interpreter(interpreter: str, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    (tmp_path / "sleep.py").write_text(
        f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(600)", encoding="utf-8"
    )
    with subprocess.Popen([interpreter, str(tmp_path / "sleep.py")]) as process:
        until = time.monotonic() + 60
        while not (pid.exists() and pid.read_text(encoding="utf-8")):
            assert time.monotonic() < until, "it did not start"
            time.sleep(0.05)
        process.kill()
    while _runs(int(pid.read_text(encoding="utf-8"))):
        assert time.monotonic() < until, "it goes on"
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    """Whether it is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
