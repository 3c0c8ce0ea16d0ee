"""AMIs that exist in every region, and the public SSM parameters that name them.

moto has 1,300 images in some regions and none in others, and making them takes longer than all else in a region's first
call.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from typing import Any

from moto.ec2.models.amis import Ami, AmiBackend
from moto.ssm.models import Parameter, ParameterDict
from moto.ssm.responses import SimpleSystemManagerResponse

BUILT = datetime(2026, 9, 1, tzinfo=timezone.utc)
RELEASE = "20260901"
DEBIAN, AMAZON = "136693071363", "137112412989"
IMAGES = (
    ("debian-12-amd64", "x86_64", DEBIAN, "/aws/service/debian/release/12/latest/amd64"),
    ("debian-12-arm64", "arm64", DEBIAN, "/aws/service/debian/release/12/latest/arm64"),
    ("al2023-x86_64", "x86_64", AMAZON, "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"),
    ("al2023-arm64", "arm64", AMAZON, "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"),
)
"""name, architecture, owner, SSM parameter"""


def image_id(region: str, name: str) -> str:
    """The same for a region and an image in every sandbox."""
    return "ami-0" + hashlib.sha256(f"{region}/{name}".encode()).hexdigest()[:16]


def resolved(region: str, image: str) -> str:
    """The image that a launch template names by ``resolve:ssm:`` and a public parameter; any other as it is."""
    named = {f"resolve:ssm:{path}": name for name, _architecture, _owner, path in IMAGES}
    return image_id(region, named[image]) if image in named else image


def _load_images(self: Any) -> None:
    for name, architecture, owner, _path in IMAGES:
        ami_id = image_id(self.region_name, name)
        self.amis[ami_id] = Ami(
            self,
            ami_id,
            owner_id=owner,
            owner_alias="amazon",
            public=True,
            name=f"{name}-{RELEASE}",
            description=f"{'Debian 12' if owner == DEBIAN else 'Amazon Linux 2023'} ({RELEASE})",
            architecture=architecture,
            virtualization_type="hvm",
            hypervisor="xen",
            root_device_name="/dev/xvda",
            root_device_type="ebs",
            image_location=f"amazon/{name}-{RELEASE}",
            creation_date=BUILT,
            region_name=f"{self.region_name}a",
        )


def _load_parameters(self: Any) -> None:
    """Only parameters whose image exists."""
    for name, _architecture, _owner, path in IMAGES:
        parameter = Parameter(
            account_id=self.account_id,
            name=path,
            value=image_id(self.region_name, name),
            parameter_type="String",
            description=None,
            allowed_pattern=None,
            keyid=None,
            last_modified_date=BUILT.timestamp(),
            version=1,
            data_type="text",
        )
        dict.__setitem__(self, path, [parameter])


AmiBackend._load_amis = _load_images
ParameterDict._load_latest_amis = _load_parameters


class Parameters(SimpleSystemManagerResponse):
    """moto fills in public parameters when a name asks for them; Debian's come with Amazon's."""

    def _load(self) -> None:
        self.ssm_backend._parameters._check_loading_status("/aws/service/ami-amazon-linux-latest")

    def get_parameter(self) -> Any:
        self._load()
        return super().get_parameter()

    def get_parameters(self) -> Any:
        self._load()
        return super().get_parameters()

    def get_parameters_by_path(self) -> Any:
        self._load()
        return super().get_parameters_by_path()


RESPONSES = {"ssm": Parameters}
