"""Dumps of a PostgreSQL database, made beside a busy server, and checked."""

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, text

from omnidesk.db import db
from omnidesk.operations.backup.contents import Contents
from omnidesk.operations.backup.postgresql_programs import be_alone, run, scratch_database, session
from omnidesk.operations.backup.whole_files import PartialFile

SUFFIX = "_backup_check"
BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
OURS = "NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
TABLES = f"""
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname {OURS} ORDER BY 1
"""  # noqa: S608 - ours
# Without the texts of conditions, which PostgreSQL writes in another way when they were restored.
SCHEMA = f"""
WITH tables AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname {OURS}
)
SELECT 'column', attrelid::regclass::text, attname::text,
    concat_ws(' ', format_type(atttypid, atttypmod), attnotnull)
FROM pg_attribute JOIN tables ON attrelid = tables.oid WHERE attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'constraint', conrelid::regclass::text, conname, concat_ws(' ', contype, convalidated)
FROM pg_constraint JOIN tables ON conrelid = tables.oid
UNION ALL
SELECT 'index', indrelid::regclass::text, indexrelid::regclass::text,
    concat_ws(' ', indisunique, indisvalid, indnatts)
FROM pg_index JOIN tables ON indrelid = tables.oid
UNION ALL
SELECT 'trigger', tgrelid::regclass::text, tgname, concat_ws(' ', tgtype, tgenabled)
FROM pg_trigger JOIN tables ON tgrelid = tables.oid WHERE NOT tgisinternal
UNION ALL
SELECT 'function', n.nspname, p.oid::regprocedure::text, md5(p.prosrc)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname {OURS}
AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
"""  # noqa: S608 - ours


def back_up(partial: PartialFile, progress: Any) -> Contents:
    """Dump the database as it is now, and check the dump; return what it has.

    One snapshot is dumped and counted, whatever is written meanwhile.
    """
    url = db.engine.url
    with session(url) as connection:
        be_alone(connection)
        progress(0, 3)
        expected = dump(connection, url, partial)
        progress(1, 3)
        purpose = "the check of a backup"
        with scratch_database(connection, url, SUFFIX, purpose) as scratch:
            restore(partial.path, scratch, "--no-privileges")
            progress(2, 3)
            with session(scratch) as restored:
                expected.require(contents(restored))
        progress(3, 3)
    return expected


def dump(connection: Connection, url: URL, partial: PartialFile) -> Contents:
    """Dump a snapshot of the database into a file; return what the snapshot has."""
    connection.exec_driver_sql(BEGIN)
    try:
        snapshot = connection.scalar(text("SELECT pg_export_snapshot()"))
        options = "--format=custom", f"--snapshot={snapshot}"
        # To its standard output: it holds the file's lock as long as it runs.
        run("pg_dump", *options, url=url, stdout=partial.descriptor)
        return contents(connection)
    finally:
        connection.exec_driver_sql("ROLLBACK")


def read_through(path: Path, url: URL) -> None:
    """Read all of a dump; raise ClickException where it is damaged."""
    run("pg_restore", "--file=/dev/null", str(path), url=url)


def restore(path: Path, url: URL, *options: str) -> None:
    """Restore a dump into an empty database; raise ClickException for the first error."""
    name = f"--dbname={url.database}"
    run("pg_restore", "--exit-on-error", "--no-owner", *options, name, str(path), url=url)


def contents(connection: Connection) -> Contents:
    """Return what a database has."""
    schema = sorted(map(tuple, connection.execute(text(SCHEMA))))
    counts = {
        name: int(connection.scalar(text(f"SELECT count(*) FROM {name}")) or 0)  # noqa: S608 - its own
        for name in connection.scalars(text(TABLES)).all()
    }
    newest = None
    if change := next((name for name in counts if name.endswith(".change")), None):
        newest = connection.scalar(text(f"SELECT max(seq) FROM {change}"))  # noqa: S608 - its own
    return Contents(schema, counts, newest)
