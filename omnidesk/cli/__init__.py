"""The commands of an operator: `flask --app wsgi COMMAND`."""

from flask import Flask

from omnidesk.cli.backups import backup, list_backups, restore
from omnidesk.cli.checks import doctor
from omnidesk.cli.database import init_db, prune, recount, reindex, seed
from omnidesk.cli.transfer import export, import_rows
from omnidesk.cli.users import create_user, set_password
from omnidesk.cli.worker import worker

COMMANDS = (
    init_db,
    create_user,
    set_password,
    seed,
    prune,
    reindex,
    recount,
    backup,
    list_backups,
    restore,
    import_rows,
    export,
    doctor,
    worker,
)


def init_app(app: Flask) -> None:
    """Add the commands to the app."""
    for command in COMMANDS:
        app.cli.add_command(command)
