"""Load balancers: the attributes that AWS gives a new one, and target health that follows the instances.

A target that is deregistered drains for as long as its group says. `POST /sandbox/unhealthy` lets instances fail.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.elbv2.models import FakeHealthStatus
from moto.elbv2.responses import ELBV2Response
from spot_sandbox import clock

ATTRIBUTES = {
    "access_logs.s3.enabled": "false",
    "access_logs.s3.bucket": "",
    "access_logs.s3.prefix": "",
    "client_keep_alive.seconds": "3600",
    "connection_logs.s3.enabled": "false",
    "connection_logs.s3.bucket": "",
    "connection_logs.s3.prefix": "",
    "deletion_protection.enabled": "false",
    "idle_timeout.timeout_seconds": "60",
    "load_balancing.cross_zone.enabled": "true",
    "routing.http.desync_mitigation_mode": "defensive",
    "routing.http.drop_invalid_header_fields.enabled": "false",
    "routing.http.preserve_host_header.enabled": "false",
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false",
    "routing.http.xff_client_port.enabled": "false",
    "routing.http.xff_header_processing.mode": "append",
    "routing.http2.enabled": "true",
    "waf.fail_open.enabled": "false",
    "zonal_shift.config.enabled": "false",
}
"""Of an application load balancer."""

STATES = {
    "pending": ("initial", "Elb.RegistrationInProgress", "Target registration is in progress"),
    "stopping": ("unused", "Target.InvalidState", "Target is in the stopping state"),
    "stopped": ("unused", "Target.InvalidState", "Target is in the stopped state"),
    "shutting-down": ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"),
    "terminated": ("unused", "Target.InvalidState", "Target is in the terminated state"),
}

DRAINING = ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
FAILED = ("unhealthy", "Target.FailedHealthChecks", "Health checks failed")

_draining: dict[tuple[str, str], tuple[float, str]] = {}
"""Until when a target of a group drains, and on which port, by the group's ARN and the target."""
_unhealthy: dict[str, set[str]] = {"targets": set(), "status": set()}
"""The instances that fail the checks of load balancers, and those of EC2."""


def impaired(instance_id: str) -> bool:
    """Whether it fails the checks of EC2."""
    return instance_id in _unhealthy["status"]


class LoadBalancers(ELBV2Response):
    def create_load_balancer(self) -> ActionResult:
        before = set(self.elbv2_backend.load_balancers)
        answer = super().create_load_balancer()
        for arn in set(self.elbv2_backend.load_balancers) - before:
            balancer = self.elbv2_backend.load_balancers[arn]
            if balancer.type == "application":
                balancer.attrs = dict(ATTRIBUTES)
        return answer

    def describe_target_health(self) -> ActionResult:
        arn = self._get_param("TargetGroupArn")
        found = self.elbv2_backend.describe_target_health(arn, self._get_param("Targets", []))
        instances = ec2_backends[self.current_account][self.region]
        shown = []
        for health in found:
            if health.status == "healthy" and health.instance_id.startswith("i-"):
                instance = instances.get_instance_by_id(health.instance_id)
                state = instance.state if instance else "terminated"
                told = STATES.get(state) or (FAILED if health.instance_id in _unhealthy["targets"] else None)
                if told:
                    health = FakeHealthStatus(health.instance_id, health.port, health.health_check_port, *told)
            elif self._drains(arn, health.instance_id):
                health = FakeHealthStatus(health.instance_id, health.port, health.health_check_port, *DRAINING)
            shown.append(health)
        if not self._get_param("Targets", []):
            port = self.elbv2_backend.target_groups[arn].health_check_port
            for (group, name), (_until, of) in list(_draining.items()):
                if group == arn and self._drains(arn, name):
                    shown.append(FakeHealthStatus(name, of, port, *DRAINING))
        return ActionResult({"TargetHealthDescriptions": shown})

    def deregister_targets(self) -> ActionResult:
        arn = self._get_param("TargetGroupArn")
        group = self.elbv2_backend.target_groups.get(arn)
        registered = dict(group.targets) if group else {}
        answer = super().deregister_targets()
        delay = float(group.attributes.get("deregistration_delay.timeout_seconds") or 300)
        for one in self._get_param("Targets", []):
            if one["Id"] in registered:
                _draining[arn, one["Id"]] = clock.time() + delay, str(registered[one["Id"]].get("port", group.port))
        return answer

    def register_targets(self) -> ActionResult:
        for one in self._get_param("Targets", []):
            _draining.pop((self._get_param("TargetGroupArn"), one["Id"]), None)
        return super().register_targets()

    def _drains(self, arn: str, name: str) -> bool:
        """Whether the target drains still: an instance that is gone does not."""
        until, _port = _draining.get((arn, name), (0.0, ""))
        instance = ec2_backends[self.current_account][self.region].get_instance_by_id(name) if until else None
        return clock.time() < until and instance is not None and instance.state != "terminated"


def control_unhealthy(values: dict[str, Any]) -> dict[str, Any]:
    """``{"instance_ids": [..], "checks": "targets" | "status"}``: they fail from now on, and no others."""
    checks, ids = values.get("checks", "targets"), values.get("instance_ids")
    if checks not in _unhealthy:
        raise ValueError(f"checks {checks!r} are not known: use targets or status")
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise ValueError("instance_ids is missing: give a list of ids, [] for none")
    _unhealthy[checks] = set(ids)
    return {name: sorted(found) for name, found in _unhealthy.items()}


def reset() -> None:
    _draining.clear()
    for found in _unhealthy.values():
        found.clear()


CONTROL = {"POST /sandbox/unhealthy": control_unhealthy}
RESPONSES = {"elasticloadbalancing": LoadBalancers}
