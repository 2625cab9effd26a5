"""Inbound messages: each is stored once, for the right client, in the right conversation."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from omnidesk.clients.models import Client
from omnidesk.conversations.models import Conversation
from omnidesk.db import db, utcnow
from tests.conftest import (
    Caller,
    make_channel,
    make_client,
    make_conversation,
    make_identity,
    make_message,
    recorded_statements,
    reload,
)
from tests.security.test_api_tokens import make

CHAT = {"channel": "whatsapp", "external_chat_id": "573015550155"}


def body(number: int = 1, **fields: Any) -> dict[str, Any]:
    """Return an inbound message of the chat, the same for the same number."""
    return {**CHAT, "external_message_id": f"wamid.{number}", "content": "Hello", **fields}


def send(caller: Caller, number: int = 1, status: int = 201, **fields: Any) -> Any:
    """Send an inbound message of the chat, and return the answer's body."""
    answer = caller.post("/api/inbound", json=body(number, **fields))
    assert answer.status_code == status, answer.json
    return answer.json


def close(shown: Any, hours_ago: float = 0) -> None:
    """Close a conversation whose last message is so old."""
    number = shown["conversation"]["conversation_id"]
    then = utcnow() - timedelta(hours=hours_ago)
    values = {"active": False, "last_message_at": then, "updated_at": then}
    db.session.execute(update(Conversation).filter_by(conversation_id=number).values(values))
    db.session.commit()


def ids(shown: Any) -> tuple[int, int]:
    """Return the ids of the conversation and the client in an answer."""
    return shown["conversation"]["conversation_id"], shown["client"]["client_id"]


def test_a_first_message_makes_its_client_and_its_conversation(admin: Caller) -> None:
    answer = admin.post("/api/inbound", json=body(client={"full_name": "Ada Lovelace"}))

    assert answer.status_code == 201
    shown = answer.json
    assert list(shown) == ["message", "conversation", "client", "created"]
    assert shown["created"] == {"client": True, "conversation": True}
    assert shown["message"] == admin.get(answer.headers["Location"]).json
    conversation, client = ids(shown)
    assert shown["conversation"] == admin.get(f"/api/conversations/{conversation}").json
    assert shown["client"] == admin.get(f"/api/clients/{client}").json
    assert shown["message"]["sender"] == "client"
    assert shown["conversation"]["unread_count"] == 1
    (identity,) = admin.get(f"/api/clients/{client}/identities").json
    assert (identity["channel"], identity["external_user_id"]) == tuple(CHAT.values())


def test_a_later_message_goes_where_the_first_is(admin: Caller) -> None:
    first = send(admin, 1)

    second = send(admin, 2, content="", kind="image", meta={"mime_type": "image/png"})

    assert ids(second) == ids(first)
    assert second["created"] == {"client": False, "conversation": False}
    assert second["conversation"]["unread_count"] == 2
    assert second["message"]["meta"] == {"mime_type": "image/png"}


def test_a_message_that_is_sent_again_is_not_stored_again(admin: Caller) -> None:
    first = send(admin)

    again = send(admin, status=200, content="Hello?")

    assert again == first | {"created": {"client": False, "conversation": False}}


def test_a_message_is_known_again_whatever_happened_to_its_conversation(admin: Caller) -> None:
    first = send(admin)
    close(first, hours_ago=73)
    while_closed = send(admin, status=200)
    second = send(admin, 2)

    again = send(admin, status=200)

    assert again["message"] == while_closed["message"] == first["message"]
    assert ids(again) == ids(first) != ids(second)
    assert not while_closed["conversation"]["active"]


def test_a_deleted_message_is_not_stored_again(admin: Caller) -> None:
    path = admin.post("/api/inbound", json=body()).headers["Location"]
    admin.delete(path)

    again = send(admin, status=200)

    assert again["message"] == admin.get(path).json
    assert again["message"]["content"] == ""


