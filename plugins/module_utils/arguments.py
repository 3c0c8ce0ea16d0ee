# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that several modules have in common."""

from __future__ import annotations

from typing import Any

from ansible_collections.spot.platform.plugins.module_utils.engine.market import ARCHITECTURES, PRESENCE
from ansible_collections.spot.platform.plugins.module_utils.engine.scaling import (
    CLOUDWATCH,
    DAYS,
    DEGRADE,
    KINDS,
    NAMES,
    SOURCES,
    WHEN_EXCEEDED,
)

_RANGE = {"type": "dict", "options": {"min": {"type": "int"}, "max": {"type": "int"}}}

REQUIREMENTS: dict[str, Any] = {
    "type": "dict",
    "options": {
        "vcpus": _RANGE,
        "memory_mib": _RANGE,
        "architectures": {"type": "list", "elements": "str", "choices": list(ARCHITECTURES), "default": ["x86_64"]},
        "burstable": {"type": "str", "choices": list(PRESENCE), "default": "excluded"},
        "accelerators": {"type": "str", "choices": list(PRESENCE), "default": "excluded"},
        "bare_metal": {"type": "str", "choices": list(PRESENCE), "default": "excluded"},
        "families": {
            "type": "dict",
            "options": {
                "include": {"type": "list", "elements": "str"},
                "exclude": {"type": "list", "elements": "str"},
            },
        },
        "current_generation": {"type": "bool", "default": True},
    },
}
"""What an application needs of an instance type: ``engine.market.requirements_from`` reads it."""

OBSERVATION: dict[str, Any] = {
    "interruption_bands": {"type": "str"},
    "history_days": {"type": "int", "default": 7},
    "cache_dir": {"type": "path", "default": "~/.cache/spot.platform"},
}
"""How the market is observed."""

PROMETHEUS: dict[str, Any] = {
    "type": "dict",
    "options": {
        "url": {"type": "str"},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "ca_path": {"type": "path"},
        "timeout": {"type": "float", "default": 5.0},
    },
}
"""The Prometheus to ask: `aws.metrics.Prometheus` takes it."""

SCALING: dict[str, Any] = {
    "type": "dict",
    "options": {
        "metrics": {
            "type": "list",
            "elements": "dict",
            "options": {
                "name": {"type": "str", "choices": list(NAMES), "required": True},
                "source": {"type": "str", "choices": list(SOURCES), "default": CLOUDWATCH},
                "kind": {"type": "str", "choices": sorted({*KINDS.values()}, reverse=True)},
                "target": {"type": "float", "required": True},
                "query": {"type": "str"},
                "url": {"type": "str"},
                "queue": {"type": "str"},
                "namespace": {"type": "str"},
                "metric": {"type": "str"},
                "dimensions": {"type": "dict"},
                "statistic": {"type": "str"},
            },
        },
        "schedules": {
            "type": "list",
            "elements": "dict",
            "options": {
                "days": {"type": "list", "elements": "str", "choices": list(DAYS), "default": list(DAYS)},
                "start": {"type": "str", "required": True},
                "end": {"type": "str", "required": True},
                "timezone": {"type": "str", "default": "UTC"},
                "min": {"type": "int"},
                "max": {"type": "int"},
            },
        },
        "step_up": {"type": "int"},
        "step_down": {"type": "int"},
        "stabilization_minutes": {"type": "int", "default": 10},
        "forecast": {"type": "bool", "default": False},
        "budget": {
            "type": "dict",
            "options": {
                "per_hour": {"type": "float", "required": True},
                "when_exceeded": {"type": "str", "choices": list(WHEN_EXCEEDED), "default": DEGRADE},
            },
        },
    },
}
"""How capacity follows the demand: ``engine.scaling.scaling_of`` reads it."""
