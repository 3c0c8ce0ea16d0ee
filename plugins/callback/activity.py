# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: activity
type: notification
short_description: Record every change that a playbook makes on AWS
version_added: 0.1.0
author: The spot.platform developers (@spot-platform)
description:
  - Collects the activity events of all tasks, and hands them to the sinks that are set here. An event says what was
    changed, or deliberately not changed, and why. See RV(spot.platform.spot_capacity#module:activity) for its fields.
  - Modules of this collection return their events under C(activity). For a changed task of C(amazon.aws) or
    C(community.aws) an event is made from the task's name, the role or play that it is in, and the resource in its result.
  - Events of a host that is called C(app@region) carry that app and that region.
  - Nothing is recorded in check mode, nor of a task with C(no_log). The values of keys that sound like secrets are masked.
  - The file is written at once. The other sinks are served from the background; when the playbook ends, they have
    O(time_limit) seconds to take what is left. A sink that fails causes one warning, and never fails a play.
requirements:
  - enable in configuration, C(callbacks_enabled = spot.platform.activity)
  - boto3, for O(s3_bucket) and O(log_group)
options:
  file:
    description:
      - A file to append the events to, one JSON object a line. Missing folders are made.
    type: path
    env: [{name: SPOT_ACTIVITY_FILE}]
    ini: [{section: callback_spot_platform_activity, key: file}]
  s3_bucket:
    description:
      - A bucket to write one object a run to, C(<s3_prefix><year>/<month>/<day>/<time>-<run>.jsonl).
      - "Required IAM actions: C(s3:PutObject)."
    type: str
    env: [{name: SPOT_ACTIVITY_S3_BUCKET}]
    ini: [{section: callback_spot_platform_activity, key: s3_bucket}]
  s3_prefix:
    description:
      - What the names of the objects in O(s3_bucket) begin with.
    type: str
    default: activity/
    env: [{name: SPOT_ACTIVITY_S3_PREFIX}]
    ini: [{section: callback_spot_platform_activity, key: s3_prefix}]
  log_group:
    description:
      - A CloudWatch Logs group, which must exist, to write one stream a run to.
      - "Required IAM actions: C(logs:CreateLogStream), C(logs:PutLogEvents)."
    type: str
    env: [{name: SPOT_ACTIVITY_LOG_GROUP}]
    ini: [{section: callback_spot_platform_activity, key: log_group}]
  region:
    description:
      - The region of O(s3_bucket) and O(log_group). The default is that of the AWS configuration.
    type: str
    env: [{name: SPOT_ACTIVITY_REGION}]
    ini: [{section: callback_spot_platform_activity, key: region}]
  webhooks:
    description:
      - URLs to post the events to, as a JSON object with the list C(events).
      - A request that fails with a connection error, a time-out, HTTP 408, 425, 429 or 5xx is sent again, with growing
        pauses, as long as the playbook runs; a receiver tells repeated events by their C(id).
    type: list
    elements: str
    default: []
    env: [{name: SPOT_ACTIVITY_WEBHOOKS}]
    ini: [{section: callback_spot_platform_activity, key: webhooks}]
  webhook_secret:
    description:
      - The key that requests to O(webhooks) are signed with. The header C(X-Spot-Signature) is C(sha256=) and the
        HMAC-SHA256 of the header C(X-Spot-Timestamp), a full stop and the body, in hexadecimal.
      - Without it, requests are not signed.
    type: str
    env: [{name: SPOT_ACTIVITY_WEBHOOK_SECRET}]
  channels_file:
    description:
      - A YAML file that says who is told of which events - webhooks, Slack, SNS and mail. The role
        P(spot.platform.notifications#role) writes it, and says what is in it.
      - "Required IAM actions: C(sns:Publish) for topics, C(ses:SendEmail) and C(ses:SendRawEmail) for mail."
    type: path
    env: [{name: SPOT_ACTIVITY_CHANNELS}]
    ini: [{section: callback_spot_platform_activity, key: channels_file}]
  spool:
    description:
      - A folder where events are kept until the channels of O(channels_file) have them. What could not be delivered stays, also
        when the playbook is killed, until P(spot.platform.notification_resend#module) sends it.
    type: path
    default: ~/.local/state/spot-platform/spool
    env: [{name: SPOT_ACTIVITY_SPOOL}]
    ini: [{section: callback_spot_platform_activity, key: spool}]
  time_limit:
    description:
      - For how many seconds the end of a playbook waits for the sinks, and how long one request to a webhook may take.
    type: float
    default: 10
    env: [{name: SPOT_ACTIVITY_TIME_LIMIT}]
    ini: [{section: callback_spot_platform_activity, key: time_limit}]
  actor:
    description:
      - Who makes the changes. The default is the user of the AWX job, else the user of the operating system.
    type: str
    env: [{name: SPOT_ACTOR}]
    ini: [{section: callback_spot_platform_activity, key: actor}]
  run:
    description:
      - What identifies this run. The default is the number of the AWX job, else a random UUID.
    type: str
    env: [{name: SPOT_RUN}]
"""

EXAMPLES = r"""
# fmt: code-block ini
[defaults]
callbacks_enabled = spot.platform.activity

[callback_spot_platform_activity]
file = /var/log/spot-platform/activity.jsonl
s3_bucket = my-activity
webhooks = https://hooks.example.com/spot,https://audit.example.com/events
"""

import getpass
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible_collections.spot.platform.plugins.module_utils.activity import Event
from ansible_collections.spot.platform.plugins.module_utils.channels import Channel, channels_in, wants
from ansible_collections.spot.platform.plugins.module_utils.aws.sinks import LogStream, S3Object
from ansible_collections.spot.platform.plugins.module_utils.deliveries import ChannelSink, Sender, sender_of
from ansible_collections.spot.platform.plugins.module_utils.sinks import Courier, JsonLines, Sink, Webhook

RECORDED_COLLECTIONS = ("amazon.aws.", "community.aws.")

IDENTIFIERS = (
    "load_balancer_arn", "target_group_arn", "auto_scaling_group_name", "launch_template_id", "gateway_id", "group_id",
    "route_table_id", "instance_id", "instance_ids", "arn", "id", "name",
)  # fmt: skip
"""Where the results of those collections have the identifier of what was changed, the most telling first."""

SECRET_KEY = re.compile(
    r"(^|_)(passwords?|passwd|passphrase|secrets?|credentials?|authorization|private_key|access_key|api_key|key_material"
    r"|secret_key|tokens?)(_|$)"
)
NOT_SECRET_KEYS = ("http_tokens", "next_token", "client_token", "secret_arn")
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL)
MASK = "********"


def masked(value: Any, key: str = "") -> Any:
    """``value`` with whatever sounds like a secret replaced, in all depths."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower().replace("-", "_")
    if value is not None and SECRET_KEY.search(snake) and snake not in NOT_SECRET_KEYS:
        return MASK
    if isinstance(value, dict):
        return {name: masked(item, str(name)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(item) for item in value]
    return PRIVATE_KEY.sub(MASK, value) if isinstance(value, str) else value


def identifier(result: dict[str, Any]) -> str | None:
    """The identifier of the resource in a module's result: at its top, or one or two levels into it."""
    levels = [[result]]
    for _depth in range(2):
        levels.append([item for parent in levels[-1] for item in _children(parent)])
    for level in levels:
        for key in IDENTIFIERS:
            for candidate in level:
                found = candidate.get(key)
                if isinstance(found, list) and found and all(isinstance(item, str) for item in found):
                    found = ", ".join(found)
                if found and isinstance(found, str):
                    return found
    return None


def _children(parent: dict[str, Any]) -> list[dict[str, Any]]:
    values = [value for key, value in parent.items() if key not in ("invocation", "diff", "tags")]
    values += [item for value in values if isinstance(value, list) for item in value]
    return [value for value in values if isinstance(value, dict)]


def summary(name: str, label: Any) -> str:
    """A task's name, and in a loop the item; a template for the item in the name was not filled in, and goes."""
    name = re.split(r"\s*(?:\{\{|<<)", name, maxsplit=1)[0]
    return f"{name} ({label})" if isinstance(label, str) else name


def place(host: str) -> tuple[str | None, str | None]:
    """The app and the region of a target's name, ``<app>@<region>``."""
    app, at, region = host.partition("@")
    return (app, region) if at else (None, None)


class CallbackModule(CallbackBase):
    """Hands the activity events of a run to its sinks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "spot.platform.activity"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._actor = self._run = ""
        self._file: JsonLines | None = None
        self._couriers: list[Courier] = []
        self._channels: list[tuple[ChannelSink, Courier]] = []
        self._play: Any = None

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """Open the sinks at the first play, which knows the extra variables; remember the play's name."""
        self._play = play
        if self._run:
            return
        extra = play.get_variable_manager().extra_vars
        self._run = str(self.get_option("run") or extra.get("awx_job_id") or uuid.uuid4())
        self._actor = str(self.get_option("actor") or extra.get("awx_user_name") or _os_user())
        if self.get_option("file"):
            self._file = JsonLines(self.get_option("file"))
        for what, make in self._remote_sinks():
            try:
                self._couriers.append(Courier(make()))
            except Exception as error:  # recording is never a reason to stop a play
                self._display.warning(f"Activity events are not sent to {what}: {error}")
        if path := self.get_option("channels_file"):
            try:
                channels = channels_in(path)
            except Exception as error:
                self._display.warning(f"Activity events are sent to no channel: {error}")
                return
            for channel in channels:
                sink = ChannelSink(channel, self.get_option("spool"), lambda channel=channel: self._sender(channel))
                self._channels.append((sink, Courier(sink)))

    def _sender(self, channel: Channel) -> Sender:
        return sender_of(channel, self.get_option("time_limit"), self._client)

    def _client(self, service: str, region: str | None) -> Any:
        # imports boto3 only where it is used: it takes a fifth of a second
        from ansible_collections.spot.platform.plugins.module_utils.aws.clients import Clients

        return Clients(region or self.get_option("region"), None, {}).get(service)

    def _remote_sinks(self) -> Iterable[tuple[str, Callable[[], Sink]]]:
        bucket, prefix, group = (self.get_option(name) for name in ("s3_bucket", "s3_prefix", "log_group"))
        secret, limit = self.get_option("webhook_secret"), self.get_option("time_limit")

        if bucket:
            yield f"the bucket {bucket}", lambda: S3Object(self._client("s3", None), bucket, prefix, self._run)
        if group:
            yield f"the log group {group}", lambda: LogStream(self._client("logs", None), group, self._run)
        for number, url in enumerate(self.get_option("webhooks"), 1):
            yield f"webhook {number}", lambda url=url: Webhook(url, secret, limit)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Record a task that succeeded."""
        if result._task.loop is None:
            self._record(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Record what a task had done before it failed."""
        if result._task.loop is None:
            self._record(result, failed=True)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """Record one round of a loop."""
        self._record(result)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """Record what one round of a loop had done before it failed."""
        self._record(result, failed=True)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Give the sinks until the time limit, side by side; a playbook that follows opens its own."""
        deadline = time.monotonic() + self.get_option("time_limit")
        for courier in [*self._couriers, *(courier for _sink, courier in self._channels)]:
            courier.finish(deadline)
        for courier in self._couriers:
            if problem := courier.join():
                self._display.warning(problem)
        for sink, courier in self._channels:
            courier.join()
            try:
                problem = sink.finish(courier.error)
            except OSError as error:
                problem = f"The letter to {sink.name} cannot be closed: {error}"
            if problem:
                self._display.warning(problem)
        self._run, self._file, self._couriers, self._channels = "", None, [], []

    def _record(self, result: Any, failed: bool = False) -> None:
        data, task = result._result, result._task_fields  # by these names, 2.17 has them too
        if task.get("check_mode") or task.get("no_log") or data.get("_ansible_no_log"):
            return
        if str(task.get("action")).endswith("_info"):  # it shows what was done, by us too, and did nothing
            return
        own = data.get("activity")
        if isinstance(own, list) and all(isinstance(event, dict) and "kind" in event for event in own):
            events = own
        elif data.get("changed") and not failed and str(task.get("action")).startswith(RECORDED_COLLECTIONS):
            events = [self._event_of(result)]
        else:
            return
        app, region = place(result._host.get_name())
        filled = {"app": app, "region": region, "actor": self._actor, "run": self._run}
        self._hand_over(
            [
                {**masked(event), **{key: value for key, value in filled.items() if event.get(key) is None}}
                for event in events
            ]
        )

    def _event_of(self, result: Any) -> dict[str, Any]:
        """The event of a changed task whose module makes none."""
        data, task = result._result, result._task_fields
        module = task["action"].rpartition(".")[2]
        role = result._task._role
        area = role.get_name() if role else self._play.get_name()
        area = re.sub(r"[^a-z0-9]+", "_", area.rpartition(".")[2].lower()).strip("_")
        arguments = (data.get("invocation") or {}).get("module_args") or {}
        return Event(
            kind=f"{area}.{module}",
            resource=identifier(data) or str(arguments.get("name") or module),
            summary=summary(str(task.get("name") or module), data.get("_ansible_item_label")),
            region=arguments.get("region"),
        ).as_dict()

    def _hand_over(self, events: list[dict[str, Any]]) -> None:
        for courier in self._couriers:
            for event in events:
                courier.take(event)
        for channel in list(self._channels):
            self._hand_to_channel(*channel, events)
        if self._file:
            try:
                self._file.write(events)
            except OSError as error:
                self._display.warning(f"Activity events are not written to {self._file.name}: {error.strerror}")
                self._file = None

    def _hand_to_channel(self, sink: ChannelSink, courier: Courier, events: list[dict[str, Any]]) -> None:
        wanted = [event for event in events if wants(sink.channel, event)]
        if not wanted:
            return
        try:
            kept = sink.keep(wanted)
        except OSError as error:
            self._display.warning(
                f"{len(wanted)} activity events are not kept for {sink.name} in {self.get_option('spool')}: {error.strerror}; "
                "they are sent, but not again if that fails"
            )
            kept = sink.carry(wanted)
        for number in kept:
            courier.take(number)


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # containers run as users that have no name
        return f"uid {os.getuid()}"
