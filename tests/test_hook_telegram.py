"""What each kind of Telegram's updates becomes."""

import json
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest

from tests.conftest import Caller
from tests.hooks import Hook, messages
from tests.providers import telegram_updates as telegram

GROUP = telegram.GROUP
NUMBERS = ("one", "two", "three")
CALLBACK_MESSAGE = telegram.message(5, text="Which?") | {
    "reply_markup": {"inline_keyboard": [[{"text": "The red one", "callback_data": "red"}]]}
}


@pytest.mark.parametrize(
    ("kind", "update", "stored"),
    [
        ("message", telegram.message(7, text="Hi"), ("text", "Hi", None)),
        (
            "message",
            telegram.message(7, photo=telegram.PHOTO, caption="Look"),
            (
                "image",
                "Look",
                {"type": "photo", "file_id": "AgACAgIAAx800"}
                | dict.fromkeys(("width", "height"), 800),
            ),
        ),
        (
            "message",
            telegram.message(7, voice=telegram.VOICE),
            (
                "audio",
                "",
                {
                    "type": "voice",
                    "file_id": "AwACAgIAAx",
                    "mime_type": "audio/ogg",
                    "file_size": 12000,
                    "duration": 3,
                },
            ),
        ),
        (
            "message",
            telegram.message(7, document=telegram.DOCUMENT),
            (
                "file",
                "",
                {
                    "type": "document",
                    "file_id": "BQACAgIAAx",
                    "mime_type": "application/pdf",
                    "file_name": "invoice.pdf",
                    "file_size": 44000,
                },
            ),
        ),
        (
            "message",
            telegram.message(7, location=telegram.LOCATION),
            ("location", "", telegram.LOCATION),
        ),
        (
            "message",
            telegram.message(
                7,
                venue={"title": "Café", "address": "1 St", "location": telegram.LOCATION},
                location=telegram.LOCATION,
            ),
            ("location", "Café\n1 St", telegram.LOCATION | {"title": "Café", "address": "1 St"}),
        ),
        (
            "message",
            telegram.message(7, contact=telegram.CONTACT),
            ("contact", "Ada", {"phones": ["+573015550155"], "user_id": 279058397}),
        ),
        (
            "message",
            telegram.message(7, sticker=telegram.STICKER),
            (
                "sticker",
                "",
                {
                    "type": "sticker",
                    "file_id": "CAACAgIAAx",
                    "width": 512,
                    "height": 512,
                    "emoji": "👍",
                },
            ),
        ),
        (
            "message",
            telegram.message(7, text="Yes", reply_to_message=telegram.message(5, text="?")),
            ("text", "Yes", {"reply_to": "5"}),
        ),
        (
            "message",
            telegram.forward(7, "Read this"),
            ("text", "Read this", {"forwarded": True, "forwarded_from": "Charles"}),
        ),
        ("message", telegram.message(7, poll={"id": "1"}), ("unsupported", "", None)),
        ("message_reaction", telegram.reaction(5, "👍"), ("reaction", "👍", {"reply_to": "5"})),
        (
            "message_reaction",
            telegram.reaction(5, old=("👍",)),
            ("reaction", "", {"reply_to": "5"}),
        ),
        (
            "callback_query",
            telegram.callback(CALLBACK_MESSAGE, "red"),
            ("text", "The red one", {"reply_to": "5", "payload": "red"}),
        ),
        (
            "callback_query",
            telegram.callback(telegram.message(5, text="Which?"), "red"),
            ("text", "red", {"reply_to": "5", "payload": "red"}),
        ),
    ],
)
def test_a_message_of_telegram(
    anybody: Caller, admin: Caller, kind: str, update: Any, stored: Any
) -> None:
    hook = Hook(anybody, "telegram")

    for _ in range(2):
        hook.send({"update_id": 9, kind: update})

    (message,) = messages()
    assert (message.kind, message.content) == stored[:2]
    assert (message.meta and json.loads(message.meta)) == stored[2]
    (conversation,) = admin.get("/api/conversations?include=client").json
    assert conversation["external_chat_id"] == "279058397"
    assert conversation["client"]["full_name"] == "Ada Lovelace"


