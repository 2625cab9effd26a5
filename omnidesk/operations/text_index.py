"""The text index: made anew, and merged, in steps beside a running server.

On SQLite, no step holds the write lock for long. On PostgreSQL, one statement makes an index anew
while others read and write.
"""

from collections.abc import Callable, Iterable, Iterator
from time import sleep
from typing import Any

import click
from sqlalchemy import Connection, bindparam, func, inspect, select, text, update

from omnidesk.clients.models import Client
from omnidesk.comments.models import Comment
from omnidesk.conversations.messages import Message
from omnidesk.db import MAX_ID, Base, db
from omnidesk.db.database_id import DatabaseId
from omnidesk.db.search import merge_some
from omnidesk.db.session import READ
from omnidesk.migrations.frozen.search_v1 import TRIGGERS, fts5_table, fts5_triggers
from omnidesk.operations.steps import transaction
from omnidesk.tickets.models import Ticket

SEARCHED: tuple[type[Base], ...] = (Client, Ticket, Comment, Message)
BATCH = 1_000  # rows that are read at once
STEP = 50_000  # code points of words that one transaction changes
PAUSE = 0.2  # seconds
ROW = 100  # what a row without words counts for
PAGES = 100  # of 4 kB that one transaction merges or drops

# SQLite's statements: a new index is filled up to a row, which the triggers that keep it look up.
FILLED = "{{row}}.{key} <= (SELECT row_id FROM {index}_filled)"
NOTE = (
    "CREATE TABLE {index}_filled (row_id INTEGER NOT NULL)",
    "INSERT INTO {index}_filled VALUES (0)",
)
FILL = (
    """
    INSERT INTO {index} (rowid, words) SELECT {key}, words FROM {table}
    WHERE {key} > (SELECT row_id FROM {index}_filled) AND {key} <= {last} ORDER BY {key}
    """,
    "UPDATE {index}_filled SET row_id = max(row_id, {last})",
)
RENAME = "ALTER TABLE {index} RENAME TO {name}"
EMPTY = "DELETE FROM {index}_data WHERE id IN (SELECT id FROM {index}_data LIMIT {pages})"


def reindex() -> None:
    """Make the indexes anew, and then mend the words of rows, as the indexes follow."""
    remake = remake_on_postgresql if db.engine.name == "postgresql" else remake_on_sqlite
    with transaction() as connection:
        is_known = DatabaseId.is_known_here(connection)
    for entity in SEARCHED:
        show_progress(entity, "index", remake)
        show_progress(entity, "words", mend_words)
    if is_known:
        with transaction() as connection:
            DatabaseId.stay_known(connection)


def merge_all() -> None:
    """Merge what writers have left beside each other in SQLite's indexes."""
    if db.engine.name == "sqlite":
        for entity in SEARCHED:
            while merge(f"{entity.__tablename__}_search"):
                pass


def show_progress(
    entity: type[Base], what: str, work: Callable[[type[Base]], Iterator[int]]
) -> None:
    """Work on all rows of an entity, which yields up to which id it is done."""
    with db.engines[READ].connect() as connection:
        last = connection.scalar(select(func.max(entity.primary_key()))) or 0
    with click.progressbar(length=last, label=f"{entity.__tablename__:7} {what}") as bar:
        for row_id in work(entity):
            bar.update(row_id - bar.pos)
        bar.update(last - bar.pos)


def mend_words(entity: type[Base]) -> Iterator[int]:
    """Set the words of rows that do not have those of their texts.

    What is changed meanwhile is left alone: whoever changes a text sets its words.
    """
    rows, key = entity.__table__, entity.primary_key()
    make, names = rows.c.words.info["derived"]
    texts = [rows.c[name] for name in names]
    unchanged = [column.is_not_distinct_from(bindparam(f"the_{column.name}")) for column in texts]
    mend = update(rows).where(key == bindparam("row_id"), *unchanged).values(words=bindparam("new"))
    for found in batches(entity, rows.c.words, *texts):
        wrong = []
        for row_id, present, *values in found:
            if present != (new := make(*values)):
                the = {f"the_{name}": value for name, value in zip(names, values, strict=True)}
                wrong.append({"row_id": row_id, "new": new} | the)
        for step in steps(wrong, lambda row: len(row["new"])):
            with transaction() as connection:
                connection.execute(mend, step)
        yield found[-1][0]


