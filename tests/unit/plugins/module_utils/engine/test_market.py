"""Which instance types an application can run on."""

from __future__ import annotations

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.market import (
    InstanceType,
    Offer,
    Requirements,
    matches,
    requirements_from,
)

M5 = InstanceType("m5.large", 2, 8192, ("x86_64",), False, True, 0, False)
T3 = InstanceType("t3.large", 2, 8192, ("x86_64",), True, True, 0, False)
G5 = InstanceType("g5.xlarge", 4, 16384, ("x86_64",), False, True, 1, False)
M7G = InstanceType("m7g.metal", 64, 262144, ("arm64",), False, True, 0, True)
M3 = InstanceType("m3.large", 2, 7680, ("x86_64",), False, False, 0, False)
ALL = (M5, T3, G5, M7G, M3)


@pytest.mark.parametrize(
    "wanted, names",
    [
        (None, ["m5.large"]),
        ({}, ["m5.large"]),
        ({"vcpus": None, "families": {"include": None, "exclude": []}}, ["m5.large"]),
        ({"burstable": "included"}, ["m5.large", "t3.large"]),
        ({"burstable": "required"}, ["t3.large"]),
        ({"accelerators": "required"}, ["g5.xlarge"]),
        ({"accelerators": "included", "vcpus": {"min": 4}}, ["g5.xlarge"]),
        ({"accelerators": "included", "memory_mib": {"min": 8192, "max": 8192}}, ["m5.large"]),
        ({"architectures": ["arm64"], "bare_metal": "included"}, ["m7g.metal"]),
        ({"architectures": ["arm64"]}, []),
        ({"current_generation": False}, ["m5.large", "m3.large"]),
        ({"current_generation": False, "families": {"include": ["m*"], "exclude": ["m5"]}}, ["m3.large"]),
        ({"burstable": "included", "families": {"include": ["t3"]}}, ["t3.large"]),
    ],
)
def test_requirements_choose_types(wanted, names):
    requirements = requirements_from(wanted)
    assert [kind.name for kind in ALL if matches(requirements, kind)] == names


def test_nothing_wanted_is_the_defaults():
    assert requirements_from(None) == requirements_from({"vcpus": {}}) == Requirements()


@pytest.mark.parametrize(
    "wanted, message",
    [
        ({"cpus": {"min": 2}}, "requirements has no cpus"),
        ({"vcpus": {"least": 2}}, "requirements.vcpus has no least"),
        ({"vcpus": {"min": "2"}}, "requirements.vcpus.min is '2'"),
        ({"vcpus": {"min": True}}, "requirements.vcpus.min is True"),
        ({"vcpus": 2}, "requirements.vcpus is 2: it must be a mapping"),
        ({"memory_mib": {"min": 8, "max": 4}}, "impossible: min 8 is above max 4"),
        ({"architectures": ["i386"]}, "requirements.architectures is 'i386'"),
        ({"architectures": []}, "requirements.architectures is empty"),
        ({"architectures": "arm64"}, "requirements.architectures is 'arm64': it must be a list"),
        ({"burstable": "yes"}, "requirements.burstable is 'yes'"),
        ({"current_generation": "yes"}, "requirements.current_generation is 'yes'"),
        ({"families": {"include": "m5"}}, "requirements.families.include is 'm5': it must be a list"),
        (["m5"], "it must be a mapping"),
    ],
)
def test_wrong_requirements_are_named(wanted, message):
    with pytest.raises(ValueError, match="^requirements") as raised:
        requirements_from(wanted)
    assert message in str(raised.value)


@pytest.mark.parametrize("spot, on_demand, saved", [(0.03, 0.1, 70.0), (None, 0.1, None), (0.03, None, None)])
def test_the_saving_of_an_offer(spot, on_demand, saved):
    assert Offer("us-east-1", "us-east-1a", "use1-az1", M5, spot, on_demand).savings_percent == saved


def test_the_family_of_a_type():
    assert [kind.family for kind in ALL] == ["m5", "t3", "g5", "m7g", "m3"]
