"""What channels send, made into inbound messages as the documents show: each is stored once."""

import re
from random import Random
from typing import Any

import pytest

from tests.conftest import Caller
from tests.test_docs import read

PHONE, NAMELESS = "573015550155", "CO." + "9" * 128
MEDIA = {"id": "1029", "mime_type": "image/jpeg", "sha256": "x"}
SHARED = [{"name": {"formatted_name": "Ada"}, "phones": [{"phone": "+1 202 555 0154"}]}]
WHATSAPP: list[dict[str, Any]] = [
    {"type": "text", "text": {"body": "Hello"}},
    {"type": "image", "image": {**MEDIA, "caption": "The error"}},
    {
        "type": "audio",
        "audio": {"id": "1030", "mime_type": "audio/ogg; codecs=opus", "voice": True},
    },
    {"type": "document", "document": {**MEDIA, "filename": "bill.pdf"}},
    {"type": "location", "location": {"latitude": 4.6, "longitude": -74.1, "name": "Office"}},
    {"type": "contacts", "contacts": SHARED},
    {"type": "reaction", "reaction": {"message_id": "wamid.0", "emoji": "👍"}},
    {"type": "reaction", "reaction": {"message_id": "wamid.0"}},  # taken back
    {"type": "text", "text": {"body": "Yes"}, "context": {"from": "1555", "id": "wamid.0"}},
    {"type": "unsupported", "errors": [{"code": 131051, "title": "Unsupported message type"}]},
    {"type": "text", "text": {"body": "Who am I?"}, "from_user_id": NAMELESS},
]
WHATSAPP_KINDS = [
    *("text", "image", "audio", "file", "location", "contact", "reaction", "reaction", "text"),
    *("unsupported", "text"),
]
TELEGRAM: list[dict[str, Any]] = [
    {"text": "Hello"},
    {"photo": [{"file_id": "small"}, {"file_id": "large", "file_size": 90}], "caption": "Look"},
    {"voice": {"file_id": "v", "duration": 3, "mime_type": "audio/ogg"}},
    {"location": {"latitude": 4.6, "longitude": -74.1}},
    {"contact": {"phone_number": "+12025550154", "first_name": "Ada"}},
    {"text": "Yes", "reply_to_message": {"message_id": 0, "text": "No?"}},
    {"poll": {"id": "1", "question": "?"}},
    {"new_reaction": [{"type": "emoji", "emoji": "👍"}]},
    {"new_reaction": []},  # taken back
]
TELEGRAM_KINDS = [
    *("text", "image", "audio", "location", "contact", "text", "unsupported", "reaction"),
    "reaction",
]


@pytest.fixture(scope="module")
def mapping() -> dict[str, Any]:
    """The functions that the documents print."""
    (source,) = re.findall("```python\n(.*?)```", read("docs/api/inbound.md"), re.DOTALL)
    found: dict[str, Any] = {}
    exec(source, found)  # noqa: S102 - our own page
    return found


def whatsapp_values() -> list[dict[str, Any]]:
    """Return the values of webhooks, one for each message."""
    values = []
    for number, part in enumerate(WHATSAPP):
        user = part.get("from_user_id")
        contact = {"user_id": user} if user else {"wa_id": PHONE}
        sender = {} if user else {"from": PHONE}
        common = {"id": f"wamid.{number}", "timestamp": "1761729120", **sender}
        values.append(
            {
                "messaging_product": "whatsapp",
                "metadata": {"display_phone_number": "1555", "phone_number_id": "1"},
                "contacts": [{"profile": {"name": "Ada"}, **contact}],
                "messages": [common | part],
            }
        )
    return values


def telegram_updates() -> list[dict[str, Any]]:
    """Return updates, one for each message, and an edit of the first."""
    user = {"id": 5_000_000_001, "is_bot": False, "first_name": "Ada", "last_name": "Lovelace"}
    chat = {"id": 5_000_000_001, "type": "private"}
    updates: list[dict[str, Any]] = []
    for number, part in enumerate(TELEGRAM, start=1):
        is_reaction = "new_reaction" in part
        who = "user" if is_reaction else "from"
        message = {"message_id": 1 if is_reaction else number, "chat": chat, who: user}
        name = "message_reaction" if is_reaction else "message"
        updates.append({"update_id": number, name: {**message, "date": 1761729120, **part}})
    edited = updates[0]["message"] | {"edit_date": 1761729180, "text": "Hello!"}
    return [*updates, {"update_id": 99, "edited_message": edited}]


def bring(admin: Caller, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send each body twice, in any order; return what is stored, in the order of the bodies."""
    twice = [*bodies, *bodies]
    Random(5).shuffle(twice)  # noqa: S311 - repeatable, not secret
    answers = [admin.post("/api/inbound", json=body) for body in twice]
    assert {answer.status_code for answer in answers} == {200, 201}
    paths = [answer.headers["Location"] for answer in answers if answer.status_code == 201]
    stored = {row["external_message_id"]: row for row in (admin.get(path).json for path in paths)}
    assert len(stored) == len(paths)
    return [stored[body["external_message_id"]] for body in bodies]


def test_messages_of_whatsapp_are_stored_once(admin: Caller, mapping: Any) -> None:
    bodies = [body for value in whatsapp_values() for body in mapping["from_whatsapp"](value)]

    stored = bring(admin, bodies)

    assert [row["kind"] for row in stored] == WHATSAPP_KINDS
    assert len({row["message_id"] for row in stored}) == len(WHATSAPP)
    assert len({row["conversation_id"] for row in stored}) == 2
    assert [row["content"] for row in stored[1:3]] == ["The error", ""]
    assert stored[4]["meta"] == {"latitude": 4.6, "longitude": -74.1, "name": "Office"}
    assert stored[5]["meta"] == {"phones": ["+1 202 555 0154"]}
    assert [row["meta"]["reply_to"] for row in stored[6:9]] == ["wamid.0"] * 3
    assert {row["sent_at"] for row in stored} == {"2025-10-29T09:12:00Z"}
    clients = admin.get("/api/clients").json
    assert {(row["full_name"], row["phone"]) for row in clients} == {
        *(("Ada", f"+{PHONE}"), ("Ada", None))
    }


def test_updates_of_telegram_are_stored_once(admin: Caller, mapping: Any) -> None:
    bodies = [mapping["from_telegram"](update) for update in telegram_updates()]

    stored = bring(admin, bodies)

    assert [row["kind"] for row in stored] == [*TELEGRAM_KINDS, "text"]
    assert len({row["message_id"] for row in stored}) == len(TELEGRAM)
    assert stored[0] == stored[-1]
    assert stored[1]["meta"] == {"file_id": "large", "file_size": 90}
    assert stored[5]["meta"] == {"reply_to": "0"}
    (client,) = admin.get("/api/clients").json
    assert client["full_name"] == "Ada Lovelace"
    assert mapping["from_telegram"]({"update_id": 100, "poll": {}}) is None


def test_an_edit_that_comes_later_changes_the_stored_message(admin: Caller, mapping: Any) -> None:
    updates = telegram_updates()
    first, edit = (mapping["from_telegram"](updates[number]) for number in (0, -1))
    path = admin.post("/api/inbound", json=first).headers["Location"]

    known = admin.post("/api/inbound", json=edit)
    admin.patch(path, json={"content": edit["content"]})

    assert (known.status_code, known.json["message"]["content"]) == (200, "Hello")
    assert admin.get(path).json["content"] == "Hello!"
    assert admin.post("/api/inbound", json=first).json["message"] == admin.get(path).json
