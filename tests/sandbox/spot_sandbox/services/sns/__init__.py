"""SNS: moto's topics, with deliveries as AWS makes them: confirmed, signed, filtered, tried again, and given up.

Subscriptions and what they are sent are in ``subscriptions``, the threads that post over HTTP in ``deliveries``, the
operations in ``calls``. The keys are in ``spot_sandbox.sns_signing``, which needs no server.
"""

from __future__ import annotations

from spot_sandbox.services.sns.calls import CONTROL, RESPONSES, unsigned
from spot_sandbox.services.sns.deliveries import reset as _reset_deliveries
from spot_sandbox.services.sns.subscriptions import publish
from spot_sandbox.services.sns.subscriptions import reset as _reset_subscriptions

__all__ = ["CONTROL", "RESPONSES", "publish", "reset", "unsigned"]


def reset() -> None:
    """Nothing is under way, and no token is good."""
    _reset_deliveries()
    _reset_subscriptions()
