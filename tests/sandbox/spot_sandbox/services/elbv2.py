"""Load balancers: the attributes that AWS gives a new one, and target health that follows the instances."""

from __future__ import annotations

from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.elbv2.models import FakeHealthStatus
from moto.elbv2.responses import ELBV2Response

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

    def describe_target_health(self) -> ActionResult:
        arn = self._get_param("TargetGroupArn")
        found = self.elbv2_backend.describe_target_health(arn, self._get_param("Targets", []))
        instances = ec2_backends[self.current_account][self.region]
        shown = []
        for health in found:
            if health.status == "healthy" and health.instance_id.startswith("i-"):
                instance = instances.get_instance_by_id(health.instance_id)
                state = instance.state if instance else "terminated"
                if state in STATES:
                    health = FakeHealthStatus(health.instance_id, health.port, health.health_check_port, *STATES[state])
            shown.append(health)
        return ActionResult({"TargetHealthDescriptions": shown})


RESPONSES = {"elasticloadbalancing": LoadBalancers}
