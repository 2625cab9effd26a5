"""The command that sends what is queued."""

import os
import sys

import click

import config

# Without docstrings and the columns of tracebacks, which take some MB; it is a process of its own,
# without the routes.
COMMAND = (sys.executable, "-OO", "-X", "no_debug_ranges", "-m", "omnidesk.worker")


@click.command()
def worker() -> None:
    """Send what is queued, until SIGTERM or Ctrl-C."""
    os.chdir(config.INSTANCE.parent)  # where Python finds the code
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")  # glibc has 8 heaps for each core otherwise
    os.execv(COMMAND[0], COMMAND)  # noqa: S606 - our own program, without a shell
