"""Frozen: triggers that log every change of a row, from version 0035 on.

As in v4, but PostgreSQL compares the columns of a changed row as they are, and makes JSON of those
that differ, instead of the whole row twice.
"""

from alembic import op

from omnidesk.migrations.frozen import change_log_v4
from omnidesk.migrations.frozen.change_log_v1 import (
    COLUMNS,
    Logged,
    row_on_postgresql,
    time_on_postgresql,
)
from omnidesk.migrations.frozen.change_log_v4 import allow

__all__ = ["Logged", "allow", "keep", "watch"]

FUNCTION = """
CREATE OR REPLACE FUNCTION change_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    old_text text;
    new_text text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        {columns} VALUES (
            clock_timestamp(), nullif(current_setting('omnidesk.actor', true), '')::integer,
            '{entity}', OLD.{key}, 'deleted', {row}::text, NULL
        );
        RETURN NULL;
    END IF;
    old_text := concat({before});
    IF old_text = '' THEN RETURN NULL; END IF;
    new_text := concat({after});
    {columns} VALUES (
        clock_timestamp(), nullif(current_setting('omnidesk.actor', true), '')::integer,
        '{entity}', NEW.{key}, 'updated',
        '{{' || substr(old_text, 2) || '}}', '{{' || substr(new_text, 2) || '}}'
    );
    RETURN NULL;
END $$
"""


def keep(logged: Logged) -> None:
    """Log a table's changes from now on, beginning with the rows that it has."""
    change_log_v4.keep(logged)
    watch(logged)


def watch(logged: Logged) -> None:
    """Log a table's changes from now on, in this form instead of another it had before."""
    change_log_v4.watch(logged)
    compare_columns(logged)


def compare_columns(logged: Logged) -> None:
    """Let PostgreSQL compare the columns of a table that v4 logs already."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            FUNCTION.format(
                table=logged.table,
                entity=logged.entity,
                key=logged.key,
                columns=COLUMNS,
                row=row_on_postgresql(logged, "OLD"),
                before=changed(logged, "OLD"),
                after=changed(logged, "NEW"),
            )
        )


def changed(logged: Logged, row: str) -> str:
    """Return the SQL of the columns that were changed, each as a part of a JSON object."""
    columns = logged.columns(row, time_on_postgresql, str, "{}::json".format)
    return ", ".join(
        f"CASE WHEN OLD.{name} IS DISTINCT FROM NEW.{name}"
        f""" THEN ',"{name}":' || coalesce(to_json({value})::text, 'null') END"""
        for name, value in columns.items()
    )
