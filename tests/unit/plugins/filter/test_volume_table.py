# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of the volumes."""

from __future__ import annotations

import pytest
from ansible_collections.spot.platform.plugins.filter.volume_table import GIB, volume_rows, volume_table

UNTIL = "2026-02-01T12:00:00.000Z"


def volume(number, outcome="changed", app="shop", **more):
    return {
        "id": f"vol-{number}",
        "region": "us-east-1",
        "app": app,
        "mount": None,
        "instance": f"i-{number}",
        "before": {"size": 100, "type": "gp3", "iops": 3000, "throughput": 125},
        "outcome": outcome,
        "not_before": None,
        "reasons": ["1 % more than 100 GiB are 101 GiB"],
        **more,
    }


def host(name, used=80, available=20, mount="/srv/data"):
    before = {"disk": 100 * GIB, "filesystem": 100 * GIB, "used": used * GIB, "available": available * GIB}
    return {"__seen": {"filesystems": [{"mount": mount, "volume_id": name, "disks": [{}], "before": before}]}}


def filling(instance, rate, mount="/srv/data"):
    return {"result": [{"metric": {"instance_id": instance, "mountpoint": mount}, "value": [0, str(rate * GIB)]}]}


def test_size_use_growth_and_days_left_are_put_together():
    (row,) = volume_rows([volume(1)], {"one": host("vol-1"), "localhost": {}}, filling("i-1", 4))
    assert (row["app"], row["mount"], row["size_gib"], row["used_bytes"]) == ("shop", "/srv/data", 100, 80 * GIB)
    assert (row["days_left"], row["may_change"], row["reasons"]) == (5.0, True, [])


def test_what_is_not_known_is_null_and_said():
    (row,) = volume_rows([volume(1, mount="/srv")], {"one": {"__seen": {"failed": True}}}, {})
    assert (row["mount"], row["used_bytes"], row["days_left"], row["growth_bytes_per_day"]) == ("/srv", None, None, None)
    assert volume_table([row])[-1] == "What is used of 1 of 1 is not known: no host that could be asked has them mounted."


@pytest.mark.parametrize("rate", [0, -3])
def test_one_that_does_not_fill_has_no_last_day(rate):
    (row,) = volume_rows([volume(1)], {"one": host("vol-1")}, filling("i-1", rate))
    assert row["days_left"] is None


def test_a_file_system_on_several_volumes_says_nothing_of_one():
    seen = host("vol-1")
    seen["__seen"]["filesystems"][0]["disks"] = [{}, {}]
    assert volume_rows([volume(1)], {"one": seen}, {})[0]["used_bytes"] is None


def test_the_table_has_a_line_for_each_and_says_what_may_be_done_when():
    volumes = [volume(2, "deferred", not_before=UNTIL, reasons=["4 modifications began within 24 hours"]), volume(1, app=None)]
    lines = volume_table(volume_rows(volumes, {"one": host("vol-2"), "two": host("vol-1", 5, 95)}, filling("i-2", 0.26)))
    assert lines[0].split() == ["APP", "VOLUME", "REGION", "MOUNT", "GIB", "USED", "GIB/DAY", "DAYS", "LEFT", "NEXT", "CHANGE"]
    assert lines[2].split() == ["-", "vol-1", "us-east-1", "/srv/data", "100", "5.0", "%", "?", "-", "now"]
    assert lines[3].split() == ["shop", "vol-2", "us-east-1", "/srv/data", "100", "80.0", "%", "0.3", "77", "2026-02-01", "12:00"]
    assert lines[4] == "vol-2: 4 modifications began within 24 hours" and max(map(len, lines)) <= 100
    assert volume_table([]) == ["No application has a volume here."]
