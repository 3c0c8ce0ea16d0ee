# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gather the resources of an estate: all kinds in all regions at once, page by page, of which small rows are kept.

What cannot be read is a gap beside what could. Required IAM actions: those of the `kinds`, ``tag:GetResources`` and
``sts:GetCallerIdentity`` (which is never denied).
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

try:
    from botocore import exceptions as boto_errors
except ImportError:
    pass  # AnsibleAWSModule says which library is missing

from ansible_collections.spot.platform.plugins.module_utils import tags as ours
from ansible_collections.spot.platform.plugins.module_utils.aws import kinds as table
from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients
from ansible_collections.spot.platform.plugins.module_utils.aws.errors import (
    DENIED,
    EXPIRED,
    UNKNOWN_KEY,
    AwsError,
    action_of,
    error_code,
    explain,
)
from ansible_collections.spot.platform.plugins.module_utils.aws.instances import (
    Membership,
    health_in_group,
    instances_in,
    read_list_quickly,
    read_quickly,
)
from ansible_collections.spot.platform.plugins.module_utils.aws.kinds import FILTER, TAGGING, Detail, Item, Kind
from ansible_collections.spot.platform.plugins.module_utils.engine.estate import Gap

THREADS = 32
"""Many calls are for one small resource, and do nothing but wait."""
TAGGED_PAGE = 100
"""Resources on a page of GetResources, the most that there may be."""
SILENT = 3
"""Services of a region that do not answer, and none that does: the others are not asked any more."""
FLEET_TAGS = ("aws:ec2:fleet-id", "aws:ec2spot:fleet-request-id", ours.GROUP)
STATES = ["pending", "running", "stopping", "stopped", "shutting-down"]
"""Of the instances that are listed: EC2 shows those that ended for an hour."""


Part = tuple[str, str, str, Callable[[Any], None]]
"""Region, service, what it is called where it cannot be read, and what to do with the client."""


@dataclass(frozen=True)
class Wanted:
    """What to gather. A resource is ours if it carries the tag ``spot.platform/environment``; ``everything``: also what is
    not. ``kinds``: whose rows to keep; ``members``: keep the instances too, with what groups and load balancers say of
    them; ``count``: what the whole account uses of its quotas."""

    regions: Sequence[str]
    apps: Sequence[str] = ()
    environment: str | None = None
    kinds: frozenset[str] = frozenset()
    members: bool = False
    count: bool = False
    everything: bool = False

    def has(self, tags: Mapping[str, str]) -> bool:
        """Whether a resource with these tags is asked for."""
        if not self.everything and ours.ENVIRONMENT not in tags:
            return False
        if self.environment and tags.get(ours.ENVIRONMENT) != self.environment:
            return False
        return not self.apps or tags.get(ours.APP) in self.apps

    def asks(self, kind: Kind) -> bool:
        """Whether the kind is to be listed."""
        joined = self.members and kind.name in ("instance", "group", "target_group")
        return kind.name in self.kinds or joined or (self.count and kind.use is not None)

    def filters(self, kind: Kind) -> list[dict[str, Any]]:
        """What EC2 and Auto Scaling are to leave out by themselves."""
        found = [{"Name": "instance-state-name", "Values": STATES}] if kind.name == "instance" else []
        if kind.owned != FILTER or (self.count and kind.use):
            return found
        if self.environment:
            found.append({"Name": f"tag:{ours.ENVIRONMENT}", "Values": [self.environment]})
        elif not self.everything:
            found.append({"Name": "tag-key", "Values": [ours.ENVIRONMENT]})
        if self.apps:
            found.append({"Name": f"tag:{ours.APP}", "Values": list(self.apps)})
        return found


