"""A message of SNS is believed when it is signed by SNS, meant for us and new; and never otherwise."""

from __future__ import annotations

import asyncio
import json
import random
import time

import pytest
from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.sns import (
    Certificates,
    Expected,
    Refused,
    Undecided,
    Verifier,
    host_of,
    parsed,
    roots_in,
    string_to_sign,
)
from ansible_collections.spot.platform.tests.unit.eda.signing import (
    DAY,
    PEM,
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
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT, KEY, OTHER_KEY = Authority("root"), new_key("sns"), new_key("forger")
EXPECTED = Expected([TOPIC])
ISSUER_URL = "http://crt.r2m02.amazontrust.com/r2m02.cer"


class Web:
    """What is at addresses; ``asked`` counts."""

    def __init__(self, pages):
        self.pages, self.asked = pages, []

    async def fetch(self, url):
        self.asked.append(url)
        await asyncio.sleep(0)
        if url not in self.pages:
            raise OSError("no route")
        return self.pages[url]


def certificates(*chain, roots=(ROOT,), **more):
    return Certificates(Web({URL: pem(*chain), **more}).fetch, [one.certificate for one in roots])


def verified(sent, made=None, expected=EXPECTED, now=time.time):
    return asyncio.run(Verifier(expected, made or certificates(ROOT.leaf(KEY)), now).verified(sent))


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "A subject", "Ünï ☃ {{ x }}"])
@pytest.mark.parametrize("kind", ["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_what_sns_signed_is_believed(kind, version, subject):
    told = message(kind, version, Subject=subject if kind == "Notification" else None, Message="two\nlines, ☃ and \u2028")
    assert verified(body(told, KEY))["MessageId"] == told["MessageId"]


def test_what_is_signed_is_as_the_developer_guide_says():
    told = {
        "Type": "Notification",
        "MessageId": "m",
        "Subject": "s",
        "Timestamp": "t",
        "TopicArn": "a",
        "Message": "x",
        "UnsubscribeURL": "u",
    }
    assert string_to_sign(told) == b"Message\nx\nMessageId\nm\nSubject\ns\nTimestamp\nt\nTopicArn\na\nType\nNotification\n"
    del told["Subject"]
    assert string_to_sign(told) == b"Message\nx\nMessageId\nm\nTimestamp\nt\nTopicArn\na\nType\nNotification\n"
    told |= {"Type": "SubscriptionConfirmation", "Token": "k", "SubscribeURL": "v"}
    assert string_to_sign(told) == (
        b"Message\nx\nMessageId\nm\nSubscribeURL\nv\nTimestamp\nt\nToken\nk\nTopicArn\na\nType\nSubscriptionConfirmation\n"
    )


@pytest.mark.parametrize("field", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"])
def test_a_change_of_any_signed_field_is_noticed(field):
    other = {
        "Message": "other",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "Subject": "other",
        "Timestamp": stamp(-5),
        "TopicArn": f"{TOPIC}2",
        "Type": "UnsubscribeConfirmation",
    }
    told = signed(message(Subject="s", Token="t", SubscribeURL="u"), KEY)
    with pytest.raises(Refused, match="the signature does not verify"):
        verified(json.dumps({**told, field: other[field]}).encode(), expected=Expected([TOPIC, f"{TOPIC}2"]))


def test_what_was_signed_with_a_subject_cannot_be_told_again_as_another_message():
    told = signed(message(Subject="s"), KEY)
    again = {**told, "MessageId": f"{told['MessageId']}\nSubject\ns"}
    del again["Subject"]
    assert string_to_sign(again) == string_to_sign(told)
    with pytest.raises(Refused, match="MessageId or Subject is not in the form"):
        verified(json.dumps(again).encode())
    told = signed(message(Subject=None, Message="a"), KEY)
    split = {**told, "Subject": f"x\nTimestamp\n{told['Timestamp']}"}
    with pytest.raises(Refused, match="MessageId or Subject is not in the form"):
        verified(json.dumps(split).encode())


@pytest.mark.parametrize("signature", ["", "x", "AAAA", "=" * 344, "é" * 10, "A" * 344, "A" * 100_000, " " * 344, None, 5, ["A"]])
def test_a_signature_that_is_none_is_refused(signature):
    with pytest.raises(Refused, match="signature|Signature"):
        verified(json.dumps({**message(), "Signature": signature}).encode())


def test_a_forged_message_is_refused():
    with pytest.raises(Refused, match="does not verify"):
        verified(body(message(), OTHER_KEY))


@pytest.mark.parametrize("claimed, used", [("1", "2"), ("2", "1")])
def test_the_algorithm_is_that_of_the_version(claimed, used):
    with pytest.raises(Refused, match="does not verify"):
        verified(body(message(version=claimed), KEY, used))


@pytest.mark.parametrize("version", ["1", "3", "", "2 ", "02", "١", None, 2])
def test_a_version_that_was_not_asked_for_is_refused(version):
    told = {**signed(message(), KEY), "SignatureVersion": version}
    with pytest.raises(Refused, match="[vV]ersion"):
        verified(json.dumps(told).encode(), expected=Expected([TOPIC], ["2"]))


HOST = "sns.us-east-1.amazonaws.com"


@pytest.mark.parametrize(
    "url",
    [
        f"http://{HOST}{PEM}",
        f"HTTPS://{HOST}{PEM}",
        f"ftp://{HOST}{PEM}",
        f"//{HOST}{PEM}",
        f"https:/{HOST}{PEM}",
        f"https://{HOST}.evil.com{PEM}",
        f"https://{HOST}.{PEM}",
        f"https://{HOST.upper()}{PEM}",
        f"https://SNS.us-east-1.amazonaws.com{PEM}",
        f"https://sns-us-east-1.amazonaws.com{PEM}",
        f"https://sns.us-east-1.amazonaws.com.cn{PEM}",
        f"https://sns.us-east-1.arnazonaws.com{PEM}",
        f"https://sns.us-east-1.amaz\u043enaws.com{PEM}",
        f"https://sns.us-east-1.amazonaws\u3002com{PEM}",
        f"https://evil.com/{HOST}{PEM}",
        f"https://evil.com#{HOST}{PEM}",
        f"https://evil.com\\@{HOST}{PEM}",
        f"https://xsns.us-east-1.amazonaws.com{PEM}",
        f"https://sns.eu-west-1.amazonaws.com{PEM}",
        f"https://sns.us-east-1.s3.amazonaws.com{PEM}",
        f"https://mybucket.s3.amazonaws.com{PEM}",
        f"https://{HOST}:443{PEM}",
        f"https://{HOST}:8443{PEM}",
        f"https://{HOST}:{PEM}",
        f"https://{HOST}:99999999{PEM}",
        f"https://user@{HOST}{PEM}",
        f"https://user:pw@{HOST}{PEM}",
        f"https://@{HOST}{PEM}",
        f"https://{HOST}@evil.com{PEM}",
        f"https://{HOST}/",
        f"https://{HOST}",
        f"https://{HOST}/x{PEM}",
        f"https://{HOST}/..{PEM}",
        f"https://{HOST}/{PEM}",
        f"https://{HOST}{PEM}/",
        f"https://{HOST}{PEM}/x.pem",
        f"https://{HOST}{PEM};x",
        f"https://{HOST}{PEM}?x=1",
        f"https://{HOST}{PEM}?",
        f"https://{HOST}{PEM}#x",
        f"https://{HOST}{PEM}#",
        f"https://{HOST}{PEM}\n",
        f"https://{HOST}{PEM}\x00",
        f" https://{HOST}{PEM}",
        f"https://{HOST}{PEM} ",
        f"https://{HOST}\t{PEM}",
        f"https://{HOST}{PEM.upper()}",
        f"https://{HOST}{PEM.replace('0123', '%30123')}",
        f"https://{HOST}/SimpleNotificationService.pem",
        f"https://{HOST}/?Action=x",
        f"https://[{HOST}]{PEM}",
        "https://[::1",
        "https://",
        "x",
        "x" * 100_000,
    ],
)  # fmt: skip
def test_an_address_that_is_not_snss_is_refused_before_anything_is_fetched(url):
    web = Web({URL: pem(ROOT.leaf(KEY))})
    with pytest.raises(Refused, match="the certificate's address") as told:
        verified(body(message(SigningCertURL=url), KEY), Certificates(web.fetch, [ROOT.certificate]))
    assert web.asked == [] and len(str(told.value)) < 1000


def test_the_host_is_that_of_the_topics_region_and_partition():
    assert host_of("arn:aws-cn:sns:cn-north-1:123456789012:t") == "sns.cn-north-1.amazonaws.com.cn"
    assert host_of("arn:aws-us-gov:sns:us-gov-west-1:123456789012:t.fifo") == "sns.us-gov-west-1.amazonaws.com"
    for bad in ("arn:aws:sns:evil.com/:123456789012:t", "arn:aws:sns:us-east-1:1:t", f"{TOPIC}:c9135db0", f"{TOPIC}\n", "t"):
        with pytest.raises(Refused, match="not the ARN of a topic"):
            host_of(bad)


@pytest.mark.parametrize(
    "when, words",
    [
        (-901, "901 s old, more than 900: a replay, or this machine's clock is ahead"),
        (-(10**7), "a replay"),
        (62, "from 62 s in the future: this machine's clock is behind"),
        (10**8, "in the future"),
    ],
)
def test_a_message_that_is_too_old_or_from_the_future_is_refused(when, words):
    now = time.time()
    with pytest.raises(Refused, match=words):
        verified(body(message(Timestamp=stamp(when)), KEY), now=lambda: now)


@pytest.mark.parametrize("when", [-895, 55])
def test_a_clock_that_is_off_a_little_is_fine(when):
    verified(body(message(Timestamp=stamp(when)), KEY))


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-11", "2026-11-11T21:29:54", "9999-99-99T00:00:00.000Z", "1" * 10_000, "٢٠٢٦-11-11T21:29:54.000Z"]
)
def test_a_time_that_cannot_be_read_is_refused(text):
    with pytest.raises(Refused, match="time|Timestamp|old"):
        verified(body(message(Timestamp=text), KEY))


@pytest.mark.parametrize(
    "topic", [f"{TOPIC}2", TOPIC.upper(), f"{TOPIC} ", TOPIC.replace("123456789012", "210987654321"), "x" * 10_000]
)
def test_another_topic_is_refused(topic):
    with pytest.raises(Refused, match="is not expected"):
        verified(body(message(TopicArn=topic), KEY))


@pytest.mark.parametrize(
    "sent",
    [
        b"", b"x", b"[]", b"null", b"1", b'"x"', b"{}", b'{"Type": ["Notification"]}', b'{"Type": {"a": 1}}', b'{"Type": "Other"}',
        b"\xff\xfe", b"\x00" * 100, b"[" * 100_000, b'{"a":' * 100_000, b"1" * 10_000, b'{"Type": NaN}', json.dumps(message()).encode(),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(sent):
    with pytest.raises(Refused):
        verified(sent)


def test_every_truncation_of_a_good_message_is_refused():
    sent, made = body(message(Subject="s"), KEY), certificates(ROOT.leaf(KEY))

    async def work():
        verifier = Verifier(EXPECTED, made)
        for end in range(len(sent)):
            with pytest.raises(Refused):
                await verifier.verified(sent[:end])
        await verifier.verified(sent)

    asyncio.run(work())


def test_every_field_that_is_needed_is_needed():
    told = signed(message("SubscriptionConfirmation"), KEY)
    for field in told:
        for value in (None, 1, [], {}, ""):
            with pytest.raises(Refused):
                parsed(json.dumps({**told, field: value}).encode(), EXPECTED, time.time())


MIDDLE = Authority("middle", ROOT)


@pytest.mark.parametrize("names", [("sns.amazonaws.com",), ("sns.us-east-1.amazonaws.com",), ("x.com", "sns.amazonaws.com")])
def test_a_certificate_of_sns_is_believed(names):
    verified(body(message(), KEY), certificates(ROOT.leaf(KEY, names)))


def test_a_chain_in_one_file_is_believed():
    verified(body(message(), KEY), certificates(MIDDLE.leaf(KEY), MIDDLE.certificate))


@pytest.mark.parametrize(
    "chain",
    [
        lambda: [Authority("other root").leaf(KEY)],
        lambda: [Authority("other root").leaf(KEY), Authority("other root").certificate],
        lambda: [Authority("other root").leaf(KEY), ROOT.certificate],
        lambda: [MIDDLE.leaf(KEY)],
        lambda: [ROOT.leaf(KEY, begin=-9 * DAY, end=-DAY)],
        lambda: [ROOT.leaf(KEY, begin=DAY)],
        lambda: [ROOT.leaf(KEY, ["sns.eu-west-1.amazonaws.com"])],
        lambda: [ROOT.leaf(KEY, ["evil.com"])],
        lambda: [ROOT.leaf(KEY, ["*.amazonaws.com"])],
        lambda: [ROOT.leaf(KEY, ["sns.amazonaws.com.evil.com"])],
        lambda: [ROOT.leaf(KEY, ["s3.amazonaws.com"])],
        lambda: [ROOT.leaf(KEY, [])],
        lambda: [ROOT.certificate],
        lambda: [Authority("sns.amazonaws.com").certificate],
    ],
    ids=["other root", "other root with itself", "other root with ours", "middle missing", "expired", "not yet", "other region", "other name",
         "wildcard", "look-alike", "other service", "no name", "the root itself", "self-signed"],
)  # fmt: skip
def test_another_certificate_is_refused(chain):
    with pytest.raises(Refused, match="is not of an authority that is trusted"):
        verified(body(message(), KEY), certificates(*chain()))


def test_a_leaf_signed_by_a_leaf_is_refused():
    ordinary = Authority("ordinary")
    ordinary.key = new_key("ordinary")
    pretender = ROOT.leaf(ordinary.key, ["ordinary"])
    with pytest.raises(Refused, match="is not of an authority that is trusted"):
        verified(body(message(), KEY), certificates(ordinary.leaf(KEY), pretender))


@pytest.mark.parametrize("page", [b"", b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"\xff" * 1000])
def test_what_is_no_certificate_is_refused(page):
    with pytest.raises(Refused, match="there is no certificate"):
        verified(body(message(), KEY), Certificates(Web({URL: page}).fetch, [ROOT.certificate]))


def test_a_key_of_another_kind_is_refused():
    with pytest.raises(Refused, match="is not RSA"):
        verified(body(message(), KEY), certificates(ROOT.leaf(ec.generate_private_key(ec.SECP256R1()))))


def der(authority):
    return authority.certificate.public_bytes(serialization.Encoding.DER)


def test_the_issuer_of_a_leaf_alone_is_found_where_it_says():
    web = Web({URL: pem(MIDDLE.leaf(KEY, issuer_at=ISSUER_URL)), ISSUER_URL: der(MIDDLE)})
    verified(body(message(), KEY), Certificates(web.fetch, [ROOT.certificate]))
    assert web.asked == [URL, ISSUER_URL]


@pytest.mark.parametrize(
    "address", ["http://evil.com/x.cer", "http://crt.evil.com/x.cer", "http://crt.r2m02.amazontrust.com.evil.com/x", "http://crt.r2m02.amazontrust.com:80/x",
                "http://u@crt.r2m02.amazontrust.com/x", "file:///etc/passwd", "ldap://crt.r2m02.amazontrust.com/x", "http://169.254.169.254/latest"]
)  # fmt: skip
def test_the_issuer_is_fetched_from_amazons_authorities_alone(address):
    web = Web({URL: pem(MIDDLE.leaf(KEY, issuer_at=address)), address: der(MIDDLE)})
    with pytest.raises(Refused, match="is not of an authority that is trusted"):
        verified(body(message(), KEY), Certificates(web.fetch, [ROOT.certificate]))
    assert web.asked == [URL]


@pytest.mark.parametrize("page", [b"x", der(Authority("other root")), der(Authority("middle", Authority("other root")))])
def test_an_issuer_that_is_none_or_untrusted_is_refused(page):
    pages = {URL: pem(MIDDLE.leaf(KEY, issuer_at=ISSUER_URL)), ISSUER_URL: page}
    with pytest.raises(Refused, match="is not of an authority that is trusted") as told:
        verified(body(message(), KEY), Certificates(Web(pages).fetch, [ROOT.certificate]))
    assert not isinstance(told.value, Undecided)


def test_a_message_is_undecided_while_its_certificate_or_that_of_its_issuer_cannot_be_fetched():
    for pages in ({}, {URL: pem(MIDDLE.leaf(KEY, issuer_at=ISSUER_URL))}):
        with pytest.raises(Undecided, match="cannot be fetched: no route"):
            verified(body(message(), KEY), Certificates(Web(pages).fetch, [ROOT.certificate]))


def test_a_certificate_is_fetched_once_for_all_who_wait_and_kept():
    web = Web({URL: pem(ROOT.leaf(KEY))})

    async def work():
        verifier = Verifier(EXPECTED, Certificates(web.fetch, [ROOT.certificate]))
        await asyncio.gather(*(verifier.verified(body(message(), KEY)) for _number in range(100)))
        await verifier.verified(body(message(), KEY))

    asyncio.run(work())
    assert web.asked == [URL]


def test_a_failed_fetch_is_tried_again_with_the_next_message():
    web = Web({})

    async def work():
        verifier = Verifier(EXPECTED, Certificates(web.fetch, [ROOT.certificate]))
        for _number in range(2):
            with pytest.raises(Refused, match="cannot be fetched: no route"):
                await verifier.verified(body(message(), KEY))
        web.pages[URL] = pem(ROOT.leaf(KEY))
        await verifier.verified(body(message(), KEY))

    asyncio.run(work())
    assert len(web.asked) == 3


def test_whoever_asks_and_goes_away_spoils_nothing_for_others():
    web = Web({})
    problems = []

    async def work():
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: problems.append(context))
        made = Certificates(web.fetch, [ROOT.certificate])
        asking = asyncio.create_task(made.key(URL, HOST))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.sleep(0.01)
        web.pages[URL] = pem(ROOT.leaf(KEY))
        assert (await made.key(URL, HOST)).public_numbers() == KEY.public_key().public_numbers()

    asyncio.run(work())
    assert problems == []


def test_addresses_that_lead_to_nothing_push_no_key_out_and_are_few_at_once():
    web, held = Web({URL: pem(ROOT.leaf(KEY))}), asyncio.Event()

    async def slow(url):
        if url != URL:
            await held.wait()
        return await web.fetch(url)

    async def work():
        made = Certificates(slow, [ROOT.certificate], most=4, at_once=8)
        await made.key(URL, HOST)
        forged = [asyncio.create_task(made.key(f"{URL}{number}", HOST)) for number in range(100)]
        await asyncio.sleep(0.01)
        await made.key(URL, HOST)
        held.set()
        said = await asyncio.gather(*forged, return_exceptions=True)
        assert sum("too many certificates" in str(one) for one in said) == 92
        assert all(isinstance(one, Refused) for one in said)
        await made.key(URL, HOST)

    asyncio.run(work())
    assert web.asked.count(URL) == 1 and len(web.asked) == 9


def test_a_key_is_believed_no_longer_than_its_certificate():
    leaf = ROOT.leaf(KEY, end=DAY / 24)
    made, web = None, Web({URL: pem(leaf)})

    async def work():
        nonlocal made
        made = Certificates(web.fetch, [ROOT.certificate], seconds=10**6)
        await made.key(URL, HOST)
        assert made._known[URL][0] == leaf.not_valid_after_utc.timestamp()
        made._known[URL] = (time.time() - 1, made._known[URL][1])
        await made.key(URL, HOST)

    asyncio.run(work())
    assert len(web.asked) == 2


def test_authorities_that_have_expired_are_left_out(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_bytes(pem(ROOT.certificate, ROOT.leaf(KEY, begin=-9 * DAY, end=-3 * DAY)))
    assert roots_in(str(path)) == [ROOT.certificate]
    path.write_bytes(pem(ROOT.leaf(KEY, begin=-9 * DAY, end=-3 * DAY)))
    with pytest.raises(ValueError, match="holds no certificate of an authority that is still valid"):
        roots_in(str(path))
    assert len(roots_in(None)) > 50


def test_ten_thousand_mutated_messages_are_refused_and_nothing_else_is_raised():
    dice, told = random.Random(7), signed(message(Subject="s", Message=json.dumps({"a": "b" * 100})), KEY)
    sent, original = json.dumps(told).encode(), json.loads(json.dumps(told))
    strange = [None, 1, -1.5, [], {}, "", "x", "\ud800", "\n", "{{ x }}", True, TOPIC, URL, "9" * 400]

    async def work():
        verifier = Verifier(EXPECTED, certificates(ROOT.leaf(KEY)))
        await verifier.verified(sent)
        for _number in range(10_000):
            if dice.random() < 0.5:
                place = dice.randrange(len(sent))
                mutant = sent[:place] + dice.randbytes(dice.randrange(4)) + sent[place + dice.randrange(4) :]
            else:
                mutant = json.dumps({**told, dice.choice(list(told)): dice.choice(strange)}).encode()
            try:
                found = await verifier.verified(mutant)
            except Refused:
                continue
            signed_part = string_to_sign(found)
            assert signed_part == string_to_sign(original)  # an escape, a space or an unsigned field alone was changed

    asyncio.run(work())
