# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a message is from SNS, meant for us, and new.

The rules are those of the SNS developer guide, "Verifying the signatures of Amazon SNS messages". The certificate may come from
one address only, and must be issued by an authority that is trusted, so that nothing hangs on the address alone.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509 import verification

NOTIFICATION = "Notification"
CONFIRMATION, UNSUBSCRIBED = "SubscriptionConfirmation", "UnsubscribeConfirmation"
SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    UNSUBSCRIBED: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""The keys that are signed, in their order; a subject only where there is one."""
HASHES = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303  SHA1 is what version 1 is signed with
"""By SignatureVersion."""
TOPIC = re.compile(r"arn:aws(?:-cn|-us-gov)?:sns:([a-z]{2}(?:-[a-z]+)+-\d):\d{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?")
MESSAGE_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
PEM_PATH = re.compile(r"/SimpleNotificationService-[0-9a-f]{32}\.pem")
AHEAD_SECONDS = 60.0
"""By how much SNS's clock may be ahead of ours."""
LARGEST_CERTIFICATE = 64 * 1024
MALFORMED = (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError)
"""What reading an extension raises."""
ISSUER_HOSTS = re.compile(r"crt\.[a-z0-9]+\.amazontrust\.com")
"""Where Amazon's authorities publish the certificates of those that issued theirs."""


class Refused(Exception):
    """The message is not what it claims, and why; for the log, never for the sender."""


class Undecided(Refused):
    """It cannot be told now whether the message is what it claims: whoever sent it may send it again."""


Fetch = Callable[[str], Awaitable[bytes]]
"""What is at an address, without following it elsewhere; raises ``OSError`` where that may change, or `Refused` where it is not to be had."""


@dataclass(frozen=True)
class Expected:
    """What is accepted. ``topics``: ARNs. ``versions``: of signatures. ``max_age``: seconds."""

    topics: Collection[str]
    versions: Collection[str] = ("1", "2")
    max_age: float = 900.0


def parsed(body: bytes, expected: Expected, now: float) -> dict[str, str]:
    """The message, where all but its signature is as it must be. Raises `Refused`."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused("the body is not JSON") from None
    if not isinstance(message, dict):
        raise Refused("the body is not an object")
    kind = message.get("Type")
    if not isinstance(kind, str) or kind not in SIGNED:
        raise Refused(f"the type is {str(kind)[:50]!r}, not one of {', '.join(SIGNED)}")
    needed = {*SIGNED[kind], "Signature", "SignatureVersion", "SigningCertURL"} - {"Subject"}
    for key in sorted(needed):
        if not isinstance(message.get(key), str) or not message[key]:
            raise Refused(f"{key} is missing or not a text")
    if message.get("Subject") is not None and not isinstance(message["Subject"], str):
        raise Refused("Subject is not a text")
    if not MESSAGE_ID.fullmatch(message["MessageId"]) or "\n" in (message.get("Subject") or ""):
        # what is signed is lines: with more of them in a value, what was signed once could be told in another way, as new
        raise Refused("MessageId or Subject is not in the form that SNS gives it")
    if message["TopicArn"] not in expected.topics:
        raise Refused(f"the topic {message['TopicArn'][:150]!r} is not expected")
    if message["SignatureVersion"] not in expected.versions:
        raise Refused(f"signature version {message['SignatureVersion'][:20]!r} is not accepted")
    _check_age(message["Timestamp"], expected.max_age, now)
    _check_address(message["SigningCertURL"], message["TopicArn"])
    return message


def _check_age(text: str, max_age: float, now: float) -> None:
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()
    except (ValueError, OverflowError):
        raise Refused(f"the time {text[:40]!r} cannot be read") from None
    if now - moment > max_age:
        raise Refused(f"it is {now - moment:.0f} s old, more than {max_age:.0f}: a replay, or this machine's clock is ahead")
    if moment - now > AHEAD_SECONDS:
        raise Refused(f"it is from {moment - now:.0f} s in the future: this machine's clock is behind, or it is forged")


def host_of(topic: str) -> str:
    """The host of SNS in a topic's region. Raises `Refused` where the ARN is none of a topic."""
    found = TOPIC.fullmatch(topic)
    if not found:
        raise Refused(f"{topic[:150]!r} is not the ARN of a topic")
    return f"sns.{found.group(1)}.amazonaws.com" + (".cn" if topic.startswith("arn:aws-cn:") else "")


def _check_address(url: str, topic: str) -> None:
    """An address of SNS in the region of the topic, and nothing that only looks like one."""
    host = host_of(topic)
    try:
        parts = urlsplit(url)
        odd = parts.username is not None or parts.password is not None or parts.port is not None
    except ValueError:
        raise Refused("the certificate's address cannot be read") from None
    plain = f"https://{host}{parts.path}"  # what urlsplit tolerates, such as spaces and a trailing full stop, differs
    if parts.scheme != "https" or odd or parts.netloc != host or url != plain or not PEM_PATH.fullmatch(parts.path):
        raise Refused(f"the certificate's address {url[:150]!r} is none of {host}")


def string_to_sign(message: Mapping[str, Any]) -> bytes:
    """Each signed key and its value, each followed by a line's end."""
    keys = [key for key in SIGNED[message["Type"]] if message.get(key) is not None]
    return "".join(f"{key}\n{message[key]}\n" for key in keys).encode("utf-8", "surrogatepass")


