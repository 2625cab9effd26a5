"""What webhooks are sent: signed, cut to 20 KiB, or as a line of text."""

import base64
import json
from typing import Any

import orjson
import pytest
from sqlalchemy import select, update
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from omnidesk.db import db, utcnow
from omnidesk.db.database_id import DatabaseId
from omnidesk.webhooks.bodies import MAX_BODY, standard_body
from omnidesk.webhooks.event_types import LoggedChange
from omnidesk.webhooks.models import BOTH_SIGN, Webhook
from omnidesk.webhooks.slack import MAX_TEXT, line, slack_body
from tests.conftest import Caller, make_client, make_conversation, make_message, make_ticket
from tests.receivers import Receiver, Request, answer, cut, receiver
from tests.webhooks import EVERYTHING, deliveries, make_due, told, types_told, work

PATH = "/api/webhooks/1"


@pytest.fixture
def there() -> Any:
    """A receiver that answers 200."""
    with receiver() as running:
        yield running


def verify(secret: str, request: Request) -> Any:
    """Return what a request says; raise WebhookVerificationError unless a secret has signed it."""
    return Verifier(secret).verify(request.body, request.headers)


def test_the_standards_own_library_verifies_a_request(admin: Caller, there: Receiver) -> None:
    secret = make(admin, there)
    ticket_id = make_ticket().ticket_id
    admin.patch(f"/api/tickets/{ticket_id}", json={"status": "cerrado"})

    told_of = [verify(secret, request) for request in told(there)]

    assert [each["type"] for each in told_of] == [
        *("client.created", "ticket.created", "ticket.closed")
    ]
    closed = told_of[-1]
    change = admin.get(f"/api/tickets/{ticket_id}/history").json[0]
    assert closed.pop("timestamp") == change.pop("at")
    assert closed == {
        "type": "ticket.closed",
        "seq": change.pop("seq"),
        "data": change | {"truncated": False},
    }


def make(admin: Caller, there: Receiver, **fields: Any) -> str:
    """Make a webhook that is told of everything; return its secret."""
    new = {"url": f"{there.url}/hook", "types": EVERYTHING} | fields
    return str(admin.post("/api/webhooks", json=new).json["secret"])


def test_another_secret_and_another_body_are_found_out(admin: Caller, there: Receiver) -> None:
    secret = make(admin, there)
    make_client()
    (request,) = told(there)
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()

    with pytest.raises(WebhookVerificationError):
        verify(other, request)
    with pytest.raises(WebhookVerificationError):
        Verifier(secret).verify(request.body + b" ", request.headers)


def test_the_id_is_the_databases_and_the_same_at_every_try(admin: Caller, there: Receiver) -> None:
    make(admin, there)
    there.will(answer(500))
    make_client()
    work()
    admin.post(f"{PATH}/deliveries/1/retry")
    work()
    admin.post(f"{PATH}/replay", json={"after_seq": 0, "to_seq": 100})
    work()

    ids = [request.headers["webhook-id"] for request in there.requests]
    database_id = db.session.scalar(select(DatabaseId.id))
    db.session.rollback()
    seq = deliveries(db.session.get_one(Webhook, 1))[0].seq
    assert ids == [f"msg_{database_id}_1_{seq}"] * 3


def test_after_a_rotation_both_secrets_sign_for_a_day(admin: Caller, there: Receiver) -> None:
    old = make(admin, there)
    new = admin.post(f"{PATH}/rotate").json["secret"]
    make_client()
    (both,) = told(there)
    until = utcnow() - BOTH_SIGN
    db.session.execute(update(Webhook).values(old_secret_until=until))
    db.session.commit()
    make_client()
    *_, after = told(there)

    assert new != old
    assert verify(old, both) == verify(new, both)
    assert verify(new, after)
    with pytest.raises(WebhookVerificationError):
        verify(old, after)


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (answer(204), {"ok": True, "status_code": 204, "error": None}),
        (answer(500), {"ok": False, "status_code": 500, "error": "It answered 500."}),
        (
            answer(302, headers={"Location": "http://127.0.0.1/"}),
            {
                "ok": False,
                "status_code": 302,
                "error": "It answered 302, and redirects are not followed.",
            },
        ),
        (cut, {"ok": False, "status_code": None}),
    ],
)
@pytest.mark.parametrize("format_", ["standard", "slack"])
def test_a_test_is_sent_at_once_and_counts_neither_way(
    admin: Caller, there: Receiver, behaviour: Any, expected: Any, format_: str
) -> None:
    secret = make(admin, there, format=format_, active=False)
    there.will(behaviour)

    shown = admin.post(f"{PATH}/test")

    assert shown.status_code == 200
    assert shown.json.items() >= expected.items()
    assert (shown.json["error"] is None) == shown.json["ok"]
    (request,) = there.requests
    body = verify(secret, request)
    assert body.get("type") == "test" if format_ == "standard" else set(body) == {"text"}
    assert admin.get(PATH).json["failing_since"] is None
    assert admin.get(f"{PATH}/deliveries").json == []


def change(**fields: Any) -> LoggedChange:
    """Return a change of a message as the log has it."""
    made = {"seq": 7, "at": "2025-10-29T09:12:00Z", "actor": 2, "entity": "message", "entity_id": 9}
    after = orjson.dumps(fields.pop("after", {})).decode()
    everything: dict[str, Any] = made | {"op": "created", "before": None, "after": after} | fields
    return LoggedChange(**everything)