@pytest.mark.parametrize(
    ("client", "name"),
    [
        (None, "573015550155"),
        ({}, "573015550155"),
        ({"full_name": "Ada", "phone": "1", "email": "a@b.co"}, "Ada"),
        ({"full_name": None, "phone": "1", "email": "a@b.co"}, "1"),
        ({"email": f"{'a' * 64}@{'b' * 60}.{'c' * 60}.com"}, f"{'a' * 64}@{'b' * 55}"),
    ],
)
def test_a_client_without_a_name_is_called_by_what_is_known(
    admin: Caller, client: Any, name: str
) -> None:
    assert send(admin, client=client)["client"]["full_name"] == name


def test_a_user_without_a_phone_may_have_a_long_id(admin: Caller) -> None:
    user = "CO." + "9" * 128
    chat: dict[str, Any] = {"external_chat_id": user, "external_user_id": user}

    shown = send(admin, **chat)

    assert shown["client"]["full_name"] == user[:120]
    assert ids(send(admin, 2, **chat)) == ids(shown)


PHONE, EMAIL = "+44 20 7946 0018", "ada@münchen.example"


@pytest.mark.parametrize(
    ("known", "told"),
    [
        ({"email": EMAIL}, {"email": "ADA@xn--mnchen-3ya.example"}),
        ({"phone": PHONE}, {"phone": "+442079460018"}),
        ({"phone": "+44 (0)20-7946.0018"}, {"phone": PHONE}),
        ({"phone": PHONE}, {"phone": "+44 (0) 20 79460018"}),
        ({"phone": "+54 11 15 2345-6789"}, {"phone": "+5491123456789"}),
        ({"phone": "+54 (0)11 15 2345-6789"}, {"phone": "+54 9 11 2345 6789"}),
        ({"phone": "+7 (8) 495 123-45-67"}, {"phone": "+74951234567"}),
        ({"phone": "+36 06 1 234 5678"}, {"phone": "+3612345678"}),
        ({"phone": "+1 1 415 555 2671"}, {"phone": "+14155552671"}),
        ({"email": EMAIL, "phone": "+57 601 555 0155"}, {"email": EMAIL, "phone": PHONE}),
        ({"phone": PHONE}, {"email": "other@example.com", "phone": PHONE}),
    ],
)
def test_a_client_with_the_same_address_is_recognised(admin: Caller, known: Any, told: Any) -> None:
    client = make_client(full_name="Ada", **known)
    make_client(active=False, **known)
    make_client(email="else@example.com", phone="+44 20 7946 0019")

    shown = send(admin, client=told | {"full_name": "A. Lovelace"})

    assert shown["client"]["client_id"] == client.client_id
    assert shown["created"] == {"client": False, "conversation": True}
    assert shown["client"] == admin.get(f"/api/clients/{client.client_id}").json
    assert shown["client"]["full_name"] == "Ada"
    assert {name: shown["client"][name] for name in known} == known


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ([{"email": EMAIL}, {"email": EMAIL}], {"email": EMAIL}),
        ([{"email": EMAIL}] * 2 + [{"phone": PHONE}], {"email": EMAIL, "phone": PHONE}),
        ([{"phone": PHONE}, {"phone": "+442079460018"}], {"phone": PHONE}),
        ([{"phone": "442079460018"}], {"phone": PHONE}),
        ([{"phone": "44 20 7946 0018"}], {"phone": "442079460018"}),
        ([{"phone": "02079460018"}], {"phone": "02079460018"}),
        ([{"phone": f"{PHONE} ext. 5"}], {"phone": f"{PHONE} ext. 5"}),
        ([{"phone": PHONE, "active": False}], {"phone": PHONE}),
        ([{"email": EMAIL, "active": False}], {"email": EMAIL}),
        ([{"full_name": "Ada"}], {"full_name": "Ada"}),
    ],
)
def test_where_it_would_be_a_guess_the_client_is_new(
    admin: Caller, others: list[Any], told: Any
) -> None:
    for fields in others:
        make_client(**fields)

    shown = send(admin, client=told)

    assert shown["created"]["client"] is True
    assert {name: shown["client"][name] for name in told} == told


