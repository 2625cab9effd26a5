"""Whose turn it is: a bot's or people's. Nobody answers over somebody."""

from typing import Any

import pytest

from omnidesk.conversations.messages import Message
from omnidesk.db import db
from tests.conftest import PASSWORD, Caller, make_conversation, make_message, make_user, reload

BOT = {"sender": "bot", "content": "How can I help?"}


def token_of(caller: Caller, *scopes: str) -> dict[str, str]:
    """Return the header of a new API token of a caller's."""
    body = {"name": "Bot", "scopes": scopes, "password": PASSWORD}
    return {"Authorization": f"Bearer {caller.post('/api/tokens', json=body).json['token']}"}


def address(conversation: Any) -> str:
    """Return the address of a conversation."""
    return f"/api/conversations/{conversation.conversation_id}"


def test_a_bot_answers_while_it_is_its_turn(admin: Caller) -> None:
    conversation = make_conversation(handled_by_bot=True)

    answers = [
        admin.post(f"{address(conversation)}/messages", json=BOT | turn)
        for turn in ({}, {"turn": 0})
    ]

    assert [answer.status_code for answer in answers] == [201, 201]


@pytest.mark.parametrize(
    ("by_bot", "turn"), [(False, {}), (False, {"turn": 0}), (True, {"turn": 1})]
)
def test_a_bot_is_refused_when_it_is_not(admin: Caller, by_bot: bool, turn: dict[str, int]) -> None:
    conversation = make_conversation(handled_by_bot=by_bot)

    answer = admin.post(f"{address(conversation)}/messages", json=BOT | turn)

    assert (answer.status_code, [*answer.json["errors"]]) == (409, ["sender"])
    assert admin.get(f"{address(conversation)}/messages").json == []


def test_a_users_message_takes_over(admin: Caller) -> None:
    conversation = make_conversation(handled_by_bot=True)

    admin.post(f"{address(conversation)}/messages", json={"content": "Hello"})

    shown = admin.get(address(conversation)).json
    assert (shown["handled_by_bot"], shown["turn"]) == (False, 1)
    assert shown["assigned_to"] == admin.user.user_id
    assert admin.post(f"{address(conversation)}/messages", json=BOT).status_code == 409


def test_a_bots_retry_after_the_take_over_gets_what_was_stored(admin: Caller) -> None:
    conversation = make_conversation(handled_by_bot=True)
    body = BOT | {"external_message_id": "1", "turn": 0}
    first = admin.post(f"{address(conversation)}/messages", json=body)
    admin.post(f"{address(conversation)}/takeover")

    again = admin.post(f"{address(conversation)}/messages", json=body)

    assert (again.status_code, again.json) == (200, first.json)
    assert again.headers["ETag"] == first.headers["ETag"]


def test_hands_change_once(agent: Caller) -> None:
    conversation = make_conversation(handled_by_bot=True)

    for action, turn in (("takeover", 1), ("takeover", 1), ("return", 2), ("return", 2)):
        shown = agent.post(f"{address(conversation)}/{action}")
        assert (shown.status_code, shown.json["turn"]) == (200, turn)
        assert shown.json["handled_by_bot"] == (action == "return")
    assert agent.patch(address(conversation), json={"handled_by_bot": False}).json["turn"] == 3


def test_a_take_over_leaves_a_conversation_with_whom_it_is(agent: Caller) -> None:
    other = make_user("other").user_id
    mine, theirs = make_conversation(), make_conversation(assigned_to=other)

    for conversation, user_id in ((mine, agent.user.user_id), (theirs, other)):
        shown = agent.post(f"{address(conversation)}/takeover").json
        assert shown["assigned_to"] == user_id


