# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible makes of the options is what the engine reads."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.spot.platform.plugins.module_utils.arguments import SCALING
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import Budget, scaling_of


def read(scaling: dict[str, Any]) -> Any:
    result = ArgumentSpecValidator({"scaling": SCALING}).validate({"scaling": scaling})
    assert result.error_messages == []
    return scaling_of(result.validated_parameters["scaling"], 2, 20)


def test_the_least_that_can_be_said() -> None:
    """The validator fills all other keys with None."""
    assert read({}) == scaling_of(None, 2, 20)
    scaling = read(
        {
            "metrics": [{"name": "cpu", "target": "60"}],
            "schedules": [{"start": "08:00", "end": "17:00", "min": 4}],
            "budget": {"per_hour": 2},
        }
    )
    assert (scaling.metrics[0].target, scaling.schedules[0].min, scaling.budget) == (60.0, 4, Budget(2.0))


def test_every_option_is_known_to_the_engine() -> None:
    scaling = read(
        {
            "metrics": [
                {
                    "name": "custom",
                    "kind": "load",
                    "target": 5,
                    "namespace": "Shop",
                    "metric": "Carts",
                    "dimensions": {"Shop": "a"},
                    "statistic": "Sum",
                },
                {"name": "queue_depth", "target": 1, "queue": "jobs"},
                {"name": "cpu", "source": "prometheus", "target": 1, "query": "up", "url": "http://p"},
            ],
            "schedules": [{"days": "sat,sun", "start": "08:00", "end": "17:00", "timezone": "Asia/Tokyo", "max": 4}],
            "step_up": 1,
            "step_down": 2,
            "stabilization_minutes": 3,
            "forecast": True,
            "budget": {"per_hour": 2, "when_exceeded": "alert"},
        }
    )
    assert len(scaling.metrics) == 3 and scaling.schedules[0].days == {5, 6}
    assert (scaling.step_up, scaling.step_down, scaling.stabilization_seconds, scaling.forecast) == (1, 2, 180, True)
