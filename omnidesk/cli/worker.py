"""The command that sends what is queued."""

import click
from flask import current_app
from flask.cli import with_appcontext

from omnidesk.cli.command import DeskCommand


@click.command(cls=DeskCommand)
@with_appcontext
def worker() -> None:
    """Send queued messages, until it is told to end."""
    from omnidesk.worker import process

    process.run(current_app._get_current_object())
