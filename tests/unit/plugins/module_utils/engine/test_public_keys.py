# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Public keys: those that ssh-keygen makes, and what is none."""

from __future__ import annotations

import base64
import struct
import subprocess

import pytest
from ansible_collections.spot.platform.plugins.module_utils.engine.public_keys import parse


def made(folder, *options):
    """The two files of a pair that ssh-keygen makes."""
    subprocess.run(["ssh-keygen", "-q", "-N", "", "-C", "alice at home", "-f", str(folder / "key"), *options], check=True)
    return (folder / "key.pub").read_text("utf-8"), (folder / "key").read_text("utf-8")


RSA = ("-t", "rsa", "-b")


@pytest.mark.parametrize(
    ("options", "kind", "bits"),
    [(("-t", "ed25519"), "ed25519", 256), ((*RSA, "2048"), "rsa", 2048), ((*RSA, "3072"), "rsa", 3072)],
)
def test_a_key_of_ssh_keygen_is_read_with_its_fingerprint(tmp_path, options, kind, bits):
    public, _private = made(tmp_path, *options)
    key = parse(public)
    shown = subprocess.run(["ssh-keygen", "-l", "-f", str(tmp_path / "key.pub")], check=True, capture_output=True, text=True).stdout
    assert (key.type, key.bits, key.comment, key.line) == (kind, bits, "alice at home", public.strip())
    assert shown.split()[:2] == [str(bits), key.fingerprint]
    assert parse(public.rsplit(" ", 3)[0]).comment == ""


@pytest.mark.parametrize("options", [("-t", "ed25519"), (*RSA, "2048"), (*RSA, "2048", "-m", "PEM"), (*RSA, "2048", "-m", "PKCS8")])
def test_a_private_key_is_refused_loudly_and_never_shown(tmp_path, options):
    _public, private = made(tmp_path, *options)
    body = private.splitlines()[1:-1]
    for text in (private, private.replace("\n", " "), *(["".join(body)] if "OPENSSH" in private else [])):
        with pytest.raises(ValueError) as told:
            parse(text)
        assert "THIS IS A PRIVATE KEY" in str(told.value) and not any(line in str(told.value) for line in body)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-t", "ecdsa"), "is of the type ecdsa-sha2-nistp256, which EC2 does not take: it takes ssh-ed25519 and ssh-rsa; make one with ssh-keygen -t ed25519"),
        ((*RSA, "1024"), "has 1024 bits: RSA keys must have 2048 to 4096"),
    ],
)
def test_what_ec2_does_not_take_or_nobody_should_use(tmp_path, options, words):
    public, _private = made(tmp_path, *options)
    with pytest.raises(ValueError, match=words):
        parse(public)


def test_a_short_key_that_is_there_can_be_looked_at(tmp_path):
    assert parse(made(tmp_path, *RSA, "1024")[0], weak=True).bits == 1024


def blob(*fields: bytes) -> str:
    return base64.b64encode(b"".join(struct.pack(">I", len(one)) + one for one in fields)).decode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there are 0 lines"),
        ("ssh-ed25519 AAAA\nssh-ed25519 AAAA", "there are 2 lines: give one"),
        ("hello", "this is no public key"),
        ('command="id" ssh-ed25519 AAAA', "without options before it"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "convert it with ssh-keygen -i -f"),
        ("---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----", "convert it with ssh-keygen -i -f"),
        ("ssh-dss AAAA", "is of the type ssh-dss"),
        ("sk-ssh-ed25519@openssh.com AAAA", "is of the type sk-ssh-ed25519@openssh.com"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "is a certificate"),
        ("ssh-ed25519", "is damaged"),
        ("ssh-ed25519 AAAA", "is damaged"),
        ("ssh-ed25519 !!!!", "is damaged"),
        (f"ssh-ed25519 {blob(b'ssh-rsa', bytes(3), bytes(256))}", "is damaged"),
        (f"ssh-ed25519 {blob(b'ssh-ed25519', bytes(31))}", "is damaged"),
        (f"ssh-rsa {blob(b'ssh-rsa', bytes(3))}", "is damaged"),
        (f"ssh-ed25519 {blob(b'ssh-ed25519', bytes(32))[:-8]}", "is damaged"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1", "THIS IS A PRIVATE KEY"),
    ],
)
def test_what_is_no_key_is_refused_with_the_remedy(text, words):
    with pytest.raises(ValueError, match=words):
        parse(text)
