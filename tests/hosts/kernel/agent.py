"""In a host under test: run the commands that appear in a folder, many at once: agent.py FOLDER

``<id>.command`` is JSON: ``argv``, ``input``, ``environment``; in ``argv`` the name of a Python module can follow ``module``, and is
run by a fork of this process, which has loaded all that it imports: a process that loads it takes seconds here.
``<id>.result`` has ``code``, ``out`` and ``err``. Both appear by a rename.
"""

import importlib
import io
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import time
import traceback

PAUSE = 0.02


def answer(path: str, code: int, out: str, err: str) -> None:
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump({"code": code, "out": out, "err": err}, file)
    os.rename(path + ".new", path + ".result")


def run(path: str, given: dict) -> None:
    environment = {**os.environ, **given["environment"]}
    done = subprocess.run(given["argv"], check=False, input=given["input"], capture_output=True, text=True, env=environment)
    answer(path, done.returncode, done.stdout, done.stderr)


def fork(path: str, given: dict) -> None:
    """Run a Python module in a fork."""
    importlib.import_module(given["argv"][1])
    files = [tempfile.TemporaryFile("w+") for _stream in range(3)]
    files[0].write(given["input"])
    files[0].seek(0)
    child = os.fork()
    if child == 0:
        os.environ.update(given["environment"])
        code = 1
        try:
            for number, file in enumerate(files):
                os.dup2(file.fileno(), number)
            sys.stdin, sys.stdout, sys.stderr = (io.open(number, mode) for number, mode in enumerate("rww"))
            sys.argv = given["argv"][1:]
            runpy.run_module(given["argv"][1], run_name="__main__")
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def wait() -> None:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        for file in files:
            file.seek(0)
        answer(path, code, files[1].read(), files[2].read())

    threading.Thread(target=wait).start()


def main(folder: str) -> None:
    open(os.path.join(folder, "ready"), "w", encoding="utf-8").close()
    while True:
        for entry in os.listdir(folder):
            name, kind = os.path.splitext(entry)
            if kind == ".command":
                path = os.path.join(folder, name)
                os.rename(path + kind, path + ".running")
                with open(path + ".running", encoding="utf-8") as file:
                    given = json.load(file)
                if given["argv"][0] == "module":
                    fork(path, given)
                else:
                    threading.Thread(target=run, args=(path, given)).start()
        time.sleep(PAUSE)


main(sys.argv[1])
