"""Faults: what a client sees of each, in the form of each protocol."""

from __future__ import annotations

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

ONCE = Config(retries={"total_max_attempts": 1, "mode": "standard"})


def call(sandbox, service, config=ONCE):
    client = sandbox.client(service, config=config)
    operation = {
        "ec2": "describe_vpcs",
        "autoscaling": "describe_auto_scaling_groups",
        "elbv2": "describe_load_balancers",
        "iam": "list_roles",
        "ssm": "describe_parameters",
        "codedeploy": "list_applications",
        "s3": "list_buckets",
        "dynamodb": "list_tables",
        "route53": "list_hosted_zones",
    }[service]
    return getattr(client, operation)()


@pytest.mark.parametrize(
    ("service", "kind", "code", "status"),
    [
        ("ec2", "throttle", "RequestLimitExceeded", 503),
        ("elbv2", "throttle", "Throttling", 400),
        ("ssm", "throttle", "ThrottlingException", 400),
        ("codedeploy", "throttle", "ThrottlingException", 400),
        ("dynamodb", "throttle", "ThrottlingException", 400),
        ("route53", "throttle", "Throttling", 400),
        ("dynamodb", "error", "InternalServerError", 503),
        ("ec2", "error", "InternalError", 500),
        ("iam", "error", "ServiceUnavailable", 503),
        ("ssm", "error", "InternalServerError", 503),
        ("ec2", "denied", "UnauthorizedOperation", 403),
        ("elbv2", "denied", "AccessDenied", 403),
        ("s3", "denied", "AccessDenied", 403),
        ("ssm", "denied", "AccessDeniedException", 400),
        ("ec2", "expired", "RequestExpired", 400),
        ("iam", "expired", "ExpiredToken", 403),
        ("ssm", "expired", "ExpiredTokenException", 400),
    ],
)
def test_each_protocol_has_its_own_errors(fresh, service, kind, code, status):
    fresh.post("/sandbox/faults", rules=[{"kind": kind, "service": service}])
    with pytest.raises(ClientError) as failed:
        call(fresh, service)
    assert failed.value.response["Error"]["Code"] == code
    assert failed.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize(
    ("service", "action"),
    [
        ("ec2", "ec2:DescribeVpcs"),
        ("elbv2", "elasticloadbalancing:DescribeLoadBalancers"),
        ("ssm", "ssm:DescribeParameters"),
        ("dynamodb", "dynamodb:ListTables"),
        ("route53", "route53:ListHostedZones"),
    ],
)
def test_a_denial_names_the_action(fresh, service, action):
    fresh.post("/sandbox/faults", rules=[{"kind": "denied"}])
    with pytest.raises(ClientError, match=f"is not authorized to perform: {action} because"):
        call(fresh, service)


def test_only_what_the_rule_names_is_struck(fresh):
    fresh.post(
        "/sandbox/faults", rules=[{"kind": "denied", "service": "ec2", "operation": "Create*", "region": "eu-*"}]
    )
    assert call(fresh, "iam")["Roles"] == []
    assert fresh.client("ec2", "eu-west-1").describe_vpcs()["Vpcs"]
    fresh.client("ec2").create_vpc(CidrBlock="10.1.0.0/16")
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        fresh.client("ec2", "eu-west-1").create_vpc(CidrBlock="10.1.0.0/16")


def test_a_count_ends_and_a_client_that_retries_does_not_notice(fresh):
    fresh.post("/sandbox/faults", rules=[{"kind": "throttle", "service": "ssm", "count": 2}])
    assert call(fresh, "ssm", Config(retries={"max_attempts": 5, "mode": "standard"}))["Parameters"] == []
    assert fresh.get("/sandbox/calls")["services"] == {"ssm": {"DescribeParameters": 3}}
    assert fresh.get("/sandbox/faults")["rules"][0]["count"] == 0


def test_the_rate_is_kept_and_follows_the_seed(fresh):
    def pattern():
        fresh.post("/sandbox/reset")
        fresh.post("/sandbox/faults", rules=[{"kind": "throttle", "rate": 0.3}])
        outcome = []
        for _attempt in range(100):
            try:
                client.list_roles()
                outcome.append(1)
            except ClientError:
                outcome.append(0)
        return outcome

    client = fresh.client("iam", config=ONCE)

    first = pattern()
    assert 15 <= first.count(0) <= 45
    assert pattern() == first


@pytest.mark.parametrize(("kind", "done"), [("timeout", False), ("lost", True)])
def test_a_closed_connection_before_and_after_the_work(fresh, kind, done):
    fresh.post("/sandbox/faults", rules=[{"kind": kind, "operation": "CreateVpc", "seconds": 0}])
    client = fresh.client("ec2", config=ONCE)
    with pytest.raises(ConnectionClosedError):
        client.create_vpc(CidrBlock="10.77.0.0/16")
    made = [vpc for vpc in client.describe_vpcs()["Vpcs"] if vpc["CidrBlock"] == "10.77.0.0/16"]
    assert bool(made) is done


def test_a_launch_template_whose_answer_was_lost_is_not_made_twice(fresh):
    fresh.post("/sandbox/faults", rules=[{"kind": "lost", "operation": "CreateLaunchTemplate", "count": 1}])
    client = fresh.client("ec2", config=Config(retries={"max_attempts": 3, "mode": "standard"}))
    client.create_launch_template(LaunchTemplateName="web", LaunchTemplateData={"InstanceType": "m5.large"})
    assert len(client.describe_launch_templates()["LaunchTemplates"]) == 1


def test_latency_delays_and_changes_nothing_else(fresh):
    fresh.post("/sandbox/faults", rules=[{"kind": "latency", "seconds": 0.001}])
    assert call(fresh, "ec2")["Vpcs"]


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("ec2", "describe_network_insights_paths", "UnsupportedOperation"),
        ("dlm", "get_lifecycle_policies", "UnknownOperationException"),
        ("ssm", "describe_sessions", "UnknownOperationException"),
    ],
)
def test_what_the_sandbox_lacks_is_a_clean_error_at_once(fresh, service, operation, code):
    arguments = {"State": "Active"} if operation == "describe_sessions" else {}
    with pytest.raises(ClientError, match="The sandbox does not have") as failed:
        getattr(fresh.client(service), operation)(**arguments)
    assert failed.value.response["Error"]["Code"] == code
    assert fresh.get("/sandbox/calls")["total"] == 1
