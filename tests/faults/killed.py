"""A command that ends itself: `python -m tests.faults.killed SIGNAL STEP COUNT COMMAND...`.

SIGNAL is a number, and STEP a function, such as
`omnidesk.operations.transfer.import_file:store_batch`. COUNT is how often it is called before.
COMMAND is one of `flask --app wsgi`.
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


def kill_after(place: Any, name: str, count: int = 1, number: int = signal.SIGKILL) -> None:
    """Let this process get a signal when a function of a module or class has ended so often."""
    act, calls = getattr(place, name), []

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        found = act(*args, **kwargs)
        calls.append(name)
        if len(calls) == count:
            os.kill(os.getpid(), number)
        return found

    setattr(place, name, wrapped)


def run_until_killed(settings: dict[str, str], step: str, count: int, *command: str) -> None:
    """Run a command that is killed when a step has been done so often."""
    run_until(signal.SIGKILL, settings, step, count, *command)


def run_until(number: int, settings: dict[str, str], step: str, count: int, *command: str) -> None:
    """Run a command that gets a signal, by which it ends, when a step has been done so often."""
    killed = "tests.faults.killed", str(int(number)), step, str(count)
    run_python(number, settings, "-m", *killed, *command)


def run_python(number: int, settings: dict[str, str], *arguments: str) -> None:
    """Run a program of Python that ends by a signal."""
    program, env = [sys.executable, *arguments], environ(settings)
    done = subprocess.run(program, env=env, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -number, done.stderr


if __name__ == "__main__":
    _, number, step, count, *command = sys.argv
    module, _, path = step.partition(":")
    *outer, function = path.split(".")
    kill_after(reduce(getattr, outer, import_module(module)), function, int(count), int(number))
    sys.argv = ["flask", "--app", "wsgi", *command]
    main()
