"""What the tests of instances, groups, fleets and events start from: a still clock, a network and a template."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

TYPES = ("m5.large", "m5a.large", "c5.large")
IMAGE = "/aws/service/debian/release/12/latest/amd64"


class Aws:
    """Clients and shorthands for one region of a fresh sandbox whose clock stands still until it is stepped."""

    def __init__(self, sandbox: Any, region: str = "us-east-1") -> None:
        self.sandbox, self.region = sandbox, region
        self.ec2, self.asg, self.elb, self.events, self.sqs, self.sns = (
            sandbox.client(s, region) for s in ("ec2", "autoscaling", "elbv2", "events", "sqs", "sns")
        )
        sandbox.post("/sandbox/clock", speed=0)
        self.image = sandbox.client("ssm", region).get_parameter(Name=IMAGE)["Parameter"]["Value"]
        subnets = sorted(self.ec2.describe_subnets()["Subnets"], key=lambda s: s["AvailabilityZone"])[:3]
        self.vpc, self.subnets = subnets[0]["VpcId"], [s["SubnetId"] for s in subnets]
        self.zones = [s["AvailabilityZone"] for s in subnets]
        self.template = self.make_template("base")

    def make_template(self, name: str, **data: Any) -> str:
        data = {"ImageId": self.image, "InstanceType": "m5.large", **data}
        made = self.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        return made["LaunchTemplate"]["LaunchTemplateId"]

    def advance(self, seconds: float) -> None:
        self.sandbox.post("/sandbox/clock", advance=seconds)

    def room(self, room: int | None, **where: Any) -> dict[str, Any]:
        return self.sandbox.post("/sandbox/capacity", **{"region": self.region, **where}, room=room)

    def policy(self, types: Iterable[Any] = TYPES, base: int = 0, percentage: int = 0, **more: Any) -> dict[str, Any]:
        overrides = [t if isinstance(t, dict) else {"InstanceType": t} for t in types]
        return {
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateId": self.template},
                "Overrides": overrides,
            },
            "InstancesDistribution": {
                "OnDemandBaseCapacity": base,
                "OnDemandPercentageAboveBaseCapacity": percentage,
                "SpotAllocationStrategy": "price-capacity-optimized",
                **more,
            },
        }

    def make_group(self, name: str = "web", desired: int = 6, **more: Any) -> None:
        given = {
            "AutoScalingGroupName": name,
            "MinSize": 0,
            "MaxSize": 30,
            "DesiredCapacity": desired,
            "VPCZoneIdentifier": ",".join(self.subnets),
            **more,
        }
        if "LaunchTemplate" not in given:
            given.setdefault("MixedInstancesPolicy", self.policy())
        self.asg.create_auto_scaling_group(**given)

    def group(self, name: str = "web") -> dict[str, Any]:
        return self.asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]

    def states(self, name: str = "web") -> dict[str, int]:
        return dict(Counter(i["LifecycleState"] for i in self.group(name)["Instances"]))

    def instances(self, ids: Iterable[str]) -> list[dict[str, Any]]:
        ids = list(ids)
        found = self.ec2.describe_instances(InstanceIds=ids)["Reservations"] if ids else []
        return [i for r in found for i in r["Instances"]]

    def mix(self, name: str = "web") -> dict[str, int]:
        """How many of the group's instances are Spot and On-Demand."""
        found = self.instances(i["InstanceId"] for i in self.group(name)["Instances"])
        return dict(Counter(i.get("InstanceLifecycle", "on_demand") for i in found))

    def activities(self, name: str = "web", **more: Any) -> list[dict[str, Any]]:
        return self.asg.describe_scaling_activities(AutoScalingGroupName=name, **more)["Activities"]

    def queue(self, name: str, pattern: dict[str, Any] | None = None, open_to_all: bool = True, **attributes: Any) -> str:
        """A queue that services may send to, with a rule for the pattern that does."""
        if open_to_all:
            attributes["Policy"] = self.send_policy(name)
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        if pattern:
            self.events.put_rule(Name=name, EventPattern=json.dumps(pattern))
            self.events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": self.queue_arn(name)}])
        return url

    def send_policy(self, name: str, service: Any = ("events.amazonaws.com", "sns.amazonaws.com"), **condition: Any) -> str:
        """What lets services send to a queue."""
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sqs:SendMessage",
            "Resource": self.queue_arn(name),
            **({"Condition": condition} if condition else {}),
        }
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]})

    def topic(self, name: str, **attributes: Any) -> str:
        """A topic that rules may publish to."""
        arn = self.sns.create_topic(Name=name, Attributes=attributes)["TopicArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": arn,
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy)
        return arn

    def queue_arn(self, name: str) -> str:
        return f"arn:aws:sqs:{self.region}:123456789012:{name}"

    def messages(self, url: str) -> list[dict[str, Any]]:
        """All messages of a queue, taken off it."""
        found: list[dict[str, Any]] = []
        while batch := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            found += [json.loads(m["Body"]) for m in batch]
            for message in batch:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture
def aws(fresh: Any) -> Aws:
    """us-east-1 of a fresh sandbox."""
    return Aws(fresh)


def error_of(call: Any, **arguments: Any) -> tuple[str, str]:
    """(code, message) of the error that an API call must end in."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.fixture
def refused() -> Any:
    """``refused(call, **arguments) -> (code, message)``."""
    return error_of
