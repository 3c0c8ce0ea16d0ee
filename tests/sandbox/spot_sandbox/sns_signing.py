"""SNS's signatures: keys and certificates like Amazon's, of our own making, and messages signed as AWS documents it.

Needs no running server: a test makes an ``Authority`` of its own, or two that do not trust each other. A server has one
(``shared``), whose certificates ``/sandbox/sns/certificate`` and ``/sandbox/sns/root`` show.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from functools import cache, cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOTIFICATION, CONFIRMATION, FAREWELL = "Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"
SIGNED_KEYS = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    FAREWELL: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
"""What is signed of each type, in this order; a Subject only where there is one."""
HASHES = {"1": hashes.SHA1, "2": hashes.SHA256}
"""By SignatureVersion."""
COMMON_NAME = "sns.amazonaws.com"


def string_to_sign(message: Mapping[str, Any]) -> bytes:
    """Each signed key and its value, a line each. ``ValueError`` for a type that SNS does not send."""
    kind = message.get("Type")
    if kind not in SIGNED_KEYS:
        raise ValueError(f"Type {kind!r} is not one that SNS sends: use {', '.join(SIGNED_KEYS)}")
    lines = []
    for key in SIGNED_KEYS[kind]:
        if message.get(key) is None:
            if key == "Subject":
                continue
            raise ValueError(f"{key} is missing: a {kind} is signed with it")
        lines.append(f"{key}\n{message[key]}\n")
    return "".join(lines).encode()


def timestamp() -> str:
    """Now, as SNS writes it. It is the real time, not the sandbox's: who receives a message compares it with their own clock."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def body(message: Mapping[str, Any]) -> str:
    """The JSON that SNS sends, with its blanks and lines."""
    return json.dumps(message, indent=2, separators=(",", " : "), ensure_ascii=False)


class Authority:
    """A root, an intermediate and a signing certificate, and the signing key."""

    def __init__(
        self,
        organization: str = "Amazon",
        common_name: str = COMMON_NAME,
        valid_from: datetime | None = None,
        valid_until: datetime | None = None,
    ) -> None:
        """``valid_from`` and ``valid_until`` are the signing certificate's: 2020 and 2049 where they are not given."""
        begin = datetime(2020, 1, 1, tzinfo=timezone.utc)
        end = datetime(2049, 1, 1, tzinfo=timezone.utc)
        self._root_key, self._issuer_key, self.key = (_new_key() for _number in range(3))
        root_name = _name(organization, f"{organization} Root CA 1")
        issuer_name = _name(organization, f"{organization} RSA 2048 M01")
        self.root = _certificate(root_name, self._root_key, root_name, self._root_key, begin, end, authority=1)
        self.issuer = _certificate(issuer_name, self._issuer_key, root_name, self._root_key, begin, end, authority=0)
        self.certificate = _certificate(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]),
            self.key,
            issuer_name,
            self._issuer_key,
            valid_from or begin,
            valid_until or end - timedelta(days=1),
            host=common_name,
        )

    @property
    def root_pem(self) -> str:
        """The root that a verifier is to trust."""
        return _pem(self.root)

    @property
    def certificate_pem(self) -> str:
        """What is at ``SigningCertURL``: the signing certificate, then the one that issued it."""
        return _pem(self.certificate) + _pem(self.issuer)

    @cached_property
    def file(self) -> str:
        """The last part of ``SigningCertURL``."""
        return f"SimpleNotificationService-{self.certificate.fingerprint(hashes.SHA256()).hex()[:32]}.pem"

    def url(self, region: str) -> str:
        """``SigningCertURL``."""
        return f"https://sns.{region}.amazonaws.com/{self.file}"

    def signature(self, message: Mapping[str, Any], version: str = "1") -> str:
        """The signature alone, in base64."""
        if version not in HASHES:
            raise ValueError(f"SignatureVersion {version!r} is not known: use 1 (SHA1) or 2 (SHA256)")
        made = self.key.sign(string_to_sign(message), padding.PKCS1v15(), HASHES[version]())
        return base64.b64encode(made).decode()

    def sign(self, message: Mapping[str, Any], version: str = "1") -> dict[str, Any]:
        """The message with its signature; what SNS always sends and is not given is added."""
        made = dict(message)
        made.setdefault("Type", NOTIFICATION)
        made.setdefault("MessageId", str(uuid.uuid4()))
        made.setdefault("TopicArn", "arn:aws:sns:us-east-1:123456789012:topic")
        made.setdefault("Message", "")
        made.setdefault("Timestamp", timestamp())
        region = (str(made["TopicArn"]).split(":") + [""] * 4)[3] or "us-east-1"
        if made["Type"] in (CONFIRMATION, FAREWELL):
            made.setdefault("Token", hashlib.sha256(str(made["MessageId"]).encode()).hexdigest())
            made.setdefault(
                "SubscribeURL",
                f"https://sns.{region}.amazonaws.com/?Action=ConfirmSubscription"
                f"&TopicArn={made['TopicArn']}&Token={made['Token']}",
            )
        made["SignatureVersion"] = version
        made["Signature"] = self.signature(made, version)
        made.setdefault("SigningCertURL", self.url(region))
        return made


@cache
def shared() -> Authority:
    """The one of this process, made when it is first asked for."""
    return Authority()


def _new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _name(organization: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _certificate(
    subject: x509.Name,
    key: rsa.RSAPrivateKey,
    issuer: x509.Name,
    issuer_key: rsa.RSAPrivateKey,
    begin: datetime,
    end: datetime,
    authority: int | None = None,
    host: str = COMMON_NAME,
) -> x509.Certificate:
    """``authority``: how many authorities may follow below this one; ``None`` for a certificate of a host."""
    signs = authority is not None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=signs, path_length=authority), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=not signs,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=signs,
                crl_sign=signs,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if not signs:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
