# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Authorities that issue certificates, and messages signed as SNS signs them, for tests and benchmarks."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from functools import cache

from ansible_collections.spot.platform.extensions.eda.plugins.module_utils.sns import HASHES, string_to_sign
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

TOPIC = "arn:aws:sns:us-east-1:123456789012:spot-platform-it-events"
PEM = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
URL = f"https://sns.us-east-1.amazonaws.com{PEM}"
NAMES = ("sns.amazonaws.com",)
DAY = timedelta(days=1)


@cache
def new_key(name: str) -> rsa.RSAPrivateKey:
    """The RSA key of this name, made once."""
    return rsa.generate_private_key(65537, 2048)


class Authority:
    """Issues certificates; ``parent`` issued its own, or itself did."""

    def __init__(self, name: str, parent: Authority | None = None) -> None:
        self.name, self.key = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), new_key(f"authority {name}")
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = self._builder(self.name, self.key.public_key(), parent or self, -DAY, 365 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(True, None), True).add_extension(usage, True)
        self.certificate = builder.sign((parent or self).key, hashes.SHA256())

    def leaf(
        self,
        key: rsa.RSAPrivateKey,
        names: Sequence[str] = NAMES,
        begin: timedelta = -DAY,
        end: timedelta = 90 * DAY,
        issuer_at: str | None = None,
    ) -> x509.Certificate:
        """A server's certificate. ``issuer_at``: the address of its issuer's."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0] if names else "nobody")])
        builder = self._builder(subject, key.public_key(), self, begin, end)
        builder = builder.add_extension(x509.BasicConstraints(False, None), True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False)
        if issuer_at:
            access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(issuer_at))
            builder = builder.add_extension(x509.AuthorityInformationAccess([access]), False)
        return builder.sign(self.key, hashes.SHA256())

    @staticmethod
    def _builder(
        subject: x509.Name, key: rsa.RSAPublicKey, issuer: Authority, begin: timedelta, end: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(timezone.utc)
        return (
            x509.CertificateBuilder(issuer.name, subject, key, x509.random_serial_number(), now + begin, now + end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), False)
        )


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


def stamp(seconds: float = 0) -> str:
    """The time so many seconds from now, as SNS writes it."""
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def message(kind: str = "Notification", version: str = "2", **fields: str | None) -> dict[str, str]:
    """An unsigned message of `TOPIC`; fields that are ``None`` are left out."""
    found = {
        "Type": kind,
        "MessageId": str(uuid.uuid4()),
        "TopicArn": TOPIC,
        "Message": "hello",
        "Timestamp": stamp(),
        "SignatureVersion": version,
        "SigningCertURL": URL,
    }
    if kind != "Notification":
        found |= {"Token": "t" * 64, "SubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription"}
    return {key: value for key, value in {**found, **fields}.items() if value is not None}


def signed(unsigned: dict[str, str], key: rsa.RSAPrivateKey, version: str | None = None) -> dict[str, str]:
    """The message with its signature, by the algorithm of its version or of another."""
    algorithm = HASHES[version or unsigned["SignatureVersion"]]
    signature = key.sign(string_to_sign(unsigned), padding.PKCS1v15(), algorithm)
    return {**unsigned, "Signature": base64.b64encode(signature).decode()}


def body(unsigned: dict[str, str], key: rsa.RSAPrivateKey, version: str | None = None) -> bytes:
    """A signed message as it is sent."""
    return json.dumps(signed(unsigned, key, version)).encode()
