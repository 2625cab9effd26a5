"""Conversations and their messages."""

from typing import Any

import pytest

from omnidesk.db import db
from tests.conftest import Caller, make_conversation, make_message, reload

KEYS = [
    "conversation_id",
    "client_id",
    "channel",
    "external_chat_id",
    "active",
    "handled_by_bot",
    "created_at",
    "updated_at",
    "last_message_at",
    "assigned_to",
    "unread_count",
    "read_up_to",
    "waiting_since",
    "turn",
    "handed_off_at",
    "handoff_reason",
    "reply_until",
]
MESSAGE_KEYS = [
    "message_id",
    "conversation_id",
    "sender",
    "content",
    "external_message_id",
    "created_at",
    "user_id",
    "kind",
    "meta",
    "sent_at",
    "edited_at",
    "deleted_at",
    "delivery",
]


def address(conversation: Any) -> str:
    """Return the address of a conversation's messages."""
    return f"/api/conversations/{conversation.conversation_id}/messages"


def unread(caller: Caller) -> int:
    """Return how many messages nobody has read."""
    return int(caller.get("/api/summary").json["unread_messages"])


def test_a_conversation_is_shown(anybody: Caller) -> None:
    conversation = make_conversation(external_chat_id="573015550155")

    answer = anybody.get(f"/api/conversations/{conversation.conversation_id}")

    assert list(answer.json) == KEYS
    assert answer.json["last_message_at"] is None
    assert anybody.get("/api/conversations").json == [answer.json]


def test_conversations_are_listed_by_latest_activity(agent: Caller) -> None:
    first, second, third = (make_conversation() for _ in range(3))

    agent.post(address(second), json={"content": "Hello"})

    ids = [each["conversation_id"] for each in agent.get("/api/conversations").json]
    assert ids == [each.conversation_id for each in (second, third, first)]


def test_a_new_message_is_staffs_unless_it_says_otherwise(agent: Caller) -> None:
    conversation = make_conversation()

    answer = agent.post(address(conversation), json={"content": "Good morning"})

    assert answer.status_code == 201
    assert list(answer.json) == MESSAGE_KEYS
    assert answer.json["sender"] == "user"
    assert agent.get(answer.headers["Location"]).json == answer.json


def test_a_new_message_updates_its_conversation(agent: Caller) -> None:
    conversation = make_conversation()
    before = conversation.updated_at

    message = agent.post(address(conversation), json={"content": "Good morning"}).json

    after = reload(conversation)
    assert after.updated_at == after.last_message_at > before
    shown = agent.get(f"/api/conversations/{after.conversation_id}").json
    assert shown["last_message_at"] == shown["updated_at"] == message["created_at"]


def test_messages_are_listed_oldest_first(anybody: Caller) -> None:
    conversation = make_conversation()
    make_message(make_conversation())
    ids = [make_message(conversation).message_id for _ in range(3)]

    messages = anybody.get(address(conversation)).json

    assert [message["message_id"] for message in messages] == ids
    assert list(messages[0]) == MESSAGE_KEYS


def test_a_channels_retry_gets_the_stored_message(admin: Caller) -> None:
    conversation = make_conversation()
    body = {"sender": "client", "content": "Hello", "external_message_id": "wamid.1"}
    first = admin.post(address(conversation), json=body)
    moved = reload(conversation).updated_at

    again = admin.post(address(conversation), json=body | {"content": "Hello?"})

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json == first.json
    assert len(admin.get(address(conversation)).json) == 1
    assert reload(conversation).updated_at == moved


def test_two_conversations_may_use_one_external_id(agent: Caller) -> None:
    body = {"content": "Hello", "external_message_id": "1"}

    for _ in range(2):
        assert agent.post(address(make_conversation()), json=body).status_code == 201


def test_an_inactive_conversation_takes_retries_only(agent: Caller) -> None:
    conversation = make_conversation()
    body = {"content": "Hello", "external_message_id": "1"}
    agent.post(address(conversation), json=body)
    reload(conversation).active = False
    db.session.commit()

    assert agent.post(address(conversation), json=body).status_code == 200
    assert agent.post(address(conversation), json={"content": "Hello"}).status_code == 409


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("content", None),
        ("content", " "),
        ("content", "x" * 65_537),
        ("sender", "admin"),
        ("sender", None),
        ("external_message_id", ""),
        ("external_message_id", "x" * 256),
        ("message_id", 1),
        ("conversation_id", 1),
        ("created_at", "2025-10-29T09:12:00Z"),
    ],
)
def test_a_message_with_a_fault_is_refused_by_name(
    agent: Caller, field: str, value: object
) -> None:
    answer = agent.post(address(make_conversation()), json={"content": "Hello", field: value})

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == [field]


@pytest.mark.parametrize("path", ["", "/messages", "/messages/1"])
def test_an_unknown_conversation_is_404(agent: Caller, path: str) -> None:
    assert agent.get(f"/api/conversations/424242{path}").json == {"detail": "Not Found"}


def test_nothing_is_said_in_an_unknown_conversation(agent: Caller) -> None:
    answer = agent.post("/api/conversations/424242/messages", json={"content": "Hello"})

    assert (answer.status_code, answer.json) == (404, {"detail": "Not Found"})


def test_a_message_is_found_in_its_own_conversation_only(agent: Caller) -> None:
    message = make_message(make_conversation())
    other = make_conversation()

    assert agent.get(f"{address(other)}/{message.message_id}").status_code == 404


def test_reading_marks_no_message_as_read(agent: Caller, anybody: Caller) -> None:
    conversation = make_conversation()
    make_message(conversation)

    for caller in (agent, anybody):
        caller.get(address(conversation))
        caller.head(address(conversation))

    assert unread(agent) == 1


def test_an_answer_by_staff_reads_what_was_asked(agent: Caller) -> None:
    conversation = make_conversation()
    make_message(conversation)

    agent.post(address(conversation), json={"content": "One moment", "sender": "bot"})
    assert unread(agent) == 1

    agent.post(address(conversation), json={"content": "Good morning"})
    assert unread(agent) == 0
