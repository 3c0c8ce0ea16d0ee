"""IAM is moto's, but for its list of everything: policies have their names there, and of AWS's own there are those that are
attached, as on AWS."""

from __future__ import annotations

from typing import Any

from moto.iam.models import IAMBackend, ManagedPolicy

_details = IAMBackend.get_account_authorization_details


def get_account_authorization_details(backend: IAMBackend, policy_filter: list[str]) -> dict[str, Any]:
    found = _details(backend, policy_filter)
    own = {policy.arn for policy in backend.aws_managed_policies}
    found["managed_policies"] = [
        policy for policy in found["managed_policies"] if policy.arn not in own or policy.attachment_count
    ]
    return found


IAMBackend.get_account_authorization_details = get_account_authorization_details
ManagedPolicy.policy_name = property(lambda policy: policy.name)
