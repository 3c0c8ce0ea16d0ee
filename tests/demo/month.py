# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens in the demo's month: how many visitors come, what the market does, and what people do.

Time is hours from the beginning of the month. ``parts`` gives the steps that ``month.yml`` goes through; the platform's own modules
answer them. People (who publish the load, import a certificate and deploy) speak to AWS themselves.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAYS = 30
WEEK = 168.0
CRUNCH_BEGINS, CRUNCH_ENDS_BEFORE = 3 * WEEK + 20, 6.0
"""The crunch begins in the fourth week, and ends so many hours before the month does."""
WORKDAY, WEEKEND = 1800.0, 900.0
"""Visitors at a time, on five days of the week and on two."""
EVERY = 300
"""Seconds between two values of the load."""
VOLUMES = {"app": "web", "mount": "/srv/uploads", "regions": ["eu-west-1"], "percent": 40}
"""Whose uploads fill their volumes."""
VOLUME_GIB = 20
"""Their size at launch, as the manifest of web says it."""
CERTIFICATE = "shop.example.com"
CERTIFICATE_DAYS = 21
"""What is left of the certificate at the end of the month."""
VCPU_QUOTAS = ("L-34B43A08", "L-1216C47A")
"""Of standard instances: Spot, and On-Demand."""
TAGS = {"spot.platform/app": "web", "spot.platform/environment": "sandbox"}


def until_monday(start: datetime) -> float:
    """Hours from ``start`` to the next Monday, 8 o'clock UTC: from then on weeks are counted, so that days alike cost alike."""
    monday = start.replace(hour=8, minute=0, second=0, microsecond=0) - timedelta(days=start.weekday())
    return ((monday - start).total_seconds() / 3600) % WEEK


def parts(hours: float, monday: float, hit: str, other: str) -> list[list[dict[str, Any]]]:
    """The steps of a month of ``hours``, in parts of about a week. ``monday``: the hour at which its first week begins, ``hit``: the region
    of the crunch, ``other``: another one."""
    begin, end = CRUNCH_BEGINS, hours - CRUNCH_ENDS_BEFORE
    moments: list[tuple[float, dict[str, Any]]] = [
        # Beside what the demo plays the market is calm, so that nothing is lost while nobody looks.
        (0.5, {"say": "the market is calm", "room": [{"room": 40}], "looks": 0}),
        (57.0, {"say": "a pool is taken away", "take": hit, "pause": 20}),
        (WEEK + 81, {"say": "the uploads fill their volumes", "grow": [VOLUMES]}),
        (WEEK + 106, {"say": "a pool is taken away", "take": other, "pause": 20}),
        (2 * WEEK + 83, {"say": "a pool is taken away", "take": hit, "pause": 20}),
        (begin, {"say": f"Spot runs dry in {hit}", "room": _crunch(hit), "pause": 20}),
        (begin + 0.1, {"say": "what was told to go has gone"}),
        (begin + 75, {"say": "the crunch goes on"}),
        (end, {"say": "Spot comes back", "room": [{"room": 40}], "pause": 300, "looks": 3}),
        (hours - 1.5, {"say": "the uploads fill their volumes again", "grow": [VOLUMES], "looks": 0}),
        (hours - 0.05, {"say": "the present", "pause": 90, "looks": 2}),
    ]
    for week in range(-1, 6):
        begins = monday + week * WEEK + 0.25  # a quarter of an hour later the load has been what it is for long enough
        moments += [(begins, {"say": "a working week begins"}), (begins + 120, {"say": "a weekend begins"})]
    made: list[list[dict[str, Any]]] = [[] for _part in range(5)]
    passed = 0.0
    for moment, step in sorted((one for one in moments if 0.5 <= one[0] <= hours - 0.05), key=lambda one: one[0]):
        made[min(4, int(moment // WEEK))].append({"seconds": 3600 * max(0.0, moment - passed), "looks": 1, **step})
        passed = max(passed, moment) + step.get("pause", 0) * step.get("looks", 1) / 3600
    return made


def _crunch(region: str) -> list[dict[str, Any]]:
    """Next to no room: one place in one zone for each of two types."""
    left = [{"region": region, "zone": f"{region}b", "instance_type": kind, "room": 1} for kind in ("c5.xlarge", "m5.xlarge")]
    return [{"region": region, "room": 0}, *left]


def visitors(hour: float, monday: float) -> float:
    """How many visitors there are at a time, in a region, in weeks that begin at the hour ``monday``."""
    return WORKDAY if (hour - monday) % WEEK < 120 else WEEKEND


class People:
    """Those who use AWS beside the platform: visitors, and a team with its pipeline."""

    def __init__(self, url: str, regions: Sequence[str]) -> None:
        self.regions = regions
        self.session = boto3.Session(aws_access_key_id="sandbox", aws_secret_access_key="not-a-secret")
        self.url = url

    def client(self, service: str, region: str) -> Any:
        return self.session.client(service, region_name=region, endpoint_url=self.url)

    def visit(self, start: datetime, since: float, until: float) -> None:
        """Publish the load between two hours of the month, which began at ``start``."""
        values = [
            {
                "MetricName": "Visitors",
                "Dimensions": [{"Name": "app", "Value": "web"}],
                "Timestamp": start + timedelta(seconds=second),
                "Value": visitors(second / 3600, until_monday(start)),
            }
            for second in range(int(since * 3600), int(until * 3600), EVERY)
        ]
        for region in self.regions:
            client = self.client("cloudwatch", region)
            for part in _chunks(values, 900):
                client.put_metric_data(Namespace="Demo", MetricData=part)

    def bring_certificate(self, region: str) -> str:
        """Import a certificate that was bought elsewhere, so that nobody renews it: its ARN."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, CERTIFICATE)])
        now = datetime.now(timezone.utc)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=DAYS + 1))
            .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS, hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(CERTIFICATE)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        answer = self.client("acm", region).import_certificate(
            Certificate=made.public_bytes(serialization.Encoding.PEM),
            PrivateKey=private,
            Tags=[{"Key": key, "Value": value} for key, value in TAGS.items()],
        )
        return str(answer["CertificateArn"])

    def raise_quotas(self) -> None:
        """What a team asks AWS for before it grows: an account starts with 5 vCPUs."""
        for region in self.regions:
            for code in VCPU_QUOTAS:
                body = json.dumps({"region": region, "code": code, "value": 64}).encode()
                with urllib.request.urlopen(f"{self.url}/sandbox/quotas", body, 30):  # noqa: S310 (loopback, our own server)
                    pass

    def set_up_pipeline(self) -> None:
        """CodeDeploy's application and deployment group in each region."""
        trust = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codedeploy.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
        role = self.client("iam", self.regions[0]).create_role(RoleName="demo-pipeline", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        tags = [{"Key": key, "Value": value} for key, value in TAGS.items()]
        for region in self.regions:
            client = self.client("codedeploy", region)
            client.create_application(applicationName="web", computePlatform="Server", tags=tags)
            client.create_deployment_group(
                applicationName="web", deploymentGroupName="sandbox-web", serviceRoleArn=role, autoScalingGroups=["sandbox-web"], tags=tags
            )

    def deploy(self, version: str) -> None:
        """Deploy a version in all regions."""
        for region in self.regions:
            self.client("codedeploy", region).create_deployment(
                applicationName="web",
                deploymentGroupName="sandbox-web",
                description=version,
                revision={"revisionType": "S3", "s3Location": {"bucket": "demo-builds", "key": f"web-{version}.zip", "bundleType": "zip"}},
            )


def _chunks(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