def batches(entity: type[Base], *columns: Any) -> Iterator[list[Any]]:
    """Yield the ids of all rows with these columns, in order, so many rows at a time."""
    key, last = entity.primary_key(), 0
    rows = select(key, *columns).where(key > bindparam("last")).order_by(key).limit(BATCH)
    with db.engines[READ].connect() as connection:
        while found := [*connection.execute(rows, {"last": last})]:
            yield found
            last = found[-1][0]


def steps(rows: Iterable[Any], size: Callable[[Any], int]) -> Iterator[list[Any]]:
    """Yield lists of rows, each for one transaction; `size` is how many code points a row has."""
    step: list[Any] = []
    total = 0
    for row in rows:
        if step and total + size(row) > STEP:
            yield step
            step, total = [], 0
        step.append(row)
        total += ROW + size(row)
    if step:
        yield step


def remake_on_postgresql(entity: type[Base]) -> Iterator[int]:
    """Make an index anew, which others go on using until it is ready."""
    name = f"ix_{entity.__tablename__}_words"
    with db.engine.connect() as connection:
        alone = connection.execution_options(isolation_level="AUTOCOMMIT")
        for statement in (
            "SET statement_timeout = 0",
            "SET lock_timeout = 0",
            f"DROP INDEX CONCURRENTLY IF EXISTS {name}_ccnew",  # of one that was interrupted
            f"REINDEX INDEX CONCURRENTLY {name}",
        ):
            alone.execute(text(statement))
        alone.invalidate()
    return iter(())


def remake_on_sqlite(entity: type[Base]) -> Iterator[int]:
    """Fill a new index in steps, and then put it in the place of the old one.

    It always has the rows up to an id with the words that they have now: each step adds the next
    ones, and triggers change those that are there. So it lacks nothing in the end, whatever is
    written meanwhile.
    """
    table, key = entity.__tablename__, entity.primary_key().name
    index, new, old = (f"{table}_search{suffix}" for suffix in ("", "_new", "_old"))
    for unfinished in (new, old):
        discard(unfinished)
    with transaction() as connection:
        run(connection, *NOTE, *fts5_table(table, new), index=new)
        run(connection, *fts5_triggers(table, new, FILLED.format(key=key, index=new)))
    names = {"index": new, "table": table, "key": key}
    for found in batches(entity, func.length(entity.__table__.c.words)):
        for step in steps(found, lambda row: row[1]):
            with transaction() as connection:
                run(connection, *FILL, **names, last=step[-1][0])
            merge(new)
            yield step[-1][0]
    with transaction() as connection:
        run(connection, *FILL, **names, last=MAX_ID)
        run(connection, *dropped_triggers(index), *dropped_triggers(new))
        run(connection, "DROP TABLE {index}_filled", index=new)
        run(connection, RENAME, index=index, name=old)
        run(connection, RENAME, index=new, name=index)
        run(connection, *fts5_triggers(table, index))
    sleep(PAUSE)  # others may still be reading the old one
    discard(old)


def discard(index: str) -> None:
    """Drop an index that nothing uses, if there is one: in steps, since it can be large."""
    with transaction() as connection:
        run(
            connection, *dropped_triggers(index), "DROP TABLE IF EXISTS {index}_filled", index=index
        )
        exists = inspect(connection).has_table(index)
    while exists:
        with transaction() as connection:
            if not run(connection, EMPTY, index=index, pages=PAGES):
                run(connection, "DROP TABLE {index}", index=index)
                exists = False


def dropped_triggers(index: str) -> list[str]:
    """Return the statements that drop the triggers which keep an index."""
    return [f"DROP TRIGGER IF EXISTS {index}_{name}" for name in TRIGGERS]


def merge(index: str) -> bool:
    """Merge a part of an index of SQLite's; return whether there was anything to merge."""
    with transaction() as connection:
        return merge_some(connection, index, PAGES)


def run(connection: Connection, *statements: str, **names: object) -> int:
    """Run statements in which names stand; return how many rows the last one has changed."""
    count = 0
    for statement in statements:
        count = connection.execute(text(statement.format(**names))).rowcount
    return count