@dataclass
class Found:
    """What was gathered. By region: ``used`` of quotas, ``members`` of groups and ``targets`` (the states of each, as AWS names
    them) by instance, ``tags`` that tell of fleets. ``read``: how many lists were read to their end."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    instances: list[dict[str, Any]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    used: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    uncounted: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    members: dict[str, dict[str, Membership]] = field(default_factory=lambda: defaultdict(dict))
    targets: dict[str, dict[str, list[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    fleet_tags: dict[str, dict[str, dict[str, str]]] = field(default_factory=lambda: defaultdict(dict))
    read: int = 0


class Crew:
    """Jobs in a bounded number of threads; a job may add jobs, and waits for none."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads)
        self._done = threading.Condition()
        self._open = 0
        self._crash: BaseException | None = None

    def add(self, job: Callable[..., None], *arguments: Any) -> None:
        """Do it when a thread is free."""
        with self._done:
            self._open += 1
        self._pool.submit(self._run, job, arguments)

    def wait(self) -> None:
        """Until all jobs are done; raises what one of them raised."""
        with self._done:
            self._done.wait_for(lambda: not self._open)
        self._pool.shutdown()
        if self._crash:
            raise self._crash

    def _run(self, job: Callable[..., None], arguments: Sequence[Any]) -> None:
        try:
            if self._crash is None:
                job(*arguments)
        except BaseException as crash:  # told by `wait`, in the thread that asked for the jobs
            self._crash = crash
        finally:
            with self._done:
                self._open -= 1
                self._done.notify_all()


class Failed(Exception):
    """A call that failed: why, AWS's code, and the IAM action where that is what is missing."""

    def __init__(self, reason: str, code: str | None, action: str | None) -> None:
        super().__init__(reason)
        self.reason, self.code, self.action = reason, code, action


def failed(error: Exception, client: Any) -> Failed:
    """What a botocore error of ``client`` means."""
    code = error_code(error)
    named = code in DENIED or code == "AuthorizationError"  # SNS has a name of its own for it
    reason = explain(error, client)
    if code == "AuthorizationError":
        reason = f"access denied; allow the IAM action {action_of(error, client)} to these credentials"
    return Failed(reason, code, action_of(error, client) if named else None)


