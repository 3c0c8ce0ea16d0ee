"""The rulebook volumes, in a real ansible-rulebook: what Alertmanager or a signed webhook says of a file system starts the playbook.

That a real disk grows so is in tests/hosts, and in make demo-volumes."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import yaml
from ansible_collections.spot.platform.plugins.module_utils.sinks import signature

from .conftest import REGION, Listener, free_port, wait_for
from .test_health import SECRET, TOKEN, post

INSTANCE, MOUNT = "i-0123456789abcdef0", "/dev/shm"  # no disk is under it, so that nothing grows here


def alert(**labels: str) -> dict[str, Any]:
    """What Alertmanager posts of the alert of the role volume_alerts."""
    known = {"alertname": "VolumeFilling", "app": "shop", "region": REGION, "fstype": "ext4", "instance": "10.0.0.7:9100"}
    known |= {"event_kind": "volume.filling", "severity": "warning", **labels}
    times = {"startsAt": "2026-11-25T10:00:00.125Z", "endsAt": "0001-01-01T00:00:00Z"}
    summary = {"summary": f"{labels.get('mountpoint')} of {labels.get('instance_id')} has 9.1 % free"}
    one = {"status": "firing", "labels": known, "annotations": summary, **times, "fingerprint": labels.get("instance_id", "none")}
    return {"version": "4", "groupKey": "{}", "status": "firing", "receiver": "listener", "alerts": [one]}


def test_a_file_system_that_fills_starts_the_playbook_with_its_name(listener: Listener) -> None:
    host = {
        "instance_id": INSTANCE,
        "app_name": "shop",
        "app_region": REGION,
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
    }
    (listener.inventory / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"shop-1": host}}}), encoding="utf-8")
    alerts, webhooks = free_port(), free_port()
    listener.start(
        "spot.platform.volumes",
        spot_alertmanager_port=alerts,
        spot_alertmanager_token=TOKEN,
        spot_webhook_port=webhooks,
        spot_webhook_secret=SECRET,
    )
    assert post(alerts, alert(instance_id=INSTANCE, mountpoint=MOUNT)) == 401
    assert post(alerts, alert(instance_id=INSTANCE, mountpoint=MOUNT), Authorization=f"Bearer {TOKEN}") == 200
    wait_for(lambda: f"{MOUNT} is tmpfs, which is on no disk" in listener.words(), "the playbook looks at the file system", 90)

    message = {"kind": "volume.filling", "resource": "i-0000000000000dead:/srv/data", "summary": "it fills"}
    moment = str(int(time.time()))
    signed = signature(SECRET, moment, json.dumps(message).encode())
    assert post(webhooks, message, X_Spot_Timestamp=moment, X_Spot_Signature=signed) == 200
    words = "no host of the inventory is i-0000000000000dead, which i-0000000000000dead:/srv/data names"
    wait_for(lambda: words in " ".join(listener.words().split()), "a host that is not there is named", 90)
