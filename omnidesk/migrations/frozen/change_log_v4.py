"""Frozen: triggers that log every change of a row, from version 0028 on.

As in v3, but a transaction can say what it logs: its new rows as `imported`, or, while it erases a
client, none of its changes, since it logs the erasure itself. On SQLite it says so by the function
`logged_operation()` of its connection, on PostgreSQL by the setting `omnidesk.operation`.
"""

from collections.abc import Iterable

from alembic import op

from omnidesk.migrations.frozen import change_log_v2, change_log_v3
from omnidesk.migrations.frozen.change_log_v1 import (
    COLUMNS,
    NOW,
    Logged,
    changes_on_sqlite,
    row_on_postgresql,
    row_on_sqlite,
)
from omnidesk.migrations.frozen.change_log_v3 import allow

__all__ = ["Logged", "allow", "keep", "watch"]

INSERT_FUNCTION = """
CREATE OR REPLACE FUNCTION change_{table}_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {columns} VALUES (
        clock_timestamp(), nullif(current_setting('omnidesk.actor', true), '')::integer, '{entity}',
        NEW.{key}, coalesce(nullif(current_setting('omnidesk.operation', true), ''), 'created'),
        NULL, {new}::text
    );
    RETURN NULL;
END $$
"""
TRIGGER = """
CREATE OR REPLACE TRIGGER change_{table} AFTER UPDATE OR DELETE ON {table} FOR EACH ROW
WHEN (current_setting('omnidesk.operation', true) IS DISTINCT FROM 'erased')
EXECUTE FUNCTION change_{table}()
"""
INSERT_TRIGGER = """
CREATE OR REPLACE TRIGGER change_{table}_insert AFTER INSERT ON {table}
FOR EACH ROW EXECUTE FUNCTION change_{table}_insert()
"""
ON_SQLITE = (
    "CREATE TRIGGER {trigger} AFTER {event} ON {table} {when}BEGIN {columns} "
    "VALUES ({now}, acting_user(), '{entity}', {row}.{key}, {done}, {values}); END"
)


def keep(logged: Logged) -> None:
    """Log a table's changes from now on, beginning with the rows that it has."""
    change_log_v3.keep(logged)
    watch(logged)


def watch(logged: Logged) -> None:
    """Log a table's changes from now on, in this form instead of another it had before."""
    if op.get_bind().dialect.name == "postgresql":
        watch_on_postgresql(logged)
    else:
        watch_on_sqlite(logged)


def watch_on_postgresql(logged: Logged) -> None:
    """Log each row when its statement is done."""
    table, new = logged.table, row_on_postgresql(logged, "NEW")
    parts = {"table": table, "entity": logged.entity, "key": logged.key, "columns": COLUMNS}
    functions: Iterable[str] = (
        change_log_v2.FUNCTION.format(**parts, old=row_on_postgresql(logged, "OLD"), new=new),
        INSERT_FUNCTION.format(**parts, new=new),
    )
    for statement in (*functions, TRIGGER.format(**parts), INSERT_TRIGGER.format(**parts)):
        op.execute(statement)


def watch_on_sqlite(logged: Logged) -> None:
    """Log each row."""
    new, old = row_on_sqlite(logged, "NEW"), row_on_sqlite(logged, "OLD")
    names = logged.columns("", str, str, str)
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in names)
    before, after = changes_on_sqlite(logged, "OLD"), changes_on_sqlite(logged, "NEW")
    is_logged = "logged_operation() IS NOT 'erased'"
    for event, when, row, done, values in (
        ("INSERT", "", "NEW", "coalesce(logged_operation(), 'created')", f"NULL, {new}"),
        ("UPDATE", f"({changed}) AND {is_logged}", "NEW", "'updated'", f"{before}, {after}"),
        ("DELETE", is_logged, "OLD", "'deleted'", f"{old}, NULL"),
    ):
        trigger = f"change_{logged.table}_{event.lower()}"
        op.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        op.execute(
            ON_SQLITE.format(
                trigger=trigger,
                event=event,
                table=logged.table,
                when=f"WHEN {when} " if when else "",
                columns=COLUMNS,
                now=NOW,
                entity=logged.entity,
                row=row,
                key=logged.key,
                done=done,
                values=values,
            )
        )
