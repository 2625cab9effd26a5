"""The database's own clock, which all who share it go by.

On SQLite it is that of the machine.
"""

from typing import Any

from sqlalchemy import Float, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from omnidesk.db.types import UtcDateTime


class In(FunctionElement[Any]):
    """The time that it is so many seconds after the statement began; see `due_in`."""

    inherit_cache = True
    type = UtcDateTime()


@compiles(In, "sqlite")
def in_sqlite(element: Any, compiler: Any, **kwargs: Any) -> str:
    """Return the time as SQLite stores it."""
    seconds = compiler.process(element.clauses, **kwargs)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {seconds} || ' seconds')"


@compiles(In, "postgresql")
def in_postgresql(element: Any, compiler: Any, **kwargs: Any) -> str:
    """Return the time as PostgreSQL has it, the same in a whole statement, so an index finds it."""
    seconds = compiler.process(element.clauses, **kwargs)
    return f"(statement_timestamp() + make_interval(secs => {seconds}))"


def due_in(seconds: float) -> In:
    """Return SQL for the time that it is so many seconds from now."""
    return In(bindparam(None, float(seconds), Float()))


NOW = due_in(0)
