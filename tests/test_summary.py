"""The dashboard's numbers."""

from datetime import timedelta

from omnidesk.db import utcnow
from tests.conftest import (
    Caller,
    make_conversation,
    make_event,
    make_message,
    make_ticket,
    make_user,
)

HOUR = timedelta(hours=1)


def test_an_empty_desk_counts_its_only_user(agent: Caller) -> None:
    answer = agent.get("/api/summary")

    assert answer.status_code == 200
    assert answer.text.strip() == (
        '{"users_count":1,"tickets":{"open":0,"in_progress":0,"closed":0},'
        '"upcoming_events":0,"unread_messages":0}'
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

    assert agent.get("/api/summary").json == {
        "users_count": 2,
        "tickets": {"open": 1, "in_progress": 2, "closed": 3},
        "upcoming_events": 1,
        "unread_messages": 1,
    }
