"""Which constraint an error of SQLite's is about, as psycopg tells of PostgreSQL's."""

import re
import sqlite3
from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import Engine, ForeignKeyConstraint, Table, event
from sqlalchemy.engine import ExceptionContext


@event.listens_for(Engine, "handle_error")
def name_constraint(context: ExceptionContext) -> None:
    """Note the broken constraint's name on the error, as psycopg does."""
    error, execution = context.original_exception, cast("Any", context.execution_context)
    # A commit, which checks what was deferred, has no statement.
    if isinstance(error, sqlite3.IntegrityError) and execution is not None:
        driver = execution.root_connection.connection.driver_connection
        statement = execution.compiled and execution.compiled.statement
        note_constraint(error, statement, execution.compiled_parameters, driver)


def note_constraint(error: Any, statement: Any, rows: Iterable[Any], driver: Any) -> None:
    """Note on the driver's error which constraint the rows of a statement break."""
    message = str(error)
    if "FOREIGN KEY" in message:
        name = broken_foreign_key(statement.table, rows, driver)
    elif columns := re.findall(r"(\w+)\.(\w+)", message):
        name = "_".join(["uq", columns[0][0], *(column for _, column in columns)])
    else:
        name = message.rpartition(": ")[2].removeprefix("index ").strip("'")
    vars(error)["constraint_name"] = name


def broken_foreign_key(table: Table, rows: Iterable[Any], driver: Any) -> str | None:
    """Return the name of the foreign key whose row is missing, which SQLite does not tell."""
    keys = sorted(table.foreign_key_constraints, key=lambda key: len(key.elements))
    for key in keys:
        if any(is_missing(driver, key, row) for row in rows):
            return str(key.name)
    # Of two columns only one was changed, here or in the row that is referred to.
    others = (
        key for other in table.metadata.sorted_tables for key in other.foreign_key_constraints
    )
    changed = {name for row in rows for name in row}
    for key in (*keys, *(key for key in others if key.referred_table is table)):
        names = {(each.parent if key in keys else each.column).name for each in key.elements}
        if len(names) > 1 and not names.isdisjoint(changed):
            return str(key.name)
    return None


def is_missing(driver: Any, key: ForeignKeyConstraint, row: dict[str, Any]) -> bool:
    """Return whether there is no row that the values of another one refer to."""
    values = [row.get(each.parent.name) for each in key.elements]
    if any(value is None for value in values):
        return False
    same = " AND ".join(f"{each.column.name} = ?" for each in key.elements)
    found = f"SELECT 1 FROM {key.referred_table.name} WHERE {same}"  # noqa: S608 - ours
    return driver.execute(found, values).fetchone() is None