def test_one_user_is_one_client_in_all_chats_of_a_channel(admin: Caller) -> None:
    user: dict[str, Any] = {"external_user_id": "u1"}
    first = send(admin, **user)
    other_chat = send(admin, external_chat_id="group", **user)
    other_channel = send(admin, channel="sms", **user)

    assert other_chat["client"] == first["client"]
    assert ids(other_chat)[0] != ids(first)[0]
    assert other_channel["client"] != first["client"]


def test_two_users_in_one_chat_are_two_clients(admin: Caller) -> None:
    first = send(admin, 1, external_user_id="u1")
    second = send(admin, 2, external_user_id="u2")
    third = send(admin, 3, external_user_id="u2")

    assert ids(first)[0] == ids(second)[0] == ids(third)[0]
    assert ids(first)[1] != ids(second)[1] == ids(third)[1]
    assert second["created"] == {"client": True, "conversation": False}


def test_a_chat_that_staff_have_begun_tells_who_its_user_is(admin: Caller) -> None:
    conversation = make_conversation(**CHAT)

    first = send(admin, 1, client={"full_name": "Other"})

    assert ids(first) == (conversation.conversation_id, conversation.client_id)
    assert first["created"] == {"client": False, "conversation": False}
    close(first, hours_ago=100)
    assert send(admin, 2)["client"]["client_id"] == conversation.client_id


def test_an_identity_that_was_moved_is_another_client(admin: Caller) -> None:
    first, other = send(admin), make_client()
    close(first, hours_ago=100)
    user = {"channel": CHAT["channel"], "external_user_id": CHAT["external_chat_id"]}
    admin.post(f"/api/clients/{other.client_id}/identities", json=user)

    assert send(admin, 2)["client"]["client_id"] == other.client_id


@pytest.mark.parametrize(
    ("hours", "opened"), [(0, True), (71.9, True), (72.1, False), (9_999, False)]
)
def test_a_closed_conversation_is_opened_again_while_it_is_recent(
    admin: Caller, hours: float, opened: bool
) -> None:
    first = send(admin)
    close(first, hours_ago=hours)

    second = send(admin, 2)

    assert (ids(second)[0] == ids(first)[0]) == opened
    assert second["created"] == {"client": False, "conversation": not opened}
    assert second["conversation"]["active"] is True


def test_how_long_conversations_are_opened_again_is_a_setting(admin: Caller, app_with: Any) -> None:
    first = send(admin)
    close(first, hours_ago=2)
    other = Caller(app_with(REOPEN_HOURS=1), admin.user)

    assert send(other, 2)["created"]["conversation"] is True


@pytest.mark.parametrize(("hours", "is_new"), [(1, True), (3, False), (0, True), (None, False)])
def test_how_long_they_are_can_be_another_on_a_channel(
    admin: Caller, hours: int | None, is_new: bool
) -> None:
    first = send(admin)
    make_channel("none", channel=first["conversation"]["channel"], reopen_hours=hours)
    close(first, hours_ago=2)

    assert send(admin, 2)["created"]["conversation"] is is_new


@pytest.mark.parametrize("bot_first", [True, False])
@pytest.mark.parametrize(("said", "by_bot"), [({}, None), ({"handled_by_bot": True}, True)])
def test_who_answers_first_is_the_channels_choice_unless_it_is_said(
    admin: Caller, bot_first: bool, said: dict[str, bool], by_bot: bool | None
) -> None:
    make_channel("none", channel="whatsapp", bot_first=bot_first, active=False)

    shown = send(admin, **said)["conversation"]

    assert shown["handled_by_bot"] is (bot_first if by_bot is None else by_bot)


def test_a_channel_costs_the_usual_message_no_statement(admin: Caller) -> None:
    send(admin, 1)
    counts = []
    for number in (2, 3):
        with recorded_statements() as statements:
            send(admin, number)
        counts.append(len(statements))
        if number == 2:
            make_channel("whatsapp", bot_first=True, reopen_hours=1)

    assert counts[0] == counts[1]


