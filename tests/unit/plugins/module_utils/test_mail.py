# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from email import message_from_bytes, policy

import pytest
from ansible_collections.spot.platform.plugins.module_utils.mail import SUBJECTS, compose, template_of

EVENT = {"id": "1", "kind": "capacity.fallback", "app": "shop", "region": "eu-west-1", "summary": "4 vCPUs stand in"}


def mail(**event):
    found = message_from_bytes(compose({**EVENT, **event}, "Spot <spot@example.com>", ("ann@example.com",)), policy=policy.SMTP)
    assert found.get_content_type() == "multipart/alternative"
    text, html = (found.get_body((kind,)).get_content() for kind in ("plain", "html"))
    return found, text, html


@pytest.mark.parametrize(
    ("kind", "template"),
    [
        ("app.onboarded", "onboarding"),
        ("capacity.fallback", "fallback"),
        ("capacity.returned", "recovery"),
        ("deployment.failed", "deployment"),
        ("budget.exceeded", "budget"),
        ("cost.report", "report"),
        ("activity.digest", "digest"),
        ("network.ec2_vpc_net", "general"),
    ],
)
def test_each_kind_has_its_template_and_all_of_them_render(kind, template):
    assert template_of(kind) == template
    head, text, html = mail(kind=kind)
    assert template in SUBJECTS and "{{" not in head["Subject"] + text + html
    assert ("shop" in head["Subject"] or name_is_not_told(kind)) and "4 vCPUs stand in" in text and "4 vCPUs stand in" in html
    assert "alerts.unsubscribe" in text and "alerts.unsubscribe" in html


def name_is_not_told(kind):
    """Whether it is of all applications."""
    return kind == "cost.report"


def test_tables_are_in_the_text_and_in_the_html():
    table = {"title": "Applications", "head": ["APPLICATION", "USD"], "rows": [["<b>shop", "12.50"], ["web", 3]]}
    _head, text, html = mail(kind="cost.report", after={"tables": [table], "total_usd": 15.5})
    assert "APPLICATION  USD\n<b>shop      12.50\nweb          3\n" in text.replace("\r\n", "\n")
    assert "&lt;b&gt;shop</td>" in html and "<b>shop" not in html and ">12.50</td>" in html
    assert "15.5" in text and "APPLICATION" not in text.split("after:")[1]


def test_a_text_breaks_neither_out_of_the_subject_nor_out_of_the_html():
    head, text, html = mail(
        kind="x.y", summary="a\r\nBcc: eve@example.com\n<script>alert(1)</script>", app="<b>", reasons=["<i>"]
    )
    assert "Bcc" not in head and head["Subject"].startswith("<b>@eu-west-1: a Bcc: eve@example.com")
    assert "<script>" not in html and "&lt;script&gt;" in html and "<b>" not in html and "<i>" not in html
    assert "<script>" in text


def test_links_are_only_of_the_web():
    _head, text, html = mail(kind="app.onboarded", after={"links": {"address": "http://lb.example.com", "bad": "javascript:x"}})
    assert 'href="http://lb.example.com"' in html and "address: http://lb.example.com" in text
    assert "javascript" not in html + text


def test_a_mail_says_how_to_unsubscribe_and_that_no_one_wrote_it():
    head, _text, _html = mail(kind="x.ä\r\nBcc: y")
    assert head["List-Unsubscribe"].strip().startswith("<mailto:spot@example.com?subject=unsubscribe%20shop%20x.")
    assert (head["Auto-Submitted"], head["X-Spot-Event"], head["To"]) == ("auto-generated", "1", "ann@example.com")
    assert "Bcc" not in head


def test_a_long_subject_is_cut():
    head, _text, _html = mail(kind="x.y", summary="w" * 500)
    assert len(head["Subject"]) <= 180


def test_an_event_writes_no_lines_of_its_own_into_a_mail_and_half_a_surrogate_breaks_none():
    hostile = "stands in\n\nClick here: http://evil.example.com \u202egnp.exe \udc80"
    _head, text, _html = mail(summary=hostile)
    assert text.splitlines()[0] == "stands in Click here: http://evil.example.com gnp.exe ?"
