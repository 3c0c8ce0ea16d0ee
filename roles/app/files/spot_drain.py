# Copyright: (c) 2026, The spot.platform developers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until this instance is told to go, drain the application, and stop it. Run by spot-drain.service."""
# With an argument: the machine shuts down, drain now, or wait until that is done; systemd then stops the application.

import datetime
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

SET = os.environ.get
URL = SET("SPOT_METADATA", "http://169.254.169.254") + "/latest/"
DONE = SET("RUNTIME_DIRECTORY", "/run") + "/drained"
NOTICE, MARGIN = 120, 5
ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
token = ""


def say(*words):
    print("spot-drain:", *words, flush=True)


def read(path, again=True):
    """The metadata at a path, None where there is none."""
    global token
    try:
        if not token:
            ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
            token = ask(urllib.request.Request(URL + "api/token", None, ttl, method="PUT"), timeout=2).read().decode()
        with ask(urllib.request.Request(URL + path, headers={"X-aws-ec2-metadata-token": token}), timeout=2) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        if error.code == 401 and again:  # the token has run out
            token = ""
            return read(path, False)
        if error.code == 404:
            return None
        raise


def told():
    """Why to go, and in how many seconds; None while nobody says so."""
    action = read("meta-data/spot/instance-action")
    if action:
        at = datetime.datetime.fromisoformat(json.loads(action)["time"].replace("Z", "+00:00"))
        return "interruption", min(NOTICE, max(MARGIN, at.timestamp() - time.time()))
    if read("meta-data/autoscaling/target-lifecycle-state") == "Terminated":
        return "the Auto Scaling group ends it", NOTICE
    return None


def run(command, seconds):
    """Whether a command ends well in time; with all that it started, it ends in time in any case."""
    process = subprocess.Popen(command, start_new_session=True)
    try:
        return process.wait(max(1, seconds)) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return False


def drain(limit):
    """Run the drain command, once; where it was begun already, wait until it has ended."""
    limit = min(float(SET("SPOT_DRAIN_SECONDS", "30")), limit)
    if not SET("SPOT_DRAIN"):
        return
    if os.path.exists(DONE):
        while len(sys.argv) > 1 and not os.path.getsize(DONE) and limit > 0:
            time.sleep(0.2)
            limit -= 0.2
        return
    with open(DONE, "w") as file:
        well = run(["/bin/sh", SET("SPOT_DRAIN")], limit)
        file.write("drained")
    say("the drain command has ended" if well else f"the drain command failed, or took more than {limit:.0f} s")


def main():
    if len(sys.argv) > 1:
        return drain(NOTICE)
    failing = False
    while True:
        try:
            found, failing = told(), False
        except Exception as error:
            found = None
            if not failing:
                say("cannot read the instance metadata, trying on:", error)
            failing = True
        if found:
            break
        time.sleep(float(SET("SPOT_POLL", "5")))
    why, left = found
    end = time.monotonic() + left - MARGIN
    say(f"told to go in {left:.0f} s: {why}")
    drain(end - time.monotonic())
    time.sleep(max(0, end - time.monotonic() - float(SET("SPOT_STOP_LEFT", str(NOTICE)))))
    unit = SET("SPOT_UNIT")
    well = run([*SET("SPOT_STOP", "systemctl stop").split(), unit], end - time.monotonic())
    say(unit, "has stopped" if well else "did not stop in time")


if __name__ == "__main__":
    main()
