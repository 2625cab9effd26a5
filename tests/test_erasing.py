"""Clients who are erased: their texts are gone, and all else stays."""

import json
import re
from typing import Any

import pytest
from sqlalchemy import select

from omnidesk.clients.models import Client
from omnidesk.comments.models import Comment
from omnidesk.conversations.messages import Message
from omnidesk.db import db
from omnidesk.db.change_log import Change
from omnidesk.personal_data import erasing
from omnidesk.tickets.models import Ticket
from tests.conftest import (
    Caller,
    make_channel,
    make_client,
    make_comment,
    make_conversation,
    make_event,
    make_identity,
    make_message,
    make_tag,
    make_ticket,
    recorded_statements,
    reload,
    version,
)
from tests.test_changes import LOGGED, changes, replayed, stored

ADA = {"full_name": "Ada Lovelace"}
ERASE = "/api/clients/1/erase"
ROWS = {
    "client": 1,
    "identity": 1,
    "conversation": 1,
    "message": 2,
    "ticket": 2,
    "event": 1,
    "comment": 1,
    "answer": 0,
}
NOTHING = dict.fromkeys(ROWS, 0)


@pytest.fixture
def ada(agent: Caller) -> None:
    """The client 1, with rows of each kind, and the client 2 with a ticket."""
    client = make_client(email="ada@example.com", phone="+57 601 555 0155", external_id="crm-1")
    make_identity(client, channel="telegram", external_user_id="ada-on-telegram")
    chat = make_conversation(
        client_id=1, external_chat_id="chat-ada", channel="telegram", handled_by_bot=False
    )
    make_message(chat, content="Ada says hello", external_message_id="m1", meta='{"name":"Ada"}')
    make_message(chat, sender="user", content="Hello Ada")
    ticket = make_ticket(1, subject="Ada's ticket", description="of Ada", conversation_id=1)
    make_ticket(1, subject="Ada again", status="cerrado")
    make_tag(ticket)
    make_event(title="Call Ada", description="Ada", ticket_id=ticket.ticket_id)
    make_comment(ticket_id=1, user_id=agent.user.user_id, body="Ada is nice")
    make_ticket(make_client(full_name="Grace Hopper").client_id, subject="Of Grace")


def erase(admin: Caller, **fields: Any) -> Any:
    """Return the answer to an erasure of the client 1."""
    return admin.post(ERASE, json=ADA | fields)


def all_texts(caller: Caller) -> str:
    """Return whatever lists, rows, the search and the change log show."""
    paths = [
        *("clients", "clients/1/identities", "clients/1/timeline", "tickets", "events"),
        *("conversations", "conversations/1/messages", "tickets/1/comments", "search?q=ada"),
        *("changes", "tickets?include=client", "conversations?include=last_message"),
    ]
    return " ".join(caller.get(f"/api/{path}").get_data(as_text=True) for path in paths)


@pytest.mark.usefixtures("ada")
def test_the_texts_of_a_client_are_gone_everywhere(admin: Caller) -> None:
    answer = erase(admin)

    assert answer.json == {"client_id": 1, "finished": True, "rows": ROWS}
    shown = all_texts(admin).lower()
    assert [word for word in ("ada", "crm-1", "601", "telegram-ada") if word in shown] == []
    assert "of grace" in shown
    client = admin.get("/api/clients/1").json
    assert client == {
        "client_id": 1,
        "full_name": "***",
        "email": None,
        "phone": None,
        "external_id": None,
        "active": False,
        "created_at": client["created_at"],
        "merged_into": None,
    }


@pytest.mark.usefixtures("ada")
def test_ids_times_states_and_counts_stay(admin: Caller) -> None:
    def kept() -> Any:
        tickets = admin.get("/api/tickets?client_id=1&sort=updated_at").json
        chat = admin.get("/api/conversations/1").json
        left = {"subject", "description", "external_chat_id", "handoff_reason"}
        rows = [{k: v for k, v in row.items() if k not in left} for row in (*tickets, chat)]
        return rows, admin.get("/api/summary").json, admin.get("/api/tags").json

    before = kept()
    erase(admin)

    assert kept() == before


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    "path",
    [
        "clients/1",
        "clients",
        "tickets/1",
        "tickets",
        "tickets?include=client",
        "conversations",
        "conversations/1/messages",
        "tickets/1/comments",
        "events",
        "changes",
        "clients/1/timeline",
        "clients/1/identities",
    ],
)
def test_what_is_erased_has_another_etag(admin: Caller, path: str) -> None:
    tag = {"If-None-Match": admin.get(f"/api/{path}").headers["ETag"]}
    assert admin.get(f"/api/{path}", headers=tag).status_code == 304

    erase(admin)

    assert admin.get(f"/api/{path}", headers=tag).status_code == 200


