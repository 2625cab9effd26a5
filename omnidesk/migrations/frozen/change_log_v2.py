"""Frozen: triggers that log every change of a row, from version 0011 on.

As in v1, but no lock is held until the commit: `change.transaction_id` has a default that puts a
change after all that it depends on.
"""

from alembic import op

from omnidesk.migrations.frozen.change_log_v1 import (
    COLUMNS,
    NOW,
    Logged,
    row_on_postgresql,
    row_on_sqlite,
    watch_on_sqlite,
)

__all__ = ["Logged", "keep", "watch"]

FUNCTION = """
CREATE OR REPLACE FUNCTION change_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    old_row json;
    new_row json;
    old_text text;
    new_text text;
    number integer;
BEGIN
    IF TG_OP <> 'INSERT' THEN old_row := {old}; number := OLD.{key}; END IF;
    IF TG_OP <> 'DELETE' THEN new_row := {new}; number := NEW.{key}; END IF;
    old_text := old_row::text;
    new_text := new_row::text;
    IF TG_OP = 'UPDATE' THEN
        SELECT '{{' || string_agg(to_json(a.key)::text || ':' || a.value::text, ',') || '}}',
               '{{' || string_agg(to_json(b.key)::text || ':' || b.value::text, ',') || '}}'
        INTO old_text, new_text
        FROM json_each(old_row) AS a JOIN json_each(new_row) AS b USING (key)
        WHERE (to_jsonb(OLD) -> a.key) IS DISTINCT FROM (to_jsonb(NEW) -> a.key);
        IF old_text IS NULL THEN RETURN NULL; END IF;
    END IF;
    {columns} VALUES (
        clock_timestamp(), nullif(current_setting('omnidesk.actor', true), '')::integer, '{entity}',
        number,
        CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'updated' ELSE 'deleted' END,
        old_text, new_text
    );
    RETURN NULL;
END $$
"""


def keep(logged: Logged) -> None:
    """Log a table's changes from now on, beginning with the rows that it has."""
    watch(logged)
    if op.get_bind().dialect.name == "postgresql":
        now, row = "now()", f"{row_on_postgresql(logged, logged.table)}::text"
    else:
        now, row = NOW, row_on_sqlite(logged, logged.table)
    op.execute(
        f"{COLUMNS} SELECT {now}, NULL, '{logged.entity}', {logged.key}, 'created', NULL, {row} "  # noqa: S608 - ours
        f"FROM {logged.table} ORDER BY {logged.key}"
    )


def watch(logged: Logged) -> None:
    """Log a table's changes from now on, in this form instead of another it had before."""
    if op.get_bind().dialect.name == "postgresql":
        watch_on_postgresql(logged)
    else:
        watch_on_sqlite(logged)


def watch_on_postgresql(logged: Logged) -> None:
    """Log each row when its statement is done."""
    op.execute(
        FUNCTION.format(
            table=logged.table,
            entity=logged.entity,
            key=logged.key,
            old=row_on_postgresql(logged, "OLD"),
            new=row_on_postgresql(logged, "NEW"),
            columns=COLUMNS,
        )
    )
    op.execute(
        f"CREATE OR REPLACE TRIGGER change_{logged.table} "
        f"AFTER INSERT OR UPDATE OR DELETE ON {logged.table} "
        f"FOR EACH ROW EXECUTE FUNCTION change_{logged.table}()"
    )
