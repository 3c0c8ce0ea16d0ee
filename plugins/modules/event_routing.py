#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: event_routing
version_added: 0.1.0
short_description: Ensure that the events of regions reach the listener
description:
  - In each region, ensures the rules of EventBridge that hear of interruptions, capacity, instances, health, volumes,
    certificates and deployments, and the queues and the topic that they send to, with dead-letter queues, encrypted with a
    key of KMS, and with policies that let nobody in but these rules.
  - The queue C(spot-platform-<environment>-events) gets what somebody must act on, C(spot-platform-<environment>-audit) gets all;
    each has a dead-letter queue with C(-dead) at its end. The topic C(spot-platform-<environment>-events) gets what the first
    queue gets.
  - What has one of these names is ours in whole, and is set right where it differs; a target that somebody else gave to a rule of
    ours is removed. Other rules, queues and topics are left alone. Tags are for what is new.
  - What fails in one region does not stop the others; the task then fails at its end and names them.
author:
  - The spot.platform developers (@spot-platform)
options:
  environment:
    description: Name of the environment, a part of all names, up to 40 letters, digits and hyphens.
    type: str
    required: true
  regions:
    description: The regions. By default the one of O(region).
    type: list
    elements: str
  state:
    description:
      - V(present) makes what is missing and sets right what differs.
      - V(absent) removes all of it, with the messages. KMS keeps the key for seven more days.
    type: str
    choices: [present, absent]
    default: present
  endpoints:
    description:
      - HTTPS addresses that the topic sends to, and no others.
      - Each must confirm its subscription, as the event source C(spot.platform.sns) does. One that nobody confirms cannot be ended;
        AWS forgets it after some days.
      - What cannot be delivered to them is a dead letter of the queue of events.
      - Without it, the subscriptions are left alone, as those of other protocols always are.
    type: list
    elements: str
notes:
  - "Required IAM actions: C(sts:GetCallerIdentity), C(kms:DescribeKey), C(kms:GetKeyPolicy), C(kms:GetKeyRotationStatus),
    C(kms:ListAliases), C(kms:ListKeys), C(kms:ListResourceTags), C(sqs:GetQueueAttributes), C(sqs:GetQueueUrl),
    C(sns:GetTopicAttributes), C(sns:ListSubscriptionsByTopic), C(events:ListRules), C(events:ListTargetsByRule)."
  - "Required IAM actions to make and to change: C(kms:CancelKeyDeletion), C(kms:CreateAlias), C(kms:CreateKey), C(kms:EnableKey),
    C(kms:EnableKeyRotation), C(kms:PutKeyPolicy), C(kms:ScheduleKeyDeletion), C(kms:TagResource), C(sqs:CreateQueue),
    C(sqs:SetQueueAttributes), C(sqs:TagQueue), C(sns:CreateTopic), C(sns:SetTopicAttributes), C(sns:Subscribe),
    C(sns:TagResource), C(sns:Unsubscribe), C(events:PutRule), C(events:PutTargets), C(events:RemoveTargets),
    C(events:TagResource)."
  - "Required IAM actions to remove: C(kms:DeleteAlias), C(kms:ScheduleKeyDeletion), C(sqs:DeleteQueue), C(sns:DeleteTopic),
    C(sns:Unsubscribe), C(events:DeleteRule), C(events:RemoveTargets)."
  - SQS makes no queue within a minute after one of the same name was deleted; the module waits for it.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Bring the events of two regions to the listener
  spot.platform.event_routing:
    environment: production
    regions: [eu-west-1, us-east-1]

- name: And to a listener that is reached by HTTPS
  spot.platform.event_routing:
    environment: production
    region: eu-west-1
    endpoints: ["https://events.example.com/sns"]

- name: Remove all of it
  spot.platform.event_routing:
    environment: production
    region: eu-west-1
    state: absent
