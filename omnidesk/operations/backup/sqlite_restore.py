"""A backup takes the place of a SQLite database: a new file is complete before it gets the name.

Nobody can open the old file meanwhile. Its `-wal` must not be there when the new one gets its name,
or SQLite would apply it to that.
"""

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import click
from sqlalchemy import create_engine

from omnidesk.db import db, utcnow
from omnidesk.db.engines import WRITE_SETTINGS, engine_options
from omnidesk.db.sqlite_files import BESIDE, files_at, primary_code
from omnidesk.operations.backup import backups, sqlite_backup
from omnidesk.operations.backup.preparing import prepare
from omnidesk.operations.backup.whole_files import (
    PartialFile,
    partial_file,
    put_in_place,
    sync_folder,
)

IN_USE = "{} is in use: stop the server, and whatever else has it open."
LEFT_BESIDE = (*BESIDE, "-journal")
UNREADABLE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def check(file: Path) -> None:
    """Raise ClickException for a file that is no database, or while another process has ours."""
    database = database_path()
    if database.exists() and file.samefile(database):
        raise click.ClickException(f"{file} is the database itself.")
    refuse_others()
    with closing(opened(file)) as source:
        sqlite_backup.contents(source)


def refuse_others() -> None:
    """Raise ClickException while another process has the database open."""
    database = database_path()
    if database.exists() and files_at(str(database)).is_open_elsewhere():
        raise click.ClickException(IN_USE.format(database))


def database_path() -> Path:
    """Return the path of the database, not that of a link to it."""
    return Path(str(db.engine.url.database)).resolve()


def restore(file: Path) -> str | None:
    """Restore a backup; return the path of the old file, None where there was none."""
    database = database_path()
    with partial_file(database.with_name(f".{database.name}.restoring")) as partial:
        for suffix in LEFT_BESIDE:  # by a restore that was interrupted
            partial.path.with_name(partial.path.name + suffix).unlink(missing_ok=True)
        with held(database) as old:
            fill(partial, file, last_numbers(old))
            keep_owner(partial, database)
            kept = put_aside(database, old) if database.exists() else None
            put_in_place(partial, database)
    return str(kept) if kept else None


def opened(file: Path) -> sqlite3.Connection:
    """Return a connection that reads a file, with its `-wal` if it has one.

    Raises ClickException for a file that is none of SQLite's.
    """
    uri = f"file:{quote(bytes(file.absolute()))}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError as error:
        connection.close()
        if primary_code(error) != sqlite3.SQLITE_NOTADB:
            raise
        raise click.ClickException(f"{file} is no database.") from None
    return connection


@contextmanager
def held(database: Path) -> Iterator[sqlite3.Connection | None]:
    """Let no other process open the database; yield a connection, or None for no database.

    None, too, for a file that SQLite cannot read. Raises ClickException where it is open elsewhere.
    """
    if not database.exists():
        yield None
        return
    uri = f"file:{quote(str(database))}?mode=rw"
    with closing(sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("ROLLBACK")  # the lock stays until the connection is closed
        except sqlite3.DatabaseError as error:
            if primary_code(error) == sqlite3.SQLITE_BUSY:
                raise click.ClickException(IN_USE.format(database)) from None
            if primary_code(error) not in UNREADABLE:
                raise
            yield None
        else:
            yield connection


def last_numbers(old: sqlite3.Connection | None) -> dict[str, int]:
    """Return the last numbers that a database has given out; none where they cannot be read."""
    with suppress(sqlite3.DatabaseError):
        return dict(old.execute("SELECT name, seq FROM sqlite_sequence").fetchall() if old else ())
    return {}


def fill(partial: PartialFile, file: Path, beyond: Mapping[str, int]) -> None:
    """Fill a new file with a backup, and bring it to the newest schema."""
    with closing(opened(file)) as source:
        source.execute("BEGIN")
        expected = sqlite_backup.contents(source)
        sqlite_backup.copy(source, partial.path, lambda *_: None)
    sqlite_backup.check(partial.path, expected)
    url = db.engine.url.set(database=str(partial.path))
    engine = create_engine(url, **engine_options(url, 1, 1, WRITE_SETTINGS))
    try:
        prepare(engine, file, beyond)
    finally:
        engine.dispose()


def keep_owner(partial: PartialFile, database: Path) -> None:
    """Set the owner of the new file to that of the old one, or of the folder, where allowed."""
    like = database if database.exists() else database.parent
    found = like.stat()
    with suppress(PermissionError):
        os.fchown(partial.descriptor, found.st_uid, found.st_gid)
    if like == database:
        os.fchmod(partial.descriptor, found.st_mode & 0o660 | 0o600)


def put_aside(database: Path, old: sqlite3.Connection | None) -> Path:
    """Link the old file under a second name, with all that is in its `-wal`; return it."""
    kept = database.with_name(f"{database.name}.{utcnow():{backups.TIME}}")
    # Then it needs nothing beside it. What SQLite cannot read is kept with what lies there.
    is_alone = old and old.execute("PRAGMA journal_mode=DELETE").fetchone() == ("delete",)
    os.link(database, kept)
    for suffix in LEFT_BESIDE:
        with suppress(FileNotFoundError):
            beside = Path(f"{database}{suffix}")
            beside.unlink() if is_alone else beside.rename(f"{kept}{suffix}")
    sync_folder(database.parent)
    return kept
