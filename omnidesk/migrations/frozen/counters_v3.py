"""Frozen: triggers that keep counts of rows, from version 0018 on.

As in v2, but on PostgreSQL an insert has a function of its own, which has nothing to subtract.
"""

from alembic import op

from omnidesk.migrations.frozen import counters_v2

__all__ = ["keep", "watch_inserts"]

FUNCTION = """
CREATE FUNCTION count_{table}_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO counter (name, slot, count)
    SELECT {name}, pg_backend_pid() % {slots}, count(*) FROM new_rows AS row
    WHERE {name} IS NOT NULL GROUP BY 1 ORDER BY 1
    ON CONFLICT (name, slot) DO UPDATE SET count = counter.count + EXCLUDED.count;
    RETURN NULL;
END $$
"""


def keep(table: str, name: str, slots: int = 64) -> None:
    """Count a table's rows from now on, as `counters_v2.keep` does."""
    counters_v2.keep(table, name, slots)
    watch_inserts(table, name, slots)


def watch_inserts(table: str, name: str, slots: int = 64) -> None:
    """Count the inserts of a table that v2 counts; on SQLite they are counted so already."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(FUNCTION.format(table=table, name=name.format(row="row"), slots=slots))
    op.execute(
        f"CREATE OR REPLACE TRIGGER count_{table}_insert AFTER INSERT ON {table} "
        f"REFERENCING NEW TABLE AS new_rows "
        f"FOR EACH STATEMENT EXECUTE FUNCTION count_{table}_insert()"
    )
