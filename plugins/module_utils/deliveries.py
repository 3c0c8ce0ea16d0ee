# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How events go to a channel: senders, one for each type, and the sink that keeps what has not arrived in a letter.

A sender has ``linger`` and ``batch`` as a sink has them, and ``send(events)``, which yields the places (in ``events``) of what
has arrived as soon as it has. What is refused is left out, and ``Refused`` raised at the end; all else is raised at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from ansible_collections.spot.platform.plugins.module_utils.channels import Allowance, Channel, recipients
from ansible_collections.spot.platform.plugins.module_utils.mail import compose
from ansible_collections.spot.platform.plugins.module_utils.sinks import Refused, Webhook, post, to_line
from ansible_collections.spot.platform.plugins.module_utils.spool import Letter

SLACK_CHARACTERS = 3500
"""In one message; Slack asks for no more than 4,000, and cuts at 40,000."""

LETTER_LINGER = {"webhook": 0.5, "sns": 0.5, "slack": 2.0, "mail": 15.0}
"""The seconds for which a channel collects events, and with it what a digest is made of."""

STORM_LINGER = 60.0
"""The same, once a channel was told as many events one by one as ``digest_above`` allows."""

LETTER_BATCH = 1000
"""Events that are sent, or made one digest, together."""


class Sender(Protocol):
    """See the module's description."""

    allowance: Allowance

    def send(self, events: list[dict[str, Any]]) -> Iterator[list[int]]:
        """Yield the places of what has arrived."""


class WebhookSender:
    """Posts events to an HTTP endpoint, a hundred at a time."""

    def __init__(self, channel: Channel, timeout: float) -> None:
        self._hook, self.allowance = Webhook(channel.address(), channel.secret(), timeout), Allowance(channel.digest_above)

    def send(self, events: list[dict[str, Any]]) -> Iterator[list[int]]:
        """Yield what was accepted."""
        told = self.allowance.digest(events)
        if len(told) < len(events):
            self._hook.deliver(told)
            yield list(range(len(events)))
            return
        for start in range(0, len(events), 100):
            self._hook.deliver(events[start : start + 100])
            yield list(range(start, min(start + 100, len(events))))


def escaped(text: Any) -> str:
    """``text`` for Slack, which gives ``&``, ``<`` and ``>`` a meaning."""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def slack_text(event: dict[str, Any]) -> str:
    """One event as Slack shows it."""
    where = "@".join(str(event[key]) for key in ("app", "region") if event.get(key))
    head = f"*{escaped(event.get('kind'))}*" + (f" {escaped(where)}" if where else "")
    reasons = "".join(f"\n• {escaped(reason)}" for reason in event.get("reasons") or [])
    text = f"{head}: {escaped(event.get('summary'))}{reasons}"
    return text if len(text) <= SLACK_CHARACTERS else text[: SLACK_CHARACTERS - 1].rpartition("\n")[0] + "\n…"


class SlackSender:
    """Posts ``{"text": ...}`` to a Slack-compatible webhook, several events in a message."""

    def __init__(self, channel: Channel, timeout: float) -> None:
        self._url, self._timeout, self.allowance = channel.address(), timeout, Allowance(channel.digest_above)
        Webhook(self._url, None, timeout)  # says what is wrong with the URL

    def send(self, events: list[dict[str, Any]]) -> Iterator[list[int]]:
        """Yield what was accepted."""
        told = self.allowance.digest(events)
        if len(told) < len(events):
            self._post(slack_text(told[0]))
            yield list(range(len(events)))
            return
        texts: list[str] = []
        first = 0
        for number, event in enumerate(told):
            text = slack_text(event)
            if texts and sum(map(len, texts)) + len(text) > SLACK_CHARACTERS:
                self._post("\n".join(texts))
                yield list(range(first, number))
                texts, first = [], number
            texts.append(text)
        if texts:
            self._post("\n".join(texts))
            yield list(range(first, len(told)))

    def _post(self, text: str) -> None:
        headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "spot.platform"}
        post(self._url, to_line({"text": text}).encode(), headers, self._timeout)


