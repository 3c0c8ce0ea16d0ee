"""An inventory of its own for each test of a playbook, and the list of all that stands in AWS."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = "it"
REGION = "eu-west-1"  # it has three zones only, which makes for short runs

WORKER: dict[str, Any] = {
    "name": "worker",
    "owner": "owner@example.com",
    "regions": [REGION],
    "capacity": {"unit": "instances", "min": 1, "max": 4, "desired": 2, "instance_types": ["m5.large", "m5a.large"]},
    "runtime": {"kind": "systemd", "command": "/usr/bin/sleep infinity"},
}
WEB: dict[str, Any] = {
    **WORKER,
    "name": "web",
    "runtime": {"kind": "gunicorn", "command": "hello:application", "port": 8000, "health_path": "/health"},
}


def cloud_config_of(user_data: str) -> dict[str, Any]:
    """What user data of a launch template tells cloud-init."""
    text = gzip.decompress(base64.b64decode(user_data)).decode()
    assert text.startswith("#cloud-config\n")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


class Run:
    """A playbook that has ended: ``code``, ``output``, and ``changed`` tasks by host."""

    def __init__(self, code: int, output: str) -> None:
        self.code = code
        self.output = output
        recap = re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", output, re.MULTILINE)
        self.changed = {host: int(changed) for host, changed in recap}

    @property
    def words(self) -> str:
        """The output on one line, for messages that Ansible wraps."""
        return " ".join(self.output.split())


class Project:
    """An inventory in ``directory`` for the sandbox; modules run in ``interpreter``."""

    def __init__(self, sandbox: Any, directory: Path, interpreter: str) -> None:
        self.sandbox = sandbox
        self.directory = directory
        self.interpreter = interpreter
        (directory / "apps").mkdir()
        (directory / "group_vars").mkdir()
        self.write("targets.spot.yml", {"plugin": "spot.platform.targets", "environment": ENVIRONMENT})
        self.connect(access_key="AKIAIOSFODNN7EXAMPLE", secret_key="not-a-secret")

    def write(self, name: str, content: Any) -> None:
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        (self.directory / name).write_text(text, encoding="utf-8")

    def connect(self, **options: str) -> None:
        """How the modules reach AWS: the option ``spot_aws`` of the inventory."""
        self.write("group_vars/all.yml", {"spot_aws": {"endpoint_url": self.sandbox.url, **options}})

    def app(self, manifest: dict[str, Any]) -> None:
        self.write(f"apps/{manifest['name']}.yml", manifest)

    def start(self, playbook: str, *options: str, **variables: Any) -> subprocess.Popen[str]:
        """``ansible-playbook`` with these options as a process of its own group."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "ANSIBLE_"))}
        variables = {"ansible_python_interpreter": self.interpreter, **variables}
        return subprocess.Popen(
            [
                str(Path(sys.executable).parent / "ansible-playbook"),
                f"spot.platform.{playbook}",
                *("-i", str(self.directory / "targets.spot.yml"), "-e", json.dumps(variables)),
                *options,
            ],
            cwd=ROOT,
            env={**clean, "AWS_EC2_METADATA_DISABLED": "true", "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def play(self, playbook: str, *options: str, **variables: Any) -> Run:
        process = self.start(playbook, *options, **variables)
        output, _nothing = process.communicate()
        return Run(process.returncode, output)

    def onboard(self, **variables: Any) -> Run:
        """Onboard, and expect it to end well."""
        run = self.play("app_onboard", **variables)
        assert run.code == 0, run.output
        return run

    def writes(self) -> list[str]:
        """The operations called since the last ``/sandbox/calls/reset`` that were more than looking."""
        calls = self.sandbox.get("/sandbox/calls")["services"]
        reading = ("Describe", "Get", "BatchGet", "List")
        return sorted({name for counts in calls.values() for name in counts if not name.startswith(reading)})

    def resources(self) -> dict[str, list[str]]:
        """All that stands in the account, in both regions, by kind."""
        found: dict[str, list[str]] = {}
        for region in (REGION, "us-east-1"):
            for service, operation, path, name in LISTS:
                pages = self.sandbox.client(service, region).get_paginator(operation).paginate()
                found[f"{region} {path}"] = sorted(item[name] for page in pages for item in page[path])
            pages = self.sandbox.client("ec2", region).get_paginator("describe_instances").paginate()
            instances = [i for page in pages for group in page["Reservations"] for i in group["Instances"]]
            alive = [i["InstanceId"] for i in instances if i["State"]["Name"] not in ("shutting-down", "terminated")]
            found[f"{region} Instances"] = sorted(alive)
            found[f"{region} Queues"] = sorted(self.sandbox.client("sqs", region).list_queues().get("QueueUrls", []))
            kms = self.sandbox.client("kms", region)
            keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
            found[f"{region} Keys"] = sorted(  # ours: an encrypted volume makes AWS's own
                key["KeyId"]
                for key in keys
                if key["KeyState"] != "PendingDeletion" and key["Description"].startswith("spot-platform-")
            )
        iam = self.sandbox.client("iam")
        found["Roles"] = sorted(role["RoleName"] for role in iam.list_roles()["Roles"])
        found["Profiles"] = sorted(p["InstanceProfileName"] for p in iam.list_instance_profiles()["InstanceProfiles"])
        found["Policies"] = sorted(p["PolicyName"] for p in iam.list_policies(Scope="Local")["Policies"])
        return found

    def ours(self) -> dict[str, list[str]]:
        """What of that has a name of this environment."""
        named = {
            kind: [name for name in names if name.startswith(f"{ENVIRONMENT}-")]
            for kind, names in self.resources().items()
        }
        return {kind: names for kind, names in named.items() if names}


LISTS = (
    ("ec2", "describe_vpcs", "Vpcs", "VpcId"),
    ("ec2", "describe_subnets", "Subnets", "SubnetId"),
    ("ec2", "describe_route_tables", "RouteTables", "RouteTableId"),
    ("ec2", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    ("ec2", "describe_network_acls", "NetworkAcls", "NetworkAclId"),
    ("ec2", "describe_network_interfaces", "NetworkInterfaces", "NetworkInterfaceId"),
    ("ec2", "describe_security_groups", "SecurityGroups", "GroupName"),
    ("ec2", "describe_volumes", "Volumes", "VolumeId"),
    ("ec2", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateName"),
    ("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", "AutoScalingGroupName"),
    ("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerName"),
    ("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupName"),
    ("efs", "describe_file_systems", "FileSystems", "CreationToken"),
    ("efs", "describe_access_points", "AccessPoints", "AccessPointId"),
    ("events", "list_rules", "Rules", "Name"),
    ("kms", "list_aliases", "Aliases", "AliasName"),
    ("sns", "list_topics", "Topics", "TopicArn"),
)


def check_nothing_is_there_twice(project: Project, before: dict[str, list[str]]) -> None:
    now = project.resources()
    for kind, number in {"Vpcs": 1, "InternetGateways": 1, "Subnets": 3, "AutoScalingGroups": 1}.items():
        assert len(now[f"{REGION} {kind}"]) == len(before[f"{REGION} {kind}"]) + number, kind
    assert all(len(names) == len(set(names)) for names in project.ours().values())
    assert not [name for name in now[f"{REGION} LaunchTemplates"] if name.endswith("-lock")]


@pytest.fixture
def project(fresh: Any, tmp_path: Path, interpreter: str) -> Project:
    """An empty inventory, and an empty account."""
    fresh.post("/sandbox/faults", rules=[])
    fresh.post("/sandbox/calls/reset")
    return Project(fresh, tmp_path, interpreter)


@pytest.fixture
def until(project: Project) -> Callable[[str, str], None]:
    """``until(service, operation)``: wait until a playbook has called it."""
    import time

    def wait(service: str, operation: str) -> None:
        deadline = time.monotonic() + 240
        while not project.sandbox.get("/sandbox/calls")["services"].get(service, {}).get(operation):
            assert time.monotonic() < deadline, f"{service}:{operation} was not called"
            time.sleep(0.05)

    return wait
