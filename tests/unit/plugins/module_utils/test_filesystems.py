# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of a host: the outputs of its tools as they are on EC2, where no test of ours runs, and what is made of failures."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.spot.platform.plugins.module_utils import filesystems
from ansible_collections.spot.platform.plugins.module_utils.engine.filesystems import MIB, Crypt, Wish
from ansible_collections.spot.platform.plugins.module_utils.filesystems import Gone, Host, Trouble, alone, grow, mounts, observe
from ansible_collections.spot.platform.plugins.module_utils.growths import result_of

GIB = 1024 * MIB
XFS = """\
meta-data=/dev/nvme1n1p1         isize=512    agcount=4, agsize=655360 blks
data     =                       bsize=4096   blocks={blocks}, imaxpct=25
"""


class Ec2(Host):
    """A host of files and of recorded outputs, by the beginnings of commands; ``done``: the commands that ran."""

    def __init__(self, root, outputs, missing=()):
        super().__init__(self.answer, lambda name: None if name in missing else f"/usr/sbin/{name}", str(root))
        self.outputs, self.done = outputs, []

    def answer(self, command, environment):
        assert environment == {"LC_ALL": "C", "TMPDIR": "/run"}
        said = " ".join([os.path.basename(command[0]), *command[1:]])
        self.done.append(said)
        for beginning, output in self.outputs.items():
            if said.startswith(beginning):
                output = output() if callable(output) else output
                return output if isinstance(output, tuple) else (0, output if isinstance(output, str) else json.dumps(output), "")
        raise AssertionError(f"nobody recorded {said}")

    def write(self, path, text=""):
        os.makedirs(os.path.dirname(self.path("/" + path)), exist_ok=True)
        with open(self.path("/" + path), "w", encoding="utf-8") as file:
            file.write(text)


def node(name, kind, size, children=(), serial=None, kernel=None):
    """A device as lsblk tells of it."""
    told = {"name": name, "kname": kernel or name, "type": kind, "size": size, "serial": serial, "ro": False, "maj:min": "259:1"}
    return {**told, "children": list(children)} if children else told


def lsblk(*nodes):
    return {"blockdevices": list(nodes)}


def table(disk, *slices, label="gpt"):
    """A partition table as sfdisk tells of it; ``slices``: start and size in sectors."""
    partitions = [{"node": f"{disk}p{n}", "start": start, "size": size, "type": "83"} for n, (start, size) in enumerate(slices, 1)]
    return {"partitiontable": {"label": label, "device": disk, "unit": "sectors", "sectorsize": 512, "partitions": partitions}}


def mounted(line="99 1 259:1 / /srv rw,relatime shared:1 - xfs /dev/nvme1n1p1 rw,inode64"):
    return f"1 0 259:9 / / rw - ext4 /dev/root rw\n{line}\n"


