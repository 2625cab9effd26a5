"""What is unread, who waits, and who answers."""

from typing import Any

import pytest

from omnidesk.db import db
from tests.conftest import (
    Caller,
    check_running_totals,
    make_client,
    make_conversation,
    make_message,
    make_messages,
    make_user,
    reload,
)

STATE = ("unread_count", "read_up_to", "waiting_since")


def address(conversation: Any) -> str:
    """Return the address of a conversation."""
    return f"/api/conversations/{conversation.conversation_id}"


def state(caller: Caller, conversation: Any) -> dict[str, Any]:
    """Return what a conversation shows of what is unread, and who waits."""
    shown = caller.get(address(conversation)).json
    return {name: shown[name] for name in STATE}


def listed(caller: Caller, query: str) -> list[int]:
    """Return the ids of the conversations that a list shows."""
    answer = caller.get(f"/api/conversations?{query}")
    assert answer.status_code == 200, answer.json
    return [row["conversation_id"] for row in answer.json]


def test_what_a_client_writes_is_unread_and_waits(agent: Caller) -> None:
    conversation = make_conversation()
    first = make_message(conversation)
    make_message(conversation)

    assert state(agent, conversation) == {
        "unread_count": 2,
        "read_up_to": None,
        "waiting_since": agent.get(f"{address(conversation)}/messages/{first.message_id}").json[
            "created_at"
        ],
    }


def test_a_bot_answers_and_reads_nothing(agent: Caller) -> None:
    conversation = make_conversation()
    make_message(conversation)
    make_message(conversation, sender="bot")

    assert state(agent, conversation) == {
        "unread_count": 1,
        "read_up_to": None,
        "waiting_since": None,
    }


def test_a_users_message_reads_what_came_before_it(agent: Caller) -> None:
    conversation = make_conversation()
    make_message(conversation)

    answer = agent.post(f"{address(conversation)}/messages", json={"content": "Hello"})

    assert state(agent, conversation) == {
        "unread_count": 0,
        "read_up_to": answer.json["message_id"],
        "waiting_since": None,
    }


def test_a_read_counts_what_came_after_it(agent: Caller) -> None:
    conversation = make_conversation()
    ids = [make_message(conversation).message_id for _ in range(3)]

    answer = agent.post(f"{address(conversation)}/read", json={"up_to_message_id": ids[1]})

    assert answer.status_code == 200
    assert (answer.json["unread_count"], answer.json["read_up_to"]) == (1, ids[1])
    assert answer.json == agent.get(address(conversation)).json
    assert answer.json["waiting_since"] is not None


def test_a_late_read_marks_nothing_as_unread(agent: Caller) -> None:
    conversation = make_conversation()
    ids = [make_message(conversation).message_id for _ in range(3)]
    latest = agent.post(f"{address(conversation)}/read", json={"up_to_message_id": ids[2]})

    late = agent.post(f"{address(conversation)}/read", json={"up_to_message_id": ids[0]})

    assert late.json == latest.json
    assert late.headers["ETag"] == latest.headers["ETag"]


@pytest.mark.parametrize(
    ("read", "body", "unread_count"),
    [
        (None, {"from": 0}, 3),
        (2, {"from": 0}, 3),
        (2, {"from": 1}, 2),
        (2, {"from": 2}, 1),
        (2, {}, 1),
        (0, {"from": 2}, 2),  # what was unread before stays so
        (None, {}, 3),
    ],
)
def test_messages_can_be_marked_as_unread(
    agent: Caller, read: int | None, body: dict[str, int], unread_count: int
) -> None:
    conversation = make_conversation()
    ids = [make_message(conversation).message_id for _ in range(3)]
    make_message(conversation, sender="bot")
    if read is not None:
        agent.post(f"{address(conversation)}/read", json={"up_to_message_id": ids[read]})

    sent = {"from_message_id": ids[body["from"]]} if body else {}
    answer = agent.post(f"{address(conversation)}/unread", json=sent)

    assert (answer.status_code, answer.json["unread_count"]) == (200, unread_count)


def test_a_mark_anywhere_in_a_long_conversation_counts_what_follows_it(agent: Caller) -> None:
    conversation = make_conversation()
    senders = [*["client", "bot", "client", "client", "bot"] * 60, "client"]
    ids = make_messages(conversation.conversation_id, *senders)
    agent.post(f"{address(conversation)}/read", json={"up_to_message_id": ids[-1]})

    for n in range(300, -1, -7):
        sent = agent.post(f"{address(conversation)}/unread", json={"from_message_id": ids[n]})
        assert sent.json["unread_count"] == senders[n:].count("client"), n
        sent = agent.post(f"{address(conversation)}/read", json={"up_to_message_id": ids[n]})
        assert sent.json["unread_count"] == senders[n + 1 :].count("client"), n
    check_running_totals(conversation.conversation_id)


def test_where_a_client_said_nothing_nothing_is_marked(agent: Caller) -> None:
    conversation = make_conversation()

    answer = agent.post(f"{address(conversation)}/unread", json={})

    assert (answer.status_code, answer.json["unread_count"]) == (200, 0)


@pytest.mark.parametrize(
    ("action", "field"), [("read", "up_to_message_id"), ("unread", "from_message_id")]
)
def test_a_message_of_another_conversation_is_refused(
    agent: Caller, action: str, field: str
) -> None:
    conversation, other = make_conversation(), make_message(make_conversation())

    answer = agent.post(f"{address(conversation)}/{action}", json={field: other.message_id})

    assert (answer.status_code, [*answer.json["errors"]]) == (400, [field])