@pytest.mark.usefixtures("ada")
def test_the_feed_tells_of_it_once_and_replays_to_the_tables(admin: Caller) -> None:
    erase(admin)
    erase(admin)

    (told,) = [change for change in changes(admin) if change["op"] == "erased"]

    assert (told["entity"], told["entity_id"], told["actor"]) == ("client", 1, admin.user.user_id)
    assert told["after"] == {
        "full_name": "***",
        "email": None,
        "phone": None,
        "external_id": None,
        "active": False,
    }
    tables = replayed(changes(admin))
    for name, model in LOGGED.items():
        assert tables[name] == stored(model)


@pytest.mark.usefixtures("ada")
def test_what_is_queued_for_an_erased_client_is_not_sent(admin: Caller) -> None:
    make_channel("telegram")
    others = make_conversation(client_id=2, channel="telegram", external_chat_id="2")
    sent, queued, theirs = (
        admin.post(f"/api/conversations/{number}/messages", json={"content": "Hi"}).json
        for number in (1, 1, others.conversation_id)
    )
    db.session.get_one(Message, sent["message_id"]).set_delivery("sent")
    db.session.commit()

    erase(admin)

    found = [states()[message["message_id"]] for message in (sent, queued, theirs)]
    assert found == ["sent", "cancelled", "queued"]
    retry = admin.post(f"/api/conversations/1/messages/{queued['message_id']}/retry")
    assert retry.status_code == 409
    tables = replayed(changes(admin))
    assert tables["message"] == stored(Message)


def states() -> dict[int, str | None]:
    """Return how far each message has got."""
    rows = db.session.execute(select(Message.message_id, Message.delivery_state)).all()
    db.session.rollback()
    return {row.message_id: row.delivery_state for row in rows}


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("name", ["Ada", "ada lovelace", "Ada Lovelace ", "Grace Hopper", "***"])
def test_another_name_is_refused(admin: Caller, name: str) -> None:
    answer = erase(admin, full_name=name)

    assert (answer.status_code, list(answer.json["errors"])) == (400, ["full_name"])
    assert admin.get("/api/clients/1").json["full_name"] == "Ada Lovelace"


@pytest.mark.usefixtures("ada")
def test_erasing_again_changes_nothing_whatever_the_name(admin: Caller) -> None:
    erase(admin)
    tag, log = admin.get("/api/clients/1").headers["ETag"], changes(admin)

    answer = erase(admin, full_name="Anybody")

    assert (answer.status_code, answer.json["finished"]) == (200, True)
    assert answer.json["rows"] == NOTHING
    assert admin.get("/api/clients/1").headers["ETag"] == tag
    assert changes(admin) == log


@pytest.mark.usefixtures("ada")
def test_a_dry_run_counts_and_changes_nothing(admin: Caller) -> None:
    before = all_texts(admin)

    answer = erase(admin, dry_run=True)

    assert answer.json == {"client_id": 1, "finished": False, "rows": ROWS}
    assert all_texts(admin) == before
    erase(admin)
    assert erase(admin, dry_run=True).json == {"client_id": 1, "finished": True, "rows": NOTHING}


@pytest.mark.usefixtures("ada")
def test_comments_can_stay_and_be_erased_later(admin: Caller) -> None:
    first = erase(admin, keep_comments=True)
    kept = admin.get("/api/tickets/1/comments").json[0]["body"]
    logged = [c["after"] for c in changes(admin) if c["entity"] == "comment"]
    second = erase(admin)

    assert (kept, logged[0]["body"]) == ("Ada is nice", "Ada is nice")
    assert first.json["rows"] == ROWS | {"comment": 0}
    assert second.json["rows"] == NOTHING | {"comment": 1}
    assert admin.get("/api/tickets/1/comments").json[0]["body"] == "***"
    assert "nice" not in json.dumps(changes(admin))
    assert erase(admin, keep_comments=True).json["rows"] == NOTHING


