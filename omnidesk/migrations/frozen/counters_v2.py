"""Frozen: triggers that keep counts of rows, from version 0011 on, in the table `counter`."""

from alembic import op

FUNCTION = """
CREATE FUNCTION count_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN {inserted}
    ELSIF TG_OP = 'DELETE' THEN {deleted}
    ELSE {updated}
    END IF;
    RETURN NULL;
END $$
"""
# Ordered, so that two writers in the same slot lock its rows in the same order.
MERGE = """
    INSERT INTO counter (name, slot, count)
    SELECT name, pg_backend_pid() % {slots}, sum(step) FROM ({rows}) AS moved
    WHERE name IS NOT NULL GROUP BY name HAVING sum(step) <> 0 ORDER BY name
    ON CONFLICT (name, slot) DO UPDATE SET count = counter.count + EXCLUDED.count;
"""
STEP = """
    INSERT INTO counter (name, slot, count) SELECT {name}, 0, {step} WHERE {name} IS NOT NULL
    ON CONFLICT (name, slot) DO UPDATE SET count = counter.count + EXCLUDED.count;
"""
COUNT = """
    INSERT INTO counter (name, slot, count)
    SELECT name, 0, rows
    FROM (SELECT {name} AS name, count(*) AS rows FROM {table} GROUP BY 1) AS counted
    WHERE name IS NOT NULL
    ON CONFLICT (name, slot) DO UPDATE SET count = EXCLUDED.count
"""


def keep(table: str, name: str, slots: int = 64) -> None:
    """Count a table's rows from now on, each under a name: SQL with `{row}` for the row.

    NULL is not counted. On PostgreSQL, slots let as many writers at a time count under one name.
    """
    # First the triggers, which keep writers out until we are done: none is missed in between.
    watch(table, name, slots)
    op.execute(COUNT.format(table=table, name=name.format(row=table)))


def watch(table: str, name: str, slots: int = 64) -> None:
    """Move the counts with a table's rows from now on; the rows that it has are counted already."""
    if op.get_bind().dialect.name == "postgresql":
        watch_on_postgresql(table, name, slots)
    else:
        watch_on_sqlite(table, name)


def watch_on_sqlite(table: str, name: str) -> None:
    """Move the counts with each row."""
    new, old = name.format(row="NEW"), name.format(row="OLD")
    more, less = STEP.format(name=new, step=1), STEP.format(name=old, step=-1)
    for event, moves in (("INSERT", more), ("DELETE", less), ("UPDATE", less + more)):
        when = f"WHEN {old} IS NOT {new}" if event == "UPDATE" else ""
        trigger = f"CREATE TRIGGER count_{table}_{event.lower()} AFTER {event} ON {table}"
        op.execute(f"{trigger} {when} BEGIN {moves} END")


def watch_on_postgresql(table: str, name: str, slots: int) -> None:
    """Move the counts with each statement, however many rows it has."""
    counted = name.format(row="row")
    more = f"SELECT {counted} AS name, 1 AS step FROM new_rows AS row"  # noqa: S608 - ours
    less = f"SELECT {counted} AS name, -1 AS step FROM old_rows AS row"  # noqa: S608 - ours
    moves = {"inserted": more, "deleted": less, "updated": f"{more} UNION ALL {less}"}
    merges = {moment: MERGE.format(rows=rows, slots=slots) for moment, rows in moves.items()}
    op.execute(FUNCTION.format(table=table, **merges))
    for event, seen in (
        ("INSERT", "NEW TABLE AS new_rows"),
        ("DELETE", "OLD TABLE AS old_rows"),
        ("UPDATE", "NEW TABLE AS new_rows OLD TABLE AS old_rows"),
    ):
        op.execute(
            f"CREATE TRIGGER count_{table}_{event.lower()} AFTER {event} ON {table} "
            f"REFERENCING {seen} FOR EACH STATEMENT EXECUTE FUNCTION count_{table}()"
        )
