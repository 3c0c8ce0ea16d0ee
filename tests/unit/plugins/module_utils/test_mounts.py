"""What a host says of its mounts, read; and its fstab, changed in nothing but what is asked."""

from __future__ import annotations

import os

import pytest
from ansible_collections.spot.platform.plugins.module_utils import mounts

MOUNTINFO = """\
26 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw,discard
40 26 259:3 / /srv/shop rw,noatime shared:20 master:3 - xfs /dev/nvme1n1 rw,attr2
41 26 259:3 /sub /mnt/with\\040space ro - xfs /dev/nvme1n1 rw
42 26 0:30 /@data /mnt/b rw - btrfs /dev/nvme2n1 rw,subvol=/@data
"""
FSTAB = """\
# UUID=none /srv/shop ext4 defaults 0 0
LABEL=shop\t/srv/shop/   xfs  rw,noatime,nofail 0 2 # why

UUID="5F4A" /mnt/with\\040space ext4
/dev/nvme3n1 none swap sw
"""


def test_mounts_are_read_with_and_without_optional_fields():
    found = mounts.mounts_in(MOUNTINFO)
    assert [one.target for one in found] == ["/", "/srv/shop", "/mnt/with space", "/mnt/b"]
    assert found[1] == mounts.Mount("259:3", "/", "/srv/shop", "rw,noatime", "xfs", "/dev/nvme1n1")
    assert found[3].root == "/@data"


def test_entries_are_read_and_comments_are_not():
    found = mounts.entries_in(FSTAB)
    assert [(one.line, one.spec, one.target, one.options) for one in found] == [
        (1, "LABEL=shop", "/srv/shop", "rw,noatime,nofail"),
        (3, 'UUID="5F4A"', "/mnt/with space", "defaults"),
        (4, "/dev/nvme3n1", "none", "sw"),
    ]


def test_nothing_but_the_one_field_changes():
    new = mounts.with_spec(FSTAB, "/srv/shop", "UUID=1-2")
    assert new == FSTAB.replace("LABEL=shop", "UUID=1-2")
    assert mounts.with_spec(FSTAB, "/mnt/with space", "UUID=1-2") == FSTAB.replace('UUID="5F4A"', "UUID=1-2")
    assert mounts.with_spec(new, "/srv/shop", "UUID=1-2") == new


@pytest.mark.parametrize(("text", "said"), [("", "no entry for /a"), ("x /a ext4\ny /a/ ext4\n", "2 entries for /a")])
def test_a_path_without_its_one_entry_is_an_error(text, said):
    with pytest.raises(ValueError, match=said):
        mounts.with_spec(text, "/a", "UUID=1")


def test_a_file_is_replaced_with_its_mode_and_through_its_link(tmp_path):
    real, link = tmp_path / "real", tmp_path / "fstab"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    mounts.write(str(link), "new \udcff")
    assert link.is_symlink() and real.read_bytes() == b"new \xff" and real.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["real", "fstab"] or sorted(os.listdir(tmp_path)) == ["fstab", "real"]
    assert mounts.read(str(link)) == "new \udcff" and mounts.read(str(tmp_path / "none")) == ""


def test_the_unit_of_a_process_is_the_innermost_of_its_cgroup():
    assert mounts._unit("0::/system.slice/shop.service\n") == "shop.service"
    assert mounts._unit("12:pids:/x\n0::/user.slice/user-0.slice/session-3.scope\n") == "session-3.scope"
    assert mounts._unit("0::/user.slice/user@0.service/app.slice/a.service\n") == "a.service"
    assert mounts._unit("0::/\n") is None


def test_what_runs_a_command_says_why_it_fails():
    with pytest.raises(ValueError, match="blkid cannot read /dev/x: no such device"):
        mounts.signature("/dev/x", lambda command: (1, "", "no such device\n"))
    assert mounts.signature("/dev/x", lambda command: (2, "", "")) == {}, "an empty disk has nothing on it"
    assert mounts.signature("/dev/x", lambda command: (0, "TYPE=xfs\nUUID=1=2\n", "")) == {"TYPE": "xfs", "UUID": "1=2"}


def test_who_needs_a_mount_is_told_by_dependencies_and_by_paths():
    states = {"a.service": "active", "b.service": "inactive", "c.timer": "active", "d.service": "active"}

    def run(command):
        if command[0] == "systemd-escape":
            return 0, "srv-shop.mount\n", ""
        if command[-1] == "*":
            lines = ["Id=a.service\nRequiresMountsFor=/srv/shop/a /var", "Id=d.service\nRequiresMountsFor=/srv/shopping", "Id=x.slice\n"]
            return 0, "\n\n".join(lines), ""
        if command[-1] == "srv-shop.mount":
            return 0, "RequiredBy=b.service local-fs.target\nWantedBy=c.timer\n", ""
        return 0, f"LoadState=loaded\nActiveState={states[command[-1]]}\n", ""

    assert mounts.users("/srv/shop", run) == ["a.service", "c.timer"]


@pytest.mark.skipif(not os.path.isdir("/sys/class/block"), reason="the kernel tells of no block devices")
def test_what_is_no_block_device_is_none():
    assert mounts.block_of("tmpfs") == {"kind": "none", "disk": None, "partitions": 0}
