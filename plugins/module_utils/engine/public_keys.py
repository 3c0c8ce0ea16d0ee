# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SSH public keys as EC2 takes them: read, refused with the remedy, compared.

No message has any of what was given: it may be a private key.
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-key-pairs.html
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

RSA, ED25519 = "ssh-rsa", "ssh-ed25519"
TAKEN = {RSA: "rsa", ED25519: "ed25519"}
"""The types that EC2 takes, and what it calls them."""
BITS = (2048, 4096)
"""The lengths of an RSA key, from and to. EC2 takes shorter ones, which nobody should use."""
ED25519_BYTES = 32
PRIVATE = re.compile(r"PRIVATE KEY|PuTTY-User-Key-File|openssh-key-v1|b3BlbnNzaC1rZXktdjE")
"""What every form of a private key has; the last is the third in base64."""
TYPE = re.compile(r"(?:sk-)?(?:ssh|ecdsa)-[a-z0-9-]+(?:@[a-z.]+)?")
MAKE = "make one with ssh-keygen -t ed25519"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key. ``type``: as EC2 calls it; ``blob``: the key itself in base64; ``fingerprint``: as ssh-keygen -l shows it."""

    type: str
    bits: int
    blob: str
    fingerprint: str
    comment: str

    @property
    def line(self) -> str:
        """As a line of authorized_keys."""
        name = next(name for name, kind in TAKEN.items() if kind == self.type)
        return " ".join(filter(None, (name, self.blob, self.comment)))


def parse(text: str, weak: bool = False) -> PublicKey:
    """The key in ``text``, which is a line as in a file that ends with ``.pub``; ``weak``: of whatever length. Raises ``ValueError``."""
    if PRIVATE.search(text):
        raise ValueError(
            "THIS IS A PRIVATE KEY. It was not used, but whoever saw it, a log, a shell history or a survey, has it now: make a "
            "new pair with ssh-keygen -t ed25519, and give what is in the file that ends with .pub"
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) != 1:
        if lines and lines[0].startswith(("-----BEGIN", "---- BEGIN")):
            raise ValueError("the public key is not in OpenSSH's form, one line: convert it with ssh-keygen -i -f FILE")
        raise ValueError(f"there are {len(lines)} lines: give one public key, the line of a file that ends with .pub")
    name, _space, rest = lines[0].partition(" ")
    if not TYPE.fullmatch(name):
        raise ValueError("this is no public key: it begins with its type, as in ssh-ed25519 AAAA... alice, without options before it")
    if name not in TAKEN:
        what = "is a certificate" if "-cert-" in name else f"is of the type {name}"
        raise ValueError(f"the public key {what}, which EC2 does not take: it takes ssh-ed25519 and ssh-rsa; {MAKE}")
    blob, _space, comment = rest.strip().partition(" ")
    fields = _fields(blob)
    if not fields or fields[0] != name.encode():
        raise ValueError(f"the public key is damaged: after {name} comes no key of this type; copy the whole line")
    bits = _bits(name, fields[1:])
    if name == RSA and not weak and not BITS[0] <= bits <= BITS[1]:
        raise ValueError(f"the public key has {bits} bits: RSA keys must have {BITS[0]} to {BITS[1]}; {MAKE}")
    digest = base64.b64encode(hashlib.sha256(base64.b64decode(blob)).digest()).decode()
    return PublicKey(TAKEN[name], bits, blob, f"SHA256:{digest.rstrip('=')}", comment.strip())


def _bits(name: str, fields: list[bytes]) -> int:
    """The key's length in bits. Raises ``ValueError`` for what is no key."""
    if name == ED25519:
        if [len(one) for one in fields] != [ED25519_BYTES]:
            raise ValueError("the public key is damaged: it is no ed25519 key; copy the whole line")
        return 8 * ED25519_BYTES
    if len(fields) != 2:
        raise ValueError("the public key is damaged: it is no RSA key; copy the whole line")
    return int.from_bytes(fields[1], "big").bit_length()


def _fields(blob: str) -> list[bytes]:
    """The strings that a key is made of (RFC 4253, 6.6), none where it is damaged."""
    try:
        rest = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return []
    found = []
    while rest:
        length = int.from_bytes(rest[:4], "big")
        if len(rest) < 4 + length:
            return []
        found.append(rest[4 : 4 + length])
        rest = rest[4 + length :]
    return found
