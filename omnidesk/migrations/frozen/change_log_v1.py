"""Frozen: triggers that log every change of a row, as versions 0004 to 0007 create them."""

from collections.abc import Callable
from typing import NamedTuple

from alembic import op

LOCK = 7_401_056  # held from a transaction's first change to its end: numbers follow commits

NOW = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"  # on SQLite
COLUMNS = "INSERT INTO change (at, actor, entity, entity_id, op, before, after)"
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
    PERFORM pg_advisory_xact_lock({lock});
    {columns} VALUES (
        clock_timestamp(), nullif(current_setting('omnidesk.actor', true), '')::integer, '{entity}',
        number,
        CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'UPDATE' THEN 'updated' ELSE 'deleted' END,
        old_text, new_text
    );
    RETURN NULL;
END $$
"""


class Logged(NamedTuple):
    """A table whose changes are logged: its columns by how they are shown."""

    table: str
    entity: str
    key: str
    plain: tuple[str, ...]
    flags: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    json: tuple[str, ...] = ()

    def columns(
        self,
        row: str,
        time: Callable[[str], str],
        flag: Callable[[str], str],
        json: Callable[[str], str],
    ) -> dict[str, str]:
        """Return the SQL of each column of a row as JSON shows it."""
        return (
            {name: f"{row}.{name}" for name in (self.key, *self.plain)}
            | {name: flag(f"{row}.{name}") for name in self.flags}
            | {name: time(f"{row}.{name}") for name in self.times}
            | {name: json(f"{row}.{name}") for name in self.json}
        )


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


def time_on_postgresql(column: str) -> str:
    """Return a time as the API shows it."""
    return f"""to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""


def row_on_postgresql(logged: Logged, row: str) -> str:
    """Return a row as JSON without blanks."""
    columns = logged.columns(row, time_on_postgresql, str, "{}::json".format)
    shown = ", ".join(f"{value} AS {name}" for name, value in columns.items())
    return f"(SELECT row_to_json(shown) FROM (SELECT {shown}) AS shown)"  # noqa: S608 - ours


def watch_on_postgresql(logged: Logged) -> None:
    """Log each row when its statement is done."""
    op.execute(
        FUNCTION.format(
            table=logged.table,
            entity=logged.entity,
            key=logged.key,
            old=row_on_postgresql(logged, "OLD"),
            new=row_on_postgresql(logged, "NEW"),
            lock=LOCK,
            columns=COLUMNS,
        )
    )
    op.execute(
        f"CREATE OR REPLACE TRIGGER change_{logged.table} "
        f"AFTER INSERT OR UPDATE OR DELETE ON {logged.table} "
        f"FOR EACH ROW EXECUTE FUNCTION change_{logged.table}()"
    )


def time_on_sqlite(column: str) -> str:
    """Return a time as the API shows it."""
    return f"substr({column}, 1, 10) || 'T' || substr({column}, 12, 8) || 'Z'"


def flag_on_sqlite(column: str) -> str:
    """Return a truth value as JSON."""
    return f"json(CASE {column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END)"


def row_on_sqlite(logged: Logged, row: str) -> str:
    """Return a row as JSON."""
    columns = logged.columns(row, time_on_sqlite, flag_on_sqlite, "json({})".format)
    pairs = (f"'{name}', {value}" for name, value in columns.items())
    return f"json_object({', '.join(pairs)})"


def changes_on_sqlite(logged: Logged, row: str) -> str:
    """Return the columns of a row that were changed as JSON."""
    columns = logged.columns(row, time_on_sqlite, flag_on_sqlite, "json({})".format)
    parts = (
        f"CASE WHEN OLD.{name} IS NOT NEW.{name} "
        f"THEN ',\"{name}\":' || json_quote({value}) ELSE '' END"
        for name, value in columns.items()
    )
    return f"'{{' || substr({' || '.join(parts)}, 2) || '}}'"


def watch_on_sqlite(logged: Logged) -> None:
    """Log each row."""
    new, old = row_on_sqlite(logged, "NEW"), row_on_sqlite(logged, "OLD")
    names = logged.columns("", str, str, str)
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in names)
    before, after = changes_on_sqlite(logged, "OLD"), changes_on_sqlite(logged, "NEW")
    for event, row, done, values in (
        ("INSERT", "NEW", "created", f"NULL, {new}"),
        ("UPDATE", "NEW", "updated", f"{before}, {after}"),
        ("DELETE", "OLD", "deleted", f"{old}, NULL"),
    ):
        when = f"WHEN {changed} " if event == "UPDATE" else ""
        trigger = f"change_{logged.table}_{event.lower()}"
        op.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        op.execute(
            f"CREATE TRIGGER {trigger} AFTER {event} ON {logged.table} "
            f"{when}BEGIN {COLUMNS} VALUES ({NOW}, acting_user(), '{logged.entity}', "
            f"{row}.{logged.key}, '{done}', {values}); END"
        )