def test_of_several_closed_conversations_the_last_is_opened(admin: Caller) -> None:
    shown = [send(admin, 1)]
    close(shown[0], hours_ago=100)
    shown.append(send(admin, 2))
    close(shown[0], hours_ago=2)
    close(shown[1], hours_ago=1)

    assert ids(send(admin, 3))[0] == ids(shown[1])[0]


def test_who_answers_is_said_of_new_conversations_only(admin: Caller) -> None:
    first = send(admin, 1, handled_by_bot=True)
    second = send(admin, 2, handled_by_bot=False)

    assert first["conversation"]["handled_by_bot"] is True
    assert second["conversation"]["handled_by_bot"] is True


@pytest.mark.parametrize("is_open", [True, False])
def test_an_inactive_client_who_writes_is_active_again(admin: Caller, is_open: bool) -> None:
    first = send(admin, 1)
    if not is_open:
        close(first)
    db.session.execute(update(Client).values(active=False))
    db.session.commit()

    second = send(admin, 2)

    assert second["client"]["active"] is True
    assert ids(second) == ids(first)
    messages = admin.get(f"/api/conversations/{ids(first)[0]}/messages").json
    kinds = [(message["kind"], message["sender"]) for message in messages]
    assert kinds == [("text", "client"), ("note", "bot"), ("text", "client")]
    assert (
        messages[1]["content"] == "The client was inactive, and is active again since they wrote."
    )
    assert second["conversation"]["unread_count"] == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("channel", None),
        ("channel", "x" * 33),
        ("external_chat_id", None),
        ("external_chat_id", "x" * 256),
        ("external_user_id", ""),
        ("external_message_id", None),
        ("external_message_id", "x" * 256),
        ("content", " "),
        ("content", None),
        ("kind", "note"),
        ("kind", None),
        ("meta", {"x": "y" * 5_000}),
        ("sent_at", "2025-10-29"),
        ("handled_by_bot", 1),
        ("client", []),
        ("client", {"email": "x"}),
        ("client", {"full_name": ""}),
        ("client", {"client_id": 1}),
        ("sender", "user"),
        ("user_id", 1),
        ("turn", 1),
    ],
)
def test_a_message_with_a_fault_is_refused_by_name(
    admin: Caller, field: str, value: object
) -> None:
    answer = admin.post("/api/inbound", json=body() | {field: value})

    assert (answer.status_code, list(answer.json["errors"])) == (400, [field])
    assert admin.get("/api/clients").json == []


def test_the_relay_alone_brings_messages(admin: Caller, agent: Caller) -> None:
    statuses = [
        caller.post("/api/inbound", json=body()).status_code
        for caller in (agent, make(admin, "messages:write", "conversations:write"))
    ]

    assert statuses == [403, 403]
    assert admin.get("/api/conversations").json == []


def test_a_relay_is_shown_what_it_may_read(admin: Caller) -> None:
    relay, reader = (make(admin, "messages:relay", *more) for more in ((), ("conversations:read",)))

    first, again = (relay.post("/api/inbound", json=body()) for _ in range(2))
    shown = reader.post("/api/inbound", json=body())

    assert (first.status_code, first.data) == (201, b"")
    assert (again.status_code, again.data) == (204, b"")
    assert admin.get(first.headers["Location"]).json == shown.json["message"]
    assert (shown.status_code, shown.json["client"]) == (200, None)


def test_a_message_of_another_chat_may_have_the_same_id(admin: Caller) -> None:
    other = make_conversation(channel="whatsapp", external_chat_id="other")
    make_message(other, external_message_id="wamid.1")
    make_identity(make_client(), channel="whatsapp", external_user_id="other")

    assert send(admin)["conversation"]["conversation_id"] != other.conversation_id
    assert reload(other).unread_count == 1
