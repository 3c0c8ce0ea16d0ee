# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is used of quotas, and when that is told."""

from __future__ import annotations

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.quotas import (
    QUOTAS,
    Quota,
    Use,
    in_order,
    note,
    uses,
    vcpu_class,
)

SPOT, ON_DEMAND, GP3 = "L-34B43A08", "L-1216C47A", "L-7A658B76"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("m5.large", "standard"),
        ("t4g.nano", "standard"),
        ("i4i.large", "standard"),
        ("im4gn.large", "standard"),
        ("g5.xlarge", "g"),
        ("vt1.3xlarge", "g"),
        ("p4d.24xlarge", "p"),
        ("inf2.xlarge", "inf"),
        ("trn1.2xlarge", "trn"),
        ("dl1.24xlarge", "dl"),
        ("x2idn.16xlarge", "x"),
        ("f1.2xlarge", "f"),
        ("u-6tb1.metal", "u"),
        ("u7i-12tb.224xlarge", "u"),
        ("hpc6a.48xlarge", "hpc"),
        ("mac2.metal", "mac"),
        ("", ""),
    ],
)
def test_the_quota_that_limits_an_instance_type(name, family):
    assert vcpu_class(name) == family


def test_a_share_of_what_is_allowed():
    found = uses("us-east-1", {SPOT: 100.0, GP3: 2.0}, {"spot:standard": 81.0, "volumes:gp3": 512.0})
    shares = {use.quota.code: (use.used, use.share, use.health) for use in found}
    assert shares == {SPOT: (81.0, 0.81, "warning"), GP3: (0.5, 0.25, "ok")}
    assert "81% is in use: ask for more" in note(found[0], found) and note(found[1], found) == ""


def test_nothing_is_left():
    (use,) = uses("us-east-1", {SPOT: 80.0}, {"spot:standard": 80.0})
    assert use.health == "problem"
    (use,) = uses("us-east-1", {SPOT: 0.0}, {"spot:standard": 4.0})
    assert (use.share, use.health) == (None, "problem") and "more than it allows" in note(use, [use])


def test_what_is_neither_allowed_nor_used_is_left_out():
    assert uses("us-east-1", {SPOT: 0.0}, {}) == []
    assert uses("us-east-1", {}, {"spot:standard": 4.0}) == []


def test_on_demand_that_could_not_stand_in_for_spot_is_said():
    found = uses("us-east-1", {SPOT: 640.0, ON_DEMAND: 200.0}, {"spot:standard": 180.0, "on_demand:standard": 40.0})
    on_demand = next(use for use in found if use.quota.code == ON_DEMAND)
    assert on_demand.health == "ok" and "220 vCPUs run, 200 are allowed" in note(on_demand, found)
    assert note(on_demand, [on_demand]) == ""


def test_spot_comes_first_and_then_what_is_fullest():
    def use(code, limit, used, name):
        return Use("us-east-1", Quota("ec2", code, code, name), limit, used)

    found = [
        use("a", 10, 9, "addresses"),
        use("b", 10, 1, "spot:x"),
        use("c", 0, 1, "groups"),
        use("d", 10, 5, "spot:g"),
    ]
    assert [one.quota.code for one in in_order(found)] == ["d", "b", "c", "a"]


def test_no_quota_is_listed_twice():
    assert len({quota.code for quota in QUOTAS}) == len(QUOTAS)
