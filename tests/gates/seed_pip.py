# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put pip's bootstrap script where ansible-test looks for it, made from the pip wheel of the package index.

ansible-test makes a virtual environment for each sanity test and fetches pip for it from a host of its own, which
not every network reaches; the wheel is the same pip. Does nothing when a copy is there.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from base64 import b64encode
from pathlib import Path

import ansible_test

BOOTSTRAP = '''\
"""pip {version}, installed from the wheel below."""
import base64, os, sys, tempfile

wheel = os.path.join(tempfile.mkdtemp(), {name!r})
with open(wheel, "wb") as stream:
    stream.write(base64.b64decode({wheel!r}))
sys.path.insert(0, wheel)
from pip._internal.cli.main import main

sys.exit(main(["install", "--no-index", "--upgrade", "--disable-pip-version-check", wheel]))
'''


def wanted_version() -> str:
    """The pip that this ansible-test installs in its environments. Raises ``LookupError`` when it does not say."""
    source = Path(ansible_test.__path__[0], "_internal", "python_requirements.py").read_text(encoding="utf-8")
    match = re.search(r"pip='([\d.]+)'", source)
    if not match:
        raise LookupError(
            "ansible-test no longer names its pip in python_requirements.py: adapt tests/gates/seed_pip.py"
        )
    return match[1]


def main() -> None:
    """Write the script, unless it is there."""
    version = wanted_version()
    script = Path.home() / ".ansible/test/cache" / f"get_pip_{version.replace('.', '_')}.py"
    if script.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        download = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            folder,
            f"pip=={version}",
        ]
        subprocess.run(download, check=True)
        wheel = next(Path(folder).glob("pip-*.whl"))
        text = BOOTSTRAP.format(version=version, name=wheel.name, wheel=b64encode(wheel.read_bytes()).decode())
    script.parent.mkdir(parents=True, exist_ok=True)
    unfinished = script.with_suffix(".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(script)
    print(f"pip {version} for ansible-test: {script}")


if __name__ == "__main__":
    main()
