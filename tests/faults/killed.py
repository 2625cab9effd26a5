"""A command that kills itself after a step: `python -m tests.faults.killed STEP COUNT COMMAND...`.

STEP is a function, such as `omnidesk.operations.transfer.import_file:store_batch`, and COUNT how
often it is called; COMMAND is one of `flask --app wsgi`.
"""

import os
import signal
import subprocess
import sys
from functools import reduce
from importlib import import_module
from typing import Any

from flask.cli import main

from tests.servers import ROOT, environ


def kill_after(place: Any, name: str, count: int = 1) -> None:
    """Let this process be killed when a function of a module or class has ended so often."""
    act, calls = getattr(place, name), []

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        found = act(*args, **kwargs)
        calls.append(name)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(place, name, wrapped)


def run_until_killed(
    settings: dict[str, str], step: str, count: int, *command: str, **kwargs: Any
) -> None:
    """Run a command that is killed when a step has been done so often."""
    program = [sys.executable, "-m", "tests.faults.killed", step, str(count), *command]
    done = subprocess.run(
        program, env=environ(settings), cwd=ROOT, capture_output=True, check=False, **kwargs
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


if __name__ == "__main__":
    _, step, count, *command = sys.argv
    module, _, path = step.partition(":")
    *outer, function = path.split(".")
    kill_after(reduce(getattr, outer, import_module(module)), function, int(count))
    sys.argv = ["flask", "--app", "wsgi", *command]
    main()