@pytest.mark.usefixtures("ada")
def test_those_who_were_merged_into_the_client_are_erased_too(admin: Caller) -> None:
    merged, gone = make_client(full_name="Ada King"), make_client(full_name="Countess")
    for client in (merged, gone):
        path = f"/api/clients/{client.client_id}"
        assert admin.post(f"{path}/merge", json={"into": 1}).status_code == 200
    admin.delete(path)

    answer = erase(admin)

    assert answer.json["rows"]["client"] == 2
    assert admin.get(f"/api/clients/{merged.client_id}").json["full_name"] == "***"
    log = json.dumps(changes(admin))
    assert ("King" in log, "Countess" in log) == (False, False)


@pytest.mark.usefixtures("ada")
def test_what_was_deleted_before_is_erased_from_the_log(admin: Caller) -> None:
    admin.delete("/api/comments/1")
    admin.delete("/api/events/1")
    admin.delete("/api/clients/1/identities/1")
    admin.patch("/api/tickets/2", json={"subject": "Now another", "description": "Ada's"})
    admin.patch("/api/tickets/2", json={"description": None})
    admin.delete("/api/conversations/1/messages/1")

    erase(admin)

    log = json.dumps(changes(admin))
    assert [word for word in ("Ada", "nice", "Call", "another") if word in log] == []


@pytest.mark.usefixtures("ada")
def test_kept_answers_are_emptied(admin: Caller) -> None:
    def post(path: str, key: str, **body: Any) -> Any:
        return admin.post(f"/api/{path}", json=body, headers={"Idempotency-Key": key})

    requests: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("tickets", "a", {"client_id": 1, "subject": "Secret"}),
        ("tickets/1/comments", "b", {"body": "Secret"}),
        ("conversations/1/messages", "c", {"content": "Secret"}),
        ("tickets", "d", {"client_id": 2, "subject": "Of Grace"}),
    )
    for path, key, body in requests:
        assert post(path, key, **body).status_code == 201

    erased = erase(admin)

    assert erased.json["rows"]["answer"] == 3
    again = [post(path, key, **body) for path, key, body in requests]
    assert {answer.headers["Idempotent-Replayed"] for answer in again} == {"true"}
    ticket, comment, message, other = (answer.json for answer in again)
    assert [ticket["subject"], comment["body"], message["content"]] == ["***"] * 3
    assert other["subject"] == "Of Grace"


@pytest.mark.usefixtures("ada")
def test_kept_answers_of_what_became_the_clients_later_are_emptied(admin: Caller) -> None:
    at = dict.fromkeys(("start_time", "end_time"), "2025-11-01T15:00:00Z")
    identity = {"channel": "web", "external_user_id": "Secret"}
    requests: tuple[tuple[str, dict[str, Any]], ...] = (
        ("events", {"title": "Secret", **at}),
        ("events", {"title": "Secret", "ticket_id": 3, **at}),
        ("clients/2/identities", identity),
        ("clients/1/identities", identity | {"channel": "app"}),  # whose answer names the client
    )

    def post(path: str, body: dict[str, Any], key: str) -> Any:
        return admin.post(f"/api/{path}", json=body, headers={"Idempotency-Key": key})

    first, second, *_ = (
        post(path, body, f"{number}").json for number, (path, body) in enumerate(requests)
    )
    for event in (first, second):
        admin.patch(f"/api/events/{event['event_id']}", json={"ticket_id": 1})
    admin.delete(f"/api/events/{second['event_id']}")
    admin.post("/api/clients/1/identities", json=identity)
    exported = admin.get("/api/clients/1/export").text

    counted, erased = erase(admin, dry_run=True), erase(admin)

    assert exported.count('"entity":"answer"') == 4
    assert [answer.json["rows"]["answer"] for answer in (counted, erased)] == [4, 4]
    again = [post(path, body, f"{number}") for number, (path, body) in enumerate(requests)]
    assert {answer.headers["Idempotent-Replayed"] for answer in again} == {"true"}
    assert [answer.text.count("Secret") for answer in again] == [0, 0, 0, 0]


