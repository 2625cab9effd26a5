"""The change log: every change of every row, once, in the order in which they were committed."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update

from omnidesk.clients.identities import Identity
from omnidesk.clients.models import Client
from omnidesk.clients.schemas import ClientSchema
from omnidesk.comments.models import Comment
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import Base, db, utcnow
from omnidesk.db.change_log import Change
from omnidesk.db.session import logging_as
from omnidesk.events.models import Event
from omnidesk.http.serialization import insert_row
from omnidesk.tickets.models import Ticket
from omnidesk.tickets.tags import Tag, TicketTag
from omnidesk.users.models import User
from tests.conftest import (
    PASSWORD,
    Caller,
    make_client,
    make_comment,
    make_conversation,
    make_event,
    make_identity,
    make_message,
    make_ticket,
    make_user,
)

LOGGED = {
    "user": User,
    "client": Client,
    "ticket": Ticket,
    "event": Event,
    "conversation": Conversation,
    "message": Message,
    "comment": Comment,
    "identity": Identity,
}
HIDDEN = {
    *("password_hash", "version", "email_key", "phone_key", "search_text", "words"),
    *("longest_hours", "last_message_id", "client_message_count", "erasure"),
}
# To each tag of a ticket.
COPIED = ("client_id", "priority", "status", "assigned_to", "updated_at", "due_at")


def changes(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    """Follow the changes to the last and give them all."""
    return list(follow(caller, f"/api/changes?limit=7&{query}"))


def follow(caller: Caller, url: str) -> Iterator[dict[str, Any]]:
    """Return the rows behind a link, until there are no more."""
    while True:
        answer = caller.get(url)
        assert answer.status_code == 200, answer.json
        if not answer.json:
            return
        yield from answer.json
        (url,) = re.findall('<([^>]*)>; rel="next"', answer.headers["Link"])


def test_a_new_row_is_logged_with_who_made_it(agent: Caller) -> None:
    client_id = make_client().client_id
    made = agent.post("/api/tickets", json={"client_id": client_id, "subject": "Ñandú 🔑\n"}).json

    *_, last = changes(agent, "entity=ticket")

    assert last == {
        "seq": last["seq"],
        "at": last["at"],
        "actor": agent.user.user_id,
        "entity": "ticket",
        "entity_id": made["ticket_id"],
        "op": "created",
        "before": None,
        "after": made,
    }


def test_a_change_is_logged_with_what_was_and_what_is(agent: Caller) -> None:
    ticket = make_ticket(description='"quoted"')
    path = f"/api/tickets/{ticket.ticket_id}"
    was = agent.get(path).json
    agent.patch(path, json={"status": "cerrado", "description": None})
    agent.patch(path, json={"description": None})

    newest, first = agent.get(f"{path}/history").json

    assert newest["op"] == "updated"
    changed = "description", "status", "resolved_at", "updated_at"
    now = agent.get(path).json
    assert newest["before"] == {name: was[name] for name in changed}
    assert newest["after"] == {name: now[name] for name in changed}
    assert (now["description"], now["status"]) == (None, "cerrado")
    assert (first["op"], first["actor"]) == ("created", None)


def test_what_is_deleted_is_logged_and_its_history_stays(agent: Caller) -> None:
    event = make_event(created_by=agent.user.user_id)
    path = f"/api/events/{event.event_id}"
    was = agent.get(path).json

    agent.delete(path)

    newest, _ = agent.get(f"{path}/history").json
    assert (newest["op"], newest["before"], newest["after"]) == ("deleted", was, None)


def test_changes_by_plain_sql_are_logged_too(agent: Caller) -> None:
    client_id = make_client().client_id
    make_ticket(client_id)
    make_ticket(client_id)
    db.session.execute(insert(Client).values(full_name="Core", active=True, created_at=utcnow()))
    db.session.execute(update(Ticket).values(priority="baja"))
    db.session.execute(delete(Ticket).where(Ticket.ticket_id == 2))
    db.session.commit()

    seen = [(c["entity"], c["entity_id"], c["op"]) for c in changes(agent) if c["seq"] > 3]

    assert seen[-4:] == [
        ("client", 2, "created"),
        ("ticket", 1, "updated"),
        ("ticket", 2, "updated"),
        ("ticket", 2, "deleted"),
    ]


def make_two(operation: str) -> None:
    """Make a client in this way, in a transaction that has begun, and another one as usual."""
    db.session.execute(select(Client))
    with logging_as(operation):
        db.session.add(Client(full_name="Old", active=True))
    db.session.add(Client(full_name="New", active=True))
    db.session.commit()


def test_rows_that_are_imported_are_logged_so_and_later_ones_are_not(agent: Caller) -> None:
    make_two("imported")

    imported, created = changes(agent, "entity=client")

    assert [imported["op"], created["op"]] == ["imported", "created"]
    assert imported["after"] == agent.get("/api/clients/1").json


def test_what_an_import_does_to_other_rows_is_logged_as_usual(agent: Caller) -> None:
    ticket = make_ticket()

    with logging_as("imported"):
        make_comment(user_id=agent.user.user_id, ticket_id=ticket.ticket_id)

    *_, comment, changed = changes(agent)
    assert [comment["entity"], comment["op"]] == ["comment", "imported"]
    assert [changed["entity"], changed["op"]] == ["ticket", "updated"]


def test_a_row_that_a_request_writes_alone_can_be_imported_too(agent: Caller) -> None:
    with logging_as("imported"):
        insert_row(Client(full_name="Old", active=True), ClientSchema)
        db.session.commit()
    insert_row(Client(full_name="New", active=True), ClientSchema)

    assert [c["op"] for c in changes(agent, "entity=client")] == ["imported", "created"]


def test_an_erasure_is_not_logged_row_by_row(agent: Caller) -> None:
    client = make_client()
    identity = make_identity(client)

    with logging_as("erased"):
        client.change(full_name="Nobody")
        db.session.delete(identity)
        db.session.commit()
    client.change(active=False)
    db.session.commit()

    logged = changes(agent)
    assert [c["entity"] + " " + c["op"] for c in logged] == [
        "client created",
        "identity created",
        "client updated",
    ]
    assert logged[-1]["after"] == {"active": False}


def test_what_is_rolled_back_is_not_logged(agent: Caller) -> None:
    before = changes(agent)

    db.session.add(Client(full_name="Nobody", active=True))
    db.session.flush()
    db.session.rollback()

    assert changes(agent) == before


@pytest.mark.parametrize("entity", LOGGED)
def test_every_column_is_logged_but_secrets(admin: Caller, entity: str) -> None:
    make_event()
    make_message(make_conversation())
    make_comment()
    make_identity(make_client())
    make_user("other")

    created = [c for c in changes(admin) if (c["entity"], c["op"]) == (entity, "created")]

    columns = LOGGED[entity].__table__.columns
    names = {column.name for column in columns if "copied_from" not in column.info}
    assert set(created[-1]["after"]) == names - HIDDEN


def test_no_secret_enters_the_log(admin: Caller) -> None:
    user = make_user("other")
    path = f"/api/users/{user.user_id}"
    admin.patch(path, json={"password": "another horse"})
    login = {"username": "other", "password": "another horse"}
    assert admin.post("/api/login", json=login).status_code == 200

    texts = [f"{c.before} {c.after}" for c in db.session.scalars(select(Change))]
    db.session.rollback()

    assert "password_changed_at" in texts[-2]
    for secret in ("password_hash", "argon2", PASSWORD, "another horse"):
        assert not [text for text in texts if secret in text]


def test_changes_of_users_are_for_admins(agent: Caller, admin: Caller) -> None:
    make_client()
    path = f"/api/users/{agent.user.user_id}/history"

    assert {c["entity"] for c in changes(agent)} == {"client"}
    assert {c["entity"] for c in changes(admin)} == {"client", "user"}
    assert changes(agent, "entity=user") == []
    assert (agent.get(path).status_code, admin.get(path).status_code) == (403, 200)


def test_a_history_that_has_grown_is_not_304(agent: Caller) -> None:
    path = f"/api/tickets/{make_ticket().ticket_id}"
    tag = {"If-None-Match": agent.get(f"{path}/history").headers["ETag"]}

    same = agent.get(f"{path}/history", headers=tag)
    agent.patch(path, json={"subject": "New"})
    grown = agent.get(f"{path}/history", headers=tag)

    assert (same.status_code, grown.status_code, len(grown.json)) == (304, 200, 2)


def test_a_history_of_nothing_is_404(admin: Caller) -> None:
    for path in ("tickets", "events", "clients", "conversations", "users"):
        assert admin.get(f"/api/{path}/424242/history").status_code == 404


def test_history_needs_a_token_even_where_reading_does_not(anybody: Caller) -> None:
    ticket = make_ticket()

    assert anybody.get(f"/api/tickets/{ticket.ticket_id}").status_code == 200
    assert anybody.get(f"/api/tickets/{ticket.ticket_id}/history").status_code == 401
    assert anybody.get("/api/changes").status_code == 401


def test_the_last_page_of_changes_links_to_a_next_one(agent: Caller) -> None:
    make_client()
    *_, last = changes(agent)

    nothing = agent.get(f"/api/changes?after={last['seq']}")
    (url,) = re.findall('<([^>]*)>; rel="next"', nothing.headers["Link"])
    make_client(full_name="New")

    assert nothing.json == []
    (new,) = agent.get(url).json
    assert new["after"]["full_name"] == "New"
    end = agent.get(f"/api/changes?after={new['seq'] - 1}")
    (url,) = re.findall('<([^>]*)>; rel="next"', end.headers["Link"])
    assert agent.get(url).json == []


@pytest.mark.parametrize("query", ["after=-1", "after=x", "after=2147483648", "entity=users"])
def test_a_query_with_a_fault_is_refused_by_name(agent: Caller, query: str) -> None:
    answer = agent.get(f"/api/changes?{query}")

    assert answer.status_code == 400
    assert list(answer.json["errors"]) == [query.partition("=")[0]]


def replayed(log: list[dict[str, Any]]) -> dict[str, dict[int, Any]]:
    """Return the rows that a log makes."""
    tables: dict[str, dict[int, Any]] = {name: {} for name in LOGGED}
    for change in log:
        table, number = tables[change["entity"]], change["entity_id"]
        if change["op"] in ("created", "imported"):
            assert number not in table
            table[number] = change["after"]
        elif change["op"] == "updated":
            assert change["before"].items() <= table[number].items()
            table[number] |= change["after"]
        elif change["op"] == "erased":
            table[number] |= change["after"]
            identities = tables["identity"]
            tables["identity"] = {
                identity: row for identity, row in identities.items() if row["client_id"] != number
            }
        else:
            assert table.pop(number) == change["before"]
    for model in LOGGED.values():
        add_copies(model, tables)
    return tables


def add_copies(model: type[Base], tables: dict[str, dict[int, Any]]) -> None:
    """Add what is not logged, since it is copied from the rows above."""
    for column in model.__table__.columns:
        if above := column.info.get("copied_from"):
            for row in tables[str(model.logged_as)].values():
                row_id = row[above.primary_key().name]
                row[column.name] = row_id and tables[above.logged_as][row_id][column.name]


def stored(model: type[Base]) -> dict[int, Any]:
    """Return a table's rows as the log shows them."""
    (key,) = model.__table__.primary_key
    found = {}
    for row in db.session.execute(select(model.__table__)):
        shown = {
            name: show(name, value) for name, value in row._mapping.items() if name not in HIDDEN
        }
        found[shown[key.name]] = shown
    db.session.rollback()
    return found


