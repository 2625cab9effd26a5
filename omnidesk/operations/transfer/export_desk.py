"""A desk written to files, as it is at one moment, beside a running server."""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Connection, Table, func, literal, select

from omnidesk import migrations
from omnidesk.db import db
from omnidesk.db.counters import Counter
from omnidesk.db.numbers import last_number
from omnidesk.db.session import READ
from omnidesk.operations.backup.whole_files import is_at, lock
from omnidesk.operations.transfer.desk_files import (
    MANIFEST,
    PARTS,
    dumps,
    file_of,
    tables,
)

BATCH = 1_000  # rows in memory
SNAPSHOT = {
    "sqlite": ("BEGIN",),
    "postgresql": (
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "SET LOCAL statement_timeout = 0",
    ),
}


def export_desk(folder: Path, parts: Sequence[str]) -> dict[str, int]:
    """Write these parts of the desk to a new folder, whole or not at all; return counts of rows.

    Raises ClickException where the folder has something in it already.
    """
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise click.ClickException(f"{folder} is there already, and not empty.")
    with unfinished_folder(folder.with_name(f".{folder.name}.unfinished")) as unfinished:
        counts = write_all(unfinished, tables(parts or PARTS))
        unfinished.replace(folder)
    return counts


@contextmanager
def unfinished_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder that only this process writes; delete it in the end, under this name.

    One that was left by a kill is used again. Raises ClickException while another process writes
    it.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        lock(path, descriptor)
        for left in path.iterdir():
            left.unlink()
        try:
            yield path
        finally:
            if is_at(path, descriptor):
                shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)


def write_all(folder: Path, chosen: list[Table]) -> dict[str, int]:
    """Write tables, and the list of them, to a folder; return counts of rows."""
    with snapshot() as connection:
        counts = {table.name: write(connection, table, folder) for table in chosen}
        manifest = {
            "revision": migrations.revision_of(connection),
            "whole": chosen == tables(),
            "rows": counts,
            "last_numbers": {table.name: last_number(connection, table) for table in chosen},
        }
    write_privately(folder / MANIFEST, [json.dumps(manifest, indent=2)])
    return counts


@contextmanager
def snapshot() -> Iterator[Connection]:
    """Read everything as it is at one moment."""
    with db.engines[READ].connect() as connection:
        for statement in SNAPSHOT[connection.dialect.name]:
            connection.exec_driver_sql(statement)
        try:
            yield connection
        finally:
            connection.exec_driver_sql("ROLLBACK")


def write(connection: Connection, table: Table, folder: Path) -> int:
    """Write the rows of a table to its file, with a progress bar; return how many there are."""
    count = connection.scalar(select(func.count()).select_from(table)) or 0
    found = connection.execute(selected(table), execution_options={"yield_per": BATCH})
    showing = click.progressbar(length=count, label=f"{table.name:14}", file=sys.stderr)
    written = 0
    with found, showing as bar:
        for part in found.mappings().partitions():
            write_privately(file_of(folder, table), (dumps(dict(row)) for row in part))
            written += len(part)
            bar.update(len(part))
    write_privately(file_of(folder, table), ())  # also where there is no row
    return written


def selected(table: Table) -> Any:
    """Return the select of the rows of a table, in the order of their keys.

    Counters are added up: how they are spread is the database's own matter.
    """
    if table is not Counter.__table__:
        return select(table).order_by(*table.primary_key)
    name, _, number = table.columns
    total = select(name, literal(0).label("slot"), func.sum(number).label("count"))
    return total.group_by(name).order_by(name)


def write_privately(path: Path, lines: Any) -> None:
    """Add lines to a file that only its owner can read."""
    path.touch(mode=0o600)
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)