class Gathering:
    """One run over all regions; `gather` has what it found. Other parts may add jobs of their own with `ask`."""

    def __init__(self, clients: Clients, wanted: Wanted, threads: int = THREADS) -> None:
        self.found = Found()
        self._clients, self._wanted, self._threads = clients, wanted, threads
        self._crew = Crew(threads)
        self._lock = threading.Lock()
        self._account: str | None = None
        self._silent: dict[str, set[str]] = defaultdict(set)
        self._answered: set[str] = set()

    def run(self, further: Iterable[Part] = ()) -> Found:
        """Gather; ``further``: the parts that are not in the table of kinds.

        The longest chains of pages begin first, and kind by kind, so that no service is asked in all its parts at once.
        """
        asked = [kind for kind in table.KINDS if self._wanted.asks(kind)]
        regions = self._wanted.regions
        if asked:
            self._crew.add(self._identify)
        if any(kind.owned == TAGGING for kind in asked):
            for region in regions:
                self._crew.add(self._look_up_tags, region, [kind for kind in asked if kind.owned == TAGGING])
        for kind in asked:
            if kind.owned != TAGGING:
                for region in regions:
                    self._crew.add(self._list, region, kind, None)
        self._do(further)
        self._finish()
        return self.found

    def then(self, further: Iterable[Part]) -> None:
        """Do what needs to know what was found."""
        self._crew = Crew(self._threads)
        self._do(further)

    def _do(self, further: Iterable[Part]) -> None:
        for region, service, what, job in further:
            self._crew.add(self.ask, region, service, what, job)
        self._crew.wait()

    def ask(self, region: str, service: str, what: str, job: Callable[[Any], None]) -> bool:
        """``job`` with the client of ``service``; where it fails there is a gap named ``what``, and the answer is False."""
        if len(self._silent[region]) >= SILENT and region not in self._answered:
            with self._lock:
                self.found.gaps.append(Gap(region, what, f"{region} does not answer", None))
            return False
        client = None
        try:
            client = self._clients.get(service, region)
            job(client)
        except (boto_errors.ClientError, boto_errors.BotoCoreError) as error:
            problem = failed(error, client)
        except Failed as known:
            problem = known
        except AwsError as error:  # of a function that explains by itself
            cause = error.__cause__
            problem = (
                failed(cause, client)
                if isinstance(cause, boto_errors.ClientError)
                else Failed(str(error), error.code, None)
            )
        except ValueError as error:  # botocore makes no client for such a region or endpoint
            problem = Failed(str(error), None, None)
        else:
            with self._lock:
                self._answered.add(region)
                self.found.read += 1
            return True
        with self._lock:
            if problem.code is None:
                self._silent[region].add(service)
            else:
                self._answered.add(region)
            code = problem.code
            if code in EXPIRED or code in UNKNOWN_KEY:
                code = "credentials"
            self.found.gaps.append(
                Gap(region, what, f"cannot read {what} in {region}: {problem.reason}", code, problem.action)
            )
        return False

    def _identify(self) -> None:
        region = self._wanted.regions[0]
        try:
            self._account = self._clients.get("sts", region).get_caller_identity()["Account"]
        except (boto_errors.ClientError, boto_errors.BotoCoreError):
            pass  # nothing but the ARNs hangs on it

    def _look_up_tags(self, region: str, kinds: Sequence[Kind]) -> None:
        """The tags of all that does not carry them in its own description; then those kinds are listed."""
        known: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}

        def read(client: Any) -> None:
            filters = [{"Key": ours.ENVIRONMENT}] if not self._wanted.everything else []
            if self._wanted.environment:
                filters = [{"Key": ours.ENVIRONMENT, "Values": [self._wanted.environment]}]
            pages = client.get_paginator("get_resources").paginate(
                ResourceTypeFilters=sorted({kind.type for kind in kinds}),
                TagFilters=filters,
                PaginationConfig={"PageSize": TAGGED_PAGE},
            )
            for page in pages:
                for one in page["ResourceTagMappingList"]:
                    arn = one["ResourceARN"]
                    known[key_of(arn)] = arn, {tag["Key"]: tag["Value"] for tag in one["Tags"]}

        what = "the tags of " + ", ".join(sorted(kind.name for kind in kinds))
        readable = self.ask(region, "resourcegroupstaggingapi", what, read)
        for kind in kinds:
            if readable or self._wanted.everything or (self._wanted.count and kind.use):
                self._crew.add(self._list, region, kind, known)

    def _list(
        self, region: str, kind: Kind, known: Mapping[tuple[str, str], tuple[str, dict[str, str]]] | None
    ) -> None:
        """List one kind in one region, page by page."""
        counted: Counter[str] = Counter()

        def read(client: Any) -> None:
            for page in pages_of(client, kind, region, self._wanted.filters(kind)):
                for item in items_of(page, kind, region):
                    if kind.use:
                        name, amount = kind.use(item)
                        counted[name] += amount
                    self._take(region, kind, item, known)

        if self.ask(region, kind.service, kind.name, read):
            with self._lock:
                self.found.used[region].update(counted)
        elif kind.use:
            with self._lock:
                self.found.uncounted[region].add(kind.name)

    def _take(
        self,
        region: str,
        kind: Kind,
        item: dict[str, Any],
        known: Mapping[tuple[str, str], tuple[str, dict[str, str]]] | None,
    ) -> None:
        """Keep an item if it is asked for."""
        if known is None:
            tags, arn = tags_of(item), None
        else:
            arn, tags = known.get(key_of(kind.arn_of(item, region, self._account or "-") or ""), (None, {}))
        if not self._wanted.has(tags):
            return
        if arn is None and "{" not in kind.arn:
            arn = kind.arn_of(item, region, None)
        joined = self._wanted.members and kind.name in ("instance", "group", "target_group")
        if kind.detail and kind.detail.needed(item) and (joined or kind.name in self._wanted.kinds):
            self._crew.add(self._look_closer, region, kind, kind.detail, item, tags, arn)
        elif joined or kind.name in self._wanted.kinds:
            self._keep(region, kind, item, tags, arn)

    def _look_closer(
        self, region: str, kind: Kind, detail: Detail, item: dict[str, Any], tags: Mapping[str, str], arn: str | None
    ) -> None:
        def read(client: Any) -> None:
            try:
                answer = getattr(client, detail.operation)(
                    **{detail.argument: table.take(item, table.path(detail.of))}, **detail.arguments
                )
            except boto_errors.ClientError as error:
                if "NotFound" in error_code(error) or "NonExistent" in error_code(error):
                    raise Gone from None
                raise
            found = answer.get(detail.key) if detail.key else answer
            item.update({detail.into: found} if detail.into else found or {})

        try:
            self.ask(region, kind.service, f"details of {kind.name}", read)
        except Gone:
            return  # deleted since it was listed
        self._keep(region, kind, item, tags, arn)

    def _keep(self, region: str, kind: Kind, item: dict[str, Any], tags: Mapping[str, str], arn: str | None) -> None:
        row = kind.row(item, region, tags, arn)
        members, targets = {}, {}
        if kind.name == "group":
            members = {
                one["InstanceId"]: Membership(
                    item["AutoScalingGroupName"], health_in_group(one), tuple(item.get("TargetGroupARNs", ()))
                )
                for one in item.get("Instances", ())
            }
        elif kind.name == "target_group":
            targets = table.target_states(item)
        with self._lock:
            if kind.name in self._wanted.kinds:
                self.found.rows.append(row)
            self.found.members[region].update(members)
            for target, state in targets.items():
                self.found.targets[region][target].append(state)
            if kind.name == "instance" and self._wanted.members:
                self.found.instances.append(instance_row(item, row))
                of_fleet = {tag: tags[tag] for tag in FLEET_TAGS if tag in tags}
                if of_fleet:
                    self.found.fleet_tags[region][row["id"]] = of_fleet

    def _finish(self) -> None:
        """What can be said only of all together."""
        for row in self.found.rows:
            if row["arn"] is None:
                row["arn"] = table.BY_NAME[row["kind"]].arn_of({**_at(row)}, row["region"], self._account)
        queues = [row for row in self.found.rows if row["kind"] == "queue"]
        table.judged_queues(queues)
        self.found.rows.sort(key=lambda row: (row["kind"], row["region"], row["app"] or "", str(row["id"])))
        self.found.instances.sort(key=lambda one: (one["region"], one["id"]))


