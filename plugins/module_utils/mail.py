# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail about an activity event: its template by the event's kind, in HTML and in text.

The templates are here and not in files, because a module takes only Python with it.
"""

from __future__ import annotations

import fnmatch
import json
import urllib.parse
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any

SUBJECT = 180
"""Characters of a subject, at most."""

CHOICE = (
    ("app.onboarded", "onboarding"),
    ("activity.digest", "digest"),
    ("capacity.fallback", "fallback"),
    ("capacity.returned", "recovery"),
    ("*.recovered", "recovery"),
    ("alert.resolved", "recovery"),
    ("deployment.*", "deployment"),
    ("budget.*", "budget"),
    ("cost.report", "report"),
    ("*.budget*", "budget"),
)
"""The template of each kind, the first that fits; ``general`` where none does."""

SUBJECTS = {
    "onboarding": "Welcome: {{ place }} runs on Spot",
    "fallback": "{{ place }}: On-Demand stands in for Spot",
    "recovery": "{{ place }}: recovered",
    "deployment": "{{ place }}: {{ event.summary }}",
    "budget": "{{ place }}: budget - {{ event.summary }}",
    "report": "Costs: {{ event.summary }}",
    "general": "{{ place }}: {{ event.summary }}",
    "digest": "{{ place }}: {{ event.summary }}",
}

LEADS = {
    "onboarding": "{{ event.app }} is set up, and its instances start now. This is how you reach it and how to change it.",
    "fallback": "Spot capacity could not be had in full, so On-Demand instances serve in its place. Nothing is to be done: it is "
    "given back as soon as Spot can be had again. On-Demand costs more in the meantime.",
    "recovery": "What was wrong is over. Nothing is to be done.",
    "deployment": "A deployment of {{ event.app or 'an application' }} has news.",
    "budget": "The spending of {{ event.app or 'an application' }} has reached what its manifest allows, or what it is told to watch. "
    "Look at capacity.scaling.budget and capacity.limits in the manifest.",
    "report": "This is what was paid, by application and service. All sums are those of the CSV, to the last decimal.",
    "general": "",
    "digest": "Many events came together; this one mail stands for all of them.",
}

TEXT = """{{ event.summary }}
{% if lead %}
{{ lead }}
{% endif %}{% for name, link in links %}
{{ name }}: {{ link }}{% endfor %}
{% if template == "onboarding" %}
- Change the capacity, the command or anything else in the manifest, and run spot.platform.app_onboard again.
- See what it does and why: spot.platform.platform_status, spot.platform.capacity_explain.
- Take it down: spot.platform.app_offboard.
- An instance can be interrupted with two minutes' notice: keep nothing on it that must last.
{% endif %}{% for table in tables %}
{{ table.title }}
{% for line in table.lines %}{{ line }}
{% endfor %}{% endfor %}{% for reason in event.reasons or [] %}
- {{ reason }}{% endfor %}
{% for name, value in facts %}
{{ name }}: {{ value }}{% endfor %}

--
You are told because the channel of this mail names you, or because you own {{ event.app or "an application" }}. To get no mail about
{{ event.kind }} any more, add it to alerts.unsubscribe in the manifest of the application, or ask {{ sender }}.
"""

HTML = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ subject }}</title></head>
<body style="font-family:sans-serif;max-width:40em;line-height:1.4">
<h1 style="font-size:1.2em">{{ event.summary }}</h1>
{% if lead %}<p>{{ lead }}</p>{% endif %}
{% if links %}<ul>{% for name, link in links %}<li>{{ name }}: <a href="{{ link }}">{{ link }}</a></li>{% endfor %}</ul>{% endif %}
{% if template == "onboarding" %}<ul>
<li>Change the capacity, the command or anything else in the manifest, and run <code>spot.platform.app_onboard</code> again.</li>
<li>See what it does and why: <code>spot.platform.platform_status</code>, <code>spot.platform.capacity_explain</code>.</li>
<li>Take it down: <code>spot.platform.app_offboard</code>.</li>
<li>An instance can be interrupted with two minutes' notice: keep nothing on it that must last.</li>
</ul>{% endif %}
{% for table in tables %}<h2 style="font-size:1em">{{ table.title }}</h2>
<table style="border-collapse:collapse">
<tr>{% for name in table.head %}<th style="text-align:left;padding:.1em .8em .1em 0">{{ name }}</th>{% endfor %}</tr>{% for row in table.rows %}
<tr>{% for cell in row %}<td style="padding:.1em .8em .1em 0">{{ cell }}</td>{% endfor %}</tr>{% endfor %}
</table>
{% endfor %}{% if event.reasons %}<ul>{% for reason in event.reasons %}<li>{{ reason }}</li>{% endfor %}</ul>{% endif %}
<table>{% for name, value in facts %}
<tr><th style="text-align:left;vertical-align:top;padding-right:1em">{{ name }}</th><td>{{ value }}</td></tr>{% endfor %}
</table>
<p style="color:#666;font-size:.85em">You are told because the channel of this mail names you, or because you own
{{ event.app or "an application" }}. To get no mail about <code>{{ event.kind }}</code> any more, add it to
<code>alerts.unsubscribe</code> in the manifest of the application, or ask {{ sender }}.</p>
</body></html>
"""