class MailSender:
    """Writes to the people of each event, one mail an event, or one about many. ``mail`` sends: (sender, to, message)."""

    def __init__(self, channel: Channel, mail: Callable[[str, tuple[str, ...], bytes], None]) -> None:
        self._channel, self._mail, self.allowance = channel, mail, Allowance(channel.digest_above)

    def send(self, events: list[dict[str, Any]]) -> Iterator[list[int]]:
        """Yield what was taken; what nobody wants to know any more counts as that."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for number, event in enumerate(events):
            groups.setdefault(recipients(self._channel, event), []).append(number)
        refused = None
        for to, numbers in groups.items():
            told = self.allowance.digest([events[number] for number in numbers], to)
            whole = len(told) < len(numbers)
            for index, event in enumerate(told):
                try:
                    if to:
                        self._mail(self._channel.sender, to, compose(event, self._channel.sender, to))
                except Refused as error:
                    refused = error
                else:
                    yield numbers if whole else [numbers[index]]
        if refused:
            raise refused


def sender_of(channel: Channel, timeout: float, client: Callable[[str, str | None], Any]) -> Sender:
    """The sender of a channel; ``client(service, region)`` makes a boto3 client. Raises ``ValueError``."""
    if channel.type == "webhook":
        return WebhookSender(channel, timeout)
    if channel.type == "slack":
        return SlackSender(channel, timeout)
    from ansible_collections.spot.platform.plugins.module_utils.aws.senders import TopicSender, ses_mail

    if channel.type == "sns":
        region = channel.region or channel.topic_arn.split(":")[3]
        return TopicSender(client("sns", region), channel.topic_arn, channel.digest_above)
    return MailSender(channel, ses_mail(client("sesv2", channel.region or None)))


def deliver(letter: Letter, numbers: Iterable[int], sender: Sender) -> None:
    """Send those of ``numbers`` that are pending, and note in the letter what arrives. Raises what the sender does."""
    pending = [number for number in numbers if number in letter.pending]
    if pending:
        for places in sender.send([letter.pending[number] for number in pending]):
            letter.delivered(pending[place] for place in places)


class ChannelSink:
    """A sink that keeps what it was given in a letter until it has arrived. Takes ``{"n": number}`` in place of events."""

    batch = LETTER_BATCH

    def __init__(self, channel: Channel, spool: str, make: Callable[[], Sender]) -> None:
        self.name = f"the channel {channel.name}"
        self.channel, self._spool, self._make = channel, spool, make
        self._sender: Sender | None = None
        self.letter: Letter | None = None

    @property
    def linger(self) -> float:
        """Longer in a storm."""
        storm = self._sender is not None and self._sender.allowance.used
        return STORM_LINGER if storm else LETTER_LINGER[self.channel.type]

    def keep(self, events: list[dict[str, Any]]) -> list[dict[str, int]]:
        """Write ``events`` ahead, and return what the courier takes. Raises ``OSError``."""
        if self.letter is None:
            self.letter = Letter.new(self._spool, self.channel.name)
        return [{"n": number} for number in self.letter.put(events)]

    def carry(self, events: list[dict[str, Any]]) -> list[dict[str, int]]:
        """As ``keep``, but in memory alone, for a spool that cannot be written to."""
        if self.letter is None:
            self.letter = Letter(None, -1)
        return [{"n": number} for number in self.letter.add(events)]

    def deliver(self, events: list[dict[str, Any]]) -> None:
        """Send them, in the courier's thread, where a client is made too: that takes a while."""
        if self._sender is None:
            self._sender = self._make()
        if self.letter is not None:  # it is opened before any event comes
            deliver(self.letter, [event["n"] for event in events], self._sender)

    def finish(self, error: str) -> str | None:
        """Give the letter back; a sentence about what stays in it."""
        if self.letter is None or self.letter.close(error):
            return None
        missing = f"{len(self.letter.pending)} activity events did not reach {self.name}: {error}."
        if self.letter.path is None:
            return missing
        return f"{missing} They are kept in {self.letter.path}; the playbook spot.platform.notifications_resend sends them"


def resend(letter: Letter, sender: Sender, deadline: float, batch: int = LETTER_BATCH) -> str | None:
    """Send what is pending in a letter, each part once; what went wrong, if anything. Leaves the letter open."""
    problem = None
    numbers = list(letter.pending)
    for start in range(0, len(numbers), batch):
        if time.monotonic() >= deadline:
            return "the time limit was reached"
        try:
            deliver(letter, numbers[start : start + batch], sender)
        except Refused as error:
            problem = str(error)
        except Exception as error:  # a sender may fail in any way; the letter stays
            return str(error) or type(error).__name__
    return problem
