"""Frozen: triggers that keep several counts of the rows of a table, from version 0025 on.

A count is SQL for its name, with `{row}` for the row, and for how much a row counts. Rows whose
name is NULL are not counted.
"""

from collections.abc import Sequence
from typing import NamedTuple

from alembic import op

SLOTS = 64  # that PostgreSQL spreads a count over, so that as many writers can count at a time
FEW_SLOTS = 4  # of each of many counts that are added up
SLOT = f"pg_backend_pid() % CASE WHEN name LIKE 'due %' THEN {FEW_SLOTS} ELSE {SLOTS} END"
# Ordered, so that two writers in the same slot lock its rows in the same order.
MERGE = """
    INSERT INTO counter (name, slot, count)
    SELECT name, {slot}, sum(step) FROM ({rows}) AS moved
    WHERE name IS NOT NULL GROUP BY name HAVING sum(step) <> 0 ORDER BY name
    ON CONFLICT (name, slot) DO UPDATE SET count = counter.count + EXCLUDED.count
"""
FUNCTION = """
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'INSERT' THEN {inserted};
    ELSIF TG_OP = 'DELETE' THEN {deleted};
    ELSE {updated};
    END IF;
    RETURN NULL;
END $$
"""
STEP = """
    INSERT INTO counter (name, slot, count) SELECT {name}, 0, {sign}{step} WHERE {name} IS NOT NULL
    ON CONFLICT (name, slot) DO UPDATE SET count = counter.count + EXCLUDED.count;
"""
COUNT = """
    INSERT INTO counter (name, slot, count)
    SELECT name, 0, sum(step) FROM (SELECT {name} AS name, {step} AS step FROM {table}) AS counted
    WHERE name IS NOT NULL GROUP BY name
    ON CONFLICT (name, slot) DO UPDATE SET count = EXCLUDED.count
"""


class Count(NamedTuple):
    """What is counted: `key` names its triggers, `columns` are those that it depends on."""

    key: str
    name: str
    columns: tuple[str, ...]
    step: str = "1"


def keep(table: str, counts: Sequence[Count]) -> None:
    """Keep these counts of a table's rows from now on, row by row."""
    if op.get_bind().dialect.name == "postgresql":
        make_function(f"count_{table}", counts, "NEW", "OLD")
        columns = sorted({column for count in counts for column in count.columns})
        for event in ("INSERT", "DELETE", f"UPDATE OF {', '.join(columns)}"):
            op.execute(
                f"CREATE TRIGGER count_{table}_{event.partition(' ')[0].lower()} "
                f"AFTER {event} ON {table} FOR EACH ROW EXECUTE FUNCTION count_{table}()"
            )
    else:
        watch_on_sqlite(table, counts)
    fill(table, counts)


def keep_also(table: str, counts: Sequence[Count], name: str) -> None:
    """Keep more counts of a table that v3 counts under a name."""
    if op.get_bind().dialect.name == "postgresql":
        every = [Count("", name, ()), *counts]
        for function in (f"count_{table}", f"count_{table}_insert"):
            make_function(function, every, "row", "row")
    else:
        watch_on_sqlite(table, counts)
    fill(table, counts)


def make_function(name: str, counts: Sequence[Count], new: str, old: str) -> None:
    """Make the function of PostgreSQL's triggers: for the row, or for all rows of a statement."""
    more = moves(counts, new, "", "new_rows AS row, LATERAL " * (new == "row"))
    less = moves(counts, old, "-", "old_rows AS row, LATERAL " * (old == "row"))
    rows = {"inserted": more, "deleted": less, "updated": f"{more} UNION ALL {less}"}
    merges = {moment: MERGE.format(slot=SLOT, rows=each) for moment, each in rows.items()}
    op.execute(FUNCTION.format(name=name, **merges))


def moves(counts: Sequence[Count], row: str, sign: str, source: str) -> str:
    """Return the select of the names and steps of each row."""
    values = ", ".join(
        f"({count.name.format(row=row)}::text, {sign}({count.step.format(row=row)}))"
        for count in counts
    )
    listed = f"(VALUES {values}) AS counted (name, step)"
    return f"SELECT counted.* FROM {source}{listed}"  # noqa: S608 - ours


def watch_on_sqlite(table: str, counts: Sequence[Count]) -> None:
    """Move each count with each row."""
    for key, name, columns, step in counts:
        new, old = name.format(row="NEW"), name.format(row="OLD")
        new_step, old_step = step.format(row="NEW"), step.format(row="OLD")
        more = STEP.format(name=new, sign="", step=new_step)
        less = STEP.format(name=old, sign="-", step=old_step)
        differs = f"{old} IS NOT {new} OR {old_step} <> {new_step}"
        for event, when, body in (
            ("INSERT", f"{new} IS NOT NULL", more),
            ("DELETE", f"{old} IS NOT NULL", less),
            (f"UPDATE OF {', '.join(columns)}", differs, less + more),
        ):
            trigger = f"count_{table}_{key}_{event.partition(' ')[0].lower()}"
            op.execute(
                f"CREATE TRIGGER {trigger} AFTER {event} ON {table} WHEN {when} BEGIN {body} END"
            )


def fill(table: str, counts: Sequence[Count]) -> None:
    """Count the rows that there are."""
    for count in counts:
        name, step = count.name.format(row=table), count.step.format(row=table)
        op.execute(COUNT.format(name=name, step=step, table=table))
