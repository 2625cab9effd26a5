"""An export read into an empty desk: all of it in one transaction, or nothing."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from operator import index
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Connection, Table, bindparam, delete, insert, select, text, update
from sqlalchemy.exc import DatabaseError

from omnidesk import migrations
from omnidesk.clients.models import Client
from omnidesk.db import db
from omnidesk.db.change_log import Change
from omnidesk.db.constraints import error_message
from omnidesk.db.counters import Counter
from omnidesk.db.database_id import DatabaseId
from omnidesk.db.feed_start import renumber_restored
from omnidesk.db.numbers import continue_after
from omnidesk.db.postgresql import disable_timeouts
from omnidesk.migrations.frozen.search_v1 import rebuild
from omnidesk.operations.restored_messages import note_unknown
from omnidesk.operations.transfer.desk_files import MANIFEST, file_of, rows_in, tables

BATCH = 1_000  # rows in memory
SEARCHED = ("client", "ticket", "comment", "message")
NO_MANIFEST = (
    *(FileNotFoundError, ValueError, RecursionError),
    *(KeyError, TypeError, AttributeError),
)
TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid"


def import_desk(folder: Path) -> dict[str, int]:
    """Read an export into the desk, which must be empty; return how many rows each table got.

    Raises ClickException, and then nothing is changed.
    """
    manifest = read_manifest(folder)
    try:
        with db.engine.begin() as connection:
            disable_timeouts(connection)
            require_empty(connection)
            with without_triggers(connection):
                for table in tables():
                    read(connection, table, folder, manifest["rows"].get(table.name))
            finish(connection, manifest["last_numbers"])
    except (ValueError, OverflowError) as error:  # OverflowError: SQLite's, of a number
        raise click.ClickException(str(error)) from None
    except (DatabaseError, db.engine.dialect.loaded_dbapi.Error) as error:  # the driver's: of COPY
        why = f"It cannot be read in: {error_message(error)}"
        raise click.ClickException(why) from None
    return dict(manifest["rows"])


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what an export says of itself; raise ClickException if it is not one for this code."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        revision, is_whole = manifest["revision"], manifest["whole"]
        for counts in (manifest["rows"], manifest["last_numbers"]):
            sum(map(index, counts.values()))  # which raises TypeError for what is no number
    except NO_MANIFEST:
        raise click.ClickException(f"{folder} is no export: see {MANIFEST}.") from None
    if not is_whole:
        raise click.ClickException(f"{folder} has some entities only.")
    if revision != migrations.NEWEST:
        raise click.ClickException(
            f"{folder} was exported at {revision}, and this code is at {migrations.NEWEST}:"
            " export with the same version."
        )
    return dict(manifest)


def require_empty(connection: Connection) -> None:
    """Raise ClickException unless no table has a row, apart from counters."""
    for table in tables():
        if table is not Counter.__table__ and connection.scalar(select(table).limit(1)) is not None:
            raise click.ClickException(f"The desk is not empty: {table.name} has rows.")
    connection.execute(delete(Counter))


@contextmanager
def without_triggers(connection: Connection) -> Iterator[None]:
    """Let rows be as they were: triggers would log, count and index them once more."""
    if connection.dialect.name == "postgresql":
        yield from disabled_on_postgresql(connection)
        return
    connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
    triggers = connection.execute(text(TRIGGERS)).all()
    for name, _ in triggers:
        connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
    yield
    for table, *_ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        raise ValueError(
            f"The export is damaged: rows of {table} refer to others that are missing."
        )
    for _, statement in triggers:  # in the order in which they were made, which is how they run
        connection.exec_driver_sql(statement)
    for table in SEARCHED:
        connection.exec_driver_sql(rebuild(f"{table}_search"))


def disabled_on_postgresql(connection: Connection) -> Iterator[None]:
    """Disable the triggers of all tables meanwhile, but for those that check references."""
    for table in tables():
        connection.exec_driver_sql(f"ALTER TABLE {table.name} DISABLE TRIGGER USER")
    yield
    for table in tables():
        connection.exec_driver_sql(f"ALTER TABLE {table.name} ENABLE TRIGGER USER")


def read(connection: Connection, table: Table, folder: Path, expected: int) -> None:
    """Read the rows of a table from its file, with a progress bar; raise ValueError for others."""
    path, count = file_of(folder, table), 0
    merged: list[dict[str, int]] = []
    rows = prepared(rows_in(path, table), table, merged)
    with click.progressbar(length=expected, label=f"{table.name:14}", file=sys.stderr) as bar:
        while batch := [*islice(rows, BATCH)]:
            store(connection, table, batch)
            count += len(batch)
            bar.update(len(batch))
    if count != expected:
        raise ValueError(f"{path} has {count} rows, and not {expected}.")
    if merged:
        connection.execute(MERGE, merged)


MERGE = (
    update(Client.__table__)
    .where(Client.__table__.c.client_id == bindparam("merged"))
    .values(merged_into=bindparam("into"))
)


def prepared(
    rows: Iterable[dict[str, Any]], table: Table, merged: list[dict[str, int]]
) -> Iterator[dict[str, Any]]:
    """Yield rows as the database can take them one after the other.

    Which clients were merged into which is noted for later, when all are there. SQLite has no
    numbers of transactions: changes are ordered by their own.
    """
    for row in rows:
        if table is Client.__table__ and row["merged_into"]:
            merged.append({"merged": row["client_id"], "into": row["merged_into"]})
            yield row | {"merged_into": None}
        elif table is Change.__table__ and db.engine.name == "sqlite":
            yield row | {"transaction_id": 0}
        else:
            yield row


def store(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows as they are."""
    if connection.dialect.name == "sqlite":
        connection.execute(insert(table), rows)
        return
    driver: Any = connection.connection.driver_connection
    names = ", ".join(f'"{name}"' for name in rows[0])
    with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([row[name] for name in rows[0]])  # JSON objects have no order


def finish(connection: Connection, last_numbers: dict[str, int]) -> None:
    """Go on after the last numbers, with an id of the database's own, and send no message."""
    for table in tables():
        continue_after(connection, table, last_numbers.get(table.name, 0))
    note_unknown(connection)
    DatabaseId.renew(connection)
    if connection.dialect.name == "postgresql":
        renumber_restored(connection)