class Gone(Exception):
    """What was listed is not there any more."""


def _at(row: Mapping[str, Any]) -> dict[str, Any]:
    """An item of which no more is known than its row's id."""
    (step,) = table.BY_NAME[row["kind"]].paths["id"]
    return {str(step): row["id"]}


def key_of(arn: str) -> tuple[str, str]:
    """What tells a resource within a region: its service, and the end of its ARN."""
    parts = arn.split(":", 5)
    return (parts[2], parts[5].removesuffix(":*")) if len(parts) == 6 else ("", arn)


def pages_of(client: Any, kind: Kind, region: str, filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The pages of a list, one after the other."""
    if kind.name == "instance":
        read_quickly(client)
    elif kind.quick:
        read_list_quickly(client, client.meta.method_to_api_mapping[kind.operation], kind.key)
    request = {
        name: value.format(region=region) if isinstance(value, str) else value for name, value in kind.arguments.items()
    }
    if filters:
        request[kind.filter] = filters
    if client.can_paginate(kind.operation):
        size = {"PageSize": kind.page} if kind.page else {}
        yield from client.get_paginator(kind.operation).paginate(**request, PaginationConfig=size)
    else:
        yield getattr(client, kind.operation)(**request)


def items_of(page: dict[str, Any], kind: Kind, region: str) -> Iterable[dict[str, Any]]:
    """What is on a page. Texts are names, or addresses that end with one."""
    if kind.name == "instance":
        return instances_in(page, region)
    return [
        one if isinstance(one, dict) else {"name": one.rpartition("/")[2], "url": one}
        for one in page.get(kind.key) or ()
    ]


def tags_of(item: Mapping[str, Any]) -> dict[str, str]:
    """The tags that a description carries, however its service writes them."""
    found = next((item[name] for name in ("Tags", "TagList", "TagSet", "tags") if name in item), ())
    if isinstance(found, Mapping):
        return dict(found)
    return {one["Key"]: one.get("Value") or "" for one in found or ()}


def instance_row(item: Item, row: Mapping[str, Any]) -> dict[str, Any]:
    """An instance as the page shows it; its health, price and user come later."""
    return {
        "id": row["id"],
        "app": row["app"],
        "environment": row["environment"],
        "region": row["region"],
        "zone": row["zone"],
        "type": item["instance_type"],
        "lifecycle": "spot" if item.get("instance_lifecycle") == "spot" else "on_demand",
        "state": row["state"],
        "health": "unknown",
        "health_reason": "",
        "launched_at": row["created_at"],
        "price_per_hour": None,
        "private_ip": item.get("private_ip_address") or None,
        "public_ip": item.get("public_ip_address") or None,
        "key_name": item.get("key_name"),
        "image_id": item.get("image_id"),
        "os_user": None,
        "group": None,
        "utilisation": None,
    }
