"""What the rows of `seed` look like."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from omnidesk.clients.models import Client
from omnidesk.comments.models import Comment
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import MAX_ID, Base
from omnidesk.db.folding import phone_key, user_search_text
from omnidesk.db.words import client_words, words
from omnidesk.events.models import Event
from omnidesk.tickets.models import Ticket
from omnidesk.users.models import User

Rows = Iterator[dict[str, Any]]
TimeOf = Callable[[int], datetime | str]

FIRST_TIME = datetime(2024, 1, 1, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), 24 * 60
FIRST_NAMES = (
    "Ada",
    "Grace",
    "Katherine",
    "Hedy",
    "Alan",
    "Edsger",
    "Barbara",
    "Donald",
    "Radia",
    "Ken",
)
LAST_NAMES = (
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
SUBJECTS = (
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
PROBLEMS = ("does not open", "is slow", "shows an error", "is empty", "sends twice", "lost my data")
MESSAGES = (
    "Hello, can you help me?",
    "It works again, thank you!",
    "Which version is that?",
    "Any news?",
)
TAGS = ("billing", "bug", "login", "refund", "vip")
CHANNELS = ("whatsapp", "web", "email", "telegram")


def time_of(number: int) -> datetime:
    """Return the time of a row: one a minute."""
    return FIRST_TIME + number * MINUTE


def sqlite_time(number: int) -> str:
    """Return the same as SQLite stores it."""
    return time_of(number).replace(tzinfo=None).isoformat(" ", "microseconds")


def people(count: int, rng: Random) -> Iterator[str]:
    """Yield names."""
    return map("{} {}".format, rng.choices(FIRST_NAMES, k=count), rng.choices(LAST_NAMES, k=count))


def users(ids: range, rng: Random, _: TimeOf) -> Rows:
    """Yield agents who cannot log in: no password has their hash."""
    for number, name in zip(ids, people(len(ids), rng), strict=True):
        email = f"agent-{number}@example.com"
        yield {
            "user_id": number,
            "full_name": name,
            "username": f"agent-{number}",
            "email": email,
            "email_key": email,
            "search_text": user_search_text(name, f"agent-{number}", email),
            "role": "empleado",
            "active": True,
            "password_hash": "none",
        }


def clients(ids: range, rng: Random, time: TimeOf) -> Rows:
    """Yield clients, most of them active."""
    for number, name in zip(ids, people(len(ids), rng), strict=True):
        shown = {
            "full_name": name,
            "email": f"client-{number}@example.com",
            "phone": f"+57 601 {number:07}",
            "external_id": f"crm-{number}",
        }
        yield {
            "client_id": number,
            **shown,
            "words": client_words(*shown.values()),
            "email_key": shown["email"],
            "phone_key": phone_key(shown["phone"]),
            "active": number % 20 != 0,
            "created_at": time(number),
        }


def tickets(ids: range, rng: Random, time: TimeOf, clients: range, users: range) -> Rows:
    """Yield tickets, most of them closed, as on a desk that has worked for a while."""
    columns = (
        rng.choices(SUBJECTS, k=len(ids)),
        rng.choices(PROBLEMS, k=len(ids)),
        rng.choices(("media", "baja", "alta"), (6, 3, 1), k=len(ids)),
        rng.choices(("cerrado", "abierto", "en_progreso"), (90, 7, 3), k=len(ids)),
        rng.choices(clients, k=len(ids)),
        rng.choices((*users, None), k=len(ids)),
    )
    for number, what, wrong, priority, status, client_id, user_id in zip(
        ids, *columns, strict=True
    ):
        created_at, subject = time(number), f"{what} {wrong}"
        day = "this morning" if number % 2 else "yesterday"
        device = f"{subject} on device {number % 5_000}."
        description = f"{device} It began {day}; the usual remedies do not help."
        resolved_at = time(number + DAY) if status == "cerrado" else None
        yield {
            "ticket_id": number,
            "client_id": client_id,
            "subject": subject,
            "description": description,
            "priority": priority,
            "status": status,
            "created_at": created_at,
            "due_at": time(number + 3 * DAY) if number % 2 else None,
            "resolved_at": resolved_at,
            "assigned_to": user_id,
            "updated_at": resolved_at or created_at,
            "words": words(subject, description),
        }


def comments(ids: range, rng: Random, time: TimeOf, tickets: range, users: range) -> Rows:
    """Yield comments on tickets, which are written at once."""
    columns = (
        rng.choices(tickets, k=len(ids)),
        rng.choices(users, k=len(ids)),
        rng.choices(MESSAGES, k=len(ids)),
    )
    for number, ticket_id, user_id, said in zip(ids, *columns, strict=True):
        body = f"{said} See order {number % 5_000}."
        yield {
            "comment_id": number,
            "ticket_id": ticket_id,
            "user_id": user_id,
            "body": body,
            "created_at": time(ticket_id),
            "words": words(body),
        }


def conversations(ids: range, rng: Random, time: TimeOf, clients: range, users: range) -> Rows:
    """Yield conversations on every channel, which `bulk.update_conversations` completes."""
    columns = rng.choices(CHANNELS, k=len(ids)), rng.choices(clients, k=len(ids))
    for number, channel, client_id in zip(ids, *columns, strict=True):
        yield {
            "conversation_id": number,
            "client_id": client_id,
            "channel": channel,
            "external_chat_id": f"seed-{number}",
            "active": number % 10 != 0,
            "handled_by_bot": number % 5 == 0,
            "created_at": time(number),
            "updated_at": time(number),
            "last_message_id": MAX_ID,
            "assigned_to": users[number % len(users)] if users and number % 3 else None,
        }


def messages(ids: range, rng: Random, time: TimeOf, chats: range) -> Rows:
    """Yield messages."""
    columns = (
        rng.choices(chats, k=len(ids)),
        rng.choices(("client", "client", "user", "bot"), k=len(ids)),
        rng.choices(MESSAGES, k=len(ids)),
    )
    for number, chat, sender, content in zip(ids, *columns, strict=True):
        yield {
            "message_id": number,
            "conversation_id": chat,
            "sender": sender,
            "content": content,
            "external_message_id": f"message-{number}",
            "created_at": time(number),
            "words": words(content),
        }


def events(ids: range, rng: Random, time: TimeOf, tickets: range, users: range) -> Rows:
    """Yield events of half an hour within four years, half of them about a ticket."""
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
            "start_time": time(minute),
            "end_time": time(minute + 30),
            "longest_hours": 1,
            "created_by": user_id,
            "ticket_id": ticket_id,
        }


MAKERS: dict[type[Base], Any] = {
    User: users,
    Client: clients,
    Ticket: tickets,
    Comment: comments,
    Conversation: conversations,
    Message: messages,
    Event: events,
}
