"""What each kind of WhatsApp's updates becomes."""

import json
from typing import Any

import pytest

from omnidesk.providers.whatsapp.updates import read as read_whatsapp
from tests.conftest import Caller, make_client, make_conversation, make_user
from tests.hooks import Hook, messages
from tests.providers import whatsapp_updates as whatsapp
from tests.providers.whatsapp_updates import HIDDEN, SHEENA, User, notification, written_by

BOTH = User("16505551234", "US.13491208655302741918")
SCOPED = User(None, "US.13491208655302741918")


def read(body: Any) -> Any:
    """Return the only thing that a body of WhatsApp's tells."""
    (found,) = read_whatsapp(json.loads(body), None)
    return found


FILE = {"id": "1003383421387256", "sha256": "SfInY0gGKTsJlUWbwxC1k+FAD0FZHvzwfpvO0zX0GUI="}
PLACE = {"latitude": 37.44221496582, "longitude": -122.16165924072}


@pytest.mark.parametrize(
    ("message", "kind", "content", "meta"),
    [
        (whatsapp.text(SHEENA, "Hi"), "text", "Hi", None),
        (whatsapp.text(SHEENA, "a\0b\ud800"), "text", "a\ufffdb\ufffd", None),
        (whatsapp.text(SHEENA, "x" * 70_000), "text", "x" * 65_536, None),
        (whatsapp.text(SHEENA, ""), "unsupported", "", None),
        (whatsapp.reply(SHEENA, "Yes", "wamid.1"), "text", "Yes", {"reply_to": "wamid.1"}),
        (
            whatsapp.text(SHEENA, "Hi", context={"forwarded": True}),
            *("text", "Hi", {"forwarded": True}),
        ),
        (
            whatsapp.media(SHEENA, "image", "image/jpeg", caption="Look"),
            *("image", "Look", FILE | {"mime_type": "image/jpeg"}),
        ),
        (
            whatsapp.media(SHEENA, "audio", "audio/ogg", voice=True),
            *("audio", "", FILE | {"mime_type": "audio/ogg", "voice": True}),
        ),
        (
            whatsapp.media(SHEENA, "video", "video/mp4"),
            *("video", "", FILE | {"mime_type": "video/mp4"}),
        ),
        (
            whatsapp.media(SHEENA, "document", "application/pdf", filename="a.pdf"),
            *("file", "", FILE | {"mime_type": "application/pdf", "filename": "a.pdf"}),
        ),
        (
            whatsapp.media(SHEENA, "sticker", "image/webp"),
            *("sticker", "", FILE | {"mime_type": "image/webp"}),
        ),
        (whatsapp.message(SHEENA, "image", {}), "unsupported", "", None),
        (
            whatsapp.location(SHEENA),
            *("location", "Philz Coffee\n101 Forest Ave"),
            PLACE | {"name": "Philz Coffee", "address": "101 Forest Ave"},
        ),
        (
            whatsapp.contacts(SHEENA),
            *("contact", "Lucía Gómez", {"phones": ["+1 (983) 555-2319"]}),
        ),
        (whatsapp.reaction(SHEENA, "wamid.1", "👍"), "reaction", "👍", {"reply_to": "wamid.1"}),
        (whatsapp.reaction(SHEENA, "wamid.1", None), "reaction", "", {"reply_to": "wamid.1"}),
        (
            whatsapp.button(SHEENA, "Cancel it", "wamid.1"),
            *("text", "Cancel it"),
            {"reply_to": "wamid.1", "interactive": "button_reply", "payload": "cancel"},
        ),
        (
            whatsapp.message(SHEENA, "button", {"payload": "No", "text": "No, thanks"}),
            *("text", "No, thanks", {"payload": "No"}),
        ),
        (
            whatsapp.order(SHEENA),
            *("text", "2 x di9ozbzfi4"),
            {
                "catalog_id": "194836987003835",
                "items": [
                    {
                        "product_retailer_id": "di9ozbzfi4",
                        "quantity": 2,
                        "item_price": 30,
                        "currency": "USD",
                    }
                ],
            },
        ),
        (whatsapp.unsupported(SHEENA), "unsupported", "Unsupported message type", None),
        (whatsapp.message(SHEENA, "hologram", {"x": 1}), "unsupported", "", None),
        (whatsapp.message(SHEENA, "note", {"body": "x"}), "unsupported", "", None),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) and "type" in value else "",
)
def test_a_message_of_whatsapp(message: Any, kind: str, content: str, meta: Any) -> None:
    found = read(notification(written_by(SHEENA, message)))

    assert (found.kind, found.content) == (kind, content)
    assert (found.meta and json.loads(found.meta)) == meta
    assert (found.chat_id, found.message_id) == ("16505551234", message["id"])
    assert found.person[:4] == ("16505551234", None, "Sheena Nelson", "+16505551234")
    assert found.sent_at.timestamp() == int(message["timestamp"])
    assert (found.raw is not None) == (kind == "unsupported")


