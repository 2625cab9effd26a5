"""Two clients who are one: all that the one has moves, and nothing new refers to it."""

from typing import Any

import pytest
from sqlalchemy import select

from omnidesk.clients.merging import references
from omnidesk.db import Base, db
from tests.conftest import (
    Caller,
    make_client,
    make_conversation,
    make_message,
    make_tag,
    make_ticket,
    version,
)
from tests.servers import run_concurrently
from tests.test_changes import changes, replayed, stored
from tests.test_races import ask

MERGE = "/api/clients/1/merge"


@pytest.fixture
def rows(app: Any) -> None:
    """The clients 1 and 2, each with a conversation and two tickets, one of which came from it."""
    for client_id in (1, 2):
        make_client()
        chat = make_conversation(client_id=client_id)
        make_message(chat)
        make_tag(make_ticket(client_id, conversation_id=chat.conversation_id))
        make_ticket(client_id, status="cerrado")


@pytest.mark.usefixtures("rows")
def test_all_that_a_client_has_moves_to_another(admin: Caller) -> None:
    answer = admin.post(MERGE, json={"into": 2})

    assert answer.status_code == 200
    assert (answer.json["active"], answer.json["merged_into"]) == (False, 2)
    assert answer.json == admin.get("/api/clients/1").json
    for path in ("tickets", "conversations"):
        assert admin.get(f"/api/{path}?client_id=1").json == []
    assert [row["ticket_id"] for row in admin.get("/api/tickets?client_id=2").json] == [4, 3, 2, 1]
    assert [row["ticket_id"] for row in admin.get("/api/tickets?client_id=2&tag=vip").json] == [
        3,
        1,
    ]
    assert admin.get("/api/tickets/1").json["conversation_id"] == 1
    assert len(admin.get("/api/conversations?client_id=2").json) == 2


@pytest.mark.usefixtures("rows")
def test_no_row_of_any_table_refers_to_the_emptied_client(admin: Caller) -> None:
    older = make_client().client_id
    assert admin.post(f"/api/clients/{older}/merge", json={"into": 1}).status_code == 200

    admin.post(MERGE, json={"into": 2})

    key = Base.metadata.tables["client"].c.client_id
    columns = {
        column
        for table in Base.metadata.tables.values()
        for column in table.columns
        if column.references(key)
    }
    assert {column for _, column in references()} == columns
    for column in columns:
        assert not db.session.scalars(select(column).where(column == 1)).all()
    db.session.rollback()
    assert admin.get(f"/api/clients/{older}").json["merged_into"] == 2


@pytest.mark.usefixtures("rows")
def test_what_moves_is_logged_and_has_a_new_version(admin: Caller) -> None:
    paths = ["/api/tickets/1", "/api/tickets/2", "/api/conversations/1", "/api/clients/1"]
    before = [admin.get(path) for path in paths]

    admin.post(MERGE, json={"into": 2})

    after = [admin.get(path) for path in paths]
    assert [version(answer) for answer in after] == [version(answer) + 1 for answer in before]
    for path in paths[:3]:
        newest, *_ = admin.get(f"{path}/history").json
        assert (newest["before"]["client_id"], newest["after"]["client_id"]) == (1, 2)
        assert newest["actor"] == admin.user.user_id
    newest, *_ = admin.get("/api/clients/1/history").json
    assert newest["after"] == {"active": False, "merged_into": 2}
    tables = replayed(changes(admin))
    assert all(tables[row.logged_as] == stored(row) for row, _ in references() if row.logged_as)