def test_the_summary_has_the_sum_of_what_is_unread(agent: Caller) -> None:
    chats = [make_conversation() for _ in range(3)]
    for count, conversation in enumerate(chats):
        for _ in range(count):
            make_message(conversation)

    last = reload(chats[2]).last_message_id
    agent.post(f"{address(chats[2])}/read", json={"up_to_message_id": last})

    assert agent.get("/api/summary").json["unread_messages"] == 1


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("read", {"up_to_message_id": 1}),
        ("unread", {}),
        ("takeover", None),
        ("handoff", {}),
        ("return", None),
    ],
)
def test_no_mark_moves_a_conversation_in_the_list(
    agent: Caller, action: str, body: dict[str, int] | None
) -> None:
    first = make_conversation(handled_by_bot=action != "return")
    make_message(first)
    second = make_conversation()
    sent = {} if body is None else {"json": body}

    answer = agent.post(f"{address(first)}/{action}", **sent)

    assert answer.status_code == 200
    assert listed(agent, "") == [second.conversation_id, first.conversation_id]


def test_a_conversation_is_assigned_without_moving(agent: Caller) -> None:
    user_id = make_user("other").user_id
    first, second = make_conversation(), make_conversation()

    answer = agent.patch(address(first), json={"assigned_to": user_id})

    assert (answer.status_code, answer.json["assigned_to"]) == (200, user_id)
    assert listed(agent, "") == [second.conversation_id, first.conversation_id]


@pytest.mark.parametrize("user_id", ["gone", 424242, 0, "1", True])
def test_a_conversation_is_assigned_to_active_users_only(agent: Caller, user_id: Any) -> None:
    gone = make_user("gone", active=False).user_id
    body = {"assigned_to": gone if user_id == "gone" else user_id}

    answer = agent.patch(address(make_conversation()), json=body)

    assert (answer.status_code, [*answer.json["errors"]]) == (400, ["assigned_to"])


def test_the_first_who_answers_has_the_conversation(agent: Caller, admin: Caller) -> None:
    conversation = make_conversation()

    for caller in (agent, admin):
        caller.post(f"{address(conversation)}/messages", json={"content": "Hello"})

    assert reload(conversation).assigned_to == agent.user.user_id


def test_whoever_answers_for_somebody_who_has_left_has_the_conversation(agent: Caller) -> None:
    gone = make_user("gone", active=False).user_id
    conversation = make_conversation(assigned_to=gone)

    agent.post(f"{address(conversation)}/messages", json={"content": "Hello"})

    assert reload(conversation).assigned_to == agent.user.user_id


@pytest.fixture
def inbox(agent: Caller) -> list[int]:
    """Conversations of mine, of nobody, of another, and of who has left; the last is closed."""
    me, other = agent.user.user_id, make_user("other").user_id
    gone = make_user("gone", active=False).user_id
    chats = [make_conversation(assigned_to=who) for who in (me, None, other, gone, None)]
    for conversation, senders in zip(
        chats, (("client",), (), ("client", "user"), ("client", "bot"), ("client",)), strict=True
    ):
        for sender in senders:
            make_message(conversation, sender=sender)
    reload(chats[-1]).active = False
    db.session.commit()
    return [conversation.conversation_id for conversation in chats]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("unread=true", [4, 3, 0]),
        ("unread=false", [2, 1]),
        ("unread=true&active=true", [3, 0]),
        ("waiting=true", [4, 0]),
        ("waiting=false", [3, 2, 1]),
        ("assigned_to=me", [0]),
        ("assigned_to=none", [4, 3, 1]),
        ("assigned_to=none&active=true", [3, 1]),
        ("assigned_to=me,none&unread=true", [4, 3, 0]),
        ("assigned_to=none&waiting=true", [4]),
        ("sort=waiting_since", [0, 4, 1, 2, 3]),
        ("sort=-waiting_since", [4, 0, 3, 2, 1]),
        ("sort=updated_at", [1, 0, 2, 3, 4]),
        ("sort=waiting_since&waiting=true&active=true", [0]),
    ],
)
def test_conversations_are_found_by_what_has_to_be_done(
    agent: Caller, inbox: list[int], query: str, found: list[int]
) -> None:
    assert [inbox.index(number) for number in listed(agent, query)] == found


def test_me_is_nobody_without_a_token(anybody: Caller) -> None:
    assert anybody.get("/api/conversations?assigned_to=me").status_code == 401


@pytest.mark.parametrize("query", ["unread=maybe", "waiting=2", "assigned_to=x", "sort=client_id"])
def test_other_values_are_refused(agent: Caller, query: str) -> None:
    answer = agent.get(f"/api/conversations?{query}")

    assert (answer.status_code, [*answer.json["errors"]]) == (400, [query.partition("=")[0]])


def test_a_conversation_can_begin_with_a_bot_or_with_a_user(agent: Caller) -> None:
    body = {"client_id": make_client().client_id, "channel": "web"}
    more = {"handled_by_bot": True, "assigned_to": agent.user.user_id}

    answer = agent.post("/api/conversations", json=body | more)

    assert answer.status_code == 201
    assert answer.json == answer.json | more