@pytest.mark.parametrize(
    ("user", "chat", "person"),
    [
        (SHEENA, "16505551234", ("16505551234", None, "Sheena Nelson", "+16505551234")),
        (HIDDEN, HIDDEN.user_id, (HIDDEN.user_id, None, "Pablo Morales", None)),
        (BOTH, "16505551234", (BOTH.user_id, "16505551234", "Sheena Nelson", "+16505551234")),
        (User("x" * 256, "US.1"), "US.1", ("US.1", None, "Sheena Nelson", None)),
        (User("1", None, ""), "1", ("1", None, None, "+1")),
        (User("1", None, "n" * 200), "1", ("1", None, "n" * 120, "+1")),
    ],
)
def test_who_wrote_on_whatsapp(user: User, chat: str, person: Any) -> None:
    found = read(notification(written_by(user, whatsapp.text(user, "Hi"))))

    assert found.chat_id == chat
    assert found.person[:4] == person


def test_a_group_of_whatsapp_is_a_chat() -> None:
    message = whatsapp.text(SHEENA, "Hi", group_id="G1")

    found = read(notification(written_by(SHEENA, message)))

    assert (found.chat_id, found.person.user_id) == ("G1", "16505551234")


def test_what_is_for_another_number_of_the_business_is_not_stored(
    anybody: Caller, admin: Caller
) -> None:
    other = {"display_phone_number": "1", "phone_number_id": "999"}
    value = written_by(SHEENA, whatsapp.text(SHEENA, "Hi"))

    Hook(anybody, "whatsapp").send(notification(value, business=other))

    assert messages() == []
    assert len(admin.get("/api/channels/1/unsupported").json) == 1


@pytest.mark.parametrize(
    ("users", "clients", "chats"),
    [
        ((SHEENA, BOTH, SHEENA), 1, 1),
        ((SHEENA, BOTH, SCOPED), 1, 2),
        ((SCOPED, BOTH, SHEENA), 1, 2),
        ((BOTH, SCOPED, BOTH), 1, 2),
        ((SHEENA, SCOPED), 2, 2),  # nobody has told that they are one
    ],
)
def test_one_person_is_one_client_with_a_number_and_without(
    anybody: Caller, admin: Caller, users: Any, clients: int, chats: int
) -> None:
    hook = Hook(anybody, "whatsapp")

    for user in users:
        hook.send(notification(written_by(user, whatsapp.text(user, "Hi"))))

    assert len(messages()) == len(users)
    assert len(admin.get("/api/clients").json) == clients
    assert len(admin.get("/api/conversations").json) == chats
    if BOTH in users:
        known = admin.get("/api/clients/1/identities").json
        assert {row["external_user_id"] for row in known} == {BOTH.wa_id, BOTH.user_id}


@pytest.mark.parametrize("user", [SHEENA, BOTH])
def test_who_is_known_by_the_number_or_the_chat_is_no_new_client(
    anybody: Caller, admin: Caller, user: User
) -> None:
    hook, known = Hook(anybody, "whatsapp"), make_client(phone="+1 650 555 1234")
    other = make_conversation(channel="whatsapp", external_chat_id="16505550000")

    hook.send(notification(written_by(user, whatsapp.text(user, "Hi"))))
    begun = User("16505550000", "US.0")
    hook.send(notification(written_by(begun, whatsapp.text(begun, "Hi"))))

    rows = admin.get("/api/conversations").json
    assert {row["client_id"] for row in rows} == {known.client_id, other.client_id}
    assert len(rows) == 2


