#!/usr/bin/python
# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One time line of all that was done."""

from __future__ import annotations

DOCUMENTATION = r"""
module: activity_info
version_added: 0.1.0
short_description: Show one time line of what the platform, Auto Scaling, CodeDeploy and people did
author: The spot.platform developers (@spot-platform)
description:
  - Merges the events of the activity log, which the callback P(spot.platform.activity#callback) writes, with the activities of Auto
    Scaling, the deployments of CodeDeploy and the calls that CloudTrail saw, over all regions side by side.
  - What several tell of is there once. The event of the platform stays, and has who did it from CloudTrail.
  - The events of EventBridge are in the activity log, where M(spot.platform.event_record) puts them; AWS itself keeps none.
  - Reads only. What cannot be read is named in RV(errors), and the rest is returned. The task fails where nothing at all could be
    read, and where O(file) is no activity log.
options:
  file:
    description: The activity log, one JSON object a line. Without it V(platform) and V(eventbridge) have no events.
    type: path
  regions:
    description: The regions to look at; by default that of the task.
    type: list
    elements: str
  sources:
    description: Whose events to show.
    type: list
    elements: str
    choices: [platform, codedeploy, autoscaling, eventbridge, cloudtrail]
    default: [platform, codedeploy, autoscaling, eventbridge, cloudtrail]
  apps:
    description: Only these applications.
    type: list
    elements: str
    default: []
  environment:
    description:
      - Only resources of this environment. Of O(file) all is shown, whatever environment it is of, because its events do not
        say that; keep one for each.
    type: str
  all:
    description:
      - Whether to show what happened to resources that are not ours, too. Ours is what carries the tag
        C(spot.platform/environment), and what our own events and groups name.
    type: bool
    default: false
  hours:
    description: How far to look back. Auto Scaling remembers six weeks, CloudTrail 90 days.
    type: float
    default: 24
  trail_pages:
    description:
      - How many pages of 50 calls to read of CloudTrail in each region, at two a second, which is as fast as AWS allows. Only calls that
        change something are asked for.
      - Where this does not reach back far enough, RV(errors) says so.
    type: int
    default: 10
  within_seconds:
    description: How far apart two sources may tell of the same thing.
    type: float
    default: 60
  limit:
    description: How many events to return at most, the newest ones.
    type: int
    default: 1000
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
notes:
  - "Required IAM actions: C(tag:GetResources), C(autoscaling:DescribeAutoScalingGroups), with O(sources) of V(autoscaling) or
    V(cloudtrail) also C(autoscaling:DescribeScalingActivities), of V(codedeploy) also C(codedeploy:ListDeployments) and
    C(codedeploy:BatchGetDeployments), of V(cloudtrail) also C(cloudtrail:LookupEvents)."
  - CloudTrail shows a call some minutes after it was made, 15 at most on average. Calls of global services, such as IAM and Route 53, are
    in us-east-1 alone.
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: See what was done to the shop today, and by whom
  spot.platform.activity_info:
    file: /var/log/spot-platform/activity.jsonl
    regions: [us-east-1, eu-west-1]
    apps: [shop]
  register: activity

- name: Show it
  ansible.builtin.debug:
    msg: "{{ item.time }} {{ item.actor or 'somebody' }}: {{ item.summary }}"
  loop: "{{ activity.activity }}"
"""

RETURN = r"""
activity:
  description:
    - The events, the newest last, with the fields of RV(spot.platform.spot_capacity#module:activity).
    - Also C(source), one of O(sources), and C(principal), whom CloudTrail knows as the one who did it.
  returned: success
  type: list
  elements: dict
  sample:
    - id: 17793124-05d4-b198-2fde-7ededc63b103
      time: "2026-01-31T23:59:59.000Z"
      app: shop
      region: eu-west-1
      kind: volume.resized
      resource: vol-0123456789abcdef0
      summary: vol-0123456789abcdef0 grows from 100 to 120 GiB
      reasons: []
      before: {size: 100}
      after: {size: 120}
      changed: true
      actor: jane
      run: "4711"
      source: platform
      principal: arn:aws:sts::123456789012:assumed-role/automation/awx
counts:
  description: How many events each source has in RV(activity).
  returned: success
  type: dict
  sample: {platform: 12, autoscaling: 40}
errors:
  description: What could not be read.
  returned: always
  type: list
  elements: dict
  sample:
    - region: eu-west-1
      what: the events of CloudTrail
      message: cannot read the events of CloudTrail in eu-west-1; access denied
      action: cloudtrail:LookupEvents
"""

from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule
from ansible_collections.spot.platform.plugins.module_utils.activity import events_in
from ansible_collections.spot.platform.plugins.module_utils.aws.activities import Question, known_of, observe
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients, regions_of
from ansible_collections.spot.platform.plugins.module_utils.engine import activities, estate

OF_AWS = frozenset({activities.AUTOSCALING, activities.CODEDEPLOY, activities.CLOUDTRAIL})
ARGUMENTS = {
    "file": {"type": "path"},
    "regions": {"type": "list", "elements": "str"},
    "sources": {"type": "list", "elements": "str", "choices": list(activities.SOURCES), "default": list(activities.SOURCES)},
    "apps": {"type": "list", "elements": "str", "default": []},
    "environment": {"type": "str"},
    "all": {"type": "bool", "default": False},
    "hours": {"type": "float", "default": 24},
    "trail_pages": {"type": "int", "default": 10},
    "within_seconds": {"type": "float", "default": 60},
    "limit": {"type": "int", "default": 1000},
}


def own_events(path: str | None, since: datetime, apps: list[str]) -> list[dict[str, Any]]:
    """The events of the activity log, each with its source: what EventBridge told has a service of AWS for an actor."""
    found = []
    for event in events_in(path, since) if path else ():
        told = str(event.get("actor") or "").startswith("aws.")
        event["source"] = activities.EVENTBRIDGE if told else activities.PLATFORM
        event.setdefault("principal", None)
        if not apps or event.get("app") in apps:
            found.append(event)
    return found


def run(module: AnsibleAWSModule) -> dict[str, Any]:
    """Read and merge. Raises ``ValueError`` for what means nothing."""
    given = module.params
    for name, least in (("hours", 0), ("trail_pages", 1), ("within_seconds", 0), ("limit", 1)):
        if not given[name] >= least:
            raise ValueError(f"{name} is {given[name]}; it must be at least {least}")
    since = datetime.now(timezone.utc) - timedelta(hours=min(given["hours"], 24 * 366))
    sources = frozenset(given["sources"])
    own = own_events(given["file"], since, given["apps"])
    events, errors = [event for event in own if event["source"] in sources], []
    if sources & OF_AWS:
        asked = (given["apps"], given["environment"], given["all"], given["trail_pages"])
        answer = observe(Clients.of_module(module), Question(regions_of(module), sources, since, *asked, known_of(own)))
        events += answer.events
        errors = estate.told(answer.run.found.gaps)
        if not answer.run.found.read and not own:
            module.fail_json(msg=estate.unread(errors), errors=errors)
    shown = activities.merged(events, given["within_seconds"])[-given["limit"] :]
    counts = dict(sorted(Counter(event["source"] for event in shown).items()))
    return {"activity": shown, "counts": counts, "errors": errors}


def main() -> None:
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module)
    except ValueError as error:
        module.fail_json(msg=str(error))
    for error in result["errors"]:
        module.warn(f"{error['region']}: {error['message']}")
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
