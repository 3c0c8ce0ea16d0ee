"""Instances: scarcity, lifecycle, interruptions, and a DescribeInstances that pages through thousands.

moto keeps the instances with their volumes and interfaces; what it lacks of each one is in ``RECORDS``.
"""

from __future__ import annotations

from spot_sandbox.services.instances import launches, records
from spot_sandbox.services.instances.allocation import Choice, best_spot
from spot_sandbox.services.instances.api import Instances
from spot_sandbox.services.instances.bulk import control_instances
from spot_sandbox.services.instances.checks import control_checks
from spot_sandbox.services.instances.filters import matcher
from spot_sandbox.services.instances.interruptions import control_interrupt, control_rebalance
from spot_sandbox.services.instances.launches import (
    check_profile,
    control_launches,
    from_template,
    scarce,
    start,
    template_version,
)
from spot_sandbox.services.instances.records import RECORDS, backend_of, end, ended_hooks, state_of, warned_hooks

__all__ = [
    "CONTROL",
    "RECORDS",
    "RESPONSES",
    "Choice",
    "backend_of",
    "best_spot",
    "check_profile",
    "end",
    "ended_hooks",
    "from_template",
    "matcher",
    "reset",
    "scarce",
    "start",
    "state_of",
    "template_version",
    "warned_hooks",
]

RESPONSES = {"ec2": Instances}
CONTROL = {
    "POST /sandbox/interrupt": control_interrupt,
    "POST /sandbox/rebalance": control_rebalance,
    "POST /sandbox/instances": control_instances,
    "POST /sandbox/launches": control_launches,
    "POST /sandbox/checks": control_checks,
}


def reset() -> None:
    """No instances, and new ones run at once."""
    records.reset()
    launches.reset()