def test_what_people_wrote_in_whatsapps_app_is_theirs_and_not_sent_again(
    anybody: Caller, admin: Caller
) -> None:
    hook = Hook(anybody, "whatsapp", bot_first=True)
    hook.send(notification(written_by(SHEENA, whatsapp.text(SHEENA, "Hi"))))
    conversation = admin.get("/api/conversations/1").json
    assert (conversation["handled_by_bot"], conversation["unread_count"]) == (True, 1)
    echo = whatsapp.echoes(SHEENA, whatsapp.text(SHEENA, "Hello, Sheena"))
    body = notification(echo, field="smb_message_echoes")

    for _ in range(2):
        hook.send(body)

    (_, message) = admin.get("/api/conversations/1/messages").json
    assert (message["sender"], message["user_id"]) == ("user", None)
    assert message["content"] == "Hello, Sheena"
    assert message["external_message_id"] == echo["message_echoes"][0]["id"]
    assert message["delivery"] is None
    conversation = admin.get("/api/conversations/1").json
    assert (conversation["handled_by_bot"], conversation["unread_count"]) == (False, 0)
    assert conversation["waiting_since"] is None


def test_what_people_write_first_in_whatsapps_app_begins_a_conversation(
    anybody: Caller, admin: Caller
) -> None:
    hook, client = Hook(anybody, "whatsapp", bot_first=True), make_client(phone="+16505551234")
    echo = whatsapp.echoes(SHEENA, whatsapp.text(SHEENA, "Hello"))

    hook.send(notification(echo, field="smb_message_echoes"))

    (conversation,) = admin.get("/api/conversations").json
    assert conversation["client_id"] == client.client_id
    assert conversation["handled_by_bot"] is False


@pytest.mark.parametrize("reopen_hours", [None, 0])
def test_how_long_a_conversation_is_opened_again_is_the_channels(
    anybody: Caller, admin: Caller, reopen_hours: int | None
) -> None:
    hook = Hook(anybody, "whatsapp", reopen_hours=reopen_hours)
    for number in range(2):
        hook.send(notification(written_by(SHEENA, whatsapp.text(SHEENA, str(number)))))
        admin.patch("/api/conversations/1", json={"active": False})

    assert len(admin.get("/api/conversations").json) == (1 if reopen_hours is None else 2)


def test_an_edit_and_a_deletion_change_the_message(anybody: Caller, admin: Caller) -> None:
    hook, message = Hook(anybody, "whatsapp"), whatsapp.text(SHEENA, "Helo")
    hook.send(notification(written_by(SHEENA, message)))
    path = "/api/conversations/1/messages/1"

    edit = notification(written_by(SHEENA, whatsapp.edit(SHEENA, message["id"], "Hello")))
    hook.send(edit)
    edited = admin.get(path).json
    hook.send(notification(written_by(SHEENA, whatsapp.revoke(SHEENA, message["id"]))))
    deleted = admin.get(path).json
    hook.send(edit)

    assert edited["content"] == "Hello"
    assert edited["edited_at"]
    assert deleted["content"] == ""
    assert deleted["deleted_at"]
    assert admin.get(path).json == deleted
    assert len(messages()) == 1


def test_an_edit_that_is_sent_again_does_not_undo_a_later_one(anybody: Caller) -> None:
    hook, message = Hook(anybody, "whatsapp"), whatsapp.text(SHEENA, "one")
    edits = [
        whatsapp.edit(SHEENA, message["id"], text) | {"timestamp": time}
        for text, time in (("two", "1749416393"), ("three", "1749416403"))
    ]

    for item in (message, *edits, edits[0]):
        hook.send(notification(written_by(SHEENA, item)))
    hook.send(notification(written_by(SHEENA, edits[1], edits[0])))

    assert [each.content for each in messages()] == ["three"]


