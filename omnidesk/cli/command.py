"""What all commands share."""

import sqlite3
from typing import Any

import click
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from omnidesk.db.constraints import error_message


class DeskCommand(click.Command):
    """A command that reports an error of the database in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (DBAPIError, PoolTimeoutError) as error:
            raise click.ClickException(f"{error_message(error)} (has init-db been run?)") from None
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(f"{where}{error.strerror or error}") from None
        except sqlite3.Error as error:
            raise click.ClickException(f"{error}.") from None
