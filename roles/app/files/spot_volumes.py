# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make file systems on this instance's data volumes where they are blank, and mount them. Run by spot-volumes.service, and at boot."""
# Arguments: who owns the roots of new file systems, and <device>:<type>:<mount point> each, where the device of EFS is <file system>/<access
# point>, and one that is attached at any time after the launch has a + behind it. What fstab names already is only mounted.

import ctypes
import fcntl
import glob
import hashlib
import os
import pwd
import shutil
import struct
import subprocess
import sys
import time
import urllib.request

FSTAB = "/etc/fstab"
PACKAGE = "/run/amazon-efs-utils.deb"
MIB = 1 << 20
UID = "70000"  # of the owner, the same on all instances, since volumes go from one to another; no distribution gives it away
SECONDS = int(os.environ.get("SPOT_VOLUMES_SECONDS", "60"))


# What is not attached yet. It has no docstring, for these are left out in the user data.
class Absent(RuntimeError):
    pass


def say(*words):
    print("spot-volumes:", *words, file=sys.stderr, flush=True)


def run(*command):
    """What a command prints. RuntimeError with what it says where it fails."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def name_of(data):
    """By which name EC2 attached an NVMe disk that identifies itself so, None where it is not of EBS."""
    if not data[24:64].startswith(b"Amazon Elastic Block Store"):
        return None
    return data[3072:3104].rstrip(b"\0 ").decode("ascii", "replace").replace("/dev/", "")


def identify(path):
    """What an NVMe disk says of its controller."""
    data = ctypes.create_string_buffer(4096)
    command = struct.pack("<BBH3I2Q10I", 6, 0, 0, 0, 0, 0, 0, ctypes.addressof(data), 0, 4096, 1, *[0] * 7)
    with open(path, "rb") as disk:
        fcntl.ioctl(disk, 0xC0484E41, command)
    return data.raw


def disk_of(name):
    """The disk that EC2 calls so, None where there is none yet."""
    for path in sorted(glob.glob("/dev/nvme*n1")):
        try:
            if name_of(identify(path)) == name:
                return path
        except OSError:
            pass
    for path in ("/dev/" + name, "/dev/xvd" + name[2:]):
        if os.path.exists(path):
            return os.path.realpath(path)
    return None


def found(name):
    for _second in range(SECONDS):
        disk = disk_of(name)
        if disk:
            return disk
        time.sleep(1)
    raise RuntimeError(f"there is no disk {name} after {SECONDS} s")


def contents(disk):
    """What is on it, by blkid; empty where it is blank."""
    probe = subprocess.run(["blkid", "-p", "-o", "export", disk], check=False, capture_output=True, text=True)
    if probe.returncode == 0:
        return dict(line.split("=", 1) for line in probe.stdout.splitlines() if "=" in line)
    with open(disk, "rb") as file:
        ends = file.read(MIB)
        file.seek(-min(MIB, file.seek(0, 2)), 2)
        ends += file.read(MIB)
    if probe.returncode != 2 or any(ends):
        raise RuntimeError(f"{disk} is not blank, and has no file system: nothing is written to it")
    return {}


def filesystem(disk, kind):
    """UUID and type of its file system, which is made where it is blank."""
    if not contents(disk):
        if not shutil.which("mkfs." + kind):
            raise RuntimeError(f"mkfs.{kind} is not installed")
        run("mkfs." + kind, "-q", disk)
        say(disk, "is blank, and gets", kind)
    has = contents(disk)
    if has.get("USAGE") != "filesystem" or not has.get("UUID"):
        raise RuntimeError(f"{disk} has {has.get('TYPE') or has.get('PTTYPE')}, no file system: nothing is written to it")
    return has["UUID"], has["TYPE"]


def named(mount):
    with open(FSTAB) as file:
        return any(line.split()[1:2] == [mount] for line in file if not line.lstrip().startswith("#"))


def name_in_fstab(line):
    with open(FSTAB) as file:
        text = file.read()
    with open(FSTAB + ".spot", "w") as file:
        file.write(text + ("" if text.endswith("\n") or not text else "\n") + line + "\n")
        file.flush()
        os.fsync(file.fileno())
    shutil.copymode(FSTAB, FSTAB + ".spot")
    os.replace(FSTAB + ".spot", FSTAB)
    if os.path.isdir("/run/systemd/system"):
        run("systemctl", "daemon-reload")


def give(mount, owner):
    """The root of a file system with nothing in it goes to the owner, who is made where there is none."""
    try:
        user = pwd.getpwnam(owner)
    except KeyError:
        run("useradd", "--system", "--uid", UID, "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", owner)
        user = pwd.getpwnam(owner)
    if not set(os.listdir(mount)) - {"lost+found"} and not os.stat(mount).st_uid:
        os.chown(mount, user.pw_uid, user.pw_gid)


def get_efs_utils():
    """What mounts file systems of EFS, where the image does not have it."""
    if shutil.which("mount.efs"):
        return
    url = os.environ.get("SPOT_EFS_UTILS")
    if shutil.which("dnf"):
        run("dnf", "-qy", "install", "amazon-efs-utils")
    elif url:
        with urllib.request.urlopen(url, timeout=60) as answer:
            data = answer.read()
        if hashlib.sha256(data).hexdigest() != os.environ["SPOT_EFS_UTILS_SHA256"]:
            raise RuntimeError(f"{url} is not what it was: its SHA-256 is {hashlib.sha256(data).hexdigest()}")
        with open(PACKAGE, "wb") as file:
            file.write(data)
        run("apt-get", "-qq", "install", "-y", PACKAGE)
    else:
        raise RuntimeError("the image has no mount.efs, of amazon-efs-utils")


def ensure(owner, device, kind, mount):
    absent = device.endswith("+") and not disk_of(device[:-1])
    if kind == "efs":
        get_efs_utils()
    if not named(mount) and kind == "efs":
        name, point = device.split("/")
        # Mounted from here only: two at once would mount it twice.
        name_in_fstab(f"{name}:/ {mount} efs _netdev,noauto,tls,iam,accesspoint={point} 0 0")
    elif not named(mount):
        if absent:
            raise Absent
        uuid, kind = filesystem(found(device.rstrip("+")), kind)
        name_in_fstab(f"UUID={uuid} {mount} {kind} defaults,nofail,x-systemd.device-timeout=90 0 {0 if kind == 'xfs' else 2}")
    os.makedirs(mount, exist_ok=True)
    for second in range(1 if absent else SECONDS):
        if os.path.ismount(mount):
            break
        time.sleep(min(1, second))
        try:
            run("mount", mount)  # with nofail it also ends well where there is no disk
            problem = "what fstab names there cannot be found"
        except RuntimeError as error:
            problem = str(error)
    if not os.path.ismount(mount):
        raise Absent if absent else RuntimeError(problem)
    if kind != "efs":
        give(mount, owner)


def ensure_all(owner, volumes):
    """Where it failed, and the volumes that are not attached yet, or lie on one that is not."""
    failed, waiting = [], []
    with open("/run/spot-volumes.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for volume in volumes:
            device, kind, mount = volume.split(":", 2)
            try:
                if any(mount.startswith(one + "/") for one in failed):
                    raise RuntimeError("what it lies on is not mounted")
                if any(mount.startswith(one.split(":", 2)[2] + "/") for one in waiting):
                    raise Absent
                ensure(owner, device, kind, mount)
            except Absent:
                waiting.append(volume)
            except (OSError, RuntimeError) as error:
                say(volume, "failed:", error)
                failed.append(mount)
    return failed, waiting


def main(owner, *volumes):
    failed, waiting = ensure_all(owner, volumes)
    if waiting and not failed:
        say("waits until attached:", *waiting)
    while waiting and not failed:
        time.sleep(1)
        failed, waiting = ensure_all(owner, waiting)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
