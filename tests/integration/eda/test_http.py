"""The HTTP sources on loopback: who is let in, who is not, and what comes of it."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.spot.platform.extensions.eda.plugins.event_source import alertmanager, sns, webhook
from ansible_collections.spot.platform.plugins.module_utils.sinks import signature
from ansible_collections.spot.platform.tests.unit.eda.signing import (
    DAY,
    TOPIC,
    URL,
    Authority,
    body,
    message,
    new_key,
    pem,
    signed,
    stamp,
)

from .sources import Server, Sns, head, quiet, serving

FIXTURES = Path(__file__).parent / "fixtures"
INTERRUPTION = json.loads((FIXTURES / "aws" / "spot_interruption.json").read_text(encoding="utf-8"))
ALERTS = (FIXTURES / "other" / "alertmanager.json").read_bytes()
ROOT, KEY, OTHER_KEY = Authority("root"), new_key("sns"), new_key("forger")


@asynccontextmanager
async def topic(tmp_path: Path, certificate: bytes | None = None, **options: Any) -> AsyncIterator[tuple[Server, Sns]]:
    """The SNS source with an SNS."""
    (tmp_path / "ca.pem").write_bytes(pem(ROOT.certificate))
    api = Sns(certificate or pem(ROOT.leaf(KEY)))
    async with api.at() as endpoint:
        given = {"topics": [TOPIC], "ca_file": str(tmp_path / "ca.pem"), "endpoint_url": endpoint, **options}
        async with serving(sns, tmp_path, **given) as server:
            yield server, api


@pytest.fixture
def run(caplog: pytest.LogCaptureFixture) -> Any:
    """``run(work())``: the coroutine, with nothing in the log that should not be there."""

    def do(work: Any) -> None:
        async def within() -> None:
            with quiet(caplog):
                await work

        asyncio.run(within())

    return do


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "Spot"])
def test_a_message_that_sns_signed_becomes_its_event(tmp_path, run, version, subject):
    async def work():
        async with topic(tmp_path, signature_versions=["1", "2"]) as (server, _api):
            assert (
                await server.post(body(message(version=version, Subject=subject, Message=json.dumps(INTERRUPTION)), KEY)) == 200
            )
            (event,) = await server.rules.expect(1)
            assert (event["kind"], event["id"], event["source"]) == ("spot.interruption", INTERRUPTION["id"], f"sns {TOPIC}")
            assert await server.health() == {"status": "ok", "waiting": 0}

    run(work())


def test_a_message_that_comes_again_is_accepted_and_changes_nothing(tmp_path, run):
    async def work():
        async with topic(tmp_path) as (server, _api):
            sent = body(message(), KEY)
            assert [await server.post(sent) for _number in range(3)] == [200] * 3
            await server.rules.expect(1)
            assert await server.post(sent) == 200
            wrapped = [body(message(Message=json.dumps(INTERRUPTION)), KEY) for _number in range(3)]
            assert [await server.post(one) for one in wrapped] == [200] * 3
            await server.rules.expect(2)

    run(work())


def test_a_hundred_messages_at_once_fetch_the_certificate_once(tmp_path, run):
    async def work():
        async with topic(tmp_path) as (server, api):
            sent = [body(message(), KEY) for _number in range(100)]
            assert set(await asyncio.gather(*map(server.post, sent))) == {200}
            assert api.fetched == 1
            await server.rules.expect(100)

    run(work())


def refused_messages() -> dict[str, bytes]:
    """Messages that must be refused, by what is wrong with them."""
    good = signed(message(Subject="s"), KEY)

    def but(**fields: Any) -> bytes:
        return json.dumps({**good, **fields}).encode()

    found = {
        "forged": body(message(), OTHER_KEY),
        "changed": but(Message="other"),
        "without a subject that was signed": json.dumps({key: value for key, value in good.items() if key != "Subject"}).encode(),
        "expired": body(message(Timestamp=stamp(-1000)), KEY),
        "from the future": body(message(Timestamp=stamp(300)), KEY),
        "truncated": body(message(), KEY)[:-20],
        "of another topic": body(message(TopicArn=f"{TOPIC}-2"), KEY),
        "of an account that is not ours": body(message(TopicArn=TOPIC.replace("123456789012", "999999999999")), KEY),
        "of version 1": body(message(version="1"), KEY),
        "of version 1, said to be 2": body(message(version="2"), KEY, "1"),
        "of version 2, said to be 1": but(SignatureVersion="1"),
        "of a version that is none": but(SignatureVersion="3"),
        "told in another way": json.dumps({**signed(message(), KEY), "MessageId": "x\ny"}).encode(),
        "raw": json.dumps(INTERRUPTION).encode(),
        "empty": b"",
        "no JSON": b"hello",
        "an array": b"[]",
    }
    host = "sns.us-east-1.amazonaws.com"
    for bad in (f"{host}.evil.com", "sns-us-east-1.amazonaws.com", "sns.us-east-1.amaz\u043enaws.com", f"{host}.", host.upper(), f"{host}:443", f"u@{host}",
                "sns.eu-west-1.amazonaws.com", "127.0.0.1"):  # fmt: skip
        found[f"signed at {bad}"] = body(message(SigningCertURL=URL.replace(host, bad)), KEY)
    for bad in (
        URL.replace("https", "http"),
        f"{URL}?x",
        URL.replace("/Simple", "/x/Simple"),
        f"{URL}#",
        URL.replace("https", "file"),
    ):
        found[f"signed at {bad}"] = body(message(SigningCertURL=bad), KEY)
    return found


def test_what_sns_did_not_sign_for_us_now_is_refused_and_the_log_says_why(tmp_path, run, caplog):
    async def work():
        async with topic(tmp_path) as (server, api):
            for name, sent in refused_messages().items():
                assert (name, await server.post(sent)) == (name, 403)
            assert api.fetched == 1 and api.confirmed == []
            assert (await server.health())["waiting"] == 0
            await server.rules.expect(0, 1)
            assert await server.post(body(message(), KEY)) == 200

    run(work())
    assert "sns: refused: 403 to 127.0.0.1: " in caplog.text


@pytest.mark.parametrize(
    "chain",
    [
        lambda: pem(Authority("other").leaf(KEY)),
        lambda: pem(Authority("other").leaf(KEY), Authority("other").certificate),
        lambda: pem(ROOT.leaf(KEY, begin=-9 * DAY, end=-DAY)),
        lambda: pem(ROOT.leaf(KEY, ["evil.com"])),
        lambda: pem(Authority("sns.amazonaws.com").certificate),
        lambda: b"x" * 100_000,
        lambda: b"no certificate",
    ],
    ids=["another chain", "another chain in full", "expired", "another name", "self-signed", "too large", "none"],
)
def test_a_certificate_that_is_not_snss_verifies_nothing(tmp_path, run, chain):
    async def work():
        async with topic(tmp_path, chain()) as (server, _api):
            assert await server.post(body(message(), KEY)) == 403
            assert (await server.health())["waiting"] == 0

    run(work())


@pytest.mark.parametrize("status", [301, 302, 307, 404, 500])
def test_a_redirect_is_not_followed_and_an_error_is_not_kept(tmp_path, run, status):
    async def work():
        elsewhere = Sns(pem(ROOT.leaf(KEY)))
        async with topic(tmp_path) as (server, api), elsewhere.at() as address:
            api.status, api.headers = status, {"Location": address + URL.partition(".com")[2]}
            assert await server.post(body(message(), KEY)) == (403 if status < 500 else 503)
            assert elsewhere.fetched == 0
            api.status, api.headers = 200, {}
            assert await server.post(body(message(), KEY)) == 200

    run(work())


def test_only_subscriptions_to_expected_topics_are_confirmed_and_each_once(tmp_path, run):
    async def work():
        async with topic(tmp_path) as (server, api):
            other = message("SubscriptionConfirmation", TopicArn=f"{TOPIC}-2")
            assert await server.post(body(other, KEY)) == 403
            assert await server.post(body(message("SubscriptionConfirmation"), OTHER_KEY)) == 403
            assert api.confirmed == []
            sent = body(message("SubscriptionConfirmation", Token="a" * 64, SubscribeURL="https://evil.com/"), KEY)
            assert [await server.post(sent) for _number in range(3)] == [200] * 3
            assert api.confirmed == [(TOPIC, "a" * 64)]
            assert server.rules.take() == []

    run(work())


def test_a_confirmation_that_sns_refused_is_tried_again(tmp_path, caplog):
    async def work():
        async with topic(tmp_path) as (server, api):
            api.confirming = 403
            sent = body(message("SubscriptionConfirmation"), KEY)
            assert await server.post(sent) == 500
            api.confirming = 200
            assert await server.post(sent) == 200
            assert len(api.confirmed) == 2

    asyncio.run(work())
    assert "sns failed" in caplog.text


def test_an_end_of_a_subscription_is_an_event(tmp_path, run):
    async def work():
        async with topic(tmp_path) as (server, api):
            assert await server.post(body(message("UnsubscribeConfirmation"), KEY)) == 200
            (event,) = await server.rules.expect(1)
            assert (event["kind"], event["resource"], api.confirmed) == ("subscription.ended", TOPIC, [])

    run(work())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(text: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


WRONG = [{}, bearer("wrong"), bearer(""), bearer("right right"), bearer("rightx"), bearer("righ"), bearer("Right"), bearer("r\u00efght"), basic("u:right"),
         {"Authorization": "right"}, {"X-Token": "right"}]  # fmt: skip


@pytest.mark.parametrize(
    "options, right, wrong",
    [
        ({"token": "right"}, bearer("right"), WRONG),
        (
            {"username": "u", "password": "pä:ss"},
            basic("u:pä:ss"),
            [{}, bearer("u:pä:ss"), basic("u:"), basic("u:pass"), basic(":pä:ss"), basic("U:pä:ss")],
        ),
    ],
    ids=["token", "basic"],
)
def test_alertmanager_must_show_who_it_is(tmp_path, run, options, right, wrong):
    async def work():
        async with serving(alertmanager, tmp_path, **options) as server:
            for headers in wrong:
                assert (headers, await server.post(ALERTS, headers)) == (headers, 401)
            assert (await server.health())["waiting"] == 0
            assert [await server.post(ALERTS, right) for _number in range(2)] == [200, 200]
            firing, resolved = sorted(await server.rules.expect(2), key=lambda one: one["kind"])
            assert (firing["kind"], resolved["kind"], firing["app"]) == ("alert.firing", "alert.resolved", "shop")

    run(work())


def test_what_alertmanager_would_not_send_is_refused(tmp_path, run):
    async def work():
        async with serving(alertmanager, tmp_path, token="right") as server:
            for bad in (b"", b"x", b"[]", b"{}", b'{"alerts": {}}', b"\xff", b"[" * 100_000, b'{"alerts": "x"}'):
                assert (bad[:20], await server.post(bad, bearer("right"))) == (bad[:20], 400)
            assert await server.post(b'{"alerts": [1, null, []]}', bearer("right")) == 200
            await server.rules.expect(0, 1)

    run(work())


@pytest.mark.parametrize(
    "plugin, options, compared", [(alertmanager, {"token": "right"}, b"Bearer right"), (webhook, {"secret": "s" * 16}, None)]
)
def test_secrets_are_compared_in_constant_time(tmp_path, run, monkeypatch, plugin, options, compared):
    seen = []

    def compare(one, other, real=hmac.compare_digest):
        seen.append((one, other))
        return real(one, other)

    async def work():
        monkeypatch.setattr(hmac, "compare_digest", compare)
        async with serving(plugin, tmp_path, **options) as server:
            headers = {
                "Authorization": "Bearer wrong",
                "X-Spot-Timestamp": str(int(time.time())),
                "X-Spot-Signature": "sha256=wrong",
            }
            assert await server.post(b"{}", headers) in (401, 403)
            shown, expected = seen[-1]
            assert shown in (b"Bearer wrong", b"sha256=wrong")
            assert expected == compared or (compared is None and len(expected) == len("sha256=") + 64)

    run(work())


SECRET = "0123456789abcdef"
EVENTS = (FIXTURES / "other" / "activity.json").read_bytes()


def stamped(content: bytes, when: float = 0, secret: str = SECRET) -> dict[str, str]:
    timestamp = str(int(time.time() + when))
    return {"X-Spot-Timestamp": timestamp, "X-Spot-Signature": signature(secret, timestamp, content)}


def test_a_webhook_is_let_in_when_it_is_signed_and_once(tmp_path, run):
    async def work():
        async with serving(webhook, tmp_path, secret=SECRET, name="shop") as server:
            headers = stamped(EVENTS)
            assert [await server.post(EVENTS, headers), await server.post(EVENTS, headers)] == [200, 403]
            assert await server.post(EVENTS, stamped(EVENTS, 1)) == 200  # sent again by who had no answer; its event is known
            (event,) = await server.rules.expect(1)
            assert (event["kind"], event["app"], event["source"]) == ("capacity.changed", "shop", "webhook shop")

    run(work())


@pytest.mark.parametrize(
    "when, status", [(-310, 403), (-295, 200), (0, 200), (295, 200), (310, 403), (-(10**8), 403), (10**8, 403)]
)
def test_a_webhook_of_a_clock_that_is_off_is_refused_in_both_directions(tmp_path, run, caplog, when, status):
    async def work():
        async with serving(webhook, tmp_path, secret=SECRET) as server:
            assert await server.post(EVENTS, stamped(EVENTS, when)) == status

    run(work())
    assert ("a clock that is off" in caplog.text) == (status == 403)


def test_a_webhook_that_is_not_signed_as_it_must_be_is_refused(tmp_path, run):
    good = stamped(EVENTS)
    timestamp, shown = good["X-Spot-Timestamp"], good["X-Spot-Signature"]
    bad: list[dict[str, str]] = [
        {},
        {"X-Spot-Timestamp": timestamp},
        {"X-Spot-Signature": shown},
        stamped(EVENTS, secret="another secret of ours"),
        stamped(EVENTS + b" "),
        {**good, "X-Spot-Signature": shown[:-1]},
        {**good, "X-Spot-Signature": shown.upper()},
        {**good, "X-Spot-Signature": shown.removeprefix("sha256=")},
        {**good, "X-Spot-Signature": shown.replace("sha256", "sha1")},
        {**good, "X-Spot-Signature": f"sha256={'0' * 64}"},
        {**good, "X-Spot-Timestamp": str(int(timestamp) + 1)},
        {**good, "X-Spot-Timestamp": f"{timestamp}.0"},
        {**good, "X-Spot-Timestamp": f"-{timestamp}"},
        {**good, "X-Spot-Timestamp": f"+{timestamp}"},
        {**good, "X-Spot-Timestamp": "9" * 500},
        {**good, "X-Spot-Timestamp": "now"},
        {**good, "X-Spot-Timestamp": "\u0661\u0662\u0663"},
    ]

    async def work():
        async with serving(webhook, tmp_path, secret=SECRET) as server:
            for headers in bad:
                assert (headers, await server.post(EVENTS, headers)) == (headers, 403)
            for content in (b"", b"x", b"[]", b"1", b"[" * 100_000):
                assert (content[:9], await server.post(content, stamped(content))) == (content[:9], 400)
            await server.rules.expect(0, 1)

    run(work())


def test_a_webhook_that_could_not_be_kept_may_come_again(tmp_path, monkeypatch, caplog):
    from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.inbox import Inbox

    real, fails = Inbox.add, [True]

    def add(self, *arguments):
        if fails.pop() if fails else False:
            raise OSError("no space left on device")
        return real(self, *arguments)

    async def work():
        monkeypatch.setattr(Inbox, "add", add)
        async with serving(webhook, tmp_path, secret=SECRET) as server:
            headers = stamped(EVENTS)
            assert [await server.post(EVENTS, headers) for _number in range(3)] == [500, 200, 403]
            await server.rules.expect(1)

    asyncio.run(work())
    assert "no space left on device" in caplog.text


def test_a_poisoned_event_of_whoever_has_the_key_harms_nobody(tmp_path, run):
    poison = [
        b'{"kind": "a.b", "id": "\\ud800", "app": "\\udfff", "region": "\\u0000", "summary": "\\ud800 {{ x }}", "after": {"\\ud800": NaN}}',
        b'{"kind": "a.b", "after": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"kind": "a.b", "after": ' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}",
        b'{"kind": "a.b", "after": ' + b"9" * 4000 + b"}",
        b'{"kind": "spot.interruption", "id": "signature x", "ids": ["i-12345678"]}',
    ]

    async def work():
        async with serving(webhook, tmp_path, secret=SECRET) as server:
            for content in poison:
                assert (content[:30], await server.post(content, stamped(content))) == (content[:30], 200)
            events = await server.rules.expect(len(poison))
            assert "{{" not in json.dumps(events, allow_nan=False)
            assert (await server.health())["waiting"] == 0

    run(work())


def test_other_methods_are_refused_and_health_answers_anyone(tmp_path, run):
    async def work():
        async with serving(webhook, tmp_path, secret=SECRET) as server:
            for method in ("GET", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
                assert (method, (await server.send(head(0, None, "/", method)))[0]) == (method, 405)
            assert (await server.send(head(0, None, "/health", "HEAD")))[0] == 200
            assert await server.post(b"{}", path="/health") == 403
            assert await server.health() == {"status": "ok", "waiting": 0}

    run(work())
