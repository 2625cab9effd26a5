"""Frozen: constraints for tables of SQLite's that have rows, from version 0025 on."""

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op


def add_on_sqlite(table: str, clauses: Iterable[str], *, before: str = "", now: str = "") -> None:
    """Add constraints that all rows meet; one text of the table's before becomes another now.

    Only what SQLite stores of the table is changed, as its manual describes for constraints that
    are taken away ("Making Other Kinds Of Table Schema Changes"): no table is copied, and triggers
    and indexes stay as they are.
    """
    connection = op.get_bind()
    number = connection.scalar(sa.text("PRAGMA schema_version"))
    op.execute("PRAGMA writable_schema=ON")
    where = "WHERE type = 'table' AND name = :table"
    sql = connection.scalar(sa.text(f"SELECT sql FROM sqlite_master {where}"), {"table": table})  # noqa: S608 - ours
    columns = sql.replace(before, now) if before else sql
    made = ", ".join([columns.rstrip().removesuffix(")").rstrip(), *clauses])
    connection.execute(
        sa.text(f"UPDATE sqlite_master SET sql = :sql {where}"),  # noqa: S608 - ours
        {"table": table, "sql": f"{made}\n)"},
    )
    op.execute(f"PRAGMA schema_version={number + 1}")  # other connections read the table again
    op.execute("PRAGMA writable_schema=RESET")  # and so does this one
