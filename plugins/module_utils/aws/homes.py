# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the data volumes of stateful groups are: those of the mounts that a group's tag names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.amazon.aws.plugins.module_utils.tagging import boto3_tag_list_to_ansible_dict
from ansible_collections.spot.platform.plugins.module_utils import tags
from ansible_collections.spot.platform.plugins.module_utils.aws.autoscaling import FILTER_VALUES, Group
from ansible_collections.spot.platform.plugins.module_utils.aws.ebs import describe_volumes
from ansible_collections.spot.platform.plugins.module_utils.engine.affinity import HOLDING
from ansible_collections.spot.platform.plugins.module_utils.engine.homes import Homes


class Volume(NamedTuple):
    """A data volume: its zone, whether it may move to another one, and who has it."""

    zone: str
    may_move: bool
    holders: frozenset[str]


def homes(client: Any, found: Sequence[Group]) -> dict[str, Homes]:
    """Those of the groups that are stateful, by name. Raises `AwsError`."""
    stateful = [group for group in found if group.tags.get(tags.STAYS)]
    if not stateful:
        return {}
    filters = [{"Name": "tag-key", "Values": [tags.MOUNT]}]
    apps = sorted({group.tags.get(tags.APP, "") for group in stateful})
    if len(apps) <= FILTER_VALUES:
        filters.append({"Name": f"tag:{tags.APP}", "Values": apps})
    volumes: dict[tuple[str, ...], list[Volume]] = {}
    raws, _now = describe_volumes(client, filters)
    for raw in raws:
        labels = boto3_tag_list_to_ansible_dict(raw.get("Tags", []))
        key = tuple(labels.get(tag, "") for tag in (tags.APP, tags.ENVIRONMENT, tags.MOUNT))
        holders = frozenset(one["InstanceId"] for one in raw.get("Attachments", ()) if one["State"] in HOLDING)
        volumes.setdefault(key, []).append(Volume(raw["AvailabilityZone"], tags.MAY_MOVE in labels, holders))
    return {group.name: _homes_of(group.tags, volumes) for group in stateful}


def _homes_of(labels: Mapping[str, str], volumes: Mapping[tuple[str, ...], Sequence[Volume]]) -> Homes:
    """Of several mounts, where there is most for each zone: what lacks one of them waits for it."""
    zones: Counter[str] = Counter()
    movable, holders = 0, set()
    for mount in labels[tags.STAYS].split():
        own = volumes.get((labels.get(tags.APP, ""), labels.get(tags.ENVIRONMENT, ""), mount), ())
        zones |= Counter(one.zone for one in own if not one.may_move)
        movable = max(movable, sum(one.may_move for one in own))
        holders |= {holder for one in own for holder in one.holders}
    return Homes(dict(zones), movable, frozenset(holders))
