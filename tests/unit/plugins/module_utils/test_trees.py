"""Two trees: each property that a copy is to keep, changed on its own, is found, and nothing else is said."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import time

import pytest
from ansible_collections.spot.platform.plugins.module_utils import trees

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="only root makes device files and gives files away")
OLD = (1_600_000_000_123_456_789, 1_600_000_000_123_456_789)


def fill(root):
    """A tree with something of everything."""
    (root / "empty").mkdir(parents=True)
    (root / "deep" / "er").mkdir(parents=True)
    (root / "file").write_bytes(b"content")
    (root / "deep" / "er" / "file").write_bytes(b"deep")
    (root / "blank").touch()
    (root / "white").touch()
    os.mkfifo(root / "pipe")
    os.symlink("file", root / "link")
    os.symlink("nowhere", root / "dangling")
    (root / "one name").write_bytes(b"twice")
    os.link(root / "one name", root / "deep" / "another name")
    with open(root / "holes", "wb") as file:
        file.truncate(8 << 20)
        file.seek(4 << 20)
        file.write(b"x")
    os.setxattr(root / "file", "user.colour", b"blue")
    os.chmod(root / "file", 0o640)
    (root / os.fsdecode(b"not utf-8 \xff")).write_bytes(b"bytes")
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(root)  # a socket's path has 108 characters at most
        server.bind("socket")
    if ROOT:
        os.mknod(root / "zero", 0o20600, os.makedev(1, 5))
        os.mknod(root / "disk", 0o60600, os.makedev(7, 200))
        os.chown(root / "empty", 1234, 4321)
    for folder, folders, files in os.walk(root, topdown=False):
        for name in [*files, *folders, "."]:
            os.utime(os.path.join(folder, name), ns=OLD, follow_symlinks=False)


@pytest.fixture
def two(tmp_path, monkeypatch):
    """A tree and its like."""
    monkeypatch.chdir(tmp_path)
    roots = tmp_path / "source", tmp_path / "copy"
    for root in roots:
        fill(root)
    return roots


def found(two):
    return [(one.path, one.what) for one in trees.compare(str(two[0]), str(two[1])).differences]


def touch(path):
    """Times as they were."""
    os.utime(path, ns=OLD, follow_symlinks=False)


def rewrite(path, data):
    path.write_bytes(data)
    touch(path)


def replace(path, make):
    """Another thing under the name, in a folder whose times are as they were."""
    path.unlink()
    make(path)
    touch(path)
    touch(path.parent)


def dense(path):
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)
    os.sync()
    touch(path)
    touch(path.parent)


def separate(path):
    data = path.read_bytes()
    replace(path, lambda path: path.write_bytes(data))


def acl_of(path):
    entry = b"".join(tag.to_bytes(2, "little") + rights.to_bytes(2, "little") + who.to_bytes(4, "little") for tag, rights, who in ACL)
    os.setxattr(path, "system.posix_acl_access", (2).to_bytes(4, "little") + entry)


ACL = [(1, 6, 2**32 - 1), (2, 4, 1000), (4, 4, 2**32 - 1), (16, 4, 2**32 - 1), (32, 0, 2**32 - 1)]

CHANGES = {
    "content": (lambda root: rewrite(root / "file", b"CONTENT"), [("file", "content")]),
    "content far below": (lambda root: rewrite(root / "deep/er/file", b"DEEP"), [("deep/er/file", "content")]),
    "content in a hole": (lambda root: rewrite_hole(root / "holes"), [("holes", "content")]),
    "size": (lambda root: rewrite(root / "file", b"longer content"), [("file", "size")]),
    "mode": (lambda root: os.chmod(root / "file", 0o600), [("file", "mode")]),
    "set-uid": (lambda root: os.chmod(root / "file", 0o4640), [("file", "mode")]),
    "sticky": (lambda root: os.chmod(root / "empty", 0o1755), [("empty", "mode")]),
    "mtime of a file": (lambda root: os.utime(root / "file", ns=(0, OLD[1] + 1)), [("file", "mtime")]),
    "mtime of a folder": (lambda root: os.utime(root / "empty", ns=(0, OLD[1] + 1)), [("empty", "mtime")]),
    "mtime of a link": (lambda root: os.utime(root / "link", ns=(0, OLD[1] + 1), follow_symlinks=False), [("link", "mtime")]),
    "mtime of the root": (lambda root: os.utime(root, ns=(0, 1)), [(".", "mtime")]),
    "xattr changed": (lambda root: os.setxattr(root / "file", "user.colour", b"red"), [("file", "xattr")]),
    "xattr lost": (lambda root: os.removexattr(root / "file", "user.colour"), [("file", "xattr")]),
    "xattr of a folder": (lambda root: os.setxattr(root / "empty", "user.a", b""), [("empty", "xattr")]),
    "acl": (lambda root: acl_of(root / "file"), [("file", "acl")]),
    "hard link lost": (lambda root: separate(root / "deep" / "another name"), [("one name", "hard link")]),
    "hard link too many": (lambda root: replace(root / "white", lambda path: os.link(root / "blank", path)), [("white", "hard link")]),
    "target": (lambda root: replace(root / "link", lambda path: os.symlink("elsewhere", path)), [("link", "target")]),
    "dense": (lambda root: dense(root / "holes"), [("holes", "sparse")]),
    "empty folder lost": (lambda root: ((root / "empty").rmdir(), touch(root)), [("empty", "missing")]),
    "one too many": (lambda root: ((root / "empty" / "new").touch(), touch(root / "empty")), [("empty/new", "extra")]),
    "kind": (lambda root: replace(root / "pipe", lambda path: path.touch()), [("pipe", "kind")]),
    "socket lost": (lambda root: ((root / "socket").unlink(), touch(root)), [("socket", "missing")]),
    "a name that is not UTF-8": (lambda root: rewrite(root / os.fsdecode(b"not utf-8 \xff"), b"BYTES"), [("not utf-8 \\xff", "content")]),
}
AS_ROOT = {
    "owner": (lambda root: os.chown(root / "file", 1, -1), [("file", "owner")]),
    "group": (lambda root: os.chown(root / "file", -1, 1), [("file", "group")]),
    "owner of a link": (lambda root: os.lchown(root / "link", 1, 1), [("link", "group"), ("link", "owner")]),
    "device number": (lambda root: replace(root / "zero", lambda path: os.mknod(path, 0o20600, os.makedev(1, 3))), [("zero", "device")]),
    "kind of device": (lambda root: replace(root / "disk", lambda path: os.mknod(path, 0o20600, os.makedev(7, 200))), [("disk", "kind")]),
    "trusted xattr": (lambda root: os.setxattr(root / "file", "trusted.a", b"1"), [("file", "xattr")]),
}


def rewrite_hole(path):
    with open(path, "r+b") as file:
        file.seek(1 << 20)
        file.write(b"y")
    touch(path)


def test_like_trees_are_the_same(two):
    result = trees.compare(str(two[0]), str(two[1]))
    assert result.differences == [] and result.entries == len([*two[0].rglob("*")]) + 1
    assert result.read == 8 and result.size >= 8 << 20


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_changed_is_found(two, name):
    change, expected = CHANGES[name]
    change(two[1])
    assert sorted(found(two)) == sorted(expected)


@needs_root
@pytest.mark.parametrize("name", AS_ROOT)
def test_what_root_changes_is_found(two, name):
    change, expected = AS_ROOT[name]
    change(two[1])
    assert sorted(found(two)) == sorted(expected)


def test_a_difference_says_what_is_where(two):
    os.chmod(two[1] / "file", 0o600)
    (one,) = trees.compare(str(two[0]), str(two[1])).differences
    assert (one.source, one.copy) == ("0640", "0600")


def later(two, known, synced=None):
    return trees.compare(str(two[0]), str(two[1]), known, time.time() + 60 if synced is None else synced)


def test_what_was_read_and_has_not_changed_is_not_read_again(two):
    first = later(two, set())
    assert (first.read, first.known) == (8, 0)
    again = later(two, first.same)
    assert (again.read, again.known, again.same) == (0, 8, first.same)
    rewrite(two[1] / "file", b"CONTENT")
    third = later(two, again.same)
    assert [(one.path, one.what) for one in third.differences] == [("file", "content")] and (third.read, third.known) == (1, 7)
    assert later(two, third.same).differences, "what differs is read each time"


def test_a_folder_that_took_anothers_name_is_read_again(two):
    for root, data in ((two[0], b"abcd"), (two[1], b"abcd")):
        (root / "a").mkdir()
        rewrite(root / "a" / "file", data)
        (root / "b").mkdir()
        rewrite(root / "b" / "file", b"dcba")
    first = later(two, set())
    source = two[0]
    (source / "a").rename(source / "c")
    (source / "b").rename(source / "a")
    (source / "c").rename(source / "b")
    contents = {one.path for one in later(two, first.same).differences if one.what == "content"}
    assert contents == {"a/file", "b/file"}


def test_a_file_that_changed_just_now_is_read_again(two):
    assert later(two, set(), synced=time.time()).same == set(), "a change within the same tick of the clock has the same time"
    assert trees.compare(str(two[0]), str(two[1])).same == set(), "without a time nothing is remembered"


def test_marks_are_kept_and_half_of_them_is_none(tmp_path):
    path = tmp_path / "folder" / "marks"
    assert trees.read_marks(str(path)) == set()
    trees.write_marks(str(path), {b"0" * 16, b"1" * 16})
    assert trees.read_marks(str(path)) == {b"0" * 16, b"1" * 16}
    path.write_bytes(b"0" * 17)
    assert trees.read_marks(str(path)) == set()


@needs_root
def test_another_file_system_below_is_not_entered(two):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", os.fsencode(two[1] / "empty"), b"tmpfs", 0, None):
        pytest.skip("nothing can be mounted here")
    try:
        (two[1] / "empty" / "inside").touch()
        assert "extra" not in {what for _path, what in found(two)}
    finally:
        subprocess.run(["umount", two[1] / "empty"], check=True)
