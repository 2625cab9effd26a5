"""Rows of other systems over HTTP: each is stored once, with its own dates, authors and states."""

from typing import Any

import pytest

from omnidesk.imports.models import SourceRow
from tests.conftest import (
    Caller,
    check_running_totals,
    make_client,
    make_conversation,
    make_message,
    make_ticket,
    make_user,
    on_sqlite,
    save,
    version,
)

CREATED, RESOLVED = "2019-03-04T09:12:00Z", "2019-03-05T10:00:00Z"
CLIENT = {"external_id": "c-1", "full_name": "Ada Lovelace", "created_at": CREATED}
TICKET = {"external_id": "t-1", "subject": "Printer jams", "created_at": CREATED}
COMMENT = {"external_id": "m-1", "body": "Called back", "created_at": CREATED}
MESSAGE = {
    "external_id": "g-1",
    "conversation_external_id": "chat-1",
    "sender": "client",
    "content": "It jams",
    "created_at": CREATED,
}


def send(admin: Caller, name: str, *rows: Any, query: str = "", source: str = "old") -> Any:
    """Return the response to an import."""
    return admin.post(f"/api/imports/{name}{query}", json={"source": source, "rows": rows})


def results(admin: Caller, name: str, *rows: Any, **kwargs: Any) -> Any:
    """Return what an import says of its rows."""
    answer = send(admin, name, *rows, **kwargs)
    assert answer.status_code == 200, answer.json
    return answer.json["results"]


def test_a_client_is_stored_with_its_own_date(admin: Caller) -> None:
    (result,) = results(admin, "clients", CLIENT | {"email": "ada@example.com", "active": False})

    assert result == {"external_id": "c-1", "id": 1, "status": "created", "errors": {}}
    client = admin.get("/api/clients/1").json
    assert client["created_at"] == CREATED
    assert (client["external_id"], client["active"]) == ("c-1", False)


LEAST: dict[str, dict[str, Any]] = {"clients": CLIENT, "tickets": TICKET, "messages": MESSAGE}
FULL: dict[str, dict[str, Any]] = {
    "clients": {"full_name": "Eve", "email": "eve@example.com", "phone": "+34600000000"},
    "tickets": {"description": "Each page", "priority": "alta", "due_at": CREATED, "tags": ["vip"]},
    "messages": {"sender": "bot", "kind": "image", "meta": {"size": 1}, "sent_at": CREATED},
}


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("first", ["the one with less", "the one with more"])
def test_rows_of_one_request_may_have_different_fields(
    admin: Caller, name: str, first: str
) -> None:
    client = {} if name == "clients" else {"client_id": make_client().client_id}
    least = LEAST[name] | client
    rows = [least, least | FULL[name] | {"external_id": "full"}]

    stored = results(admin, name, *(rows if first == "the one with less" else rows[::-1]))

    (row_id,) = (row["id"] for row in stored if row["external_id"] == "full")
    path = "conversations/1/messages" if name == "messages" else name
    shown = admin.get(f"/api/{path}/{row_id}").json
    assert {field: shown[field] for field in FULL[name]} == FULL[name]


def test_a_client_has_no_external_id_of_its_own_that_another_has(admin: Caller) -> None:
    results(admin, "clients", CLIENT)

    results(admin, "clients", CLIENT, source="other")

    found = [client["external_id"] for client in admin.get("/api/clients").json]
    assert found == ["c-1", None]


def test_a_ticket_is_stored_with_its_own_dates_state_and_tags(admin: Caller) -> None:
    results(admin, "clients", CLIENT)
    former = make_user("former", active=False)
    row = TICKET | {
        "client_external_id": "c-1",
        "assigned_to_email": "FORMER@example.com",
        "status": "cerrado",
        "resolved_at": RESOLVED,
        "due_at": CREATED,
        "tags": ["VIP", "factura", "vip"],
    }

    (result,) = results(admin, "tickets", row)

    ticket = admin.get(f"/api/tickets/{result['id']}").json
    assert ticket["tags"] == ["factura", "vip"]
    assert (ticket["created_at"], ticket["resolved_at"]) == (CREATED, RESOLVED)
    assert (ticket["client_id"], ticket["assigned_to"]) == (1, former.user_id)
    assert [tag["tag"] for tag in admin.get("/api/tags").json] == ["factura", "vip"]


