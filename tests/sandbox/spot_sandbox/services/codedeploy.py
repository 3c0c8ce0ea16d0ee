"""CodeDeploy is moto's; its deployments go by the sandbox's clock, and come to an end: in progress after some seconds, then succeeded.

moto stamps them with the real time and leaves all of them ``Created``.
"""

from __future__ import annotations

from datetime import datetime

from moto.codedeploy import models
from moto.codedeploy.models import CodeDeployBackend, DeploymentInfo

from spot_sandbox import clock

BEGINS, LASTS = 5.0, 90.0
"""Sandbox seconds until a deployment is in progress, and from then until it has succeeded."""

_moto_create = CodeDeployBackend.create_deployment


def _now() -> datetime:
    return clock.now().replace(tzinfo=None)


def create_deployment(backend: CodeDeployBackend, *given: object, **named: object) -> str:
    """Make it as moto does, and let it take its course."""
    made = _moto_create(backend, *given, **named)  # type: ignore[arg-type]
    clock.call_later(BEGINS, _begin, backend.deployments[made])
    return made


def _begin(deployment: DeploymentInfo) -> None:
    deployment.status, deployment.start_time = "InProgress", _now()
    clock.call_later(LASTS, _succeed, deployment)


def _succeed(deployment: DeploymentInfo) -> None:
    deployment.status, deployment.complete_time = "Succeeded", _now()


models.utcnow = _now
CodeDeployBackend.create_deployment = create_deployment  # type: ignore[method-assign,assignment]
