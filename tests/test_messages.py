"""Messages: who wrote them, of what kind they are, and what their channel tells later."""

import json
from typing import Any

import pytest

from tests.conftest import Caller, make_conversation, make_message, nested, on_sqlite


def address(conversation: Any) -> str:
    """Return the address of a conversation's messages."""
    return f"/api/conversations/{conversation.conversation_id}/messages"


def test_a_message_says_who_of_the_staff_wrote_it(admin: Caller) -> None:
    conversation = make_conversation(handled_by_bot=True)

    shown = [
        admin.post(address(conversation), json={"content": "x", "sender": sender}).json
        for sender in ("client", "bot", "user")
    ]

    assert [message["user_id"] for message in shown] == [None, None, admin.user.user_id]
    listed = admin.get(f"{address(conversation)}?include=user").json
    assert [message["user"] and message["user"]["user_id"] for message in listed] == [
        *(None, None, admin.user.user_id)
    ]


@pytest.mark.parametrize("kind", ["image", "location", "sticker", "unsupported"])
def test_only_a_text_needs_a_text(admin: Caller, kind: str) -> None:
    meta = {"file_name": "ñandú.jpg", "size": 12, "at": [4.6, -74.1], "deep": {"er": None}}
    body = {"sender": "client", "kind": kind, "content": "", "meta": meta}
    body |= {"sent_at": "2025-10-29T07:12:00-05:00"}

    answer = admin.post(address(make_conversation()), json=body)

    assert answer.status_code == 201
    assert (answer.json["kind"], answer.json["meta"]) == (kind, meta)
    assert answer.json["sent_at"] == "2025-10-29T12:12:00Z"
    assert admin.get(answer.headers["Location"]).json == answer.json


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("content", {"content": ""}),
        ("content", {"content": " ", "kind": "note"}),
        ("content", {"kind": "image"}),
        ("kind", {"content": "x", "kind": "fax"}),
        ("kind", {"content": "x", "kind": "note", "sender": "client"}),
        ("meta", {"content": "x", "meta": []}),
        ("meta", {"content": "x", "meta": "{}"}),
        ("meta", {"content": "x", "meta": {"a": "x" * 4089}}),
        ("meta", {"content": "x", "meta": {"a": "ñ" * 2045}}),
        ("meta", {"content": "x", "meta": {"a": ["\0"]}}),
        ("meta", {"content": "x", "meta": {"\ud800": 1}}),
        ("meta", {"content": "x", "meta": {"a": float("inf")}}),
        ("meta", {"content": "x", "meta": {"a": [2**63]}}),
        ("meta", {"content": "x", "meta": {"a": -(10**400)}}),
        ("meta", {"content": "x", "meta": nested(21)}),
        ("meta", {"content": "x", "meta": nested(500)}),
        ("sent_at", {"content": "x", "sent_at": "yesterday"}),
        ("turn", {"content": "x", "turn": -1}),
        ("turn", {"content": "x", "turn": "1"}),
        ("after_message_id", {"content": "x", "after_message_id": 0}),
        ("user_id", {"content": "x", "user_id": 1}),
        ("edited_at", {"content": "x", "edited_at": None}),
    ],
)
def test_a_message_with_another_fault_is_refused(
    admin: Caller, field: str, body: dict[str, Any]
) -> None:
    conversation = make_conversation()

    data = json.dumps(body).replace("Infinity", "1e999")
    answer = admin.post(address(conversation), data=data, content_type="application/json")

    assert (answer.status_code, [*answer.json["errors"]]) == (400, [field])
    assert admin.get(address(conversation)).json == []


@on_sqlite
@pytest.mark.parametrize("meta", [{"a": [1] * 2000}, {"a": [[]] * 1300}], ids=["numbers", "lists"])
def test_meta_of_many_values_is_taken_beside_a_long_text(
    admin: Caller, meta: dict[str, Any]
) -> None:
    conversation = make_conversation(external_chat_id="ada")
    message = {"content": "x" * 10_000, "meta": meta}
    chat = {"channel": conversation.channel, "external_chat_id": "ada", "external_message_id": "1"}

    for path, of_client in ((address(conversation), {"sender": "client"}), ("/api/inbound", chat)):
        assert admin.post(path, json=message | of_client).status_code == 201


@pytest.mark.parametrize(
    "meta", [{"a": "x" * 4088}, {"a": [2**63 - 1, -(2**63), 1e300]}, nested(20)]
)
def test_as_much_meta_as_fits_is_kept_and_shown_everywhere(
    admin: Caller, meta: dict[str, Any]
) -> None:
    conversation = make_conversation(external_chat_id="ada")
    message = {"content": "Hello", "external_message_id": "1", "meta": meta}
    chat = {"channel": conversation.channel, "external_chat_id": "ada"}

    answer = admin.post("/api/inbound", json=message | chat)

    assert (answer.status_code, answer.json["message"]["meta"]) == (201, meta)
    for path in (address(conversation), "/api/messages?q=hello&include=match"):
        assert admin.get(path).json[0]["meta"] == meta
    exported = admin.get(f"/api/clients/{conversation.client_id}/export").text.splitlines()
    rows = [line["row"] for line in map(json.loads, exported) if line["entity"] == "message"]
    assert [row["meta"] for row in rows] == [meta]


