"""Frozen: triggers that log every change of a row, from version 0018 on.

As in v2, but on PostgreSQL an insert has a function of its own, which has nothing to compare.
"""

from collections.abc import Iterable

from alembic import op

from omnidesk.migrations.frozen import change_log_v2
from omnidesk.migrations.frozen.change_log_v1 import COLUMNS, Logged, row_on_postgresql

__all__ = ["Logged", "allow", "keep", "watch_inserts"]

FUNCTION = """
CREATE OR REPLACE FUNCTION change_{table}_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {columns} VALUES (
        clock_timestamp(), nullif(current_setting('omnidesk.actor', true), '')::integer, '{entity}',
        NEW.{key}, 'created', NULL, {new}::text
    );
    RETURN NULL;
END $$
"""


def keep(logged: Logged) -> None:
    """Log a table's changes from now on, beginning with the rows that it has."""
    change_log_v2.keep(logged)
    watch_inserts(logged)


def watch_inserts(logged: Logged) -> None:
    """Log the inserts of a table whose changes v2 logs; on SQLite they are logged so already."""
    if op.get_bind().dialect.name != "postgresql":
        return
    table, new = logged.table, row_on_postgresql(logged, "NEW")
    op.execute(
        FUNCTION.format(table=table, entity=logged.entity, key=logged.key, new=new, columns=COLUMNS)
    )
    op.execute(
        f"CREATE OR REPLACE TRIGGER change_{table} AFTER UPDATE OR DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION change_{table}()"
    )
    op.execute(
        f"CREATE TRIGGER change_{table}_insert AFTER INSERT ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION change_{table}_insert()"
    )


def allow(entities: Iterable[str]) -> None:
    """Let the change log hold changes of these entities, and of no others."""
    named = ", ".join(f"'{entity}'" for entity in entities)
    sqlite = op.get_bind().dialect.name == "sqlite"
    if sqlite:  # which makes the table anew, although triggers write to it
        op.execute("PRAGMA legacy_alter_table=ON")
    with op.batch_alter_table(
        "change",
        table_kwargs={"sqlite_autoincrement": True},
        reflect_kwargs={"resolve_fks": False},
    ) as change:
        change.drop_constraint(op.f("ck_change_entity"), type_="check")
        change.create_check_constraint(op.f("ck_change_entity"), f"entity IN ({named})")
    if sqlite:
        op.execute("PRAGMA legacy_alter_table=OFF")
