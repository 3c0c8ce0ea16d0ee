"""Onboarding an application: what stands afterwards, and that doing it again changes nothing."""

from __future__ import annotations

import base64
import json
import stat
from typing import Any

from .conftest import ENVIRONMENT, REGION, WEB, Project, cloud_config_of

NAME = f"{ENVIRONMENT}-web"


def test_onboarding_makes_the_application_and_again_changes_nothing(project: Project) -> None:
    (project.directory / "apps" / "code").mkdir()
    project.write("apps/code/hello.py", "application = None\n")
    permission = {"actions": ["sqs:SendMessage"], "resources": ["arn:aws:sqs:*:*:jobs"]}
    project.app(
        {
            **WEB,
            "runtime": {
                **WEB["runtime"],
                "source": "code",
                "environment": {"GREETING": "hello world"},
                "drain": {"command": "touch draining\nsync", "seconds": 20},
            },
            "permissions": [permission],
        }
    )

    project.onboard()

    check_network(project)
    template = check_template(project)
    check_start(cloud_config_of(template["UserData"]))
    check_balancer(project)
    check_role(project, [permission])
    group = project.sandbox.client("autoscaling", REGION).describe_auto_scaling_groups()["AutoScalingGroups"][0]
    assert (group["AutoScalingGroupName"], group["DesiredCapacity"], group["HealthCheckType"]) == (NAME, 2, "EC2")
    key = project.directory / ".keys" / f"{NAME}-{REGION}"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "*" in (project.directory / ".keys" / ".gitignore").read_text()
    private = key.read_text()

    project.sandbox.post("/sandbox/calls/reset")
    again = project.onboard()

    assert set(again.changed.values()) == {0}, again.output
    assert project.writes() == []
    assert key.read_text() == private
    check_events(project, group["Instances"][0]["InstanceId"])


def check_start(cloud_config: dict[str, Any]) -> None:
    files = {file["path"]: file for file in cloud_config["write_files"]}
    assert base64.b64decode(files["/opt/web/hello.py"]["content"]) == b"application = None\n"
    unit = files["/etc/systemd/system/web.service"]["content"].splitlines()
    assert "ExecStart=/usr/bin/gunicorn --bind 0.0.0.0:8000 hello:application" in unit
    assert "DynamicUser=yes" in unit
    assert files["/etc/default/web"]["content"] == "GREETING=hello world\n"
    assert "gunicorn" in cloud_config["packages"]
    drain = files["/etc/systemd/system/spot-drain.service"]["content"]
    assert "Environment=SPOT_UNIT=web.service SPOT_STOP_LEFT=20\n" in drain
    assert "Environment=SPOT_DRAIN=/usr/local/lib/spot-drain.sh SPOT_DRAIN_SECONDS=20\n" in drain
    assert files["/usr/local/lib/spot-drain.sh"]["content"] == "touch draining\nsync\n"
    script = files["/usr/local/lib/spot-drain.py"]["content"]
    compile(script, "spot-drain.py", "exec")
    assert len(script) < 4000 and '"""' not in script
    assert cloud_config["runcmd"][-1] == ["systemctl", "enable", "--now", "web.service", "spot-drain.service"]


def check_events(project: Project, instance: str) -> None:
    """A notice comes to who acts on it and to the audit, once each."""
    sqs = project.sandbox.client("sqs", REGION)
    acted_on, audit = (
        sqs.get_queue_url(QueueName=f"spot-platform-{ENVIRONMENT}-{what}")["QueueUrl"] for what in ("events", "audit")
    )
    assert "Messages" not in sqs.receive_message(QueueUrl=acted_on), "launches that went well wake nobody"
    project.sandbox.post("/sandbox/interrupt", instance_ids=[instance])
    for url in (acted_on, audit):
        messages = [json.loads(one["Body"]) for one in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]]
        warned = [one["detail"] for one in messages if one["detail-type"] == "EC2 Spot Instance Interruption Warning"]
        assert warned == [{"instance-id": instance, "instance-action": "terminate"}]


def check_network(project: Project) -> None:
    ec2 = project.sandbox.client("ec2", REGION)
    mine = [{"Name": "tag:spot.platform/environment", "Values": [ENVIRONMENT]}]
    subnets = ec2.describe_subnets(Filters=mine)["Subnets"]
    zones = {zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]}
    assert {subnet["AvailabilityZone"] for subnet in subnets} == zones
    assert all(subnet["MapPublicIpOnLaunch"] for subnet in subnets)
    [table] = ec2.describe_route_tables(Filters=mine)["RouteTables"]
    assert len(table["Associations"]) == len(subnets)
    assert any(route.get("GatewayId", "").startswith("igw-") for route in table["Routes"])
    groups = {g["GroupName"]: g for g in ec2.describe_security_groups(Filters=mine)["SecurityGroups"]}
    [rule] = groups[NAME]["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"]) == (8000, 8000)
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [groups[f"{NAME}-lb"]["GroupId"]]
    assert not rule["IpRanges"], "instances are reached through the load balancer only"


def check_template(project: Project) -> dict[str, Any]:
    ec2 = project.sandbox.client("ec2", REGION)
    versions = ec2.describe_launch_template_versions(LaunchTemplateName=NAME)["LaunchTemplateVersions"]
    data: dict[str, Any] = versions[0]["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    [disk] = data["BlockDeviceMappings"]
    assert (disk["Ebs"]["Encrypted"], disk["Ebs"]["VolumeType"]) == (True, "gp3")
    assert data["IamInstanceProfile"]["Arn"].endswith(f":instance-profile/{NAME}-{REGION}")
    return data


def check_balancer(project: Project) -> None:
    elb = project.sandbox.client("elbv2", REGION)
    [balancer] = elb.describe_load_balancers(Names=[NAME])["LoadBalancers"]
    assert len(balancer["AvailabilityZones"]) == 3
    [group] = elb.describe_target_groups(LoadBalancerArn=balancer["LoadBalancerArn"])["TargetGroups"]
    assert (group["Port"], group["HealthCheckPath"]) == (8000, "/health")


def check_role(project: Project, permissions: list[dict[str, Any]]) -> None:
    iam = project.sandbox.client("iam")
    name = f"{NAME}-{REGION}"
    assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    statements = iam.get_role_policy(RoleName=name, PolicyName="app")["PolicyDocument"]["Statement"]
    assert statements == [
        {"Effect": "Allow", "Action": item["actions"], "Resource": item["resources"]} for item in permissions
    ]
