"""How many bytes the indexes of tickets take, and the text indexes."""

from contextlib import closing
from typing import Any

from benchmarks.desks import Desks, Plan, connect

SEARCHED = ("ticket", "comment", "message", "client")
ON_SQLITE = "SELECT sum(pgsize) FROM dbstat WHERE name = ? AND aggregate = TRUE"
INDEXES = "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'ticket'"
ON_POSTGRESQL = """
SELECT indexrelid::regclass::text, pg_relation_size(indexrelid)
FROM pg_index WHERE indrelid = %s::regclass AND NOT indisprimary
"""


def measure(desks: Desks, plan: Plan) -> dict[str, float]:
    """Return the bytes of each index for a row of its table, on the largest desk."""
    url = desks[plan.sizes[-1]]
    on_sqlite = url.startswith("sqlite")
    with closing(connect(url)) as connection:
        found = on_sqlite_indexes(connection) if on_sqlite else on_postgresql_indexes(connection)
        rows = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in SEARCHED
        }
    return {name: size / rows[table] for (table, name), size in found.items()}


def on_sqlite_indexes(connection: Any) -> dict[tuple[str, str], int]:
    """Return the sizes by the table and the name of the index."""
    found = {("ticket", name): [name] for (name,) in connection.execute(INDEXES)}
    for table in SEARCHED:
        parts = [f"{table}_search_{part}" for part in ("data", "idx")]
        found[table, f"ix_{table}_words"] = parts
    return {
        key: sum(connection.execute(ON_SQLITE, (part,)).fetchone()[0] for part in parts)
        for key, parts in found.items()
    }


def on_postgresql_indexes(connection: Any) -> dict[tuple[str, str], int]:
    """Return the same."""
    return {
        (table, name): size
        for table in SEARCHED
        for name, size in connection.execute(ON_POSTGRESQL, (table,))
        if table == "ticket" or name == f"ix_{table}_words"
    }
