"""A backup takes the place of the database, completely or not at all; what was there is kept."""

from pathlib import Path

from omnidesk.db import db
from omnidesk.db.statements import drop_idle_connections


def check(file: Path) -> None:
    """Raise ClickException where a file is no backup, or somebody has the database open."""
    drop_idle_connections()
    if db.engine.name == "sqlite":
        from omnidesk.operations.backup import sqlite_restore

        sqlite_restore.check(file)
    else:
        from omnidesk.operations.backup import postgresql_restore

        postgresql_restore.check(file)


def refuse_others() -> None:
    """Raise ClickException while somebody else has the database open."""
    drop_idle_connections()
    if db.engine.name == "sqlite":
        from omnidesk.operations.backup import sqlite_restore

        sqlite_restore.refuse_others()
    else:
        from omnidesk.operations.backup import postgresql_programs, postgresql_restore

        with postgresql_programs.session(db.engine.url) as connection:
            postgresql_restore.refuse_others(connection, db.engine.url)


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