@pytest.fixture
def ec2(tmp_path):
    """A Nitro instance: XFS on the only partition of a volume that grew from 10 to 20 GiB."""
    size = 10 * GIB // 512 - 2048 - 33
    disk = node("/dev/nvme1n1", "disk", 20 * GIB, serial="vol0123456789abcdef0")
    outputs = {
        "lsblk": lsblk(node("/dev/nvme1n1p1", "part", size * 512, [disk])),
        "sfdisk --json /dev/nvme1n1": table("/dev/nvme1n1", (2048, size)),
        "xfs_growfs -n /srv": XFS.format(blocks=size // 8),
    }
    host = Ec2(tmp_path, outputs)
    host.write("proc/self/mountinfo", mounted())
    host.write("sys/dev/block/259:1/uevent", "MAJOR=259\nMINOR=1\nDEVNAME=nvme1n1p1\nDEVTYPE=partition\n")
    host.write("sys/class/block/nvme1n1p1/partition", "1\n")
    host.write("sys/class/block/nvme1n1p1/start", "2048\n")
    host.write("sys/class/block/nvme1n1/queue/logical_block_size", "512\n")
    host.write("sys/class/block/nvme1n1/device/rescan_controller")
    host.write("srv/file")
    return host


def plan(host, **wish):
    return grow(host, "/srv", Wish(**wish), False, 0)


def test_from_a_mount_point_to_the_volume_by_the_serial_number(ec2):
    (told,) = result_of([plan(ec2)], acted=False)["filesystems"]
    assert (told["device"], told["disk"], told["volume_id"]) == ("/dev/nvme1n1p1", "/dev/nvme1n1", "vol-0123456789abcdef0")
    assert [step["action"] for step in told["steps"]] == ["partition", "filesystem"] and told["outcome"] == "changed"
    assert told["before"]["disk"] == 20 * GIB and told["after"]["partition"] == 20 * GIB - MIB - 33 * 512
    assert not any(command.startswith(("growpart", "xfs_growfs -d")) for command in ec2.done)


def test_where_lsblk_has_no_serial_number_the_kernel_or_the_link_of_udev_tells_the_volume(ec2):
    ec2.outputs["lsblk"]["blockdevices"][0]["children"][0]["serial"] = None
    assert plan(ec2).before.system.members[0].device.parents[0].volume_id is None
    ec2.write("dev/nvme1n1")
    os.makedirs(ec2.path("/dev/disk/by-id"))
    for volume, device in (("0aaa", "nvme0n1"), ("0bbb", "nvme1n1"), ("0bbb_1", "nvme1n1"), ("0bbb-part1", "nvme1n1p1")):
        os.symlink(f"../../{device}", ec2.path(f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol{volume}"))
    assert plan(ec2).before.system.members[0].device.parents[0].volume_id == "vol-0bbb"
    ec2.write("sys/class/block/nvme1n1/device/serial", "vol0ccc            \n")
    assert plan(ec2).before.system.members[0].device.parents[0].volume_id == "vol-0ccc"


def test_a_disk_of_xen_has_no_volume_and_old_lsblk_tells_numbers_as_text(ec2):
    disk = {**node("/dev/xvdf", "disk", str(20 * GIB)), "ro": "0"}
    ec2.outputs = {"lsblk": lsblk(disk), "xfs_growfs -n /srv": XFS.format(blocks=10 * GIB // 4096)}
    ec2.write("sys/dev/block/202:80/uevent", "DEVNAME=xvdf\n")
    ec2.write("proc/self/mountinfo", mounted("99 1 202:80 / /srv rw - xfs /dev/xvdf rw"))
    (told,) = result_of([plan(ec2)], acted=False)["filesystems"]
    assert (told["disk"], told["volume_id"], told["before"]["partition"]) == ("/dev/xvdf", None, None)
    assert [step["action"] for step in told["steps"]] == ["filesystem"] and told["after"]["filesystem"] == 20 * GIB


def test_a_disk_of_nvme_is_looked_at_again_until_it_has_its_size(ec2):
    ec2.outputs["lsblk"]["blockdevices"][0]["children"][0]["size"] = 10 * GIB
    ec2.write("sys/class/block/nvme1n1/size", str(10 * GIB // 512))
    failed = grow(ec2, "/srv", Wish(size=20 * GIB), True, 0)
    assert f"/dev/nvme1n1 has {10 * GIB} bytes after 0 seconds, {20 * GIB} are waited for" in failed.error
    assert ec2.read("/sys/class/block/nvme1n1/device/rescan_controller") == "1"


def grow_really(ec2, growpart=(0, "CHANGED: ...", ""), resize=(0, "", "")):
    """The tools at work: growpart and xfs_growfs change what the others tell afterwards."""
    size = 20 * GIB // 512 - 2048 - 33

    def partition():
        ec2.outputs["lsblk"]["blockdevices"][0]["size"] = size * 512
        ec2.outputs["sfdisk --json /dev/nvme1n1"] = table("/dev/nvme1n1", (2048, size))
        return growpart

    def filesystem():
        ec2.outputs["xfs_growfs -n /srv"] = XFS.format(blocks=size // 8)
        return resize

    ec2.outputs.update({"growpart": partition, "xfs_growfs -d": filesystem})
    return grow(ec2, "/srv", Wish(), True, 0)


def test_each_step_is_verified_and_told_with_what_it_gained(ec2):
    result = result_of([grow_really(ec2)], acted=True)
    (told,) = result["filesystems"]
    assert result["changed"] and not result["errors"]
    assert [step["after"] for step in told["steps"]] == [told["after"]["partition"], told["after"]["filesystem"]]
    assert result["diff"]["before"]["/srv"]["filesystem"] < result["diff"]["after"]["/srv"]["filesystem"]
    (event,) = result["activity"]
    assert (event["kind"], event["resource"], event["changed"]) == ("filesystem.grown", "/srv", True)
    assert event["summary"].startswith("/srv grows from")
    again = result_of([grow(ec2, "/srv", Wish(), True, 0)], acted=True)
    assert not again["changed"] and not again["activity"] and again["filesystems"][0]["outcome"] == "kept"


def test_that_growpart_finds_nothing_to_do_is_no_failure_where_it_is_so(ec2):
    assert not grow_really(ec2, growpart=(1, "NOCHANGE: partition 1 is size 1", "")).error


def test_a_tool_that_says_it_is_done_and_is_not_is_found_out(ec2):
    ec2.outputs["growpart"] = (0, "CHANGED: ...", "")
    failed = grow(ec2, "/srv", Wish(), True, 0)
    assert "/dev/nvme1n1p1 has" in failed.error and "the step partition gave no error, and is not done" in failed.error


def test_a_tool_that_fails_is_told_with_its_words_and_what_was_done_before(ec2):
    result = result_of([grow_really(ec2, growpart=(2, "FAILED: disk is odd", ""))], acted=True)
    assert result["errors"] == [{"mount": "/srv", "message": "growpart /dev/nvme1n1 1 failed with exit code 2: FAILED: disk is odd"}]
    assert result["activity"][0]["kind"] == "filesystem.failed" and not result["changed"]


def test_another_file_system_on_the_mount_point_is_not_touched(ec2):
    def partition():
        ec2.write("proc/self/mountinfo", mounted("99 1 259:7 / /srv rw - xfs /dev/nvme7n1 rw"))
        ec2.write("sys/dev/block/259:7/uevent", "DEVNAME=nvme7n1\n")
        return (0, "", "")

    ec2.outputs["growpart"] = partition
    failed = grow(ec2, "/srv", Wish(), True, 0)
    assert "another file system is mounted on /srv now" in failed.error and not any(said.startswith("xfs_growfs -d") for said in ec2.done)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("99 1 0:40 / /srv rw - nfs4 fs.example.com:/export rw", "/srv is nfs4 from fs.example.com:/export: it grows on its server"),
        ("99 1 0:41 / /srv rw - tmpfs tmpfs rw", "/srv is tmpfs, which is on no disk"),
        ("99 1 259:1 / /srv rw - vfat /dev/nvme1n1p1 rw", "/srv is vfat, which cannot grow while it is mounted"),
        ("99 1 259:8 / /srv rw - ext4 /dev/nvme8n1 rw", "on the device 259:8, of which the kernel tells nothing here"),
        ("99 1 259:1 / /else rw - ext4 /dev/nvme1n1p1 rw", "nothing is mounted on /srv: it lies on /"),
    ],
)
def test_what_is_mounted_and_cannot_grow_is_refused(ec2, line, said):
    ec2.write("proc/self/mountinfo", mounted(line))
    refused = plan(ec2)
    assert said in refused.problem and not refused.steps
    (told,) = result_of([refused], acted=True)["filesystems"]
    assert (told["outcome"], told["device"], told["before"], told["after"]) == ("refused", None, None, None)


def test_of_several_mounts_the_last_one_is_seen_and_a_writable_one_is_used(ec2):
    hidden, bound = "98 1 259:7 / /srv rw - ext4 /dev/nvme7n1 rw", "99 1 259:1 /in /srv ro - xfs /dev/nvme1n1p1 rw"
    lines = [hidden, bound, "97 1 259:1 / /mnt/a\\040b rw - xfs /dev/nvme1n1p1 rw"]
    ec2.write("proc/self/mountinfo", mounted("\n".join(lines)))
    ec2.outputs["xfs_growfs -n /mnt/a b"] = ec2.outputs["xfs_growfs -n /srv"]
    assert mounts(ec2)[-1].path == "/mnt/a b"
    assert plan(ec2).steps[-1].command == ("xfs_growfs", "-d", "/mnt/a b")
    ec2.write("proc/self/mountinfo", mounted(lines[1]))
    assert "is mounted read-only" in plan(ec2).problem


def test_a_btrfs_that_misses_a_disk_is_refused(ec2):
    ec2.write("proc/self/mountinfo", mounted("99 1 0:50 / /srv rw - btrfs /dev/nvme1n1 rw"))
    show = "Label: none  uuid: 1\n\tTotal devices 2 FS bytes used 1\n\tdevid    1 size 9 used 1 path /dev/nvme1n1\n"
    for more in ("\t*** Some devices missing\n", "\tdevid    2 size 0 used 0 path  MISSING\n"):
        ec2.outputs["btrfs filesystem show --raw /srv"] = show + more
        assert "a device of the Btrfs on /srv is missing" in plan(ec2).problem


def test_a_missing_tool_is_named_with_its_packages(ec2, tmp_path):
    with pytest.raises(Trouble, match=r"lsblk is not installed: install util-linux \(Debian, Ubuntu\) or util-linux \(RPM\)"):
        observe(Ec2(tmp_path, {}, missing=["lsblk"]), "/srv")
    poor = Ec2(tmp_path, ec2.outputs, missing=["growpart"])
    assert "growpart is not installed: install cloud-guest-utils (Debian" in grow(poor, "/srv", Wish(), True, 0).error
    assert not any(said.startswith("xfs_growfs -d") for said in poor.done)


def test_a_tool_whose_output_was_lost_is_asked_again(ec2):
    said = iter(["", json.dumps(ec2.outputs["lsblk"])])
    ec2.outputs["lsblk"] = lambda: next(said)
    assert len(plan(ec2).steps) == 2


@pytest.mark.parametrize("text", ["", "lsblk: unknown column", "["])
def test_what_is_no_json_is_told_of(ec2, text):
    ec2.outputs["lsblk"] = text
    assert "does not print JSON" in plan(ec2).problem


def test_a_partition_that_the_table_does_not_know_is_refused(ec2):
    ec2.outputs["sfdisk --json /dev/nvme1n1"] = table("/dev/nvme1n1", (4096, 99))
    assert "no partition that begins where nvme1n1p1 does" in plan(ec2).problem


LVS = {"vg_name": "shop", "lv_name": "data", "lv_attr": "-wi-ao----", "segtype": "linear", "stripes": "1", "vg_extent_size": "4194304"}
PV = {
    "pv_name": "/dev/nvme1n1p1",
    "pe_start": "1048576",
    "pv_pe_count": "2559",
    "pv_pe_alloc_count": "2559",
    "pv_mda_count": "1",
    "pv_mda_size": "1044480",
}


def with_lvm(ec2, **lvs):
    """The same with a logical volume on the partition."""
    under = ec2.outputs["lsblk"]["blockdevices"][0]
    volume = node("/dev/mapper/shop-data", "lvm", 2559 * 4 * MIB, [under], kernel="/dev/dm-0")
    ec2.outputs = {
        "lsblk --inverse --json --bytes --paths --output NAME,KNAME,TYPE,SIZE,SERIAL,RO,MAJ:MIN /dev/dm-0": lsblk(volume),
        "lvs": {"report": [{"seg": [{**LVS, **lvs}]}]},
        "pvs": {"report": [{"pv": [PV]}]},
        **ec2.outputs,
        "xfs_growfs -n /srv": XFS.format(blocks=2559 * 1024),
    }
    ec2.write("sys/dev/block/253:0/uevent", "DEVNAME=dm-0\n")
    ec2.write("proc/self/mountinfo", mounted("99 1 253:0 / /srv rw - xfs /dev/mapper/shop-data rw"))


def test_a_logical_volume_is_read_with_all_its_group(ec2):
    with_lvm(ec2)
    grown = plan(ec2)
    assert [step.action for step in grown.steps] == ["partition", "physical_volume", "logical_volume", "filesystem"]
    assert grown.steps[2].command == ("lvextend", "-l", "+2560", "shop/data") and not grown.problem


@pytest.mark.parametrize(
    "lvs", [{"segtype": "thin", "lv_attr": "Vwi-aotz--"}, {"lv_attr": "owi-aos---"}, {"segtype": "raid1", "lv_attr": "rwi-aor---"}]
)
def test_volumes_of_other_kinds_are_refused(ec2, lvs):
    with_lvm(ec2, **lvs)
    assert "only linear and striped volumes grow here" in plan(ec2).problem


def test_a_group_that_misses_a_disk_is_refused(ec2):
    with_lvm(ec2)
    ec2.outputs["pvs"] = {"report": [{"pv": [PV, {**PV, "pv_name": "[unknown]"}]}]}
    assert "a physical volume of the volume group shop is missing" in plan(ec2).problem


def test_where_the_folder_of_lvm_is_full_it_writes_no_backup_of_its_metadata(ec2, monkeypatch):
    with_lvm(ec2)
    ec2.outputs.update({"growpart": (1, "NOCHANGE", ""), "pvresize": (5, "", "no space")})
    ec2.outputs["sfdisk --json /dev/nvme1n1"] = table("/dev/nvme1n1", (2048, 20 * GIB // 512 - 2048 - 33))
    ec2.outputs["lsblk"]["blockdevices"][0]["size"] = 20 * GIB - MIB - 33 * 512
    monkeypatch.setattr(filesystems, "_full", lambda folder: folder.endswith("/etc/lvm"))
    assert grow(ec2, "/srv", Wish(), True, 0).error == "pvresize /dev/nvme1n1p1 --autobackup n failed with exit code 5: no space"


STATUS = """/dev/mapper/safe is active and is in use.
  type:    LUKS2
  cipher:  aes-xts-plain64
  keysize: 512 bits
  key location: keyring
  device:  /dev/nvme1n1p1
  sector size:  4096
  offset:  32768 sectors
  size:    20936671 sectors
  mode:    read/write
"""


def test_a_mapping_of_luks_is_read_and_without_its_key_the_way_out_is_named(ec2):
    under = ec2.outputs["lsblk"]["blockdevices"][0]
    ec2.outputs["lsblk"] = lsblk(node("/dev/mapper/safe", "crypt", 9 * GIB, [under], kernel="/dev/dm-1"))
    ec2.outputs.update({"cryptsetup status safe": STATUS, "cryptsetup resize": (2, "", "Nothing to read on input.")})
    ec2.outputs["sfdisk --json /dev/nvme1n1"] = table("/dev/nvme1n1", (2048, under["size"] // 512), (30 * GIB // 512, 2048))
    ec2.outputs["xfs_growfs -n /srv"] = XFS.format(blocks=9 * GIB // 4096)
    ec2.outputs["growpart"] = (1, "NOCHANGE", "")
    assert plan(ec2).before.system.members[0].device.crypt == Crypt("safe", "LUKS2", 32768 * 512, 4096)
    ec2.outputs["sfdisk --json /dev/nvme1n1"] = table("/dev/nvme1n1", (2048, 20 * GIB // 512 - 2048 - 33))
    under["size"] = 20 * GIB - MIB - 33 * 512
    failed = grow(ec2, "/srv", Wish(), True, 0)
    assert failed.error == "cryptsetup resize safe failed with exit code 2: Nothing to read on input.: give key_file"


def test_only_one_run_at_a_time_has_the_lock(tmp_path):
    lock = str(tmp_path / "lock")
    with alone(lock, 0):
        with pytest.raises(Trouble, match="another run has held"), alone(lock, 0):
            pass
    with alone(lock, 0):
        pass


def test_a_mount_point_that_is_not_there_is_gone(ec2):
    with pytest.raises(Gone, match="there is no /nowhere"):
        observe(ec2, "/nowhere")