def test_a_note_is_for_staff_alone(agent: Caller, anybody: Caller) -> None:
    conversation = make_conversation()
    first = make_message(conversation)
    note = agent.post(address(conversation), json={"content": "hello note", "kind": "note"}).json
    shown = f"{address(conversation)}/{note['message_id']}"

    assert [row["message_id"] for row in anybody.get(address(conversation)).json] == [
        first.message_id
    ]
    assert (anybody.get(shown).status_code, agent.get(shown).json) == (404, note)
    assert agent.get(address(conversation)).json[-1] == note
    for caller, found in ((anybody, 1), (agent, 2)):
        assert len(caller.get("/api/messages?q=hello").json) == found
    (row,) = anybody.get("/api/conversations?include=last_message").json
    assert row["last_message"]["message_id"] == first.message_id


def test_a_channel_edits_a_message(admin: Caller) -> None:
    conversation = make_conversation()
    path = f"{address(conversation)}/{make_message(conversation, content='Helo').message_id}"

    answer = admin.patch(path, json={"content": "Hello"})

    assert answer.status_code == 200
    assert (answer.json["content"], answer.json["edited_at"] is None) == ("Hello", False)
    assert admin.get(path).json == answer.json
    assert admin.get("/api/messages?q=hello").json == [answer.json]
    assert admin.get("/api/messages?q=helo").json == []
    *_, change = admin.get("/api/changes?entity=message").json
    assert (change["before"]["content"], change["after"]["content"]) == ("Helo", "Hello")


def test_a_message_gets_its_id_on_the_channel_once(admin: Caller) -> None:
    conversation = make_conversation()
    first, second = (make_message(conversation, sender="user") for _ in range(2))
    path = f"{address(conversation)}/{first.message_id}"

    for body, status in (
        ({"external_message_id": "wamid.1"}, 200),
        ({"external_message_id": "wamid.1"}, 200),
        ({"external_message_id": "wamid.2"}, 409),
        ({"external_message_id": None}, 409),
    ):
        answer = admin.patch(path, json=body)
        assert (answer.status_code, answer.json.get("edited_at")) == (status, None)
    echo = {"content": "Hello", "external_message_id": "wamid.1"}
    assert admin.post(address(conversation), json=echo).status_code == 200
    taken = admin.patch(
        f"{address(conversation)}/{second.message_id}", json={"external_message_id": "wamid.1"}
    )
    assert (taken.status_code, [*taken.json["errors"]]) == (409, ["external_message_id"])


def test_a_deleted_message_is_emptied_and_not_stored_again(admin: Caller) -> None:
    conversation = make_conversation()
    body = {"sender": "client", "content": "Hello", "external_message_id": "1", "meta": {"a": 1}}
    stored = admin.post(address(conversation), json=body)
    path = stored.headers["Location"]

    answers = [admin.delete(path), admin.delete(path)]

    assert [answer.status_code for answer in answers] == [204, 204]
    shown = admin.get(path).json
    assert (shown["content"], shown["meta"], shown["kind"]) == ("", None, "text")
    assert shown["deleted_at"] is not None
    again = admin.post(address(conversation), json=body)
    assert (again.status_code, again.json) == (200, shown)
    assert admin.patch(path, json={"content": "Hello"}).status_code == 409
    assert admin.get("/api/messages?q=hello").json == []
    assert admin.get(f"/api/conversations/{conversation.conversation_id}").json["unread_count"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"content": ""}, "content"),
        ({"content": " "}, "content"),
        ({"content": "\u200b\u2800"}, "content"),
        ({"content": None}, "content"),
        ({"sender": "user"}, "sender"),
        ({"kind": "note"}, "kind"),
        ({"external_message_id": ""}, "external_message_id"),
    ],
)
def test_other_changes_of_a_message_are_refused(
    admin: Caller, body: dict[str, Any], field: str
) -> None:
    conversation = make_conversation()
    path = f"{address(conversation)}/{make_message(conversation).message_id}"

    answer = admin.patch(path, json=body)

    assert (answer.status_code, [*answer.json["errors"]]) == (400, [field])


@pytest.mark.parametrize("method", ["patch", "delete"])
def test_messages_are_changed_by_their_channel_only(
    agent: Caller, admin: Caller, method: str
) -> None:
    conversation, other = make_conversation(), make_conversation()
    number = make_message(conversation).message_id
    sent = {"json": {"content": "x"}} if method == "patch" else {}

    for caller, path, status in (
        (agent, f"{address(conversation)}/{number}", 403),
        (admin, f"{address(other)}/{number}", 404),
        (admin, f"{address(conversation)}/424242", 404),
    ):
        assert getattr(caller, method)(path, **sent).status_code == status
    assert admin.get(f"{address(conversation)}/{number}").json["content"] == "Hello"


def test_a_message_is_changed_as_its_channel_knows_it(admin: Caller) -> None:
    conversation = make_conversation()
    make_message(conversation)
    (row,) = admin.get(f"{address(conversation)}?include=etag").json
    path = f"{address(conversation)}/{row['message_id']}"

    statuses = [
        admin.patch(path, json={"content": text}, headers={"If-Match": row["etag"]}).status_code
        for text in ("Hello!", "Hello?")
    ]

    assert statuses == [200, 412]