def test_a_ticket_was_last_changed_when_its_source_says(admin: Caller) -> None:
    make_client()
    row = TICKET | {"client_id": 1, "tags": ["vip"], "status": "cerrado"}
    results(admin, "tickets", row | {"updated_at": RESOLVED})

    results(admin, "comments", COMMENT | {"ticket_external_id": "t-1", "user_email": EMAIL})

    ticket = admin.get("/api/tickets/1").json
    assert (ticket["updated_at"], ticket["resolved_at"]) == (RESOLVED, RESOLVED)


EMAIL = "admin1@example.com"


def test_a_later_comment_moves_when_a_ticket_was_last_changed(admin: Caller) -> None:
    make_client()
    results(admin, "tickets", TICKET | {"client_id": 1})

    row = COMMENT | {"ticket_external_id": "t-1", "user_email": EMAIL, "created_at": RESOLVED}
    results(admin, "comments", row)

    assert admin.get("/api/tickets/1").json["updated_at"] == RESOLVED


def test_many_comments_change_their_ticket_once(admin: Caller) -> None:
    ticket_id, before = make_ticket().ticket_id, version(admin.get("/api/tickets/1"))
    author = {"ticket_id": ticket_id, "user_email": EMAIL}
    times = ["2199-01-02T00:00:00Z", "2199-01-04T00:00:00Z", "2199-01-03T00:00:00Z"]

    rows = [COMMENT | author | {"external_id": at, "created_at": at} for at in times]
    results(admin, "comments", *rows)

    shown = admin.get(f"/api/tickets/{ticket_id}")
    assert (shown.json["updated_at"], version(shown)) == (times[1], before + 1)


def test_a_comment_is_stored_with_its_author_and_date(admin: Caller, agent: Caller) -> None:
    make_ticket()

    results(admin, "comments", COMMENT | {"ticket_id": 1, "user_email": agent.user.email})

    (comment,) = admin.get("/api/tickets/1/comments").json
    assert (comment["user_id"], comment["created_at"]) == (agent.user.user_id, CREATED)


def test_messages_make_a_closed_conversation(admin: Caller) -> None:
    make_client()
    answer = {"external_id": "g-2", "sender": "user", "user_email": EMAIL, "created_at": RESOLVED}
    first = MESSAGE | {"client_id": 1, "channel": "web"}

    results(admin, "messages", first, first | answer)

    (conversation,) = admin.get("/api/conversations").json
    assert (conversation["client_id"], conversation["channel"]) == (1, "web")
    assert (conversation["created_at"], conversation["last_message_at"]) == (CREATED, RESOLVED)
    messages = admin.get("/api/conversations/1/messages").json
    assert [each["created_at"] for each in messages] == [CREATED, RESOLVED]
    assert [each["user_id"] for each in messages] == [None, admin.user.user_id]


def test_the_first_message_alone_says_which_client_a_conversation_is_with(admin: Caller) -> None:
    make_client()
    first, second, third, fourth = (
        MESSAGE | {"external_id": text, "content": text} for text in ("0", "1", "2", "3")
    )

    found = results(admin, "messages", first, second | {"client_id": 1}, third, fourth)

    assert [each["status"] for each in found] == ["refused", "created", "created", "created"]
    assert list(found[0]["errors"]) == ["client_external_id"]
    messages = admin.get("/api/conversations/1/messages").json
    assert [each["content"] for each in messages] == ["1", "2", "3"]