def check_signature(message: Mapping[str, str], key: rsa.RSAPublicKey) -> None:
    """Raises `Refused` where the message was not signed with the key."""
    try:
        signature = base64.b64decode(message["Signature"], validate=True)
    except (binascii.Error, ValueError):
        raise Refused("the signature is not base64") from None
    try:
        key.verify(signature, string_to_sign(message), padding.PKCS1v15(), HASHES[message["SignatureVersion"]])
    except InvalidSignature:
        raise Refused("the signature does not verify") from None


@dataclass
class Certificates:
    """The keys of SNS, by address, each fetched once and checked once. ``roots``: those who may have issued them. Addresses that
    lead to nothing push no key out: what is kept was verified, and only ``at_once`` are fetched at once."""

    fetch: Fetch
    roots: list[x509.Certificate]
    seconds: float = 86400.0
    most: int = 64
    at_once: int = 16
    _known: dict[str, tuple[float, rsa.RSAPublicKey]] = field(default_factory=dict)
    _fetching: dict[str, asyncio.Future[rsa.RSAPublicKey]] = field(default_factory=dict)

    async def key(self, url: str, host: str) -> rsa.RSAPublicKey:
        """The key at an address that was checked. Raises `Refused`. Who asks while it is fetched waits for the same answer;
        a failure is not kept."""
        until, known = self._known.get(url, (0.0, None))
        if known is not None and time.time() < until:
            return known
        if url not in self._fetching:
            if len(self._fetching) >= self.at_once:
                raise Undecided("too many certificates are being fetched")
            self._fetching[url] = asyncio.ensure_future(self._key(url, host))
            self._fetching[url].add_done_callback(lambda done: self._fetched_once(url, done))
        return await asyncio.shield(self._fetching[url])

    def _fetched_once(self, url: str, done: asyncio.Future[rsa.RSAPublicKey]) -> None:
        del self._fetching[url]
        if not done.cancelled():
            done.exception()  # whoever asked may have gone

    async def _key(self, url: str, host: str) -> rsa.RSAPublicKey:
        pem = await self._fetched(url)
        try:
            leaf, *others = x509.load_pem_x509_certificates(pem)
            key = leaf.public_key()
        except (ValueError, UnsupportedAlgorithm):
            raise Refused(f"at {url} there is no certificate") from None
        try:
            self._check_chain(leaf, others, host)
        except verification.VerificationError as first:
            issuer = await self._issuer(leaf) if not others else None
            if issuer is None:
                raise Refused(f"the certificate at {url} is not of an authority that is trusted: {first}") from None
            try:
                self._check_chain(leaf, [issuer], host)
            except verification.VerificationError as error:
                raise Refused(f"the certificate at {url} is not of an authority that is trusted: {error}") from None
        if not isinstance(key, rsa.RSAPublicKey):
            raise Refused(f"the key at {url} is not RSA")
        if len(self._known) >= self.most:
            self._known.pop(next(iter(self._known)))
        self._known[url] = (min(time.time() + self.seconds, leaf.not_valid_after_utc.timestamp()), key)
        return key

    def _check_chain(self, leaf: x509.Certificate, others: list[x509.Certificate], host: str) -> None:
        """From the leaf, which must be SNS's, to one of the roots, now."""
        suffix = ".cn" if host.endswith(".cn") else ""
        names = {f"sns.amazonaws.com{suffix}", host}
        try:
            carried = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except MALFORMED:
            raise verification.VerificationError("it names no host") from None
        name = next((one for one in carried.get_values_for_type(x509.DNSName) if one in names), None)
        if name is None:
            raise verification.VerificationError("it is not SNS's")
        builder = verification.PolicyBuilder().store(verification.Store(self.roots)).time(datetime.now(timezone.utc))
        builder.build_server_verifier(x509.DNSName(name)).verify(leaf, others)

    async def _issuer(self, leaf: x509.Certificate) -> x509.Certificate | None:
        """Who issued a certificate that came alone, as it says itself; whether they are trusted is checked with it."""
        try:
            access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        except MALFORMED:
            return None
        undecided = None
        for one in access:
            location = one.access_location
            if one.access_method != x509.AuthorityInformationAccessOID.CA_ISSUERS or not isinstance(location, x509.UniformResourceIdentifier):
                continue
            parts = urlsplit(location.value)
            if parts.scheme in ("http", "https") and ISSUER_HOSTS.fullmatch(parts.netloc):
                try:
                    return x509.load_der_x509_certificate(await self._fetched(location.value))
                except Undecided as error:
                    undecided = error
                except (ValueError, Refused):
                    continue
        if undecided:
            raise undecided
        return None

    async def _fetched(self, url: str) -> bytes:
        try:
            return await self.fetch(url)
        except OSError as error:
            raise Undecided(f"{url} cannot be fetched: {error}") from None


@dataclass
class Verifier:
    """Checks messages. ``now`` is for tests."""

    expected: Expected
    certificates: Certificates
    now: Callable[[], float] = time.time

    async def verified(self, body: bytes) -> dict[str, str]:
        """The message. Raises `Refused`."""
        message = parsed(body, self.expected, self.now())
        key = await self.certificates.key(message["SigningCertURL"], host_of(message["TopicArn"]))
        check_signature(message, key)
        return message


def roots_in(path: str | None) -> list[x509.Certificate]:
    """The authorities in a PEM file, by default those that the system trusts. Raises ``OSError``, ``ValueError``."""
    if path is None:
        import certifi

        path = certifi.where()
    with open(path, "rb") as file:
        found = x509.load_pem_x509_certificates(file.read())
    late = datetime.now(timezone.utc) - timedelta(days=1)
    valid = [one for one in found if one.not_valid_after_utc > late]
    if not valid:
        raise ValueError(f"{path} holds no certificate of an authority that is still valid")
    return valid