FACTS = ("app", "region", "kind", "resource", "time", "actor", "run", "id")


@lru_cache(maxsize=None)
def _template(text: str, html: bool) -> Any:
    import jinja2  # takes a while to import, and only channels of mail need it

    return jinja2.Environment(autoescape=html, undefined=jinja2.ChainableUndefined).from_string(text)


def one_line(text: Any, length: int = SUBJECT) -> str:
    """``text`` without line breaks and other control characters, not longer than ``length``."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in str(text)).split())
    return line if len(line) <= length else line[: length - 1] + "…"


def template_of(kind: str) -> str:
    """The name of the template for a kind."""
    return next((name for pattern, name in CHOICE if fnmatch.fnmatchcase(kind, pattern)), "general")


def links_of(event: dict[str, Any]) -> list[tuple[str, str]]:
    """The links of ``after.links``, a mapping of names to URLs; only http and https."""
    after = event.get("after")
    links = after.get("links") if isinstance(after, dict) else None
    found = links.items() if isinstance(links, dict) else []
    return [
        (str(name), str(link)) for name, link in found if urllib.parse.urlsplit(str(link)).scheme in ("http", "https")
    ]


def tables_of(event: dict[str, Any]) -> list[dict[str, Any]]:
    """The tables of ``after.tables``, each with ``title``, ``head`` and ``rows``, and with ``lines`` of text."""
    after = event.get("after")
    found = []
    for table in (after.get("tables") or ()) if isinstance(after, dict) else ():
        rows = [[str(cell) for cell in row] for row in (table["head"], *table["rows"])]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
        found.append({"title": table["title"], "head": rows[0], "rows": rows[1:], "lines": lines})
    return found


def facts_of(event: dict[str, Any]) -> list[tuple[str, str]]:
    """What is shown of an event below its sentences."""
    facts = [(key, str(event[key])) for key in FACTS if event.get(key)]
    for key in ("before", "after"):
        value = event.get(key)
        if isinstance(value, dict):
            value = {name: item for name, item in value.items() if name not in ("links", "events", "tables")}
        if value:
            text = json.dumps(value, ensure_ascii=False, default=str)
            facts.append((key, text if len(text) <= 2000 else text[:1999] + "…"))
    return facts


def plain(value: Any) -> Any:
    """The value with one line of printable characters for each text, so that no event can write lines of its own into a mail."""
    if isinstance(value, str):
        return one_line(value.encode(errors="replace").decode(), 2000)
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return value


def compose(event: dict[str, Any], sender: str, to: tuple[str, ...]) -> bytes:
    """The whole mail as SES takes it, ``multipart/alternative`` with text and HTML."""
    event = plain(event)
    name = template_of(str(event.get("kind")))
    place = "@".join(str(event[key]) for key in ("app", "region") if event.get(key)) or "spot.platform"
    values = {"event": event, "place": place, "template": name, "sender": parseaddr(sender)[1] or sender}
    subject = one_line(_template(SUBJECTS[name], False).render(values))
    values |= {"subject": subject, "links": links_of(event), "facts": facts_of(event), "tables": tables_of(event)}
    values["lead"] = _template(LEADS[name], False).render(values)
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, ", ".join(to), subject
    mail["Date"] = format_datetime(datetime.now(timezone.utc))
    mail["Auto-Submitted"] = "auto-generated"
    about = one_line(f"unsubscribe {event.get('app') or ''} {event.get('kind')}")
    mail["List-Unsubscribe"] = f"<mailto:{values['sender']}?subject={urllib.parse.quote(about)}>"
    mail["X-Spot-Event"] = one_line(event.get("id") or "-")
    mail.set_content(_template(TEXT, False).render(values))
    mail.add_alternative(_template(HTML, True).render(values), subtype="html")
    return mail.as_bytes()