def test_imported_messages_are_neither_unread_nor_waiting(admin: Caller) -> None:
    make_client()

    results(admin, "messages", MESSAGE | {"client_id": 1})
    results(admin, "messages", MESSAGE | {"external_id": "g-2"})

    (conversation,) = admin.get("/api/conversations").json
    assert (conversation["unread_count"], conversation["waiting_since"]) == (0, None)
    assert (conversation["active"], conversation["read_up_to"]) == (False, 2)
    summary = admin.get("/api/summary").json
    assert summary["unread_messages"] == 0
    assert summary["conversations"]["waiting"] == 0


def test_imported_messages_can_be_marked_as_unread(admin: Caller) -> None:
    make_client()
    for start in range(0, 400, 100):
        rows = [MESSAGE | {"external_id": f"g-{start + n}", "client_id": 1} for n in range(100)]
        results(admin, "messages", *rows)

    for from_id in (400, 130, 128, 1):
        body = {"from_message_id": from_id}
        marked = admin.post("/api/conversations/1/unread", json=body).json
        assert marked["unread_count"] == 401 - from_id
    check_running_totals(1, most=227)


def test_a_new_message_of_the_client_is_unread(admin: Caller) -> None:
    make_client()
    results(admin, "messages", MESSAGE | {"client_id": 1})
    admin.patch("/api/conversations/1", json={"active": True})

    admin.post("/api/conversations/1/messages", json={"sender": "client", "content": "Again"})

    (conversation,) = admin.get("/api/conversations").json
    assert conversation["unread_count"] == 1


@pytest.mark.parametrize("unread", [True, False])
def test_old_messages_are_not_put_into_a_conversation_that_goes_on(
    admin: Caller, unread: bool
) -> None:
    conversation = make_conversation()
    make_message(conversation)
    admin.patch("/api/conversations/1", json={"active": not unread})

    row = {key: value for key, value in MESSAGE.items() if "conversation" not in key}
    (result,) = results(admin, "messages", row | {"conversation_id": 1})

    assert (result["status"], list(result["errors"])) == ("refused", ["conversation_id"])


ALL: dict[str, Any] = {
    "clients": CLIENT,
    "tickets": TICKET | {"client_id": 1, "tags": ["vip"]},
    "comments": COMMENT | {"ticket_id": 1, "user_id": 1},
    "messages": MESSAGE | {"client_id": 1},
}


@pytest.mark.parametrize("name", ALL)
def test_a_repeat_changes_nothing(admin: Caller, name: str) -> None:
    make_ticket()
    (first,) = results(admin, name, ALL[name])
    changes = admin.get("/api/changes?limit=200").json

    other = {"full_name": "Other", "subject": "Other", "body": "Other", "content": "Other"}
    changed = ALL[name] | {key: text for key, text in other.items() if key in ALL[name]}
    again, twice = results(admin, name, changed, changed)

    assert first["status"] == "created"
    assert again == twice == first | {"status": "unchanged"}
    assert admin.get("/api/changes?limit=200").json == changes


@pytest.mark.parametrize("name", ALL)
def test_a_row_that_comes_twice_is_stored_once(admin: Caller, name: str) -> None:
    make_ticket()

    found = results(admin, name, ALL[name], ALL[name])

    assert [result["status"] for result in found] == ["created", "unchanged"]
    assert found[0]["id"] == found[1]["id"]


@pytest.mark.parametrize("name", ALL)
def test_sources_are_apart(admin: Caller, name: str) -> None:
    make_ticket()
    results(admin, name, ALL[name])

    (result,) = results(admin, name, ALL[name], source="other")

    assert result["status"] == "created"


def test_a_row_that_was_deleted_is_not_brought_back(admin: Caller) -> None:
    make_ticket()
    (first,) = results(admin, "comments", ALL["comments"])
    admin.delete(f"/api/comments/{first['id']}")

    (result,) = results(admin, "comments", ALL["comments"])

    assert result["status"] == "unchanged"
    assert admin.get("/api/tickets/1/comments").json == []


