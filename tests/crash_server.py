"""A process that has imported everything, and forks a child per job to be killed.

``python crash_server.py`` reads one job per line, JSON: {"target": "module:function", "args":
[...], "seconds": how long the child may live; null = to its end}. The child prints its reports,
one JSON list per line; then the server prints {"ended": status, "seconds": it lived}.
"""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path

HERE = Path(__file__).parent


class Server:
    """The caller's side; one job at a time."""

    def __init__(self):
        path = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
        threads = {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | threads | {"PYTHONPATH": path},
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def run(self, target, *args, seconds=None):
        """Return the reports of a child, how it ended (0, or minus a signal), and its seconds."""
        job = {"target": target, "args": [str(arg) for arg in args], "seconds": seconds}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        reports = []
        while isinstance(line := json.loads(self._process.stdout.readline()), list):
            reports.append(line)
        return reports, line["ended"], line["seconds"]


def report(*words):
    """Print a line that is whole or absent, whenever this process is killed."""
    os.write(1, (json.dumps(words) + "\n").encode())


def child(target, args):
    module, name = target.split(":")
    try:
        getattr(import_module(module), name)(*args)
    except BaseException:  # noqa: BLE001 - it must not come back from here
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def serve():
    import_module("crash_jobs")
    for line in sys.stdin:
        job = json.loads(line)
        start = time.monotonic()
        pid = os.fork()
        if not pid:
            child(job["target"], job["args"])
        if job["seconds"] is not None:
            time.sleep(max(start + job["seconds"] - time.monotonic(), 0))
            os.kill(pid, signal.SIGKILL)  # it is not waited for yet: the number is still its own
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        end = {"ended": status, "seconds": time.monotonic() - start}
        os.write(1, (json.dumps(end) + "\n").encode())


if __name__ == "__main__":
    serve()
