"""The rules for file systems that fill, as Prometheus reads them and as its own rule tests judge them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
KNOWN = {"fstype": "ext4", "instance_id": "i-0123456789abcdef0", "mountpoint": "/srv/data", "instance": "host:9100", "app": "shop"}


@pytest.fixture
def rules(tmp_path: Path) -> Any:
    """``rules(**variables)``: the role on this machine; the file, and what Ansible said."""

    def write(**variables: Any) -> tuple[Path, subprocess.CompletedProcess[str]]:
        file = tmp_path / "rules.yml"
        play = [{"hosts": "localhost", "gather_facts": False, "roles": ["spot.platform.volume_alerts"], "handlers": [RELOAD]}]
        (tmp_path / "play.yml").write_text(yaml.safe_dump(play), encoding="utf-8")
        given = {"volume_alerts_file": str(file), "ansible_connection": "local", "ansible_python_interpreter": sys.executable, **variables}
        command = [str(Path(sys.executable).parent / "ansible-playbook"), str(tmp_path / "play.yml"), "-i", "localhost,", "-e", json.dumps(given)]
        return file, subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)

    return write


# In place of the role's own, for there is no unit here.
RELOAD = {"name": "Reload Prometheus", "ansible.builtin.debug": {"msg": "reloaded"}}


def judge(tmp_path: Path, rules: Path, tests: list[dict[str, Any]]) -> None:
    """Prometheus' own test of rules."""
    assert shutil.which("promtool"), "make debian-prometheus installs it"
    file = tmp_path / "tests.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(rules)], "evaluation_interval": "15s", "tests": tests}), encoding="utf-8")
    done = subprocess.run(["promtool", "test", "rules", str(file)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def series(free: str, **labels: str) -> list[dict[str, str]]:
    named = ",".join(f'{key}="{value}"' for key, value in {**KNOWN, **labels}.items())
    return [
        {"series": f"node_filesystem_avail_bytes{{{named}}}", "values": free},
        {"series": f"node_filesystem_size_bytes{{{named}}}", "values": "1000x240"},
    ]


def alerts(name: str, at: str, *summaries: str) -> dict[str, Any]:
    labels = {**KNOWN, "event_kind": "volume.filling", "severity": "warning"}
    return {
        "alertname": name,
        "eval_time": at,
        "exp_alerts": [{"exp_labels": labels, "exp_annotations": {"summary": one}} for one in summaries],
    }


WHERE = "/srv/data of i-0123456789abcdef0"


def test_a_file_system_with_too_little_free_and_one_that_will_be_full_are_told(rules: Any, tmp_path: Path) -> None:
    file, run = rules()
    assert run.returncode == 0 and '"msg": "reloaded"' in run.stdout, run.stdout + run.stderr
    judge(
        tmp_path,
        file,
        [
            {
                "interval": "15s",
                "input_series": series("101x3 99x240"),
                "alert_rule_test": [
                    alerts("VolumeFilling", "45s"),
                    alerts("VolumeFilling", "75s", f"{WHERE} has 9.9 % free"),
                    alerts("VolumeFullSoon", "75s"),
                ],
            },
            {
                "interval": "1m",
                "input_series": series("700-1x240"),
                "alert_rule_test": [alerts("VolumeFullSoon", "3h"), alerts("VolumeFilling", "4h")],
            },
            {
                "interval": "1m",
                "input_series": series("700-3x220"),
                "alert_rule_test": [
                    alerts("VolumeFullSoon", "1h"),
                    alerts("VolumeFullSoon", "70m", f"{WHERE} will be full within 4 hours"),
                ],
            },
            {
                "interval": "15s",
                "input_series": [*series("1x240", fstype="tmpfs"), *series("1x240", instance_id="")],
                "alert_rule_test": [alerts("VolumeFilling", "5m")],
            },
        ],
    )
    again = rules()[1]
    assert again.returncode == 0 and "changed=0" in again.stdout


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"volume_alerts_below_percent": 60}, "volume_alerts_below_percent is 60 and volume_alerts_forecast_below_percent 50"),
        ({"volume_alerts_below_percent": 0}, "must be above 0"),
        ({"volume_alerts_for": "soon"}, "volume_alerts_for soon, which must be as 15s"),
        ({"volume_alerts_forecast_hours": 0}, "volume_alerts_forecast_hours is 0, which must be above 0"),
    ],
)
def test_what_makes_no_rule_is_refused_before_anything_is_written(rules: Any, variables: dict[str, Any], words: str) -> None:
    file, run = rules(**variables)
    assert run.returncode != 0 and words in " ".join(run.stdout.split()) and not file.exists()
