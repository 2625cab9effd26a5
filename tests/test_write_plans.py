"""How the databases find what a request reads before it writes: never among all rows."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event, insert, text

from omnidesk.conversations.messages import Message
from omnidesk.db import db
from tests.conftest import (
    QUIETLY,
    Caller,
    analyze,
    make_client,
    make_conversation,
    make_messages,
    make_ticket,
    on_sqlite,
)

FEW, MANY = 25, 3000


@pytest.fixture
def plans(app: Any) -> Iterator[list[str]]:
    """What the database says of how it runs each select in a transaction that writes."""
    found: list[str] = []
    explain = "EXPLAIN QUERY PLAN " if db.engine.name == "sqlite" else "EXPLAIN (ANALYZE) "

    def record(_c: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if re.match(
            r"SELECT .*\bFROM (message|conversation|client|ticket)\b", statement, re.DOTALL
        ):
            rows = cursor.connection.cursor().execute(explain + statement, parameters)
            found.append("\n".join(str(row[-1]) for row in rows))

    event.listen(db.engine, "before_cursor_execute", record)
    yield found
    event.remove(db.engine, "before_cursor_execute", record)


@pytest.fixture
def chat(app: Any) -> int:
    """The id of a long conversation that has become quiet: as many messages of others are newer."""
    is_postgresql = db.engine.name == "postgresql"
    if is_postgresql:
        db.session.execute(text("TRUNCATE message, conversation CASCADE"))
        db.session.commit()
    one, quiet, other = (make_conversation().conversation_id for _ in range(3))
    senders = {one: "client", quiet: "bot", other: "client"}
    if is_postgresql:
        db.session.execute(text(QUIETLY))
    half = MANY if is_postgresql else FEW
    rows = [
        {"conversation_id": number, "sender": senders[number], "content": "x"}
        for number in [quiet, quiet] * half + [other, one] * half
    ]
    db.session.execute(insert(Message), rows)
    analyze()
    return quiet


@pytest.fixture
def long_chat(app: Any) -> list[int]:
    """The ids of the messages of a conversation with very many of its client's."""
    conversation = make_conversation()
    ids = make_messages(conversation.conversation_id, *["client"] * 1000)
    analyze()
    return ids


@pytest.fixture
def steps(app: Any) -> Iterator[list[int]]:
    """An item for each step that SQLite takes in a transaction that writes."""
    found: list[int] = []

    def watch(connection: Any, *_: Any) -> None:
        driver: Any = connection.connection.dbapi_connection
        driver.set_progress_handler(lambda: found.append(1), 1)

    if db.engine.name == "sqlite":
        event.listen(db.engine, "before_cursor_execute", watch)
    yield found
    if db.engine.name == "sqlite":
        event.remove(db.engine, "before_cursor_execute", watch)
        driver: Any = db.session.connection().connection.dbapi_connection
        driver.set_progress_handler(None, 1)
        db.session.remove()


def read_rows(plan: str) -> int:
    """Return how many messages a plan of PostgreSQL's has read."""
    found = re.findall(r"on message .*actual time=\S+ rows=(\d+)|Removed by Filter: (\d+)", plan)
    return sum(int(rows or removed) for rows, removed in found)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("unread", {}),
        ("unread", {"from_message_id": "last"}),
        ("read", {"up_to_message_id": "last"}),
        ("messages", {"content": "x", "after_message_id": "last"}),
    ],
)
def test_a_quiet_conversation_is_not_looked_for_among_the_messages_of_all(
    plans: list[str], chat: int, admin: Caller, path: str, fields: dict[str, Any]
) -> None:
    last = admin.get(f"/api/conversations/{chat}/messages?order=desc&limit=1").json[0]["message_id"]
    body = {name: last if value == "last" else value for name, value in fields.items()}
    plans.clear()

    answer = admin.post(f"/api/conversations/{chat}/{path}", json=body)

    assert answer.status_code in {200, 201}
    of_messages = [plan for plan in plans if re.search(r"(SEARCH|SCAN|on) message\b", plan)]
    assert of_messages
    for plan in of_messages:
        assert read_rows(plan) <= 1, plan
        assert not re.search("SCAN message|TEMP B-TREE|Sort|Seq Scan on message", plan), plan
        assert db.engine.name == "postgresql" or "conversation_id=?" in plan or "rowid=?" in plan


# PostgreSQL knows by its statistics how many rows have a value.
@on_sqlite
def test_a_chat_and_its_client_are_not_looked_for_among_all(
    plans: list[str], admin: Caller
) -> None:
    said = {"channel": "web", "external_chat_id": "chat-1", "content": "x"}
    client = {"email": "ada@example.com", "phone": "+573015550177"}

    for number, other in enumerate([{"external_chat_id": "chat-2", "client": client}, {}, {}]):
        body = said | {"external_message_id": str(number)} | other
        assert admin.post("/api/inbound", json=body).status_code == 201

    searched = r"SEARCH (?:conversation|client) USING .*\((.*)\)"
    assert {*re.findall(searched, "\n".join(plans))} == {
        "channel=? AND external_chat_id=?",
        "external_chat_id=?",
        "rowid=?",
        "email_key=?",
        "phone_key=?",
    }


@on_sqlite
def test_the_next_ticket_is_not_looked_for_among_all_that_nobody_has(
    plans: list[str], admin: Caller
) -> None:
    make_ticket(make_client().client_id)
    plans.clear()

    assert admin.post("/api/tickets/next").status_code == 200

    first, *_ = plans[0].splitlines()
    assert first == "SCAN ticket USING INDEX ix_ticket_free"


MOST_READ = 128  # messages, of 1000
MOST_STEPS = 2000  # of SQLite: most of them are taken for a short conversation, too
MARKS = {"unread": "from_message_id", "read": "up_to_message_id"}


def test_a_mark_in_a_long_conversation_looks_at_few_of_its_messages(
    long_chat: list[int], plans: list[str], steps: list[int], admin: Caller
) -> None:
    admin.post("/api/conversations/1/read", json={"up_to_message_id": long_chat[-1]})
    for place in (999, 998, 895, 639, 638, 1, 0):
        for action, field in MARKS.items():
            plans.clear()
            steps.clear()

            answer = admin.post(f"/api/conversations/1/{action}", json={field: long_chat[place]})

            assert answer.json["unread_count"] == 1000 - place - (action == "read")
            assert sum(map(read_rows, plans)) <= MOST_READ + 2
            assert len(steps) <= MOST_STEPS