@pytest.mark.usefixtures("ada")
def test_a_kept_answer_without_a_body_is_nobodys(admin: Caller) -> None:
    for _ in range(2):
        admin.post("/api/tickets/next")
    none = admin.post("/api/tickets/next", headers={"Idempotency-Key": "none"})
    assert none.status_code == 204

    assert erase(admin, dry_run=True).json["rows"]["answer"] == 0
    assert erase(admin).json["rows"]["answer"] == 0
    assert admin.get("/api/clients/1/export").status_code == 200


REFUSED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a ticket": ("post", "tickets", {"client_id": 1, "subject": "x"}),
    "a conversation": ("post", "conversations", {"client_id": 1, "channel": "web"}),
    "an identity": (
        "post",
        "clients/1/identities",
        {"channel": "telegram", "external_user_id": "x"},
    ),
    "a message": ("post", "conversations/1/messages", {"content": "x"}),
    "a note": ("post", "conversations/1/messages", {"content": "x", "kind": "note"}),
    "a comment": ("post", "tickets/1/comments", {"body": "x"}),
    "an event": (
        "post",
        "events",
        {
            "title": "x",
            "start_time": "2025-11-01T15:00:00Z",
            "end_time": "2025-11-01T15:00:00Z",
            "ticket_id": 1,
        },
    ),
    "a name": ("patch", "clients/1", {"full_name": "Ada"}),
    "activity": ("patch", "clients/1", {"active": True}),
    "a subject": ("patch", "tickets/1", {"subject": "Ada"}),
    "another client's ticket": ("patch", "tickets/3", {"client_id": 1}),
    "a ticket moved away": ("patch", "tickets/2", {"client_id": 2}),
    "a chat": ("patch", "conversations/1", {"client_id": 2}),
    "a title": ("patch", "events/1", {"title": "Ada"}),
    "an event moved away": ("patch", "events/1", {"ticket_id": None}),
    "a text": ("patch", "conversations/1/messages/1", {"content": "Ada"}),
    "a deleted text": ("delete", "conversations/1/messages/1", {}),
    "subjects": ("patch", "tickets", {"ticket_ids": [1], "set": {"subject": "Ada"}}),
    "a body": ("patch", "comments/1", {"body": "Ada"}),
    "a merge": ("post", "clients/1/merge", {"into": 2}),
    "a merge into it": ("post", "clients/2/merge", {"into": 1}),
}


@pytest.mark.usefixtures("ada")
def test_nothing_is_written_about_an_erased_client(admin: Caller) -> None:
    erase(admin)
    before = all_texts(admin)

    answers = {
        what: getattr(admin, method)(f"/api/{path}", json=body)
        for what, (method, path, body) in REFUSED.items()
    }

    assert {what: answer.status_code for what, answer in answers.items()} == dict.fromkeys(
        REFUSED, 409
    )
    assert all_texts(admin) == before


def test_each_refusal_about_an_erased_client_is_documented(admin: Caller) -> None:
    paths = admin.get("/api/openapi.json").json["paths"]
    texts = {
        (method, "/api/" + re.sub("[0-9]+", "{}", path)) for method, path, _ in REFUSED.values()
    }
    texts.add(("post", "/api/conversations/{}/handoff"))  # by a bot, with a reason

    documented = {
        (method, re.sub("{.*?}", "{}", path))
        for path, item in paths.items()
        for method in item.keys() - {"parameters"}
        if "409" in item[method]["responses"]
    }

    assert texts <= documented


@pytest.mark.usefixtures("ada")
def test_the_states_of_an_erased_client_can_still_change(admin: Caller) -> None:
    erase(admin)

    closed = admin.patch("/api/tickets/1", json={"status": "cerrado"})
    ended = admin.patch("/api/conversations/1", json={"active": False})
    read = admin.post("/api/conversations/1/read", json={"up_to_message_id": 2})

    assert [closed.status_code, ended.status_code, read.status_code] == [200] * 3


@pytest.mark.usefixtures("ada")
def test_who_writes_again_on_the_channel_is_a_new_client(admin: Caller) -> None:
    erase(admin)
    message = {
        "channel": "telegram",
        "external_chat_id": "chat-ada",
        "external_user_id": "ada-on-telegram",
        "external_message_id": "m1",
        "content": "Hello again",
    }

    answer = admin.post("/api/inbound", json=message)

    assert answer.status_code == 201
    assert answer.json["created"] == {"client": True, "conversation": True}
    assert answer.json["client"]["client_id"] == 3