def test_a_reference_leads_to_the_client_who_has_the_rows_now(admin: Caller) -> None:
    results(admin, "clients", CLIENT, CLIENT | {"external_id": "c-2"})
    admin.post("/api/clients/1/merge", json={"into": 2})

    (result,) = results(admin, "tickets", TICKET | {"client_external_id": "c-1"})

    assert admin.get(f"/api/tickets/{result['id']}").json["client_id"] == 2


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "no id": ("clients", {"external_id": None}, "external_id"),
    "a bad address": ("clients", {"email": "nobody"}, "email"),
    "an unknown field": ("clients", {"name": "Ada"}, "name"),
    "a merged_into": ("clients", {"merged_into": 1}, "merged_into"),
    "no zone": ("clients", {"created_at": "2019-03-04T09:12:00"}, "created_at"),
    "no client": ("tickets", {"client_id": None}, "client_external_id"),
    "two clients": ("tickets", {"client_external_id": "c-1"}, "client_external_id"),
    "nobody's client": ("tickets", {"client_id": 99}, "client_id"),
    "an unknown client": (
        "tickets",
        {"client_id": None, "client_external_id": "c-99"},
        "client_external_id",
    ),
    "an unknown user": ("tickets", {"assigned_to_email": "x@example.com"}, "assigned_to_email"),
    "a bad state": ("tickets", {"status": "open"}, "status"),
    "a time of closing": ("tickets", {"resolved_at": RESOLVED}, "resolved_at"),
    "a bad tag": ("tickets", {"tags": ["a b"]}, "tags"),
    "another's conversation": ("tickets", {"conversation_id": 1}, "conversation_id"),
    "no text": ("comments", {"body": " "}, "body"),
    "no author": ("comments", {"user_id": None}, "user_email"),
    "nobody's ticket": ("comments", {"ticket_id": 99}, "ticket_id"),
    "a note by a client": ("messages", {"kind": "note"}, "kind"),
    "an author who is the client": ("messages", {"user_id": 1}, "user_id"),
    "no client of a new one": ("messages", {"client_id": None}, "client_external_id"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_row_that_the_api_would_refuse_is_refused(admin: Caller, case: str) -> None:
    make_ticket()
    make_conversation()
    name, change, field = REFUSED[case]
    row = {key: value for key, value in (ALL[name] | change).items() if value is not None}
    good = ALL[name] | {"external_id": "good", "conversation_external_id": "chat-2"}
    good = {key: good[key] for key in good if key in ALL[name]}

    refused, taken = results(admin, name, row, good)

    assert (refused["status"], refused["id"], list(refused["errors"])) == ("refused", None, [field])
    assert taken["status"] == "created"


@pytest.mark.parametrize("row", [7, None, "x", []])
def test_a_row_that_is_no_object_is_refused(admin: Caller, row: Any) -> None:
    found = results(admin, "clients", row, CLIENT)

    assert [result["status"] for result in found] == ["refused", "created"]
    assert (found[0]["external_id"], list(found[0]["errors"])) == (None, ["_schema"])


@pytest.mark.parametrize(
    "row",
    [
        {"external_id": "\ud800", "full_name": "x"},
        {"external_id": "1", "full_name": "x", "\ud800": 1},
        {"external_id": "x" * 100_000},
        {"external_id": ["1"]},
        {"external_id": "1", "full_name": "x", **dict.fromkeys(map(str, range(99)))},
        {"external_id": "1", "full_name": "x", **dict.fromkeys(map(str, range(101)))},
        {"x" * 100_000: 1},
        dict.fromkeys(map(str, range(101))),
        {"external_id": "\ud800", **dict.fromkeys(map(str, range(101)))},
        {"external_id": "1", "full_name": "\0"},
    ],
)
@on_sqlite
def test_what_is_said_of_a_bad_row_is_short(admin: Caller, row: Any) -> None:
    answer = send(admin, "clients", row)

    assert answer.status_code == 200
    (result,) = answer.json["results"]
    assert result["status"] == "refused"
    assert len(answer.data) < 2_500


WIDE = dict.fromkeys(map(str, range(101)), 0)  # more fields than any row has


@pytest.mark.parametrize(
    "given", [{}, {"external_id": "\ud800"}, {"external_id": "\0"}, {"external_id": [7]}]
)
@pytest.mark.parametrize("others", [{}, WIDE])
@on_sqlite
def test_a_row_without_a_valid_external_id_is_refused(
    admin: Caller, given: dict[str, Any], others: dict[str, Any]
) -> None:
    found = results(admin, "clients", given | others, CLIENT)

    assert [result["status"] for result in found] == ["refused", "created"]
    assert found[0]["external_id"] is None


def test_all_or_none(admin: Caller) -> None:
    answer = send(admin, "clients", CLIENT, {"external_id": "c-2"}, query="?atomic=true")

    assert answer.status_code == 400
    missing = {"full_name": ["Missing data for required field."]}
    assert answer.json["errors"] == {"rows": {"1": missing}}
    assert admin.get("/api/clients").json == []


def test_all_or_none_takes_what_is_right(admin: Caller) -> None:
    send(admin, "clients", CLIENT)

    found = results(admin, "clients", CLIENT, CLIENT | {"external_id": "2"}, query="?atomic=true")

    assert [result["status"] for result in found] == ["unchanged", "created"]


def test_a_hundred_rows_with_all_their_fields_are_taken(admin: Caller) -> None:
    make_client()
    tags = [f"tag-{number}" for number in range(50)]
    rows = [
        ALL["tickets"] | {"external_id": f"t-{number}", "description": "x" * 2_000, "tags": tags}
        for number in range(100)
    ]

    found = results(admin, "tickets", *rows)

    assert {result["status"] for result in found} == {"created"}


def test_a_hundred_messages_that_are_orders_are_taken(admin: Caller) -> None:
    client_id = make_client().client_id
    order = {"items": [{"id": number, "quantity": 1} for number in range(20)]}
    rows = [
        MESSAGE | {"external_id": f"m-{number}", "client_id": client_id, "meta": order}
        for number in range(100)
    ]

    found = results(admin, "messages", *rows)

    assert {result["status"] for result in found} == {"created"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"source": "old", "rows": []}, "rows"),
        ({"source": "old", "rows": [{}] * 101}, "rows"),
        ({"source": "Old Desk", "rows": [{}]}, "source"),
        ({"rows": [{}]}, "source"),
    ],
)
def test_a_request_that_is_wrong_as_a_whole_is_refused(
    admin: Caller, body: Any, field: str
) -> None:
    answer = admin.post("/api/imports/clients", json=body)

    assert (answer.status_code, list(answer.json["errors"])) == (400, [field])


