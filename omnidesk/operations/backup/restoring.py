"""A backup takes the place of the database, completely or not at all; what was there is kept."""

from pathlib import Path

import click
from sqlalchemy import Engine

from omnidesk import migrations
from omnidesk.db import db
from omnidesk.db.database_id import DatabaseId
from omnidesk.db.feed_start import start_anew
from omnidesk.db.postgresql import disable_timeouts
from omnidesk.db.statements import drop_idle_connections
from omnidesk.operations.restored_messages import note_unknown


def check(file: Path) -> None:
    """Raise ClickException where a file is no backup, or somebody has the database open."""
    drop_idle_connections()
    if db.engine.name == "sqlite":
        from omnidesk.operations.backup import sqlite_restore

        sqlite_restore.check(file)
    else:
        from omnidesk.operations.backup import postgresql_restore

        postgresql_restore.check(file)


def restore(file: Path) -> str | None:
    """Restore a backup; return the name under which is kept what was there, if there was anything.

    Raises ClickException, OSError and errors of the database: everything is then as it was.
    """
    if db.engine.name == "sqlite":
        from omnidesk.operations.backup import sqlite_restore

        return sqlite_restore.restore(file)
    from omnidesk.operations.backup import postgresql_restore

    return postgresql_restore.restore(file)


def database_name() -> str:
    """Return what people call the database."""
    return str(db.engine.url.database)


def prepare(engine: Engine, file: Path, beyond: int) -> None:
    """Bring a restored database to the newest schema, and let it be another one to all readers.

    Nothing is sent that it has to send. It gets a new id, and its feed starts beyond the changes
    that the backup has, and those up to a seq that the database in its place has had. Raises
    ClickException.
    """
    with engine.begin() as connection:
        disable_timeouts(connection)
        if migrations.revision_of(connection) is None:
            raise click.ClickException(f"{file} is no backup of a desk.")
        try:
            migrations.upgrade_within(connection)
        except migrations.NewerSchemaError as error:
            raise click.ClickException(f"{file} cannot be restored. {error}") from None
        note_unknown(connection)
        DatabaseId.renew(connection)
        start_anew(connection, beyond)
