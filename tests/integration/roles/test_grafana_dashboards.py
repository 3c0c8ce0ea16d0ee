# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Grafana finds on a host: dashboards, and the file that names them."""

from __future__ import annotations

import grp
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.spot.platform.plugins.module_utils.engine.grafana_boards import BOARDS

ROOT = Path(__file__).resolve().parents[3]
RESTART = {"name": "Restart Grafana", "ansible.builtin.debug": {"msg": "restarted"}}
"""In place of the role's own, for there is no unit here."""
Role = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def role(tmp_path: Path) -> Role:
    """``role(*options, **variables)``: the role on this machine, with Grafana's directories in ``tmp_path``."""
    (tmp_path / "provisioning").mkdir()
    play = [{"hosts": "localhost", "gather_facts": False, "roles": ["spot.platform.grafana_dashboards"], "handlers": [RESTART]}]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play), encoding="utf-8")

    def run(*options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        given = {
            "grafana_dashboards_directory": str(tmp_path / "dashboards/ours"),
            "grafana_dashboards_provisioning": str(tmp_path / "provisioning"),
            "grafana_dashboards_owner": pwd.getpwuid(os.getuid()).pw_name,
            "grafana_dashboards_group": grp.getgrgid(os.getgid()).gr_name,
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            **variables,
        }
        command = [str(Path(sys.executable).parent / "ansible-playbook"), str(tmp_path / "play.yml"), "-i", "localhost,", *options]
        environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
        return subprocess.run([*command, "-e", json.dumps(given)], check=False, cwd=ROOT, env=environment, capture_output=True, text=True)

    return run


def done(run: subprocess.CompletedProcess[str], changed: int) -> str:
    assert run.returncode == 0 and f"changed={changed} " in run.stdout, run.stdout + run.stderr
    return run.stdout


def test_dashboards_are_written_once_and_grafana_is_told(role: Role, tmp_path: Path) -> None:
    done(role("--check"), 3)
    assert not (tmp_path / "dashboards").exists() and not list((tmp_path / "provisioning").iterdir())
    assert '"msg": "restarted"' in done(role(), 3)
    written = {path.stem.removeprefix("spot-platform-"): path for path in (tmp_path / "dashboards/ours").iterdir()}
    assert set(written) == set(BOARDS)
    for name, path in written.items():
        assert path.stat().st_mode & 0o777 == 0o640
        assert json.loads(path.read_text("utf-8"))["uid"] == f"spot-platform-{name}"
    assert "restarted" not in done(role(), 0)


def test_the_provider_is_as_grafana_documents_it(role: Role, tmp_path: Path) -> None:
    done(role(grafana_dashboards_folder="Shop: $HOME {{ 1 }}"), 3)
    file = tmp_path / "provisioning/spot-platform.yaml"
    assert file.stat().st_mode & 0o777 == 0o640
    (provider,) = yaml.safe_load(file.read_text("utf-8"))["providers"]
    assert provider == {
        "name": "spot-platform",
        "orgId": 1,
        "folder": "Shop: $$HOME 1",
        "folderUid": "spot-platform",
        "type": "file",
        "disableDeletion": False,
        "updateIntervalSeconds": 30,
        "allowUiUpdates": False,
        "options": {"path": str(tmp_path / "dashboards/ours"), "foldersFromFilesStructure": False},
    }


def test_what_is_changed_is_shown_and_grafana_is_not_restarted_for_it(role: Role, tmp_path: Path) -> None:
    done(role(), 3)
    folder = tmp_path / "dashboards/ours"
    (folder / "own.json").write_text("{}", encoding="utf-8")
    said = done(role("--diff", grafana_dashboards_names=["fleet", "cost"], grafana_dashboards_refresh="5m"), 2)
    assert '+  "refresh": "5m",' in said and "restarted" not in said
    assert {path.name for path in folder.iterdir()} == {"spot-platform-fleet.json", "spot-platform-cost.json", "own.json"}


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"grafana_dashboards_names": ["spend"]}, "value of grafana_dashboards_names must be one or more of: fleet, cost"),
        ({"grafana_dashboards_refresh": "soon"}, "grafana_dashboards_refresh is soon: write it as 30s or 5m"),
        ({"grafana_dashboards_page_url": "javascript:1"}, "grafana_dashboards_page_url is javascript:1: it must begin with https://"),
        ({"grafana_dashboards_folder_uid": "a b"}, "grafana_dashboards_folder_uid is a b: it must be of at most 40 letters"),
        ({"grafana_dashboards_directory": "dashboards"}, "grafana_dashboards_directory is dashboards"),
        ({"grafana_dashboards_update_seconds": 0}, "grafana_dashboards_update_seconds is 0: it must be at least 1"),
        ({"grafana_dashboards_provisioning": "/nowhere"}, "localhost has no /nowhere: install Grafana there first"),
        ({"grafana_dashboards_group": "nobody-here"}, "localhost has no group nobody-here"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(role: Role, tmp_path: Path, variables: dict[str, Any], words: str) -> None:
    run = role(**variables)
    assert run.returncode != 0 and words in " ".join(run.stdout.split()), run.stdout
    assert not (tmp_path / "dashboards").exists() and not list((tmp_path / "provisioning").iterdir())