def test_ids_of_telegrams_messages_are_of_their_chat(anybody: Caller) -> None:
    hook = Hook(anybody, "telegram")
    hook.send({"update_id": 1, "message": telegram.message(7, text="Hi")})

    hook.send({"update_id": 2, "message": telegram.message(7, GROUP, text="All")})

    assert [message.content for message in messages()] == ["Hi", "All"]


def test_a_group_that_becomes_a_supergroup_goes_on_with_new_ids(
    anybody: Caller, admin: Caller
) -> None:
    hook = Hook(anybody, "telegram")
    group = {"id": -5, "type": "group", "title": "Couriers"}
    hook.send({"update_id": 1, "message": telegram.message(7, group, text="Hi")})

    hook.send({"update_id": 2, "message": telegram.message(8, group, migrate_to_chat_id=-1005)})
    later = group | {"id": -1005, "type": "supergroup"}
    hook.send({"update_id": 3, "message": telegram.message(1, later, migrate_from_chat_id=-5)})
    hook.send({"update_id": 4, "message": telegram.message(7, later, text="Hi again")})

    rows = {row["conversation_id"]: row for row in admin.get("/api/conversations").json}
    assert [(rows[n]["external_chat_id"], rows[n]["active"]) for n in sorted(rows)] == [
        ("-5", False),
        ("-1005", True),
    ]
    assert [message.content for message in messages()] == ["Hi", "Hi again"]
    assert len(admin.get("/api/clients").json) == 1


@pytest.mark.parametrize(
    "update",
    [
        {"channel_post": telegram.message(7, text="News")},
        {"my_chat_member": telegram.membership("kicked")},
        {"message": telegram.message(7, user=telegram.ADA | {"is_bot": True}, text="Beep")},
        {"message": {"chat": telegram.PRIVATE, "text": "Hi"}},
        {"message_reaction": {"chat": GROUP, "message_id": 1, "actor_chat": GROUP}},
        {"callback_query": {"id": "1", "from": telegram.ADA, "data": "x"}},
        {"poll": {"id": "1"}},
    ],
    ids=lambda update: next(iter(update)),
)
def test_what_is_no_clients_message_is_kept(anybody: Caller, admin: Caller, update: Any) -> None:
    Hook(anybody, "telegram").send({"update_id": 1} | update)

    assert messages() == []
    (kept,) = admin.get("/api/channels/1/unsupported").json
    assert json.loads(kept["body"]) == {"update_id": 1} | update


def test_an_edit_that_comes_first_is_the_message(anybody: Caller) -> None:
    hook, message = Hook(anybody, "telegram"), telegram.message(7, text="Hello")

    hook.send({"update_id": 2, "edited_message": telegram.edited(message, text="Hello!")})
    hook.send({"update_id": 1, "message": message})

    assert [each.content for each in messages()] == ["Hello!"]


@pytest.mark.parametrize("order", [*permutations((0, 1, 2)), (0, 1, 2, 1), (0, 2, 1, 0)])
def test_the_latest_edit_counts_in_whatever_order_edits_come(
    anybody: Caller, order: tuple[int, ...]
) -> None:
    hook, message = Hook(anybody, "telegram"), telegram.message(7, text="one", date=1749416383)
    times = [{}, {"edit_date": 1749416393}, {"edit_date": 1749416403}]
    texts = [message | time | {"text": text} for time, text in zip(times, NUMBERS, strict=True)]

    for number in order:
        kind = "edited_message" if number else "message"
        hook.send({"update_id": number, kind: texts[number]})

    (stored,) = messages()
    assert (stored.content, stored.edited_at) == ("three", datetime.fromtimestamp(1749416403, UTC))


def test_an_edit_of_a_text_does_not_empty_it(anybody: Caller) -> None:
    hook, message = Hook(anybody, "telegram"), telegram.message(7, text="Hello")
    hook.send({"update_id": 1, "message": message})

    hook.send({"update_id": 2, "edited_message": telegram.edited(message, text=" ")})

    assert [each.content for each in messages()] == ["Hello"]