def test_a_bot_gives_a_conversation_to_people_once(agent: Caller) -> None:
    conversation = make_conversation(handled_by_bot=True)
    body = {"reason": "asked for a person", "note": "Wants another address."}

    first, again = (agent.post(f"{address(conversation)}/handoff", json=body) for _ in range(2))

    assert first.status_code == 200
    assert first.json == again.json
    assert (first.json["turn"], first.json["handoff_reason"]) == (1, "asked for a person")
    assert first.json["handed_off_at"] is not None
    (note,) = agent.get(f"{address(conversation)}/messages").json
    assert (note["kind"], note["content"]) == ("note", body["note"])
    assert note["user_id"] == agent.user.user_id


def test_a_bots_own_token_hands_off_as_a_bot(admin: Caller, anybody: Caller) -> None:
    bot = token_of(admin, "messages:relay", "conversations:read")
    conversation = make_conversation(handled_by_bot=True)
    body = {"note": "Help, please."}

    answer = anybody.post(f"{address(conversation)}/handoff", json=body, headers=bot)

    assert answer.status_code == 200
    (note,) = admin.get(f"{address(conversation)}/messages").json
    assert (note["sender"], note["user_id"]) == ("bot", None)


def test_nobody_answers_over_somebody(agent: Caller, admin: Caller) -> None:
    conversation = make_conversation()
    seen = make_message(conversation)
    theirs = admin.post(f"{address(conversation)}/messages", json={"content": "It is mended."})
    body = {"content": "We look into it.", "after_message_id": seen.message_id}

    answer = agent.post(f"{address(conversation)}/messages", json=body)

    assert (answer.status_code, [*answer.json["errors"]]) == (409, ["after_message_id"])
    assert answer.json["current"] == [theirs.json]
    after = {"after_message_id": theirs.json["message_id"]}
    assert agent.post(f"{address(conversation)}/messages", json=body | after).status_code == 201


def test_ones_own_messages_and_notes_are_not_in_the_way(agent: Caller, admin: Caller) -> None:
    conversation = make_conversation()
    seen = make_message(conversation)
    path = f"{address(conversation)}/messages"
    admin.post(path, json={"content": "An old client.", "kind": "note"})

    answers = [
        agent.post(path, json={"content": "Hello", "after_message_id": seen.message_id})
        for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [201, 201]


def test_at_most_twenty_messages_in_the_way_are_shown(agent: Caller) -> None:
    conversation = make_conversation()
    first, *others = [make_message(conversation) for _ in range(23)]
    body = {"content": "Hello", "after_message_id": first.message_id}

    answer = agent.post(f"{address(conversation)}/messages", json=body)

    shown = [message["message_id"] for message in answer.json["current"]]
    assert shown == [message.message_id for message in others[:20]]
    assert db.session.query(Message).count() == 23
    db.session.rollback()


def test_a_message_of_another_conversation_is_none_that_was_seen(agent: Caller) -> None:
    other = make_message(make_conversation())
    body = {"content": "Hello", "after_message_id": other.message_id}

    answer = agent.post(f"{address(make_conversation())}/messages", json=body)

    assert (answer.status_code, [*answer.json["errors"]]) == (400, ["after_message_id"])


def test_a_writer_that_may_not_read_is_not_shown_what_is_in_the_way(
    agent: Caller, anybody: Caller
) -> None:
    conversation = make_conversation()
    seen, _ = make_message(conversation), make_message(conversation)
    body = {"content": "Hello", "after_message_id": seen.message_id}

    bot = token_of(agent, "messages:write")

    answer = anybody.post(f"{address(conversation)}/messages", json=body, headers=bot)

    assert (answer.status_code, "current" in answer.json) == (409, False)


def test_a_note_changes_nothing_of_a_conversation(agent: Caller) -> None:
    conversation = make_conversation(handled_by_bot=True)
    make_message(conversation)
    before = agent.get(address(conversation))

    agent.post(f"{address(conversation)}/messages", json={"content": "Old", "kind": "note"})

    assert agent.get(address(conversation)).json == before.json
    assert reload(conversation).handled_by_bot
