#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ensure the file systems of EFS that an application's instances share in a region."""

from __future__ import annotations

DOCUMENTATION = r"""
module: efs_share
version_added: 0.1.0
short_description: Ensure the file systems that an application's instances share
description:
  - Ensures in a region, for each of O(shares), an encrypted file system of EFS with elastic throughput, a mount target in each of
    O(subnets), an access point, and a policy by which only O(role) may mount it, through the access point, and nobody without TLS.
  - A file system is known again by its creation token, C(<environment>-<app>-<name>), so a run that was killed is completed by the next,
    and two at once make one.
  - What is not in O(shares) is left alone. With O(state=absent) access points and mount targets of all file systems of the application are
    removed, by its tags; the file systems stay, with all that they hold, unless O(delete_data) is set. When the application comes back,
    it finds them again.
  - An access point cannot be changed. With another O(shares[].uid) there is a new one beside it, which new instances get.
author:
  - The spot.platform developers (@spot-platform)
options:
  app:
    description: The application.
    type: str
    required: true
  environment:
    description: Its environment.
    type: str
    required: true
  state:
    description: Whether they are to be reachable.
    type: str
    choices: [present, absent]
    default: present
  shares:
    description: The file systems.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name, of up to 20 lower-case letters, digits and hyphens, a letter first.
        type: str
        required: true
      uid:
        description: As which user and group all access is made, whoever the process on the instance is.
        type: int
        default: 10000
      cold_after_days:
        description:
          - After how many days without access a file goes to Infrequent Access, from where it comes back when it is read. One of 1, 7, 14, 30,
            60, 90, 180, 270, 365; 0 for never.
        type: int
        default: 30
      backup:
        description: Whether AWS Backup keeps daily backups of 35 days.
        type: bool
        default: true
      kms_key:
        description: The KMS key, its ARN or alias, in place of the account's default for EFS. It cannot be changed.
        type: str
  subnets:
    description: Where it is to be reached, one subnet in each zone. Required with O(state=present).
    type: list
    elements: str
    default: []
  security_groups:
    description: The security groups of the mount targets. Required with O(state=present).
    type: list
    elements: str
    default: []
  role:
    description: The ARN of the IAM role that may mount them. Required with O(state=present).
    type: str
  delete_data:
    description: With O(state=absent), delete the file systems as well, with all that they hold. Backups stay until they are old.
    type: bool
    default: false
  wait_timeout:
    description: Seconds to wait at most for a file system, and for mount targets.
    type: int
    default: 600
notes:
  - "Required IAM actions: C(elasticfilesystem:DescribeFileSystems), C(elasticfilesystem:DescribeMountTargets),
    C(elasticfilesystem:DescribeMountTargetSecurityGroups), C(elasticfilesystem:DescribeAccessPoints),
    C(elasticfilesystem:DescribeLifecycleConfiguration), C(elasticfilesystem:DescribeBackupPolicy),
    C(elasticfilesystem:DescribeFileSystemPolicy), C(elasticfilesystem:CreateFileSystem), C(elasticfilesystem:UpdateFileSystem),
    C(elasticfilesystem:PutLifecycleConfiguration), C(elasticfilesystem:PutBackupPolicy), C(elasticfilesystem:PutFileSystemPolicy),
    C(elasticfilesystem:TagResource), C(elasticfilesystem:CreateMountTarget), C(elasticfilesystem:ModifyMountTargetSecurityGroups),
    C(elasticfilesystem:CreateAccessPoint), C(elasticfilesystem:DeleteAccessPoint), C(elasticfilesystem:DeleteMountTarget),
    C(elasticfilesystem:DeleteFileSystem), C(ec2:DescribeSubnets), C(ec2:DescribeNetworkInterfaces), C(ec2:CreateNetworkInterface),
    C(ec2:DeleteNetworkInterface), C(ec2:ModifyNetworkInterfaceAttribute), C(ec2:DescribeSecurityGroups)."
  - The first in an account also needs C(iam:CreateServiceLinkedRole) for EFS, and for AWS Backup where there are backups.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
  diff_mode:
    description: Says what was done, or would be.
    support: full
"""

EXAMPLES = r"""
- name: Ensure what all instances of the shop see
  spot.platform.efs_share:
    region: eu-west-1
    app: shop
    environment: production
    shares:
      - name: media
        cold_after_days: 90
    subnets: [subnet-0123456789abcdef0, subnet-0123456789abcdef1]
    security_groups: [sg-0123456789abcdef0]
    role: arn:aws:iam::123456789012:role/production-shop-eu-west-1
  register: shared

- name: Take them from the network, and keep what they hold
  spot.platform.efs_share:
    region: eu-west-1
    app: shop
    environment: production
    state: absent
"""

