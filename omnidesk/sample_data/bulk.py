"""Realistic rows in bulk, to try any size of desk; the same for the same random seed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from random import Random
from typing import Any

import click
import sqlalchemy as sa
from sqlalchemy.orm import aliased

from omnidesk.clients.models import Client
from omnidesk.comments.models import Comment
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import Base, db
from omnidesk.db.postgresql import disable_timeouts, reset_sequence
from omnidesk.events.models import Event
from omnidesk.migrations.frozen.search_v1 import TRIGGERS, fts5_triggers, rebuild
from omnidesk.sample_data.rows import MAKERS, TAGS, sqlite_time, time_of
from omnidesk.tickets.models import Ticket
from omnidesk.users.models import User

BATCH = 10_000  # rows of a statement
ADDED = (User, Client, Ticket, Comment, Conversation, Message, Event)


def fill(
    tickets: int, messages: int, events: int, random_seed: int, comments: int = 0
) -> dict[str, int]:
    """Add that many rows, with the users, clients and conversations they need.

    Return how many rows of each table were added.
    """
    rng = Random(random_seed)  # noqa: S311 - repeatable, not secret
    users = add(User, 20 if tickets else 0, rng)
    clients = add(Client, max(tickets, messages) // 20 + 1, rng)
    rows = add(Ticket, tickets, rng, clients=clients, users=users)
    tag(rows, rng)
    remarks = add(Comment, comments if tickets else 0, rng, tickets=rows, users=users)
    chats = add(Conversation, (messages + 19) // 20, rng, clients=clients, users=users)
    texts = add(Message, messages, rng, chats=chats)
    update_conversations(chats)
    meetings = add(Event, events, rng, tickets=rows, users=users)
    added = (users, clients, rows, remarks, chats, texts, meetings)
    return {model.__tablename__: len(ids) for model, ids in zip(ADDED, added, strict=True)}


def add(model: type[Base], count: int, rng: Random, **others: range) -> range:
    """Add that many rows in one transaction, with a progress bar; return their ids."""
    table = model.__table__
    first = (db.session.scalar(sa.select(sa.func.max(model.primary_key()))) or 0) + 1
    ids = range(first, first + count)
    disable_timeouts(db.session.connection())
    time = sqlite_time if db.engine.name == "sqlite" else time_of
    indexed = unindexed(table) if first == 1 else nullcontext()
    progress = click.progressbar(length=count, label=f"{table.name:13}")
    with indexed, unchecked(), progress as bar:
        for start in range(0, count, BATCH):
            rows = list(MAKERS[model](ids[start : start + BATCH], rng, time, **others))
            insert(table.name, rows[0], [tuple(row.values()) for row in rows])
            bar.update(len(rows))
    if count:
        reset_sequence(model)
    db.session.commit()
    return ids


def update_conversations(chats: range) -> None:
    """Set what conversations tell of their messages: only one in a hundred has unread ones.

    Until then, no message was newer than the last that a conversation knew: see `conversations`.
    """
    theirs = Message.conversation_id == Conversation.conversation_id
    last = sa.select(sa.func.max(Message.message_id)).where(theirs).scalar_subquery()
    last_at = sa.select(sa.func.max(Message.created_at)).where(theirs).scalar_subquery()
    by_client = sa.select(sa.func.count()).where(theirs, Message.by_client).scalar_subquery()
    reply = aliased(Message)
    answered = sa.select(sa.func.coalesce(sa.func.max(reply.message_id), 0)).where(
        reply.conversation_id == Conversation.conversation_id, ~reply.by_client
    )
    unanswered = Message.message_id > answered.correlate(Conversation).scalar_subquery()
    since = sa.select(sa.func.min(Message.created_at)).where(theirs, Message.by_client, unanswered)
    nobody_read = Conversation.conversation_id % 100 == 0
    disable_timeouts(db.session.connection())
    db.session.execute(
        sa.update(Conversation)
        .where(Conversation.conversation_id.between(chats.start, chats.stop - 1))
        .values(
            last_message_id=last,
            last_message_at=last_at,
            updated_at=sa.func.coalesce(last_at, Conversation.created_at),
            read_up_to=sa.case((nobody_read, None), else_=last),
            client_message_count=by_client,
            unread_count=sa.case((nobody_read, by_client), else_=0),
            waiting_since=since.scalar_subquery(),
        )
        .execution_options(synchronize_session=False)
    )
    db.session.commit()


def tag(tickets: range, rng: Random) -> None:
    """Put a tag on one ticket in twenty."""
    chosen = sorted(rng.sample(tickets, len(tickets) // 20))
    with click.progressbar(length=len(chosen), label="ticket_tag   ") as bar:
        for start in range(0, len(chosen), BATCH):
            some = chosen[start : start + BATCH]
            disable_timeouts(db.session.connection())
            words = zip(some, rng.choices(TAGS, k=len(some)), strict=True)
            insert("ticket_tag", ("ticket_id", "tag"), list(words))
            db.session.commit()
            bar.update(len(some))


@contextmanager
def unindexed(table: Any) -> Iterator[None]:
    """Drop the indexes of an empty table, and make them again.

    To make an index of all rows at once is faster than to add one entry after another. A unique one
    stays: it may be what other tables refer to. Indexes with a condition are made last, as by the
    migrations: of two that serve a list alike, SQLite uses the one that was made last.
    """
    connection, name = db.session.connection(), f"{table.name}_search"
    searched = db.engine.name == "sqlite" and "words" in table.c
    indexes = sorted((index for index in table.indexes if not index.unique), key=making_order)
    for index in indexes:
        index.drop(connection)
    for trigger in TRIGGERS if searched else ():
        connection.exec_driver_sql(f"DROP TRIGGER {name}_{trigger}")
    yield
    for index in indexes:
        index.create(connection)
    for statement in [rebuild(name), *fts5_triggers(table.name, name)] if searched else ():
        connection.exec_driver_sql(statement)


def making_order(index: sa.Index) -> tuple[bool, str | None]:
    """Return what indexes are sorted by to be made: those with a condition last, then the names."""
    return index.dialect_options["sqlite"]["where"] is not None, index.name


@contextmanager
def unchecked() -> Iterator[None]:
    """Skip SQLite's checks, a third of the time; tests check that the rows meet them."""
    if db.engine.name != "sqlite":
        yield
        return
    connection = db.session.connection()
    connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
    try:
        yield
    finally:
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = OFF")


def insert(table: str, columns: Iterable[str], values: list[tuple[Any, ...]]) -> None:
    """Insert rows by the driver alone: SQLAlchemy would process each value."""
    connection, names = db.session.connection(), ", ".join(columns)
    if db.engine.name == "sqlite":
        marks = ", ".join("?" for _ in columns)
        statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - our own names
        connection.exec_driver_sql(statement, values)
        return
    # One statement, so that the triggers change the counters once.
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for row in values:
            copy.write_row(row)
