"""Realistic rows in bulk: a desk of any size, the same for the same random seed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import click
import sqlalchemy as sa

from omnidesk.clients.models import Client
from omnidesk.conversations.models import Conversation, Message
from omnidesk.db import Base, db, follow_ids, take_time
from omnidesk.events.models import Event
from omnidesk.tickets.models import Ticket
from omnidesk.users.models import User

Rows = Iterator[dict[str, Any]]
Moment = Callable[[int], datetime | str]

BATCH = 10_000
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), 24 * 60
FIRST = ("Ada", "Grace", "Katherine", "Hedy", "Alan", "Edsger", "Barbara", "Donald", "Radia", "Ken")
LAST = (
    "Lovelace",
    "Hopper",
    "Johnson",
    "Lamarr",
    "Turing",
    "Dijkstra",
    "Liskov",
    "Knuth",
    "Perlman",
)
WHAT = (
    "Invoice",
    "Login",
    "Export",
    "Calendar",
    "Password reset",
    "Report",
    "Import",
    "App",
    "Mail",
)
WRONG = ("does not open", "is slow", "shows an error", "is empty", "sends twice", "lost my data")
SAID = (
    "Hello, can you help me?",
    "It works again, thank you!",
    "Which version is that?",
    "Any news?",
)
CHANNELS = ("whatsapp", "web", "email", "telegram")


def fill(tickets: int, messages: int, events: int, random_seed: int) -> None:
    """Add that many rows, with the users, clients and conversations they need."""
    rng = Random(random_seed)  # noqa: S311 - repeatable, not secret
    users = add(User, 20 if tickets else 0, rng)
    clients = add(Client, max(tickets, messages) // 20 + 1, rng)
    rows = add(Ticket, tickets, rng, clients=clients, users=users)
    chats = add(Conversation, (messages + 19) // 20, rng, clients=clients)
    add(Message, messages, rng, chats=chats)
    add(Event, events, rng, tickets=rows, users=users)


def add(model: type[Base], count: int, rng: Random, **others: range) -> range:
    """Add that many rows in one transaction, with a progress bar, and give their ids."""
    table = model.__table__
    (key,) = table.primary_key
    first = (db.session.scalar(sa.select(sa.func.max(key))) or 0) + 1
    ids = range(first, first + count)
    take_time(db.session.connection())
    moment = text if db.engine.name == "sqlite" else time
    # An index over all rows at once is quicker than one entry at a time.
    indexes = table.indexes if first == 1 else ()
    for index in indexes:
        index.drop(db.session.connection())
    with unchecked(), click.progressbar(length=count, label=f"{table.name:13}") as bar:
        for start in range(0, count, BATCH):
            rows = list(MAKERS[model](ids[start : start + BATCH], rng, moment, **others))
            statement, values = bulk_insert(table.name, rows[0]), [tuple(r.values()) for r in rows]
            db.session.connection().exec_driver_sql(statement, values)
            bar.update(len(rows))
    for index in indexes:
        index.create(db.session.connection())
    if count:
        follow_ids(model)
    db.session.commit()
    return ids


@contextmanager
def unchecked() -> Iterator[None]:
    """Let SQLite take rows of ours without checks, a third of their price; tests check them."""
    if db.engine.name != "sqlite":
        yield
        return
    connection = db.session.connection()
    connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
    try:
        yield
    finally:
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = OFF")


def bulk_insert(table: str, columns: Iterable[str]) -> str:
    """Give the statement as the driver takes it: to look at each value again takes its time."""
    mark = "?" if db.engine.name == "sqlite" else "%s"
    marks = ", ".join(mark for _ in columns)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - our own names


def time(number: int) -> datetime:
    """Give the time at which a row came: one a minute."""
    return BEGIN + number * MINUTE


def text(number: int) -> str:
    """Give the same as SQLite keeps it."""
    return time(number).replace(tzinfo=None).isoformat(" ", "microseconds")


def people(count: int, rng: Random) -> Iterator[str]:
    """Give names."""
    return map("{} {}".format, rng.choices(FIRST, k=count), rng.choices(LAST, k=count))


def users(ids: range, rng: Random, _: Moment) -> Rows:
    """Give agents who cannot log in: no password has their hash."""
    for number, name in zip(ids, people(len(ids), rng), strict=True):
        yield {
            "user_id": number,
            "full_name": name,
            "username": f"agent-{number}",
            "email": f"agent-{number}@example.com",
            "role": "empleado",
            "active": True,
            "password_hash": "none",
        }


def clients(ids: range, rng: Random, moment: Moment) -> Rows:
    """Give clients, most of them active."""
    for number, name in zip(ids, people(len(ids), rng), strict=True):
        yield {
            "client_id": number,
            "full_name": name,
            "email": f"client-{number}@example.com",
            "phone": f"+57 601 {number:07}",
            "external_id": f"crm-{number}",
            "active": number % 20 != 0,
            "created_at": moment(number),
        }


def tickets(ids: range, rng: Random, moment: Moment, clients: range, users: range) -> Rows:
    """Give tickets, most of them closed, as on a desk that has worked for a while."""
    columns = (
        rng.choices(WHAT, k=len(ids)),
        rng.choices(WRONG, k=len(ids)),
        rng.choices(("media", "baja", "alta"), (6, 3, 1), k=len(ids)),
        rng.choices(("cerrado", "abierto", "en_progreso"), (90, 7, 3), k=len(ids)),
        rng.choices(clients, k=len(ids)),
        rng.choices((*users, None), k=len(ids)),
    )
    for number, what, wrong, priority, status, client_id, user_id in zip(
        ids, *columns, strict=True
    ):
        created_at = moment(number)
        yield {
            "ticket_id": number,
            "client_id": client_id,
            "subject": f"{what} {wrong}",
            "description": f"{what} {wrong}. It began yesterday; the usual remedies do not help.",
            "priority": priority,
            "status": status,
            "created_at": created_at,
            "due_at": None,
            "resolved_at": moment(number + DAY) if status == "cerrado" else None,
            "assigned_to": user_id,
        }


def conversations(ids: range, rng: Random, moment: Moment, clients: range) -> Rows:
    """Give conversations on every channel."""
    columns = rng.choices(CHANNELS, k=len(ids)), rng.choices(clients, k=len(ids))
    for number, channel, client_id in zip(ids, *columns, strict=True):
        yield {
            "conversation_id": number,
            "client_id": client_id,
            "channel": channel,
            "external_chat_id": f"{channel}-{number}",
            "active": number % 10 != 0,
            "handled_by_bot": number % 5 == 0,
            "created_at": moment(number),
            "updated_at": moment(number),
            "last_message_at": moment(number),
        }


def messages(ids: range, rng: Random, moment: Moment, chats: range) -> Rows:
    """Give messages, nearly all of them read."""
    columns = (
        rng.choices(chats, k=len(ids)),
        rng.choices(("client", "client", "user", "bot"), k=len(ids)),
        rng.choices(SAID, k=len(ids)),
    )
    for number, chat, sender, content in zip(ids, *columns, strict=True):
        sent_at = moment(number)
        yield {
            "message_id": number,
            "conversation_id": chat,
            "sender": sender,
            "content": content,
            "external_message_id": f"message-{number}",
            "created_at": sent_at,
            "read_at": sent_at if sender == "client" and number % 1000 else None,
        }


def events(ids: range, rng: Random, moment: Moment, tickets: range, users: range) -> Rows:
    """Give half an hour here and there, in four years, about a ticket or not."""
    columns = (
        rng.choices(range(4 * 365 * DAY), k=len(ids)),
        rng.choices((*users, None), k=len(ids)),
        [rng.choice(tickets) if tickets and rng.random() < 0.5 else None for _ in ids],
    )
    for number, minute, user_id, ticket_id in zip(ids, *columns, strict=True):
        yield {
            "event_id": number,
            "title": f"Call {number}",
            "description": None,
            "start_time": moment(minute),
            "end_time": moment(minute + 30),
            "created_by": user_id,
            "ticket_id": ticket_id,
        }


MAKERS: dict[type[Base], Any] = {
    User: users,
    Client: clients,
    Ticket: tickets,
    Conversation: conversations,
    Message: messages,
    Event: events,
}
