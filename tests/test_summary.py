"""The dashboard's numbers."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select, update

from omnidesk.backlog import oldest_queued_seconds
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import db, utcnow
from omnidesk.events.models import Event
from omnidesk.tickets.models import Ticket
from tests.conftest import (
    Caller,
    make_conversation,
    make_event,
    make_message,
    make_ticket,
    make_user,
    reload,
)

HOUR = timedelta(hours=1)
EPOCH, FAR = datetime(1970, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, 23, tzinfo=UTC)


def test_an_empty_desk_counts_its_only_user(agent: Caller) -> None:
    answer = agent.get("/api/summary")

    assert answer.status_code == 200
    assert answer.text.strip() == (
        '{"users_count":1,"tickets":{"open":0,"in_progress":0,"closed":0,"overdue":0,'
        '"unassigned":0,"mine":0},"upcoming_events":0,"unread_messages":0,'
        '"conversations":{"waiting":0,"unassigned":0},"longest_waiting_since":null,"oldest_queued_at":null}'
    )


def test_everything_is_counted(agent: Caller) -> None:
    make_user("gone", active=False)
    client_id = make_ticket().client_id
    for status, count in (("en_progreso", 2), ("cerrado", 3)):
        for _ in range(count):
            make_ticket(client_id, status=status)
    make_event(start_time=utcnow() + HOUR, end_time=utcnow() + 2 * HOUR)
    make_event(start_time=utcnow() - HOUR, end_time=utcnow() + HOUR)
    conversation = make_conversation()
    make_message(conversation)
    make_message(conversation, sender="user")
    make_message(conversation)

    summary = agent.get("/api/summary").json

    tickets = {"open": 1, "in_progress": 2, "closed": 3}
    assert summary["users_count"] == 2
    assert summary["tickets"] == tickets | {"overdue": 0, "unassigned": 3, "mine": 0}
    assert (summary["upcoming_events"], summary["unread_messages"]) == (1, 1)


def test_what_waits_for_somebody_is_counted(agent: Caller) -> None:
    me, gone = agent.user.user_id, make_user("gone", active=False).user_id
    for days in (0, 1, 400):
        due_at = utcnow() - HOUR / 3600 - days * 24 * HOUR
        ticket = make_ticket(due_at=due_at, assigned_to=me)
    ticket.change(due_at=utcnow() + 24 * HOUR)
    db.session.commit()
    make_ticket(due_at=utcnow() - HOUR, status="cerrado", assigned_to=me)
    make_ticket(due_at=utcnow() + HOUR)
    first, second, third = (make_conversation(assigned_to=who) for who in (None, me, gone))
    for conversation in (second, first, third, make_conversation(active=False)):
        make_message(conversation)
    make_message(third, sender="bot")

    summary = agent.get("/api/summary").json

    assert [summary["tickets"][name] for name in ("overdue", "unassigned", "mine")] == [2, 1, 3]
    assert summary["conversations"] == {"waiting": 2, "unassigned": 2}
    shown = agent.get(f"/api/conversations/{second.conversation_id}").json
    assert summary["longest_waiting_since"] == shown["waiting_since"]


def test_the_oldest_of_what_is_to_be_sent_is_told(agent: Caller) -> None:
    conversation = make_conversation()
    times = [utcnow() - 3 * HOUR, utcnow() - 2 * HOUR]
    for state, at in [("queued", times[0]), ("queued", times[1]), ("failed", utcnow() - 9 * HOUR)]:
        message = make_message(conversation, sender="user")
        message.delivery_state, message.delivery_at = state, at
    db.session.commit()

    summary = agent.get("/api/summary").json

    assert summary["oldest_queued_at"] == f"{times[0]:%Y-%m-%dT%H:%M:%SZ}"
    assert 3 * 3600 <= (oldest_queued_seconds() or 0) < 3 * 3600 + 60


def counted(caller: Caller) -> list[int]:
    """Return the counts that are kept: open, in progress and closed tickets, unread messages."""
    summary = caller.get("/api/summary").json
    tickets = (summary["tickets"][name] for name in ("open", "in_progress", "closed"))
    return [*tickets, summary["unread_messages"]]


def test_the_counts_follow_every_kind_of_change(agent: Caller) -> None:
    first, second, third = (make_ticket() for _ in range(3))
    conversation = make_conversation()
    message = make_message(conversation)
    make_message(conversation)
    assert counted(agent) == [3, 0, 0, 2]

    first.move_to("cerrado")
    reload(conversation).read(message.message_id)
    db.session.commit()
    assert counted(agent) == [2, 0, 1, 1]

    first.subject = "Something else"
    second.move_to("en_progreso")
    db.session.commit()
    assert counted(agent) == [1, 1, 1, 1]

    db.session.execute(update(Ticket).values(status="cerrado", resolved_at=utcnow()))
    db.session.execute(update(Conversation).values(read_up_to=None, unread_count=2))
    db.session.commit()
    assert counted(agent) == [0, 0, 3, 2]

    db.session.delete(third)
    db.session.execute(delete(Message))
    db.session.execute(delete(Conversation))
    db.session.commit()
    assert counted(agent) == [0, 0, 2, 0]


def test_what_is_taken_back_is_not_counted(agent: Caller) -> None:
    ticket = make_ticket()

    db.session.delete(ticket)
    db.session.add(
        Ticket.new(client_id=ticket.client_id, subject="x", priority="alta", status="cerrado")
    )
    db.session.flush()
    db.session.rollback()

    assert counted(agent) == [1, 0, 0, 0]


def test_upcoming_events_are_counted_by_the_moment_they_start(agent: Caller) -> None:
    now = utcnow()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + 24 * HOUR
    ahead = [now + HOUR, midnight, midnight + 24 * HOUR, FAR]
    past = [now - HOUR / 3600, now - 24 * HOUR, EPOCH]
    for start in ahead + past:
        make_event(start_time=start, end_time=start)
    assert upcoming(agent) == len(ahead)

    first, *_, last = db.session.scalars(select(Event).order_by(Event.event_id))
    first.start_time = now - 48 * HOUR
    last.start_time = last.end_time = FAR
    db.session.commit()
    assert upcoming(agent) == len(ahead)

    db.session.delete(last)
    db.session.commit()
    assert upcoming(agent) == len(ahead) - 1


def upcoming(caller: Caller) -> int:
    """Return how many events are said to be ahead."""
    return int(caller.get("/api/summary").json["upcoming_events"])
