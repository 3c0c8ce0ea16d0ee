#!/usr/bin/env bash
# In a container: boot systemd on a kernel of its own, User-mode Linux, with the container's files as root. That kernel has the
# file systems, partition tables and device mapper that the machine's may lack, and nothing on the machine is touched.
#   boot.sh FOLDER  is the entry point; FOLDER is where commands come from (agent.py).
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
ln -sfn /usr/lib/uml/modules /usr/lib/modules
printf '%s\n' loop dm-mod dm-crypt dm-thin-pool dm-snapshot >/etc/modules-load.d/disks.conf
cat >/etc/systemd/system/agent.service <<END
[Unit]
DefaultDependencies=no
Wants=systemd-modules-load.service systemd-udevd.service
After=systemd-modules-load.service systemd-udevd.service
[Service]
Environment=PYTHONPATH=/code PYTHONPYCACHEPREFIX=/run/pycache
ExecStart=/usr/bin/python3 $here/agent.py $1
TasksMax=infinity
END
# Only what disks need: each process that starts here costs a tenth of a second.
exec linux.uml rootfstype=hostfs rw mem=2G con=null con0=fd:0,fd:1 init=/sbin/init quiet -- --unit=agent.service
