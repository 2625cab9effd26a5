"""What all commands share."""

import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from threading import current_thread, main_thread
from typing import Any

import click
from flask.cli import with_appcontext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from omnidesk import migrations
from omnidesk.db.constraints import error_message


class DeskCommand(click.Command):
    """A command that reports an error of the database in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        open_standard_files()
        try:
            with ended_like_ctrl_c():
                return super().invoke(ctx)
        except (DBAPIError, PoolTimeoutError) as error:
            raise click.ClickException(f"{error_message(error)} (has init-db been run?)") from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror or error}") from None
        except UnicodeEncodeError as error:  # an argument that is not UTF-8
            raise click.ClickException(f"{error.object!r} is no text in UTF-8.") from None
        except sqlite3.Error as error:
            raise click.ClickException(f"{error}.") from None
        except Exception as error:
            if not is_of_psycopg(error):
                raise
            raise click.ClickException(error_message(error)) from None


def open_standard_files() -> None:
    """Let no file of ours have the number of a standard one that is closed, as by `2>&-`.

    What would be written to standard error is lost then, and is not in the output either.
    """
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(opened)
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process


def is_of_psycopg(error: Exception) -> bool:
    """Return whether an error is the driver's own, as of COPY, which SQLAlchemy does not run."""
    kinds = type(error).__mro__  # psycopg is not imported for SQLite
    return ("psycopg", "Error") in [(kind.__module__, kind.__name__) for kind in kinds]


@contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end what is inside as Ctrl-C does, which leaves nothing unfinished.

    The process then ends by the signal.
    """
    received: list[int] = []

    def end(number: int, _frame: Any) -> None:
        received.append(number)
        if len(received) == 1:  # others must not disturb the end
            raise KeyboardInterrupt

    handled = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if current_thread() is main_thread() and signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in handled:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)
        if received:
            os.kill(os.getpid(), received[0])


def with_newest_schema(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that runs in the app's context, and on no older or newer schema."""

    @with_appcontext
    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        if problem := migrations.fault(migrations.revision()):
            raise click.ClickException(f"The database is not ready. {problem}")
        return command(*args, **kwargs)

    return run