@pytest.mark.parametrize(
    "after",
    [
        {"content": "ñ" * 65_536, "kind": "text"},
        {"content": "\x01" * 65_536, "kind": "text"},
        {"content": "🔑" * 65_536, "kind": "text", "meta": {"a": "b" * 4000}},
        dict.fromkeys("abcdefghijklmnopqrst", "🔑" * 1000),
        {"meta": {f"key-{n}": "x" * 100 for n in range(300)}, "kind": "text"},
    ],
)
def test_a_long_change_is_cut_to_twenty_kibibytes(after: dict[str, Any]) -> None:
    body = standard_body("message.created", change(after=after))

    said = json.loads(body)
    assert 64 < len(body) <= MAX_BODY
    assert said["data"]["truncated"] is True
    assert said["data"]["after"].keys() == after.keys()
    for name, text in said["data"]["after"].items():
        assert text is None or text == after[name] or text[:-1] == after[name][: len(text) - 1]


def test_a_change_that_fits_is_whole() -> None:
    after = {"content": "x" * 20_000}

    said = json.loads(standard_body("message.created", change(after=after)))

    assert (said["data"]["after"], said["data"]["truncated"]) == (after, False)


def test_slack_is_told_a_line_for_people(admin: Caller, there: Receiver) -> None:
    make(admin, there, format="slack")
    ticket_id = make_ticket(subject="Printer\non <fire> & smoke").ticket_id
    path = f"/api/tickets/{ticket_id}"
    admin.patch(path, json={"status": "cerrado"})
    admin.patch(path, json={"assigned_to": admin.user.user_id})
    admin.patch(path, json={"assigned_to": None, "priority": "alta"})
    admin.put(f"{path}/tags/vip")
    admin.post(f"{path}/comments", json={"body": "Called <!channel>"})
    admin.post("/api/clients", json={"full_name": "Ada"})
    make_message(make_conversation(client_id=1))

    texts = [request.json["text"] for request in told(there)]

    ticket = "Ticket 1 (Printer on &lt;fire&gt; &amp; smoke)"
    assert texts == [
        "Client 1 (Ada Lovelace) was created.",
        f"{ticket} was created.",
        f"{ticket} was closed by Somebody.",
        f"{ticket} was assigned by Somebody: Somebody.",
        f"{ticket} was assigned by Somebody: nobody.",
        f"{ticket} was tagged by Somebody: vip.",
        "Comment 1 on ticket 1 (Called &lt;!channel&gt;) was created by Somebody.",
        "Client 2 (Ada) was created by Somebody.",
        "Conversation 1 was created.",
        "Message 1 in conversation 1 (Hello) was created.",
        "Conversation 1 was updated.",
    ]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("<!channel> <@U1>", "&lt;!channel&gt; &lt;@\u200bU1&gt;"),
        ("@channel,@here (@ada)", "@\u200bchannel,@\u200bhere (@\u200bada)"),
        ("[Log in](https://example.com)", "[Log in]\u200b(https://example.com)"),
        ("![](https://example.com/a.png)", "![]\u200b(https://example.com/a.png)"),
        ("ada@example.com [1] (2)", "ada@example.com [1] (2)"),
    ],
)
def test_a_clients_text_mentions_nobody_and_hides_no_address(written: str, shown: str) -> None:
    after = {"content": written, "conversation_id": 1}

    body = json.loads(slack_body("message.created", change(actor=None, after=after)))

    assert body["text"] == f"Message 9 in conversation 1 ({shown}) was created."


def test_a_line_of_text_is_no_longer_than_a_line(app: Any) -> None:
    after = {f"column_{n}": "x" * 500 for n in range(20)}
    updated = change(entity="ticket", op="updated", actor=None, after=after)

    assert len(line("ticket.updated", updated)) == MAX_TEXT


def test_notes_are_not_told_to_slack_but_to_others(admin: Caller, there: Receiver) -> None:
    make(admin, there, format="slack", types=["message.*"])
    make(admin, there, types=["message.*"])
    make_message(make_conversation(), kind="note", sender="user", content="Rude!")

    assert types_told(there) == ["message.created"]


def test_a_note_is_not_told_to_slack_by_a_webhook_that_had_another_format(
    admin: Caller, there: Receiver
) -> None:
    make(admin, there, types=["message.*"])
    conversation = make_conversation()
    make_message(conversation, kind="note", sender="user", content="Rude!")
    there.will(answer(500))
    work()
    admin.patch(PATH, json={"format": "slack"})
    make_message(conversation, content="Hello")
    make_due()

    assert work() == [True]

    texts = [request.json["text"] for request in there.requests[1:]]
    assert texts == ["Message 2 in conversation 1 (Hello) was created."]
    first = admin.get(f"{PATH}/deliveries").json[-1]
    assert (first["state"], first["error"]) == ("failed", "A note is not told in the format slack.")
    assert admin.get(PATH).json["active"]


def test_an_erased_client_is_gone_from_what_is_sent(admin: Caller, there: Receiver) -> None:
    make(admin, there)
    there.will(answer(500))
    client = make_client(full_name="Ada Secret", email="secret@example.com")
    work()
    assert b"secret" in there.requests[0].body.lower()

    admin.post(f"/api/clients/{client.client_id}/erase", json={"full_name": "Ada Secret"})
    admin.post(f"{PATH}/deliveries/1/retry")
    work()

    later = there.requests[1:]
    assert {request.json["type"] for request in later} == {"client.created", "client.erased"}
    assert not any(b"secret" in request.body.lower() for request in later)