RETURN = r"""
shares:
  description: The file systems, in the order of O(shares); with O(state=absent) those of the application, by id.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name; with O(state=absent) its tag C(Name).
      type: str
      sample: media
    id:
      description: The file system, null in check mode where it is not there yet.
      type: str
      sample: fs-0123456789abcdef0
    arn:
      description: Its ARN.
      type: str
      sample: arn:aws:elasticfilesystem:eu-west-1:123456789012:file-system/fs-0123456789abcdef0
    access_point_id:
      description: The access point to mount.
      type: str
      sample: fsap-0123456789abcdef0
    access_point_arn:
      description: Its ARN.
      type: str
      sample: arn:aws:elasticfilesystem:eu-west-1:123456789012:access-point/fsap-0123456789abcdef0
    subnets:
      description: The subnets with a mount target.
      type: list
      elements: str
    steps:
      description: What was done, in check mode what would be.
      type: list
      elements: str
      sample: [create the mount target in subnet-0123456789abcdef0]
activity:
  description: An event C(share.created), C(share.changed), C(share.kept), or C(share.deleted) for each that was touched.
  returned: success
  type: list
  elements: dict
  sample: [{kind: share.created, app: shop, region: eu-west-1, resource: fs-0123456789abcdef0, changed: true}]
"""

from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils import shares as told
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws import shares
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import FAILURES, message
from ansible_collections.spot.platform.plugins.module_utils.engine import shares as engine

NAMES = {"type": "list", "elements": "str", "default": []}
ARGUMENTS = {
    "app": {"type": "str", "required": True},
    "environment": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "shares": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "uid": {"type": "int", "default": 10000},
            "cold_after_days": {"type": "int", "default": 30},
            "backup": {"type": "bool", "default": True},
            "kms_key": {"type": "str", "no_log": False},
        },
    },
    "subnets": NAMES,
    "security_groups": NAMES,
    "role": {"type": "str"},
    "delete_data": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 600},
}


def wanted_of(given: dict[str, Any]) -> list[engine.Share]:
    """The shares that are wanted. Raises ``ValueError`` for what cannot be."""
    if given["wait_timeout"] < 1:
        raise ValueError(f"wait_timeout is {given['wait_timeout']}: it must be 1 or more")
    if given["state"] == "absent":
        if given["shares"]:
            raise ValueError("state absent is for all file systems of the application: leave shares out")
        return []
    if given["delete_data"]:
        raise ValueError("delete_data is for state absent: leave it out")
    missing = [name for name in ("subnets", "security_groups", "role") if not given[name]]
    if missing and given["shares"]:
        raise ValueError(f"state present needs {', '.join(missing)}")
    names = [one["name"] for one in given["shares"]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"shares has {', '.join(twice)} twice: leave one")
    wanted = [
        engine.Share(
            name=one["name"],
            token=engine.token_of(given["environment"], given["app"], one["name"]),
            uid=one["uid"],
            cold_after=one["cold_after_days"],
            backup=one["backup"],
            kms_key=one["kms_key"],
        )
        for one in given["shares"]
    ]
    wrong = [text for share in wanted for text in engine.problems(share)]
    if wrong:
        raise ValueError("; ".join(wrong))
    return wanted


def run(module: AnsibleAWSModule) -> list[shares.Done]:
    """Ensure what is wanted, or remove what is there. Raises ``ValueError`` for what cannot be, before anything is touched."""
    given = module.params
    wanted, owner, act = wanted_of(given), tags.of(given["app"], given["environment"]), not module.check_mode
    client = Clients.of_module(module).get("efs")
    if given["state"] == "absent":
        return shares.remove(client, owner, act, given["delete_data"], given["wait_timeout"])
    groups = frozenset(given["security_groups"])
    place = shares.Place(owner, given["subnets"], groups, given["role"], act, given["wait_timeout"])
    made = [shares.ensure(client, share, place) for share in wanted]
    if act:
        shares.settle(client, made, given["wait_timeout"])
    return made


def main() -> None:
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        made = run(module)
    except FAILURES as failure:
        module.fail_json(msg=message(failure))
    module.exit_json(**told.result_of(made, module.params, module.region, acted=not module.check_mode))


if __name__ == "__main__":
    main()
