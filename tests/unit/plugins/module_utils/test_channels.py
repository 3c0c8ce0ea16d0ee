# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible_collections.spot.platform.plugins.module_utils.channels import (
    Allowance, channels_in, channels_of, digested, recipients, wants,
)  # fmt: skip

HOOK = {"name": "hook", "type": "webhook", "url": "https://hooks.example.com/x"}
MAIL = {"name": "mail", "type": "mail", "sender": "spot@example.com", "to": ["owner", "ops@example.com"]}
APPS = {"shop": {"to": ["ann@example.com"], "unsubscribe": ["capacity.*"]}}


def channel(entry, apps=None):
    (found,) = channels_of({"channels": [entry], "apps": apps or {}})
    return found


def event(number=1, kind="capacity.fallback", app="shop"):
    return {
        "id": str(number), "time": f"2026-01-01T00:00:{number:02d}.000Z", "kind": kind, "app": app, "region": "eu-west-1",
        "summary": f"sentence {number}", "changed": True, "actor": "ann", "run": "7",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, True),
        ({"apps": ["sh*"]}, True),
        ({"apps": ["web"]}, False),
        ({"kinds": ["capacity.*"]}, True),
        ({"kinds": ["deployment.*"]}, False),
        ({"kinds": ["*"], "except_kinds": ["*.fallback"]}, False),
        ({"except_kinds": "budget.*"}, True),
    ],
)
def test_patterns_choose_the_events_of_a_channel(filters, wanted):
    assert wants(channel({**HOOK, **filters}), event()) is wanted


def test_a_pattern_for_apps_leaves_out_events_of_no_app():
    assert not wants(channel({**HOOK, "apps": ["shop"]}), event(app=None))
    assert wants(channel(HOOK), event(app=None))


def test_an_owner_gets_mail_but_about_what_they_unsubscribed_from():
    mail = channel(MAIL, APPS)
    assert recipients(mail, event(kind="budget.exceeded")) == ("ann@example.com", "ops@example.com")
    assert recipients(mail, event()) == ("ops@example.com",)
    assert not wants(channel({**MAIL, "to": "owner"}, APPS), event())
    assert not wants(channel({**MAIL, "to": "owner"}, APPS), event(app="unknown"))


def test_few_events_are_told_one_by_one_and_many_as_one():
    few = [event(number) for number in range(3)]
    assert digested(few, 3) == few and digested(few, 0) == few
    (one,) = digested(few, 2)
    assert (one["kind"], one["app"], one["region"]) == ("activity.digest", "shop", "eu-west-1")
    assert one["summary"] == "3 events: 3 capacity.fallback"
    assert one["after"]["events"] == ["0", "1", "2"]
    assert digested(few, 2)[0]["id"] == one["id"]  # the same events, the same digest
    assert digested([event(4), *few], 2)[0]["id"] != one["id"]


def test_a_run_that_has_told_enough_goes_on_in_digests():
    allowance = Allowance(3)
    first = [event(1), event(2)]
    assert allowance.digest(first) == first and not allowance.used
    assert [one["kind"] for one in allowance.digest([event(3), event(4)])] == ["activity.digest"] and allowance.used
    assert allowance.digest(first) == first  # tried again
    assert [one["kind"] for one in allowance.digest([event(3), event(4)])] == ["activity.digest"]
    assert allowance.digest([event(5)]) == [event(5)]  # a digest of one is that one
    assert allowance.digest(first, "another") == first
    assert Allowance(0).digest([event(n) for n in range(50)]) == [event(n) for n in range(50)]


def test_a_digest_of_several_apps_belongs_to_none():
    (one,) = digested([event(1), event(2, app="web"), event(3, kind="x.y")], 1)
    assert one["app"] is None and one["after"]["apps"] == ["shop", "web"]
    assert one["after"]["kinds"] == {"capacity.fallback": 2, "x.y": 1}


def test_secrets_come_from_the_environment(monkeypatch):
    hook = channel({"name": "h", "type": "slack", "url_env": "HOOK_URL", "secret_env": "HOOK_KEY"})
    monkeypatch.delenv("HOOK_URL", raising=False)
    with pytest.raises(ValueError, match="HOOK_URL, url_env of the channel h, is not set"):
        hook.address()
    monkeypatch.setenv("HOOK_URL", "https://x.example.com")
    monkeypatch.setenv("HOOK_KEY", "k")
    assert (hook.address(), hook.secret()) == ("https://x.example.com", "k")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "a mapping with the list channels"),
        ({"channels": [HOOK, HOOK]}, "two channels called hook"),
        ({"channels": [{**HOOK, "name": "../x"}]}, "needs a name of letters"),
        ({"channels": [{**HOOK, "type": "fax"}]}, "channel hook: the type 'fax' is none of webhook, slack, sns, mail"),
        ({"channels": [{"name": "a", "type": "slack"}]}, "needs url or url_env"),
        ({"channels": [{**HOOK, "secret": "s"}]}, "unknown key secret"),
        ({"channels": [{**HOOK, "digest_above": "many"}]}, "digest_above must be a whole number"),
        ({"channels": [{**HOOK, "digest_above": -1}]}, "not -1"),
        ({"channels": [{**HOOK, "kinds": [1]}]}, "kinds must be a list of texts"),
        ({"channels": [{"name": "a", "type": "sns", "topic_arn": "arn:aws:sqs:x"}]}, "not the ARN of an SNS topic"),
        ({"channels": [{**MAIL, "to": ["nobody"]}]}, "'nobody' is neither an e-mail address nor owner"),
        ({"channels": [MAIL], "apps": {"shop": {"to": "a@b\nBcc: c@d"}}}, "neither an e-mail address"),
        ({"channels": [], "apps": {"shop": "ann@example.com"}}, "apps.shop must be a mapping"),
    ],
)
def test_bad_channels_are_told_with_the_remedy(content, says):
    with pytest.raises(ValueError) as told:
        channels_of(content)
    assert says in str(told.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "channels.yml"
    with pytest.raises(ValueError, match="cannot read the channels file .*channels.yml"):
        channels_in(str(path))
    path.write_text("channels: [", encoding="utf-8")
    with pytest.raises(ValueError, match="cannot read the channels file .*channels.yml"):
        channels_in(str(path))
