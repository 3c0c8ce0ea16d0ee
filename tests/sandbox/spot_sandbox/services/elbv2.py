"""Load balancers: the attributes that AWS gives a new one, and target health that follows instances and controls."""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.elbv2.models import FakeHealthStatus, FakeTargetGroup, elbv2_backends
from moto.elbv2.responses import ELBV2Response
from spot_sandbox import ACCOUNT, clock, market

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


class LoadBalancers(ELBV2Response):
    def create_load_balancer(self) -> ActionResult:
        before = set(self.elbv2_backend.load_balancers)
        answer = super().create_load_balancer()
        for arn in set(self.elbv2_backend.load_balancers) - before:
            balancer = self.elbv2_backend.load_balancers[arn]
            if balancer.type == "application":
                balancer.attrs = dict(ATTRIBUTES)
        return answer

    def deregister_targets(self) -> ActionResult:
        answer = super().deregister_targets()
        arn = self._get_param("TargetGroupArn")
        delay = float(self.elbv2_backend.target_groups[arn].attributes["deregistration_delay.timeout_seconds"])
        for target in self._get_param("Targets", []):
            FAILING.pop((arn, target["Id"]), None)
            DRAINING[arn, target["Id"]] = clock.time() + delay
        return answer

    def describe_target_health(self) -> ActionResult:
        arn, wanted = self._get_param("TargetGroupArn"), self._get_param("Targets", [])
        found = self.elbv2_backend.describe_target_health(arn, wanted)
        group = self.elbv2_backend.target_groups[arn]
        if not wanted:
            leaving = [i for (of, i) in DRAINING if of == arn and self._drains(group, i)]
            found += [group.health_for({"Id": i}, ec2_backends[self.current_account][self.region]) for i in leaving]
        return ActionResult({"TargetHealthDescriptions": [self._health(group, health) for health in found]})

    def _health(self, group: FakeTargetGroup, health: FakeHealthStatus) -> FakeHealthStatus:
        told = None
        if self._drains(group, health.instance_id):
            told = STATES["shutting-down"]
        elif health.status == "healthy":
            told = STATES.get(self._instance_state(health.instance_id))
            told = told or FAILING.get((group.arn, health.instance_id))
        if told is None:
            return health
        return FakeHealthStatus(health.instance_id, health.port, health.health_check_port, *told)

    def _drains(self, group: FakeTargetGroup, target: str) -> bool:
        """Whether a deregistered target still has its delay; one that ended or is registered again has none."""
        until = DRAINING.get((group.arn, target), 0.0)
        return until > clock.time() and target not in group.targets and self._instance_state(target) == "running"

    def _instance_state(self, target: str) -> str:
        if not target.startswith("i-"):
            return "running"
        instance = ec2_backends[self.current_account][self.region].get_instance_by_id(target)
        return str(instance.state) if instance else "terminated"


DRAINING: dict[tuple[str, str], float] = {}
"""By target group and target: until when a deregistered one is drained."""
FAILING: dict[tuple[str, str], tuple[str, str, str]] = {}
"""By target group and target: the state, reason and description that were set for one that would be healthy."""
REASONS = {
    "unhealthy": ("Target.FailedHealthChecks", "Health checks failed"),
    "initial": ("Elb.InitialHealthChecking", "Initial health checks in progress"),
    "unavailable": ("Target.HealthCheckDisabled", "Health checks are not enabled for this target"),
}


def reset() -> None:
    """Nothing drains, and no target fails."""
    DRAINING.clear()
    FAILING.clear()


def control_targets(body: dict[str, Any]) -> dict[str, Any]:
    """Set the health of registered targets."""
    known = ("region", "target_group", "ids", "state", "reason", "description")
    if unknown := sorted(set(body) - set(known)):
        raise ValueError(f"unknown key {unknown[0]!r}: use {', '.join(known)}")
    region, state, wanted = body.get("region", "us-east-1"), body.get("state"), body.get("target_group")
    if region not in market.regions():
        raise ValueError(f"region {region!r} is not served: use one of {', '.join(market.regions())}")
    if state != "healthy" and state not in REASONS:
        raise ValueError(f"state {state!r} is not known: use healthy, {', '.join(REASONS)}")
    groups = [
        g for g in elbv2_backends[ACCOUNT][region].target_groups.values() if wanted is None or wanted in (g.arn, g.name)
    ]
    if not groups:
        raise ValueError(f"target group {wanted!r} is not there in {region}: give its ARN or its name")
    ids = body.get("ids")
    if ids is not None and (not isinstance(ids, list) or not ids):
        raise ValueError(f"ids {ids!r} must be a list of ids of targets; leave it out for all of them")
    registered = [(group.arn, one) for group in groups for one in group.targets]
    if missing := sorted(set(ids or ()) - {one for _arn, one in registered}):
        raise ValueError(f"{missing[0]} is not registered with {wanted or f'a target group in {region}'}")
    chosen = [key for key in registered if ids is None or key[1] in ids]
    for key in chosen:
        if state == "healthy":
            FAILING.pop(key, None)
        else:
            reason, description = REASONS[state]
            FAILING[key] = (state, body.get("reason", reason), body.get("description", description))
    return {"targets": [{"target_group": arn, "id": one, "state": state} for arn, one in chosen]}


CONTROL = {"POST /sandbox/targets": control_targets}
RESPONSES = {"elasticloadbalancing": LoadBalancers}
