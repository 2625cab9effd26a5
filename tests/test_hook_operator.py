"""What the updates of an operator's own program become."""

from typing import Any

import pytest

from tests.conftest import Caller, nested
from tests.hooks import Hook, messages

DATA: dict[str, Any] = {"external_chat_id": "ada", "external_message_id": "1", "content": "Hello"}


@pytest.mark.parametrize(
    ("data", "stored"),
    [
        (DATA, ("client", "text", "Hello", None)),
        (DATA | {"kind": "image", "content": ""}, ("client", "image", "", None)),
        (DATA | {"sender": "user"}, ("user", "text", "Hello", None)),
        (DATA | {"sender": None}, ("client", "text", "Hello", None)),
        (
            DATA | {"meta": {"a": [1, "\0", 1e400]}},
            ("client", "text", "Hello", '{"a":[1,"\ufffd",null]}'),
        ),
        (
            DATA | {"meta": {"a": 2**63, "b": nested(20)}},
            ("client", "text", "Hello", '{"b":' + '{"a":' * 19 + "null" + "}" * 20),
        ),
        (DATA | {"kind": "note"}, ("client", "unsupported", "Hello", None)),
        (DATA | {"kind": []}, ("client", "unsupported", "Hello", None)),
        (DATA | {"content": " "}, ("client", "unsupported", "", None)),
        (DATA | {"content": "\u200b"}, ("client", "unsupported", "", None)),
        (
            DATA | {"meta": {"a": "x" * 400, "b": ["y" * 400] * 20}},
            ("client", "text", "Hello", '{"a":"' + "x" * 400 + '"}'),
        ),
    ],
)
def test_a_message_of_an_operators_program(anybody: Caller, data: Any, stored: Any) -> None:
    hook = Hook(anybody, "webhook")

    for _ in range(2):
        hook.send({"type": "message", "data": data})

    (message,) = messages()
    assert (message.sender, message.kind, message.content, message.meta) == stored


@pytest.mark.parametrize("name", ["\u3164", "\u202e \u2800", "\uffa0", " " * 120 + "Ada"])
def test_a_name_of_which_nothing_can_be_seen_is_none(
    anybody: Caller, admin: Caller, name: str
) -> None:
    Hook(anybody, "webhook").send(
        {"type": "message", "data": DATA | {"client": {"full_name": name}}}
    )

    assert admin.get("/api/clients/1").json["full_name"] == "ada"


def test_an_operators_program_tells_of_clients_edits_and_deletions(
    anybody: Caller, admin: Caller
) -> None:
    hook = Hook(anybody, "webhook")
    client = {"full_name": "Ada", "email": "ada@example.com", "phone": "+57 601 555 0155"}
    data = DATA | {"client": client, "sent_at": "2026-01-02T03:04:05+01:00"}
    hook.send({"type": "message", "data": data})

    hook.send({"type": "edit", "data": DATA | {"content": "Hello!"}})
    edited = admin.get("/api/conversations/1/messages/1").json
    hook.send({"type": "delete", "data": DATA})

    assert (edited["content"], edited["sent_at"]) == ("Hello!", "2026-01-02T02:04:05Z")
    assert messages()[0].deleted_at
    shown = admin.get("/api/clients/1").json
    assert {name: shown[name] for name in client} == client


@pytest.mark.parametrize(
    "body",
    [
        {"type": "x", "data": DATA},
        {"type": "message", "data": {"content": "Hello"}},
        {"type": "message", "data": DATA | {"external_chat_id": "x" * 256}},
        {"type": "message", "data": DATA | {"external_message_id": "\0"}},
        {"type": "message", "data": DATA | {"external_chat_id": "\u200b"}},
        {"type": "message", "data": DATA | {"external_message_id": "\u202e"}},
        {"type": "message", "data": DATA | {"sender": "bot"}},
        {"type": "message", "data": DATA | {"sender": ["client"]}},
        {"type": "edit", "data": DATA | {"sender": "bot"}},
        {"type": "delete", "data": {}},
        {"type": "status", "data": DATA | {"state": "queued"}},
        {"type": "status", "data": {"state": "sent"}},
    ],
)
def test_what_an_operators_program_tells_wrongly_is_kept(
    anybody: Caller, admin: Caller, body: Any
) -> None:
    Hook(anybody, "webhook").send(body)

    assert messages() == []
    assert len(admin.get("/api/channels/1/unsupported").json) == 1
