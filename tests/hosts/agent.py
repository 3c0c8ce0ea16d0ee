"""In a host under test: run the commands that appear in a folder, many at once: agent.py FOLDER

``<id>.command`` is JSON with ``argv`` and ``input``; ``<id>.result`` has ``code``, ``out`` and ``err``. Both appear by a rename.
"""

import json
import os
import subprocess
import sys
import threading
import time

PAUSE = 0.02


def run(folder: str, name: str) -> None:
    path = os.path.join(folder, name)
    with open(path + ".running", encoding="utf-8") as file:
        given = json.load(file)
    done = subprocess.run(given["argv"], check=False, input=given["input"], capture_output=True, text=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump({"code": done.returncode, "out": done.stdout, "err": done.stderr}, file)
    os.rename(path + ".new", path + ".result")


def main(folder: str) -> None:
    open(os.path.join(folder, "ready"), "w", encoding="utf-8").close()
    while True:
        for entry in os.listdir(folder):
            name, kind = os.path.splitext(entry)
            if kind == ".command":
                os.rename(os.path.join(folder, entry), os.path.join(folder, name + ".running"))
                threading.Thread(target=run, args=(folder, name)).start()
        time.sleep(PAUSE)


main(sys.argv[1])