def test_an_import_that_is_repeated_does_not_bring_an_erased_client_back(admin: Caller) -> None:
    rows = {"source": "old", "rows": [{"external_id": "ada@example.com", **ADA}]}
    first = admin.post("/api/imports/clients", json=rows).json["results"]
    erase(admin)

    again = admin.post("/api/imports/clients", json=rows).json["results"]

    assert again == [first[0] | {"status": "unchanged"}]
    assert admin.get("/api/clients/1").json["full_name"] == "***"
    assert len(admin.get("/api/clients").json) == 1


def test_a_client_who_was_merged_is_erased_with_the_other_one(admin: Caller) -> None:
    make_client()
    make_client(full_name="Grace Hopper")
    admin.post("/api/clients/1/merge", json={"into": 2})

    assert erase(admin).status_code == 409
    assert admin.post("/api/clients/3/erase", json=ADA).status_code == 404


@pytest.fixture
def in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a step be one row, and each request do one step."""
    monkeypatch.setattr(erasing, "MAX_AT_ONCE", 0)
    monkeypatch.setattr(erasing, "STEP", 1)
    monkeypatch.setattr(erasing, "MAX_SECONDS", -1.0)


@pytest.mark.usefixtures("ada", "in_steps")
def test_a_large_client_is_erased_in_steps_and_closed_from_the_first(admin: Caller) -> None:
    first = erase(admin)
    refused = admin.post("/api/tickets", json={"client_id": 1, "subject": "x"})
    left = admin.get("/api/tickets/1").json["subject"]
    tag = {"If-None-Match": admin.get("/api/tickets").headers["ETag"]}

    more = [erase(admin) for _ in range(5)]

    assert (first.json["finished"], refused.status_code, left) == (False, 409, "Ada's ticket")
    assert admin.get("/api/tickets", headers=tag).status_code == 200
    assert [answer.json["finished"] for answer in more] == [False] * 5


@pytest.mark.usefixtures("ada", "in_steps")
def test_the_steps_of_several_requests_erase_all_of_it_once(
    admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [erase(admin).json for _ in range(6)]
    monkeypatch.setattr(erasing, "MAX_SECONDS", 60)
    answers.append(erase(admin).json)

    assert answers[-1]["finished"]
    assert {name: sum(a["rows"][name] for a in answers) for name in ROWS} == ROWS
    assert "ada" not in all_texts(admin).lower()
    assert [c["op"] for c in changes(admin)].count("erased") == 1


@pytest.mark.usefixtures("ada")
def test_an_erasure_that_fails_halfway_changes_nothing(
    admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_texts(admin)
    with monkeypatch.context() as patch:
        patch.setattr(erasing, "change_of", None)
        with pytest.raises(TypeError):
            erase(admin)

    assert all_texts(admin) == before
    assert erase(admin).json["rows"] == ROWS


@pytest.mark.usefixtures("ada")
def test_an_erased_row_has_no_words_and_a_new_version(admin: Caller) -> None:
    ticket = db.session.get_one(Ticket, 1)
    was = ticket.version
    db.session.rollback()

    erase(admin)

    assert reload(ticket).version == was + 1
    words = [
        *db.session.scalars(select(Client.words).where(Client.client_id == 1)),
        *db.session.scalars(select(Ticket.words).where(Ticket.client_id == 1)),
        *db.session.scalars(select(Message.words)),
        *db.session.scalars(select(Comment.words)),
    ]
    db.session.rollback()
    assert set(words) == {""}


def test_a_client_without_anything_can_be_erased(admin: Caller) -> None:
    client = make_client()
    tag = version(admin.get("/api/clients/1"))

    answer = erase(admin)

    assert answer.json["rows"] == NOTHING | {"client": 1}
    assert reload(client).version == tag + 1
    assert db.session.scalar(select(Change.op).order_by(Change.seq.desc()).limit(1)) == "erased"
    db.session.rollback()


def test_tickets_that_nobody_has_commented_on_are_not_asked_for_one_by_one(admin: Caller) -> None:
    counts = []
    for number in (2, 20):
        client = make_client()
        for _ in range(number):
            make_ticket(client.client_id)
        with recorded_statements() as run:
            erased = admin.post(f"/api/clients/{client.client_id}/erase", json=ADA)
        assert (erased.status_code, erased.json["rows"]["ticket"]) == (200, number)
        counts.append(len([sql for sql in run if "ticket" in sql]))

    assert counts[0] == counts[1]


@pytest.fixture
def deleted(admin: Caller) -> str:
    """Return the address of the erasure of a client who was deleted, as was all of theirs."""
    body = {"full_name": "Hedy Lamarr", "email": "hedy@example.com", "phone": "+57 601 555 0199"}
    client = admin.post("/api/clients", json=body, headers={"Idempotency-Key": "hedy"})
    path = client.headers["Location"]
    identity = {"channel": "web", "external_user_id": "hedy-on-the-web"}
    admin.delete(admin.post(f"{path}/identities", json=identity).headers["Location"])
    admin.patch(path, json={"full_name": "Hedwig Kiesler"})
    assert admin.delete(path).status_code == 204
    return f"{path}/erase"


HEDY = {"full_name": "Hedwig Kiesler"}


def test_a_client_who_was_deleted_is_erased_from_the_log_and_kept_answers(
    admin: Caller, deleted: str
) -> None:
    assert "Kiesler" in json.dumps(changes(admin))

    erased = admin.post(deleted, json=HEDY)

    assert erased.status_code == 200
    assert erased.json["finished"] is True
    assert erased.json["rows"] == NOTHING | {"client": 1, "answer": 1}
    log = json.dumps(changes(admin)).lower()
    assert [word for word in ("hedy", "kiesler", "601") if word in log] == []
    body = {"full_name": "Hedy Lamarr", "email": "hedy@example.com", "phone": "+57 601 555 0199"}
    again = admin.post("/api/clients", json=body, headers={"Idempotency-Key": "hedy"})
    assert (again.headers["Idempotent-Replayed"], again.json["full_name"]) == ("true", "***")
    assert replayed(changes(admin))["client"] == stored(Client)


def test_of_a_deleted_client_a_dry_run_counts_and_another_name_is_refused(
    admin: Caller, deleted: str
) -> None:
    before = changes(admin)

    dry = admin.post(deleted, json=HEDY | {"dry_run": True})
    refused = admin.post(deleted, json={"full_name": "Hedy Lamarr"})

    assert dry.json["finished"] is False
    assert dry.json["rows"] == NOTHING | {"client": 1, "answer": 1}
    assert refused.status_code == 400
    assert refused.json["errors"] == {"full_name": ["Must be exactly the name of the client."]}
    assert changes(admin) == before


def test_erasing_a_deleted_client_again_changes_nothing(admin: Caller, deleted: str) -> None:
    admin.post(deleted, json=HEDY)
    before = changes(admin)

    again = admin.post(deleted, json={"full_name": "Anybody"})

    assert again.json == {"client_id": again.json["client_id"], "finished": True, "rows": NOTHING}
    assert changes(admin) == before
    assert admin.post("/api/clients/999/erase", json=HEDY).status_code == 404


@pytest.mark.usefixtures("deleted")
def test_a_deleted_client_who_was_called_as_an_erased_one_is_erased(admin: Caller) -> None:
    stars = admin.post("/api/clients", json={"full_name": "Ada", "email": "ada@example.com"})
    path = stars.headers["Location"]
    admin.patch(path, json={"full_name": "***", "email": None})
    admin.delete(path)

    refused = admin.post(f"{path}/erase", json={"full_name": "Anybody"})
    erased = admin.post(f"{path}/erase", json={"full_name": "***"})
    again = admin.post(f"{path}/erase", json={"full_name": "Anybody"})

    assert refused.json["errors"] == {"full_name": ["Must be exactly the name of the client."]}
    assert (erased.json["finished"], erased.json["rows"]["client"]) == (True, 1)
    assert "Ada" not in json.dumps(changes(admin))
    assert "ada@" not in json.dumps(changes(admin))
    assert again.json["rows"] == NOTHING
    assert "Kiesler" in json.dumps(changes(admin))


def test_a_deleted_client_who_was_merged_is_erased_with_the_other_one(admin: Caller) -> None:
    client = make_client(full_name="Countess")
    admin.post(f"/api/clients/{client.client_id}/merge", json={"into": make_client().client_id})
    admin.delete(f"/api/clients/{client.client_id}")

    refused = admin.post(f"/api/clients/{client.client_id}/erase", json={"full_name": "Countess"})

    assert refused.status_code == 409
    assert refused.json["errors"] == {"client_id": ["Was merged into another client."]}
