"""The key that SNS signs with, its certificate and the authority that issued it: real ones, made when first asked for."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PEM_NAME = "SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
HASHES = {"1": hashes.SHA1(), "2": hashes.SHA256()}


class Authority:
    """One that issues certificates: its key and its own certificate."""

    def __init__(self, name: str = "Sandbox Root") -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = x509.KeyUsage(
            digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
            key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        self.certificate = (
            _builder(self.name, self.name, self.key.public_key(), self.key.public_key(), 3650)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def issue(self, key: rsa.RSAPrivateKey, host: str = "sns.amazonaws.com", days: int = 90) -> x509.Certificate:
        """A certificate for ``host``; with negative ``days`` it has expired."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        return (
            _builder(subject, self.name, key.public_key(), self.key.public_key(), days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def _builder(subject: x509.Name, issuer: x509.Name, key: Any, issuer_key: Any, days: int) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


@lru_cache(maxsize=1)
def authority() -> Authority:
    return Authority()


@lru_cache(maxsize=1)
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@lru_cache(maxsize=1)
def certificate() -> x509.Certificate:
    return authority().issue(key())


def pem(one: x509.Certificate) -> bytes:
    return one.public_bytes(serialization.Encoding.PEM)


def timestamp(moment: float | None = None) -> str:
    """As SNS writes it. It is the real time, not the sandbox's: who receives a message compares it with their own clock."""
    when = datetime.fromtimestamp(time.time() if moment is None else moment, timezone.utc)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03}Z"


def signed(message: Mapping[str, Any], version: str = "1", by: rsa.RSAPrivateKey | None = None) -> dict[str, Any]:
    """The message with its signature, and where its certificate is. Only the keys that SNS signs are signed."""
    keys = NOTIFICATION if message["Type"] == "Notification" else CONFIRMATION
    text = "".join(f"{name}\n{message[name]}\n" for name in keys if message.get(name) is not None)
    made = (by or key()).sign(text.encode(), padding.PKCS1v15(), HASHES[version])
    region = message["TopicArn"].split(":")[3]
    return {
        **message,
        "SignatureVersion": version,
        "Signature": base64.b64encode(made).decode(),
        "SigningCertURL": f"https://sns.{region}.amazonaws.com/{PEM_NAME}",
    }