@pytest.mark.usefixtures("rows")
def test_a_conversation_that_moves_stays_where_it_is_in_the_list(admin: Caller) -> None:
    before = admin.get("/api/conversations/1").json

    admin.post(MERGE, json={"into": 2})

    assert admin.get("/api/conversations/1").json == before | {"client_id": 2}
    listed = admin.get("/api/conversations").json
    assert [row["conversation_id"] for row in listed] == [2, 1]


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        (MERGE, {"into": 1}, 400, "into"),
        (MERGE, {"into": 424242}, 400, "into"),
        (MERGE, {"into": 3}, 409, "into"),
        (MERGE, {"into": None}, 400, "into"),
        (MERGE, {}, 400, "into"),
        ("/api/clients/3/merge", {"into": 1}, 409, "client_id"),
        ("/api/clients/3/merge", {"into": 2}, 409, "client_id"),
        ("/api/clients/424242/merge", {"into": 1}, 404, None),
    ],
)
def test_a_merge_that_cannot_be_changes_nothing(
    admin: Caller, path: str, body: Any, status: int, field: str | None
) -> None:
    make_client()
    assert admin.post("/api/clients/3/merge", json={"into": 2}).status_code == 200
    before = changes(admin)

    answer = admin.post(path, json=body)

    assert (answer.status_code, next(iter(answer.json.get("errors", [])), None)) == (status, field)
    assert changes(admin) == before


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("post", "tickets", {"client_id": 1, "subject": "x"}, "client_id"),
        ("patch", "tickets/2", {"client_id": 1}, "client_id"),
        ("patch", "tickets", {"ticket_ids": [2, 4], "set": {"client_id": 1}}, "client_id"),
        ("post", "conversations", {"client_id": 1, "channel": "web"}, "client_id"),
        ("patch", "conversations/1", {"client_id": 1}, "client_id"),
        ("patch", "clients/1", {"active": True}, "active"),
        ("post", "clients", {"full_name": "x", "merged_into": 2}, "merged_into"),
        ("patch", "clients/2", {"merged_into": 1}, "merged_into"),
    ],
)
def test_an_emptied_client_stays_empty_and_inactive(
    admin: Caller, method: str, path: str, body: Any, field: str
) -> None:
    admin.post(MERGE, json={"into": 2})
    if path == "conversations/1":
        admin.patch("/api/tickets/1", json={"conversation_id": None})

    answer = getattr(admin, method)(f"/api/{path}", json=body)

    errors = answer.json["errors"]
    assert (answer.status_code, list(errors["set"] if "set" in body else errors)) == (400, [field])
    assert admin.get("/api/clients/1").json["active"] is False


def test_an_emptied_client_can_still_be_renamed_and_deleted(admin: Caller) -> None:
    for _ in range(2):
        make_client()
    admin.post(MERGE, json={"into": 2})

    renamed = admin.patch("/api/clients/1", json={"full_name": "Twice"})
    kept, gone = admin.delete("/api/clients/2"), admin.delete("/api/clients/1")

    assert [answer.status_code for answer in (renamed, kept, gone)] == [200, 409, 204]


def test_new_rows_that_meet_a_merge_are_not_left_behind(four_workers: str, admin: Caller) -> None:
    new = ("tickets", {"subject": "x"}), ("conversations", {"channel": "web"})
    for _ in range(6):
        old, into = (make_client().client_id for _ in range(2))
        chat = make_conversation(client_id=old).conversation_id

        def call(n: int, old: int = old, into: int = into, chat: int = chat) -> Any:
            if n == 0:
                return ask("POST", f"{four_workers}/api/clients/{old}/merge", admin, {"into": into})
            if n == 1:
                path = f"{four_workers}/api/conversations/{chat}/ticket"
                return ask("POST", path, admin, {"subject": "x"})
            path, body = new[n % 2]
            return ask("POST", f"{four_workers}/api/{path}", admin, body | {"client_id": old})

        answers = run_concurrently(10, call)

        assert {answer.status_code for answer in answers} <= {200, 201, 400}
        assert [answer.status_code for answer in answers].count(200) == 1
        stored_ = sum(answer.status_code == 201 for answer in answers)
        found = [
            ask("GET", f"{four_workers}/api/{path}?client_id={n}", admin).json()
            for n in (old, into)
            for path in ("tickets", "conversations")
        ]
        assert [len(rows) for rows in found[:2]] == [0, 0]
        assert sum(map(len, found)) == stored_ + 1


def test_of_merges_at_once_one_is_done(four_workers: str, admin: Caller) -> None:
    for _ in range(6):
        pair = [make_client().client_id for _ in range(2)]
        for client_id in pair:
            make_ticket(client_id)

        def merge(n: int, pair: list[int] = pair) -> int:
            one, other = pair[n % 2], pair[1 - n % 2]
            answer = ask("POST", f"{four_workers}/api/clients/{one}/merge", admin, {"into": other})
            return int(answer.status_code)

        assert sorted(run_concurrently(6, merge)) == [200, *[409] * 5]
