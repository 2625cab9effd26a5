"""The numbers that the database gives to new rows: which was the last, and which comes next."""

from typing import Any

from sqlalchemy import Column, Connection, Table, func, inspect, select, text

from omnidesk.db.base import Base
from omnidesk.db.types import MAX_ID

JUMP = 1_000_000  # how far a restored database continues beyond all numbers that are known


def numbered(table: Table) -> Column[Any] | None:
    """Return the column of a table whose numbers the database gives out, None without one."""
    is_numbered = table.dialect_options["sqlite"]["autoincrement"]
    return table.primary_key.columns[0] if is_numbered else None


def last_number(connection: Connection, table: Table) -> int:
    """Return the last number that was given out for a table, also of a row that was deleted."""
    column = numbered(table)
    if column is None:
        return 0
    names = {"table": table.name, "key": column.name}
    if connection.dialect.name == "postgresql":
        sql = "SELECT pg_sequence_last_value(pg_get_serial_sequence(:table, :key)::regclass)"
    else:
        sql, names = "SELECT seq FROM sqlite_sequence WHERE name = :table", {"table": table.name}
    return connection.scalar(text(sql), names) or 0


def last_numbers(connection: Connection) -> dict[str, int]:
    """Return the last number of each table that a database has; it may have another schema."""
    present = set(inspect(connection).get_table_names())
    known = (table for table in Base.metadata.sorted_tables if table.name in present)
    return {table.name: last_number(connection, table) for table in known}


def continue_after(connection: Connection, table: Table, number: int) -> None:
    """Let new numbers come after this one and after the greatest that there is.

    That of a row that was deleted is not given out again.
    """
    column = numbered(table)
    if column is None:
        return
    greatest = connection.scalar(select(func.max(column))) or 0
    last = max(number, greatest, last_number(connection, table))
    if not last:
        return
    if connection.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(table.name, column.name)
        connection.execute(select(func.setval(sequence, last)))
        return
    names = {"name": table.name, "last": last}
    connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), names)
    connection.execute(text("INSERT INTO sqlite_sequence VALUES (:name, :last)"), names)


def start_beyond(last: int) -> int:
    """Return a number far beyond the last that is known, after which new ones begin."""
    return last + min(JUMP, (MAX_ID - last) // 2)