def test_a_message_that_the_channel_sent_before_is_refused_alone(admin: Caller) -> None:
    make_client()
    row = ALL["messages"] | {"external_message_id": "wamid.1"}

    found = results(admin, "messages", *(row | {"external_id": f"g-{n}"} for n in range(3)))

    assert [result["status"] for result in found] == ["created", "refused", "refused"]
    assert found[1]["errors"] == {"external_message_id": ["Already taken."]}
    assert len(admin.get("/api/conversations/1/messages").json) == 1


def test_the_same_row_is_stored_once_in_the_database(admin: Caller) -> None:
    rows = (SourceRow(source="old", entity="client", external_id="1", row_id=n) for n in (1, 2))
    save(next(rows))

    with pytest.raises(Exception, match=r"(?i)unique"):
        save(next(rows))


def test_an_imported_note_does_not_change_its_conversation(admin: Caller) -> None:
    conversation = make_conversation(active=False)
    path, listed = f"/api/conversations/{conversation.conversation_id}", "/api/conversations"
    row, rows = admin.get(path), admin.get(f"{listed}?include=etag")
    note: dict[str, Any] = {"external_id": "n-1", "sender": "user", "content": "Called us"}
    note |= {"kind": "note", "conversation_id": conversation.conversation_id}

    assert results(admin, "messages", note)[0]["status"] == "created"

    now = admin.get(path, headers={"If-None-Match": row.headers["ETag"]})
    assert now.status_code == 304
    again = admin.get(f"{listed}?include=etag", headers={"If-None-Match": rows.headers["ETag"]})
    assert again.status_code == 304