def show(name: str, value: Any) -> Any:
    """Return a value as JSON shows it."""
    if name in ("tags", "meta"):
        return value and json.loads(value)
    return f"{value.isoformat()[:19]}Z" if hasattr(value, "isoformat") else value


TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20
).map(lambda text: f"x{text}")
IDS = st.integers(1, 4)
FLAGS = st.booleans()
STATUSES = st.sampled_from(["abierto", "en_progreso", "cerrado"])
NULL = st.none()
OPERATIONS = st.one_of(
    st.tuples(
        st.just("post"), st.just("/api/clients"), st.fixed_dictionaries({"full_name": TEXTS})
    ),
    st.tuples(
        st.just("post"),
        st.just("/api/tickets"),
        st.fixed_dictionaries({"client_id": IDS, "subject": TEXTS, "status": STATUSES}),
    ),
    st.tuples(
        st.just("patch"),
        IDS.map("/api/tickets/{}".format),
        st.fixed_dictionaries(
            {},
            optional={
                "description": NULL | TEXTS,
                "status": STATUSES,
                "client_id": IDS,
                "priority": st.sampled_from(["alta", "baja"]),
                "assigned_to": NULL | IDS,
                "conversation_id": NULL | IDS,
            },
        ),
    ),
    st.tuples(
        st.sampled_from(["put", "delete"]),
        st.builds("/api/tickets/{}/tags/{}".format, IDS, st.sampled_from("abc")),
        NULL,
    ),
    st.tuples(
        st.just("post"),
        st.just("/api/events"),
        st.fixed_dictionaries(
            {
                "title": TEXTS,
                "start_time": st.just("2025-11-01T15:00:00Z"),
                "end_time": st.just("2025-11-01T15:00:00Z"),
                "ticket_id": NULL | IDS,
            }
        ),
    ),
    st.tuples(
        st.just("patch"),
        IDS.map("/api/events/{}".format),
        st.fixed_dictionaries({}, optional={"title": TEXTS, "ticket_id": NULL | IDS}),
    ),
    st.tuples(st.just("delete"), IDS.map("/api/events/{}".format), NULL),
    st.tuples(st.just("delete"), IDS.map("/api/clients/{}".format), NULL),
    st.tuples(
        st.just("patch"),
        IDS.map("/api/clients/{}".format),
        st.fixed_dictionaries({}, optional={"email": NULL, "phone": NULL | TEXTS, "active": FLAGS}),
    ),
    st.tuples(
        st.just("post"),
        st.just("/api/conversations"),
        st.fixed_dictionaries({"client_id": IDS, "channel": TEXTS}),
    ),
    st.tuples(
        st.just("patch"),
        IDS.map("/api/conversations/{}".format),
        st.fixed_dictionaries(
            {}, optional={"active": FLAGS, "handled_by_bot": FLAGS, "client_id": IDS}
        ),
    ),
    st.tuples(
        st.just("post"),
        IDS.map("/api/conversations/{}/messages".format),
        st.fixed_dictionaries(
            {"content": TEXTS, "sender": st.sampled_from(["client", "user", "bot"])}
        ),
    ),
    st.tuples(
        st.just("post"),
        IDS.map("/api/conversations/{}/ticket".format),
        st.fixed_dictionaries({"subject": TEXTS}),
    ),
    st.tuples(st.just("get"), IDS.map("/api/conversations/{}/messages".format), NULL),
    st.tuples(
        st.just("post"),
        IDS.map("/api/tickets/{}/comments".format),
        st.fixed_dictionaries({"body": TEXTS}),
    ),
    st.tuples(
        st.just("patch"),
        IDS.map("/api/comments/{}".format),
        st.fixed_dictionaries({"body": TEXTS}),
    ),
    st.tuples(st.just("delete"), IDS.map("/api/comments/{}".format), NULL),
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(operations=st.lists(OPERATIONS, min_size=10, max_size=40))
def test_the_log_replayed_is_every_table(admin: Caller, operations: list[Any]) -> None:
    for method, path, body in operations:
        answer = getattr(admin, method)(path, **({} if body is None else {"json": body}))
        assert answer.status_code in (200, 201, 204, 400, 404, 409), (path, body, answer.json)

    tables = replayed(changes(admin))

    for name, model in LOGGED.items():
        assert tables[name] == stored(model)
    tags = {number: ticket["tags"] for number, ticket in tables["ticket"].items()}
    on_tickets = [(number, tag) for number, some in tags.items() for tag in some]
    kept = [
        (number, tag, *(tables["ticket"][number][name] for name in COPIED))
        for number, tag in on_tickets
    ]
    rows = db.session.execute(select(TicketTag.__table__)).mappings()
    copies = [tuple(show(name, value) for name, value in row.items()) for row in rows]
    assert sorted(kept) == sorted(copies)
    counts = db.session.execute(select(Tag.__table__))
    assert dict(map(tuple, counts)) == Counter(tag for _, tag in on_tickets)
    db.session.rollback()
