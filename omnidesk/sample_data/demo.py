"""The demo data: what the contract's examples name, and something for every screen."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from omnidesk.auth.models import ApiToken
from omnidesk.channels.models import Channel, UnsupportedUpdate
from omnidesk.clients.identities import Identity
from omnidesk.clients.models import Client
from omnidesk.comments.models import Comment
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import db, utcnow
from omnidesk.db.postgresql import reset_sequence
from omnidesk.events.models import Event
from omnidesk.sample_data import webhooks
from omnidesk.tickets.models import Ticket
from omnidesk.tickets.tags import TicketTag
from omnidesk.users import passwords
from omnidesk.users.models import User

PASSWORD = passwords.DEMO
OCTOBER = datetime(2025, 10, 29, 9, 12, tzinfo=UTC)


def add() -> bool:
    """Add the demo data to a desk without users; return whether it was added."""
    if db.session.scalar(select(User.user_id).limit(1)):
        return False
    for rows in (
        users(),
        clients(),
        channels(),
        conversations(),
        tickets(),
        events(),
        messages(),
        identities(),
    ):
        db.session.add_all(rows)
        db.session.flush()
        reset_sequence(type(rows[0]))
    update = UnsupportedUpdate(channel_id=1, body='{"update_id":10000,"poll":{"id":"1"}}')
    db.session.add_all([*tags(), *comments(), update])
    for user_id in (2, 1, 3):
        example = ApiToken.new(user_id, "An example that nobody has", ["tickets:read"], None)
        db.session.add(example)
    webhooks.add()
    db.session.commit()
    return True


def users() -> list[User]:
    """Return an admin and two agents."""
    people = (
        ("admin", "Desk Admin", "admin@example.com", "admin"),
        ("user1", "User One", "user@example.com", "empleado"),
        ("agent2", "Support Agent", "agent2@example.com", "empleado"),
    )
    return [
        User(
            user_id=number,
            username=username,
            full_name=full_name,
            email=email,
            role=role,
            active=True,
            password_hash=passwords.hash_password(PASSWORD),
            password_changed_at=OCTOBER - timedelta(days=28),
        )
        for number, (username, full_name, email, role) in enumerate(people, start=1)
    ]


def clients() -> list[Client]:
    """Return a few clients: 55 is the contract's, nothing refers to 58."""
    people = (
        (54, "Grace Hopper", "grace@example.com", "+1 202 555 0154"),
        (55, "Ada Lovelace", "ada@example.com", "+57 601 555 0155"),
        (56, "Katherine Johnson", None, "+1 202 555 0156"),
        (57, "Hedy Lamarr", "hedy@example.com", None),
        (58, "Alan Turing", "alan@example.com", None),
    )
    return [
        Client(
            client_id=number,
            full_name=full_name,
            email=email,
            phone=phone,
            external_id=f"crm-{number}",
            active=True,
            created_at=OCTOBER - timedelta(days=60 - number % 10),
        )
        for number, full_name, email, phone in people
    ]


def tickets() -> list[Ticket]:
    """Return tickets of every status and priority, numbers 7 and 100 among them."""
    asked = (
        (7, 54, "Feature X does not save", "media", "en_progreso", 2, 30),
        (98, 56, "Invoice shows the wrong address", "baja", "cerrado", 3, 1),
        (99, 57, "How do I export my data?", "baja", "abierto", None, None),
        (100, 55, "Cannot login", "alta", "abierto", 2, None),
        (101, 55, "Password reset mail never arrives", "alta", "en_progreso", 3, 2),
        (102, 54, "Slow since the last update", "media", "abierto", None, None),
    )
    return [
        Ticket(
            ticket_id=number,
            client_id=client_id,
            subject=subject,
            description=f"{subject}. It began yesterday.",
            priority=priority,
            status=status,
            assigned_to=assigned_to,
            created_at=OCTOBER + timedelta(hours=number - 100),
            due_at=OCTOBER + timedelta(days=due_in) if due_in else None,
            resolved_at=OCTOBER + timedelta(days=1) if status == "cerrado" else None,
            updated_at=OCTOBER + timedelta(hours=number - 100),
            conversation_id=1 if number == 100 else None,
        )
        for number, client_id, subject, priority, status, assigned_to, due_in in asked
    ]


