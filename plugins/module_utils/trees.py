# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two trees of files compared in all that a copy is to keep. It runs on hosts, with Python 3.7 and its standard library."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

CHUNK = 1 << 20
SETTLED = 2.0
"""Seconds by which a change must be older than the comparison for its time to tell it from later ones."""
DENSE = 1 << 16
"""Bytes that a copy of a file with holes may take more than the file; an eighth of the file's own come on top."""
ACL = "system.posix_acl_"
KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symbolic link",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
}


@dataclass(frozen=True)
class Difference:
    """What of ``path``, below both trees, is not the same: ``missing`` in the copy, ``extra`` there, or the name of a property."""

    path: str
    what: str
    source: str = ""
    copy: str = ""


@dataclass
class Result:
    """What was found. ``read``: files whose contents were read, ``known``: those that were read before and have not changed since;
    ``size``: bytes read of the source. ``same``: marks of the files that have the same contents, for a later comparison."""

    differences: list[Difference] = field(default_factory=list)
    entries: int = 0
    read: int = 0
    known: int = 0
    size: int = 0
    same: set[bytes] = field(default_factory=set)


def compare(source: str, copy: str, known: set[bytes] = frozenset(), synced: float | None = None) -> Result:  # type: ignore[assignment]
    """Compare two trees, each within its file system: kinds, sizes, contents by SHA-256, owners, modes, times of modification,
    extended attributes, ACLs, links of both kinds, device numbers and holes.

    Contents are not read again where ``known``, the ``same`` of an earlier result, has the mark of both files, which holds their inode
    numbers and times of change. ``synced`` is the time before which all that was written to the source had been written to its disk;
    only a file that was last changed before it gets a mark, since a process that has a file mapped into memory changes it without
    changing its times until that is done. Without it no file gets one.
    """
    return _Comparison(source, copy, known, synced).run()


class _Comparison:
    """One comparison of two trees."""

    def __init__(self, source: str, copy: str, known: set[bytes], synced: float | None) -> None:
        self._roots = (source, copy)
        self._devices = (os.lstat(source).st_dev, os.lstat(copy).st_dev)
        self._known = known
        self._synced = synced
        self._result = Result()
        self._first: tuple[dict[int, str], dict[int, str]] = ({}, {})
        """The first path of each file that has several, by inode number, in each tree."""

    def run(self) -> Result:
        with ThreadPoolExecutor(2) as pool:
            self._pool = pool
            for path, found in self._paths():
                self._entry(path, found)
        return self._result

    def _paths(self) -> Iterator[tuple[str, tuple[os.stat_result | None, os.stat_result | None]]]:
        """All paths of both trees with their status, a folder before what is in it."""
        waiting = [""]
        while waiting:
            path = waiting.pop()
            states = (_status(self._at(0, path)), _status(self._at(1, path)))
            yield path, states
            folders = [state is not None and stat.S_ISDIR(state.st_mode) and state.st_dev == device for state, device in zip(states, self._devices)]
            if all(folders):
                names = sorted({name for tree in (0, 1) for name in _names(self._at(tree, path))}, reverse=True)
                waiting += [f"{path}/{name}" if path else name for name in names]

    def _at(self, tree: int, path: str) -> str:
        return os.path.join(self._roots[tree], path) if path else self._roots[tree]

    def _differs(self, path: str, what: str, source: object = "", copy: object = "") -> None:
        self._result.differences.append(Difference(_shown(path) or ".", what, _shown(str(source)), _shown(str(copy))))

    def _entry(self, path: str, states: tuple[os.stat_result | None, os.stat_result | None]) -> None:
        one, other = states
        if one is None or other is None:
            if one is not None or other is not None:
                self._differs(path, "missing" if other is None else "extra")
            return
        self._result.entries += 1
        kinds = [KINDS.get(stat.S_IFMT(state.st_mode), "unknown") for state in (one, other)]
        if kinds[0] != kinds[1]:
            self._differs(path, "kind", *kinds)
            return
        for what, value in (("owner", lambda state: state.st_uid), ("group", lambda state: state.st_gid), ("mtime", _mtime)):
            if value(one) != value(other):
                self._differs(path, what, value(one), value(other))
        if stat.S_IMODE(one.st_mode) != stat.S_IMODE(other.st_mode):
            self._differs(path, "mode", *(f"{stat.S_IMODE(state.st_mode):04o}" for state in (one, other)))
        self._attributes(path)
        if not stat.S_ISDIR(one.st_mode):
            self._links(path, one, other)
        if stat.S_ISREG(one.st_mode):
            self._file(path, one, other)
        elif stat.S_ISLNK(one.st_mode):
            targets = [_or_gone(lambda tree=tree: os.readlink(self._at(tree, path))) for tree in (0, 1)]
            if targets[0] != targets[1]:
                self._differs(path, "target", *targets)
        elif kinds[0].endswith("device") and one.st_rdev != other.st_rdev:
            self._differs(path, "device", *(f"{os.major(state.st_rdev)}:{os.minor(state.st_rdev)}" for state in (one, other)))

    def _attributes(self, path: str) -> None:
        one, other = (_or_gone(lambda tree=tree: _attributes_of(self._at(tree, path))) or {} for tree in (0, 1))
        for name in sorted(set(one) | set(other)):
            if one.get(name) != other.get(name):
                what = "acl" if name.startswith(ACL) else "xattr"
                self._differs(path, what, *(name if name in values else "" for values in (one, other)))

    def _links(self, path: str, one: os.stat_result, other: os.stat_result) -> None:
        """Whether the path is another name of the same path in both trees."""
        if one.st_nlink == 1 and other.st_nlink == 1:
            return
        firsts = [self._first[tree].setdefault(state.st_ino, path) for tree, state in enumerate((one, other))]
        if firsts[0] != firsts[1]:
            self._differs(path, "hard link", *(first if first != path else "" for first in firsts))

    def _file(self, path: str, one: os.stat_result, other: os.stat_result) -> None:
        if one.st_size != other.st_size:
            self._differs(path, "size", one.st_size, other.st_size)
            return
        taken, copied = one.st_blocks * 512, other.st_blocks * 512
        if taken < one.st_size and copied > taken + taken // 8 + DENSE:
            self._differs(path, "sparse", taken, copied)
        mark = _mark(path, one, other)
        if mark in self._known:
            self._result.known += 1
            self._result.same.add(mark)
            return
        sums = list(self._pool.map(lambda tree: _or_gone(lambda: checksum(self._at(tree, path))), (0, 1)))
        self._result.read += 1
        self._result.size += one.st_size
        if sums[0] != sums[1]:
            self._differs(path, "content", *sums)
        elif self._synced is not None and max(one.st_ctime, other.st_ctime) < self._synced - SETTLED:
            self._result.same.add(mark)