@pytest.mark.parametrize("before", [User("16505551234"), User(None, "US.1")])
def test_what_is_edited_or_deleted_is_found_under_each_id_of_its_writer(
    anybody: Caller, before: User
) -> None:
    hook, now = Hook(anybody, "whatsapp"), User("16505551234", "US.1")
    first, second = whatsapp.text(before, "Helo"), whatsapp.text(before, "Oops")
    hook.send(notification(written_by(before, first, second)))

    hook.send(notification(written_by(now, whatsapp.edit(now, first["id"], "Hello"))))
    hook.send(notification(written_by(now, whatsapp.revoke(now, second["id"]))))

    found = messages()
    assert [each.content for each in found] == ["Hello", ""]
    assert [each.deleted_at is None for each in found] == [True, False]


def test_a_deletion_of_what_is_not_known_is_nothing(anybody: Caller) -> None:
    Hook(anybody, "whatsapp").send(notification(written_by(SHEENA, whatsapp.revoke(SHEENA, "x"))))

    assert messages() == []


def test_what_changes_in_the_body_of_its_message_is_told_after_it(anybody: Caller) -> None:
    hook, message = Hook(anybody, "whatsapp"), whatsapp.text(SHEENA, "Helo")
    edit = whatsapp.edit(SHEENA, message["id"], "Hello")

    hook.send(notification(written_by(SHEENA, edit, message)))

    assert [each.content for each in messages()] == ["Hello"]


@pytest.mark.parametrize(
    ("notice", "identity"),
    [
        (whatsapp.number_changed(SHEENA, "16505550000"), "16505550000"),
        (
            {"from": "16505551234", "id": "x", "timestamp": "1", "type": "system"}
            | {"system": {"type": "customer_changed_number", "new_wa_id": "16505550000"}},
            "16505550000",
        ),
    ],
)
def test_another_number_is_the_same_client_in_another_chat(
    anybody: Caller, admin: Caller, notice: Any, identity: str
) -> None:
    hook = Hook(anybody, "whatsapp")
    agent = make_user("emp1")
    hook.send(notification(written_by(SHEENA, whatsapp.text(SHEENA, "Hi"))))
    admin.patch("/api/conversations/1", json={"assigned_to": agent.user_id})

    for _ in range(2):
        hook.send(notification(written_by(SHEENA, notice)))
    moved = User(identity)
    hook.send(notification(written_by(moved, whatsapp.text(moved, "My new number"))))

    assert len(admin.get("/api/clients").json) == 1
    rows = {row["conversation_id"]: row for row in admin.get("/api/conversations").json}
    assert [rows[n]["active"] for n in sorted(rows)] == [False, True]
    assert rows[2]["external_chat_id"] == identity
    assert rows[2]["assigned_to"] == agent.user_id
    assert rows[2]["unread_count"] == 1


def test_another_business_scoped_id_is_the_same_client(anybody: Caller, admin: Caller) -> None:
    hook = Hook(anybody, "whatsapp")
    hook.send(notification(written_by(SCOPED, whatsapp.text(SCOPED, "Hi"))))

    hook.send(notification(written_by(SCOPED, whatsapp.user_id_changed(SCOPED, "US.2"))))
    later = User(None, "US.2")
    hook.send(notification(written_by(later, whatsapp.text(later, "Hi again"))))

    assert len(admin.get("/api/clients").json) == 1


@pytest.mark.parametrize("kind", ["request_welcome", "system"])
def test_what_nobody_has_written_is_no_message(anybody: Caller, admin: Caller, kind: str) -> None:
    notice = whatsapp.message(SHEENA, kind, {"type": "customer_identity_changed"})

    Hook(anybody, "whatsapp").send(notification(written_by(SHEENA, notice)))

    assert messages() == []
    assert len(admin.get("/api/channels/1/unsupported").json) == 1


def test_who_was_erased_and_writes_again_is_a_new_client(anybody: Caller, admin: Caller) -> None:
    hook, first = Hook(anybody, "whatsapp"), whatsapp.text(SHEENA, "Hi")
    hook.send(notification(written_by(SHEENA, first)))
    admin.post("/api/clients/1/erase", json={"full_name": "Sheena Nelson"})

    hook.send(notification(written_by(SHEENA, whatsapp.text(SHEENA, "Hi again"))))
    hook.send(notification(written_by(SHEENA, whatsapp.revoke(SHEENA, first["id"]))))

    assert [message.content for message in messages()] == ["***", "Hi again"]
    assert [row["active"] for row in admin.get("/api/clients").json] == [False, True]