"""

RETURN = r"""
regions:
  description: What became of each region, in the order given; also returned where the task fails for some of them.
  returned: always
  type: list
  elements: dict
  contains:
    region:
      description: The region.
      type: str
      sample: eu-west-1
    action:
      description:
        - What was done, in check mode what would be done.
        - One of V(created), V(updated), V(unchanged), V(deleted), V(absent) and V(failed).
      type: str
      sample: created
    error:
      description: Why it failed. Null unless it did.
      type: str
      sample: null
    queue_urls:
      description: URLs of the queues that are there, by what they are for.
      type: dict
      sample:
        audit: https://sqs.eu-west-1.amazonaws.com/123456789012/spot-platform-production-audit
        audit-dead: https://sqs.eu-west-1.amazonaws.com/123456789012/spot-platform-production-audit-dead
        events: https://sqs.eu-west-1.amazonaws.com/123456789012/spot-platform-production-events
        events-dead: https://sqs.eu-west-1.amazonaws.com/123456789012/spot-platform-production-events-dead
    topic_arn:
      description: ARN of the topic.
      type: str
      sample: arn:aws:sns:eu-west-1:123456789012:spot-platform-production-events
    key_alias:
      description: Alias of the key.
      type: str
      sample: alias/spot-platform-production-events
    pending:
      description: Endpoints that have not confirmed their subscription yet.
      type: list
      elements: str
      sample: ["https://events.example.com/sns"]
    changes:
      description: What was made, changed or removed. The diff has the values.
      type: list
      elements: dict
      sample: [{"kind": "rule", "name": "spot-platform-production-spot", "action": "created"}]
activity:
  description: One event for each region, what was changed or that nothing was. Empty in check mode.
  returned: always
  type: list
  elements: dict
  sample: [{"kind": "events.created", "resource": "spot-platform-production-events", "region": "eu-west-1", "changed": true}]
"""

import re
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils.activity import as_dicts
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import FAILURES, message
from ansible_collections.spot.platform.plugins.module_utils.aws.routes import Outcome, ensure, places
from ansible_collections.spot.platform.plugins.module_utils.routes import diff_of, event_of, result_of

ARGUMENTS = {
    "environment": {"type": "str", "required": True},
    "regions": {"type": "list", "elements": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "endpoints": {"type": "list", "elements": "str"},
}


def check(options: dict[str, Any], regions: list[str]) -> None:
    """Raises ``ValueError`` for options that cannot be."""
    if not re.fullmatch(r"[A-Za-z0-9-]{1,40}", options["environment"]):
        raise ValueError(
            f"environment {options['environment']!r} cannot be part of the name of a queue: "
            "use up to 40 letters, digits and hyphens"
        )
    if not regions:
        raise ValueError("there is no region: give the option regions or region")
    for endpoint in options["endpoints"] or ():
        if "@" in endpoint:
            raise ValueError("an endpoint has a user name or a password in it; give its address alone, SNS signs what it sends")
        if not re.fullmatch(r"https://[^\s/]+(/\S*)?", endpoint):
            raise ValueError(f"endpoint {endpoint!r} is not an HTTPS address: write it as https://events.example.com/sns")


def run(module: AnsibleAWSModule) -> list[Outcome]:
    """Ensure the routes. Options that cannot be are raised before any is touched."""
    options = module.params
    clients = Clients.of_module(module)
    regions = options["regions"] or [one for one in [clients.region] if one]
    check(options, regions)
    where = places(clients, options["environment"], regions)
    return ensure(clients, where, options["endpoints"], options["state"] == "present", not module.check_mode)


def main() -> None:
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        outcomes = run(module)
    except FAILURES as failure:
        module.fail_json(msg=message(failure), regions=[], activity=[])
    present = module.params["state"] == "present"
    answer = {
        "changed": any(outcome.changes for outcome in outcomes),
        "regions": [result_of(outcome, present) for outcome in outcomes],
        "activity": [] if module.check_mode else as_dicts(event_of(outcome, present) for outcome in outcomes),
        "diff": [diff_of(outcome) for outcome in outcomes if outcome.changes],
    }
    failed = [f"{outcome.place.region}: {outcome.error}" for outcome in outcomes if outcome.error]
    if failed:
        module.fail_json(msg=f"{len(failed)} of {len(outcomes)} regions failed: {'; '.join(failed)}", **answer)
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