def checksum(path: str) -> str:
    """SHA-256 of a file's contents, read from the disk where the kernel lets go of what it remembers of it."""
    hashed = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for chunk in iter(lambda: file.read(CHUNK), b""):
            hashed.update(chunk)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return hashed.hexdigest()


def read_marks(path: str) -> set[bytes]:
    """The marks of a file that `write_marks` wrote; none where there is no such file, or half of one."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return set()
    return {data[at : at + 16] for at in range(0, len(data), 16)} if len(data) % 16 == 0 else set()


def write_marks(path: str, marks: set[bytes]) -> None:
    """Keep marks for a later comparison."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(f"{path}.new", "wb") as file:
        file.write(b"".join(marks))
    os.replace(f"{path}.new", path)


def sync(path: str, run: Callable[[list[str]], object]) -> float:
    """Have all that was written to the file system written to its disk: the time before it. ``run`` runs a command, or raises."""
    began = time.time()
    run(["sync", "--file-system", path])
    return began


def _mark(path: str, one: os.stat_result, other: os.stat_result) -> bytes:
    numbers = [number for state in (one, other) for number in (state.st_ino, state.st_ctime_ns, state.st_mtime_ns, state.st_size)]
    return hashlib.blake2b(repr((os.fsencode(path), numbers)).encode(), digest_size=16).digest()


def _mtime(state: os.stat_result) -> str:
    return f"{state.st_mtime_ns // 10**9}.{state.st_mtime_ns % 10**9:09d}"


def _status(path: str) -> os.stat_result | None:
    return _or_gone(lambda: os.lstat(path))


def _names(path: str) -> list[str]:
    return _or_gone(lambda: os.listdir(path)) or []


def _attributes_of(path: str) -> dict[str, bytes]:
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in os.listxattr(path, follow_symlinks=False)}


def _or_gone(read: Callable) -> object:  # type: ignore[type-arg]
    """What ``read`` returns; ``None`` where that was removed meanwhile, as in a tree in use."""
    try:
        return read()
    except FileNotFoundError:
        return None


def _shown(text: str) -> str:
    """A path as JSON can hold it."""
    return os.fsencode(text).decode("utf-8", "backslashreplace")