def tags() -> list[TicketTag]:
    """Return the tags of a few tickets."""
    words = {7: ("bug",), 98: ("billing",), 100: ("login", "vip"), 101: ("login",)}
    return [TicketTag(ticket_id=number, tag=tag) for number in words for tag in words[number]]


def comments() -> list[Comment]:
    """Return comments on ticket 100."""
    said = ((2, "Called back: it was not the router."), (3, "The password had expired."))
    return [
        Comment(ticket_id=100, user_id=user_id, body=body, created_at=OCTOBER + timedelta(hours=n))
        for n, (user_id, body) in enumerate(said, start=1)
    ]


def events() -> list[Event]:
    """Return the contract's event, number 42, and some that are still to come."""
    november = datetime(2025, 11, 1, 15, tzinfo=UTC)
    tomorrow = utcnow().replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    planned: tuple[tuple[int, str, datetime, int | None], ...] = (
        (42, "Call with client", november, 7),
        (43, "Weekly review", tomorrow, None),
        (44, "Demo of feature X", tomorrow + timedelta(days=1), 7),
        (45, "Release", tomorrow + timedelta(days=7), None),
    )
    return [
        Event(
            event_id=number,
            title=title,
            description="Discuss feature X" if ticket_id else None,
            start_time=start,
            end_time=start + timedelta(minutes=30),
            created_by=2,
            ticket_id=ticket_id,
        )
        for number, title, start, ticket_id in planned
    ]


CHATS: dict[int, dict[str, Any]] = {
    1: {
        "client_id": 55,
        "channel": "whatsapp",
        "said": (
            ("client", "Hello, I cannot log in since yesterday."),
            ("bot", "Thank you, a colleague will be with you in a moment."),
            ("user", "Good morning, how can I help?"),
            ("client", "It says that my password is wrong, but it is not."),
        ),
    },
    2: {
        "client_id": 57,
        "channel": "web",
        "said": (("client", "How do I export my data?"),),
    },
    3: {"client_id": 56, "channel": "email", "said": ()},
}


def channels() -> list[Channel]:
    """Return a channel that is not active: its secrets are not there."""
    channel = Channel.new(
        channel="telegram",
        type="telegram",
        active=False,
        bot_first=False,
        settings={},
        secrets={"bot_token": "CHANNEL_TELEGRAM_BOT_TOKEN"},
    )
    channel.channel_id, channel.created_at = 1, OCTOBER
    return [channel]


def conversations() -> list[Conversation]:
    """Return a conversation on each channel."""
    return [
        Conversation(
            conversation_id=number,
            client_id=chat["client_id"],
            channel=chat["channel"],
            external_chat_id=f"{chat['channel']}-{chat['client_id']}",
            active=True,
            handled_by_bot=number == 2,
            created_at=OCTOBER,
            updated_at=OCTOBER,
        )
        for number, chat in CHATS.items()
    ]


def identities() -> list[Identity]:
    """Return what the channels call the clients who have conversations."""
    return [
        Identity(
            client_id=chat["client_id"],
            channel=chat["channel"],
            external_user_id=f"{chat['channel']}-{chat['client_id']}",
            created_at=OCTOBER,
        )
        for chat in CHATS.values()
    ]


def messages() -> list[Message]:
    """Return the messages of all conversations."""
    return [
        Message(
            conversation_id=number,
            sender=sender,
            content=content,
            external_message_id=f"{chat['channel']}-{number}-{position}",
            created_at=OCTOBER + timedelta(minutes=position),
            user_id=2 if sender == "user" else None,
        )
        for number, chat in CHATS.items()
        for position, (sender, content) in enumerate(chat["said"], start=1)
    ]
