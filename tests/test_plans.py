"""How the databases find the rows of a list: in the index that begins with all its filters."""

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, inspect, text, update

from omnidesk.clients.models import Client
from omnidesk.comments.models import Comment
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import db, statements, utcnow
from omnidesk.db.change_log import Change
from omnidesk.events.models import Event
from omnidesk.tickets.models import Ticket
from omnidesk.tickets.queue import first_free
from omnidesk.tickets.tags import TicketTag
from tests.conftest import (
    PASSWORD,
    Caller,
    analyze,
    make_client,
    make_conversation,
    make_ticket,
    make_user,
    on_postgresql,
    on_sqlite,
)

# Of an index of expressions, whose columns are not asked for here.
pytestmark = pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
OLD, NEW = 300, 100
LATEST = ["updated_at", "conversation_id"]
STATE = ["active", "handled_by_bot"]


@pytest.fixture
def plans(app: Any, monkeypatch: Any) -> list[str]:
    """What the database says of how it runs each statement."""
    found: list[str] = []
    explains = {
        "sqlite": "EXPLAIN QUERY PLAN ",
        "postgresql": "EXPLAIN (ANALYZE, BUFFERS OFF) ",
    }
    explain = explains[db.engine.name]
    run = statements.run

    def explained(engine: Any, sql: str, arguments: Any) -> Any:
        found.append("\n".join(str(row[-1]) for row in run(engine, explain + sql, arguments)))
        return run(engine, sql, arguments)

    monkeypatch.setattr(statements, "run", explained)
    return found


@pytest.fixture
def new_tables(app: Any) -> None:
    """Tables and indexes as small as their rows: what others deleted would change the plans."""
    if db.engine.name == "postgresql":
        tables = "ticket, ticket_tag, comment, calendar_event, message, conversation, change"
        db.session.execute(text(f"TRUNCATE {tables} CASCADE"))
        db.session.commit()


@pytest.fixture
def desk(new_tables: None) -> None:
    """A desk whose newest tickets are all unlike the older ones, and whose database knows it."""
    for username in ("one", "two"):
        make_client()
        make_user(username)
    old = {"client_id": 1, "assigned_to": 1, "priority": "alta", "status": "cerrado"}
    new = {"client_id": 2, "assigned_to": 2, "priority": "media", "status": "abierto"}
    for row, count, closed in ((old, OLD, utcnow()), (new, NEW, None)):
        times = [utcnow() - timedelta(days=1 + n) if n % 2 else None for n in range(count)]
        rows = [{"subject": "x", "resolved_at": closed, "due_at": due, **row} for due in times]
        db.session.execute(insert(Ticket), rows)
    for tag, count in (("old", OLD), ("all", OLD + NEW)):
        tags = [{"ticket_id": n + 1, "tag": tag} for n in range(count)]
        db.session.execute(insert(TicketTag), tags)
    analyze()


@pytest.fixture
def calendar(new_tables: None) -> None:
    """A desk whose events and messages of one kind come before all of another."""
    contacts = []
    for number, count in ((1, OLD), (2, NEW)):
        user = make_user(f"user-{number}").user_id
        chat = make_conversation().conversation_id
        time = utcnow() + number * timedelta(days=1)
        client = make_client().client_id
        ticket = make_ticket(client).ticket_id
        call = {"title": "x", "start_time": time, "end_time": time}
        call |= {"created_by": user, "ticket_id": ticket}
        said = {"conversation_id": chat, "sender": "bot", "content": "x", "created_at": time}
        contact = {"client_id": client, "updated_at": time, "created_at": time}
        contact |= {"channel": ("web", "app")[number - 1]}
        contact |= {"external_chat_id": "chat-1" if number == 1 else None}
        contact |= {"active": number == 2, "handled_by_bot": number == 1, "assigned_to": user}
        contact |= {"unread_count": 2 - number, "waiting_since": time if number == 1 else None}
        db.session.execute(insert(Event), [call] * count)
        db.session.execute(insert(Message), [said] * count)
        contacts += [contact] * count
    db.session.execute(insert(Conversation), contacts)
    analyze()


ONE_VALUE = (
    "status=cerrado",
    "priority=alta",
    "assigned_to=1",
    "client_id=1",
    "status=cerrado&priority=alta",
    "assigned_to=1&status=cerrado",
    "assigned_to=1&priority=alta",
    "client_id=1&status=cerrado",
    "client_id=1&priority=alta",
    "client_id=1&assigned_to=1",
    "tag=old",
    "tag=all&status=cerrado",
    "tag=all&priority=alta",
    "tag=all&assigned_to=1",
    "tag=all&client_id=1",
)


@pytest.mark.usefixtures("desk")
def test_old_tickets_are_not_looked_for_among_the_new(plans: list[str], agent: Caller) -> None:
    for query in ONE_VALUE:
        answer = agent.get(f"/api/tickets?limit=5&{query}")

        assert [row["ticket_id"] for row in answer.json] == [*range(OLD, OLD - 5, -1)], query
        filters = {part.partition("=")[0] for part in query.split("&")}
        table = "ticket_tag" if "tag" in filters else "ticket"
        *columns, last = index_columns(table, plans)
        assert ({*columns}, last) == (filters, "ticket_id"), plans[-1]
        assert skipped_rows(table, plans) <= 5, query


@pytest.mark.usefixtures("desk")
def test_the_next_ticket_is_not_looked_for_among_all(agent: Caller) -> None:
    closed = update(Ticket).where(Ticket.status == "cerrado")
    db.session.execute(closed.values(assigned_to=None))
    ticket = make_ticket(1, priority="alta")
    analyze()
    first = first_free().compile(db.engine, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN QUERY PLAN" if db.engine.name == "sqlite" else "EXPLAIN (ANALYZE)"

    rows = db.session.execute(text(f"{explain} {first}")).all()
    db.session.rollback()

    plan = "\n".join(str(row[-1]) for row in rows)
    assert "ix_ticket_free" in plan
    assert not re.search("TEMP B-TREE|Sort|Seq Scan on ticket", plan), plan
    assert removed_rows("ticket", [plan]) == 0
    assert agent.post("/api/tickets/next").json["ticket_id"] == ticket.ticket_id


@pytest.mark.usefixtures("desk")
def test_tickets_of_a_conversation_are_not_looked_for_among_all(
    plans: list[str], agent: Caller
) -> None:
    chat = make_conversation(client_id=1).conversation_id
    agent.patch("/api/tickets/1", json={"conversation_id": chat})
    analyze()

    queries = ["", "&status=cerrado&priority=alta", "&client_id=1&status=cerrado"]
    if db.engine.name == "postgresql":  # SQLite looks at no more than 600 tickets of the tag first
        queries.append("&tag=all")
    for query in queries:
        answer = agent.get(f"/api/tickets?limit=5&conversation_id={chat}{query}")

        assert [row["ticket_id"] for row in answer.json] == [1], query
        assert ["conversation_id", "ticket_id"] in used_indexes("ticket", plans), plans[-1]
        assert removed_rows("ticket", plans) <= 5, plans[-1]


SEVERAL_VALUES = (
    ("status=cerrado,en_progreso", ["status"]),
    ("assigned_to=1,4", ["assigned_to"]),
    ("client_id=1,3,4", ["client_id"]),
    ("status=cerrado,en_progreso&priority=alta,baja", ["status", "priority"]),
    ("assigned_to=1,4&status=cerrado,en_progreso", ["assigned_to", "status"]),
    ("status=cerrado,en_progreso&include=client,assignee", ["status"]),
)


@pytest.mark.usefixtures("desk")
def test_each_of_several_values_is_looked_for_in_an_index(plans: list[str], agent: Caller) -> None:
    for query, index in SEVERAL_VALUES:
        answer = agent.get(f"/api/tickets?limit=5&{query}")

        assert [row["ticket_id"] for row in answer.json] == [*range(OLD, OLD - 5, -1)], query
        assert index_columns("ticket", plans) == [*index, "ticket_id"], plans[-1]
        assert not re.search(r"SCAN ticket\b|Seq Scan on ticket\b", plans[-1]), plans[-1]
        assert removed_rows("ticket", plans) <= 5, plans[-1]


OPEN = "status=abierto,en_progreso"


SORTED = (
    ("sort=-updated_at", ["updated_at"]),
    ("sort=updated_at", ["updated_at"]),
    ("sort=due_at", ["due_at"]),
    ("sort=-due_at", ["due_at"]),
    ("sort=priority", ["priority"]),
    ("sort=priority,due_at", ["status", "priority", "due_at"]),
    ("sort=due_at,priority", ["status", "priority", "due_at"]),
    ("assigned_to=1&sort=-updated_at", ["assigned_to", "status", "updated_at"]),
    ("client_id=1&sort=-updated_at", ["client_id", "updated_at"]),
    (f"{OPEN}&sort=-updated_at", ["status", "updated_at"]),
    (f"{OPEN}&sort=due_at", ["status", "due_at"]),
    (f"{OPEN}&sort=-priority", ["status", "priority"]),
    (f"{OPEN}&sort=priority,due_at", ["status", "priority", "due_at"]),
    (f"{OPEN}&sort=-priority,-updated_at", ["status", "priority", "updated_at"]),
    (f"{OPEN}&priority=media&sort=due_at", ["status", "priority", "due_at"]),
    (f"{OPEN}&assigned_to=2&sort=due_at", ["assigned_to", "status", "due_at"]),
    ("overdue=true&sort=due_at", ["status", "due_at"]),
)


@pytest.mark.usefixtures("desk")
def test_tickets_are_not_sorted_where_an_index_has_them_in_order(
    plans: list[str], agent: Caller
) -> None:
    for query, index in SORTED:
        plans.clear()
        first = agent.get(f"/api/tickets?limit=5&{query}")
        (link,) = re.findall('<([^>]*)>; rel="next"', first.headers["Link"])

        second = agent.get(link)

        assert len(first.json) == len(second.json) == 5, query
        first_plan, second_plan = (plan for plan in plans if "ticket" in plan)
        scan = re.search(r"SCAN ticket\b(?! USING)|Seq Scan on ticket\b", first_plan)
        assert not scan, first_plan
        for plan in (first_plan, second_plan):
            columns = [*index, "ticket_id"]
            used = [each[: len(columns)] for each in used_indexes("ticket", [plan])]
            assert columns in used, plan
            # The parts' rows are merged, not sorted.
            assert not re.search(r" ticket .*\nUSE TEMP B-TREE", plan), plan


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("sort", ["due_at,-updated_at", "-due_at,updated_at"])
def test_tickets_that_are_not_due_have_an_index_of_their_own(
    plans: list[str], agent: Caller, sort: str
) -> None:
    answer = agent.get(f"/api/tickets?limit=5&sort={sort}")

    assert len(answer.json) == 5
    unsorted = r"CO-ROUTINE .*\nSEARCH|Limit .*\n *-> +Index Scan( Backward)?"
    assert re.search(f"({unsorted}) .*ix_ticket_not_due", plans[-1]), plans[-1]


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("sort", ["-updated_at", "updated_at", "-due_at", "due_at"])
@pytest.mark.parametrize("query", ["tag=old", "tag=all&status=cerrado"])
def test_tickets_of_a_tag_are_sorted_by_an_index(
    plans: list[str], agent: Caller, query: str, sort: str
) -> None:
    answer = agent.get(f"/api/tickets?{query}&sort={sort}&limit=5")

    assert [row["status"] for row in answer.json] == ["cerrado"] * 5
    columns = ["tag", sort.removeprefix("-"), "ticket_id", "priority", "status"]
    assert columns in used_indexes("ticket_tag", plans), plans[-1]
    assert not re.search(r"SEARCH ticket_tag .*\nUSE TEMP B-TREE", plans[-1]), plans[-1]
    assert removed_rows("ticket_tag", plans) == 0, plans[-1]
    read = re.findall(r" on ticket_tag\b.*actual time=\S+ rows=(\d+)", plans[-1])
    assert all(int(rows) <= 6 for rows in read), plans[-1]


# PostgreSQL takes another index for a priority that few of its rows have.
@on_sqlite
@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("query", ["client_id=1", "client_id=1&status=cerrado", "assigned_to=1"])
@pytest.mark.parametrize("sort", ["priority,-updated_at", "-priority,due_at"])
def test_priorities_are_compared_without_reading_the_tickets(
    plans: list[str], agent: Caller, query: str, sort: str
) -> None:
    answer = agent.get(f"/api/tickets?{query}&sort={sort}&limit=5")

    assert len(answer.json) == 5
    found = re.findall(r"SEARCH ticket USING (.*?)INDEX", plans[-1])
    assert {*found} == {"COVERING "}, plans[-1]


@on_postgresql
@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("query", ["needle", "needle hay", "nee"])
def test_what_the_index_finds_by_words_alone_is_not_looked_at_again(
    plans: list[str], agent: Caller, query: str
) -> None:
    agent.patch("/api/tickets/1", json={"subject": "A needle in hay"})
    agent.post("/api/tickets/2/comments", json={"body": "Hay, and a needle"})
    plans.clear()

    answer = agent.get(f"/api/tickets?q={query}")

    assert [row["ticket_id"] for row in answer.json] == [2, 1]
    (plan,) = (plan for plan in plans if "walked" in plan)
    found = step("found", plan)
    assert "candidates" in found
    assert not re.search(r" on (ticket|comment)\b", found), found


@on_postgresql
@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("query", ['"in hay"', "needle&status=cerrado", "needle&sort=-updated_at"])
def test_what_the_index_finds_is_looked_at_for_all_else(
    plans: list[str], agent: Caller, query: str
) -> None:
    agent.patch("/api/tickets/1", json={"subject": "A needle in hay"})
    plans.clear()

    answer = agent.get(f"/api/tickets?q={query}")

    assert [row["ticket_id"] for row in answer.json] == [1]
    (plan,) = (plan for plan in plans if "walked" in plan)
    found = step("found", plan)
    assert " on ticket" in found
    assert ("strpos" in found) == ('"' in query), found


@on_postgresql
@pytest.mark.usefixtures("desk")
def test_the_index_is_not_asked_for_a_word_that_fills_the_page(
    plans: list[str], agent: Caller
) -> None:
    answer = agent.get("/api/tickets?q=x&limit=5")

    assert len(answer.json) == 5
    (plan,) = (plan for plan in plans if "walked" in plan)
    candidates = step("candidates", plan)
    looked_for = re.findall(r" on (?:ticket|comment)\b.*", candidates)
    assert len(looked_for) >= 2, candidates
    assert all("never executed" in each for each in looked_for), candidates


# PostgreSQL knows how few candidates there are.
@on_sqlite
@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("query", ["", "&status=cerrado&priority=alta", f"&{OPEN}"])
def test_no_more_than_the_candidates_are_looked_at(
    plans: list[str], agent: Caller, query: str
) -> None:
    agent.get(f"/api/tickets?q=nowhere{query}")

    (plan,) = (plan for plan in plans if "candidates" in plan)
    assert used_indexes("ticket", [plan]) == [], plan
    assert "SEARCH ticket USING INTEGER PRIMARY KEY" in plan
    assert not re.search(r"SCAN ticket\b", plan), plan


@on_sqlite
@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize(
    ("query", "narrowest"),
    [
        ("client_id=2&sort=priority,due_at", "client_id"),
        ("client_id=2&priority=alta,media&status=abierto", "client_id"),
        ("client_id=2&assigned_to=2&sort=priority,-updated_at", "client_id"),
        ("client_id=2,1&status=abierto&sort=due_at,-updated_at", "client_id"),
        ("assigned_to=2&sort=priority,-updated_at", "assigned_to"),
        ("assigned_to=2&priority=alta,media&sort=due_at", "assigned_to"),
    ],
)
def test_tickets_of_one_client_or_user_are_not_looked_for_among_all(
    plans: list[str], agent: Caller, query: str, narrowest: str
) -> None:
    answer = agent.get(f"/api/tickets?{query}&limit=5")

    assert len(answer.json) == 5
    assert {first for first, *_ in used_indexes("ticket", plans)} == {narrowest}, plans[-1]


@on_sqlite
@pytest.mark.usefixtures("desk")
def test_tickets_of_two_priorities_are_in_the_order_of_priorities_without_a_sort(
    plans: list[str], agent: Caller
) -> None:
    agent.get("/api/tickets?priority=media,alta&sort=priority,due_at&limit=5")

    assert not re.search(r"SEARCH ticket .*\nUSE TEMP B-TREE", plans[-1]), plans[-1]


LATE_ROWS = (
    ("conversations/2/messages?", "message", ["conversation_id", "message_id"]),
    ("conversations?client_id=2", "conversation", ["client_id", *LATEST]),
    ("conversations?external_chat_id=chat-1", "conversation", ["external_chat_id", *LATEST]),
    ("events?created_by=2", "calendar_event", ["created_by", "start_time", "event_id"]),
    ("events?ticket_id=2", "calendar_event", ["ticket_id", "start_time", "event_id"]),
    ("events?client_id=4", "calendar_event", ["client_id", "start_time", "event_id"]),
)


@pytest.mark.usefixtures("calendar")
def test_late_rows_are_not_looked_for_among_the_early(plans: list[str], agent: Caller) -> None:
    for path, table, index in LATE_ROWS:
        answer = agent.get(f"/api/{path}&limit=5")

        assert len(answer.json) == 5, path
        assert index_columns(table, plans) == index, plans[-1]
        assert skipped_rows(table, plans) <= 5, plans[-1]


@pytest.mark.usefixtures("calendar")
@pytest.mark.parametrize("name", ["created_by", "ticket_id"])
def test_events_of_several_are_not_looked_for_among_all(
    plans: list[str], agent: Caller, name: str
) -> None:
    answer = agent.get(f"/api/events?{name}=2,3&limit=5")

    assert [row["event_id"] for row in answer.json] == [*range(OLD + 1, OLD + 6)]
    assert [name, "start_time", "event_id"] in used_indexes("calendar_event", plans), plans[-1]
    assert removed_rows("calendar_event", plans) <= 5, plans[-1]


@pytest.mark.usefixtures("calendar")
def test_what_goes_on_is_not_looked_for_among_what_is_over(plans: list[str], agent: Caller) -> None:
    new = {"title": "x", "start_time": utcnow(), "end_time": utcnow() + timedelta(days=9)}
    db.session.execute(insert(Event), [new] * NEW)
    analyze()
    tomorrow = (utcnow() + timedelta(days=1, hours=12)).strftime("%Y-%m-%dT%H:%M:%SZ")

    answer = agent.get(f"/api/events?overlaps=true&start={tomorrow}&limit=5")

    assert [row["event_id"] for row in answer.json] == [*range(OLD + NEW + 1, OLD + NEW + 6)]
    index = ["longest_hours", "start_time", "end_time"]
    assert index in used_indexes("calendar_event", plans), plans[-1]
    assert removed_rows("calendar_event", plans) <= 5, plans[-1]


@pytest.mark.usefixtures("calendar")
def test_messages_of_a_client_are_not_looked_for_among_all(plans: list[str], agent: Caller) -> None:
    client_id = agent.get("/api/conversations/1").json["client_id"]

    first = agent.get(f"/api/clients/{client_id}/timeline?limit=5")
    (link,) = re.findall('<([^>]*)>; rel="next"', first.headers["Link"])
    second = agent.get(link)

    messages = [entry["message"]["message_id"] for entry in first.json + second.json]
    assert messages == [*range(OLD, OLD - 10, -1)]
    for plan in (each for each in plans if "page" in each):
        assert ["conversation_id", "created_at", "message_id"] in used_indexes("message", [plan])
        assert not re.search(r"SCAN message\b|Seq Scan on message\b", plan), plan
        assert removed_rows("message", [plan]) <= 5, plan


OF_CLIENT = {
    "comment": ["client_id", "created_at", "comment_id"],
    "calendar_event": ["client_id", "start_time", "event_id"],
}


@pytest.mark.usefixtures("desk")
def test_a_clients_tickets_are_not_asked_one_by_one(plans: list[str], agent: Caller) -> None:
    time = utcnow() + timedelta(days=1)
    call = {"title": "x", "start_time": time, "end_time": time}
    said = {"user_id": agent.user.user_id, "body": "x", "created_at": time}
    tickets = [{"ticket_id": n + 1} for n in range(OLD + NEW)]
    db.session.execute(insert(Comment), [said | ticket for ticket in tickets])
    db.session.execute(insert(Event), [call | ticket for ticket in tickets])
    analyze()

    first = agent.get("/api/clients/1/timeline?limit=5")
    (link,) = re.findall('<([^>]*)>; rel="next"', first.headers["Link"])
    second = agent.get(link)

    events = [entry["event"]["event_id"] for entry in first.json + second.json]
    assert events == [*range(OLD, OLD - 10, -1)]
    for plan in (each for each in plans if "page" in each):
        for table, columns in OF_CLIENT.items():
            assert used_indexes(table, [plan]) == [columns], plan
            assert not re.search(rf"SCAN {table}\b|Seq Scan on {table}\b", plan), plan
            assert removed_rows(table, [plan]) <= 5, plan


@pytest.mark.usefixtures("new_tables")
@pytest.mark.parametrize("senders", ["client", "client,user"])
def test_messages_of_a_sender_are_not_looked_for_among_those_of_others(
    plans: list[str], agent: Caller, senders: str
) -> None:
    chat = make_conversation().conversation_id
    said = {"conversation_id": chat, "content": "x", "created_at": utcnow()}
    wrote = ["client", *["bot"] * OLD]
    db.session.execute(insert(Message), [said | {"sender": sender} for sender in wrote])
    analyze()

    answer = agent.get(f"/api/conversations/{chat}/messages?sender={senders}&order=desc")

    assert [row["sender"] for row in answer.json] == ["client"]
    assert index_columns("message", plans) == ["conversation_id", "sender", "message_id"]
    assert removed_rows("message", plans) == 0


# PostgreSQL explains a comparison with true as if it were free, which it is not in a generic plan.
@on_sqlite
@pytest.mark.usefixtures("calendar")
@pytest.mark.parametrize("query", ["active=false", "handled_by_bot=true"])
def test_conversations_in_one_state_are_not_looked_for_among_the_others(
    plans: list[str], agent: Caller, query: str
) -> None:
    agent.get(f"/api/conversations?{query}&limit=5")

    assert index_columns("conversation", plans) == [*STATE, *LATEST], plans[-1]


@on_sqlite
@pytest.mark.usefixtures("calendar")
@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("active=false&handled_by_bot=true", "state_updated_at"),
        ("channel=web", "channel_updated_at"),
        ("channel=web&handled_by_bot=true", "channel_updated_at"),
        ("assigned_to=1", "assigned_to_updated_at"),
        ("assigned_to=1&active=false", "assigned_to_updated_at"),
        ("assigned_to=1&handled_by_bot=true&channel=web", "assigned_to_updated_at"),
        ("unread=true", "state_unread_updated_at"),
        ("unread=true&sort=waiting_since", "state_unread_waiting_since"),
        ("assigned_to=1&unread=true", "assigned_to_unread_updated_at"),
        ("assigned_to=1&unread=true&sort=waiting_since", "assigned_to_unread_waiting_since"),
        ("waiting=true", "state_waiting_updated_at"),
        ("handled_by_bot=true&waiting=true", "state_waiting_updated_at"),
        ("assigned_to=1&waiting=true", "assigned_to_waiting_updated_at"),
        ("sort=waiting_since", "state_waiting_since"),
        ("assigned_to=1&sort=waiting_since", "assigned_to_waiting_since"),
        ("client_id=2&active=false", "client_id_updated_at_conversation_id"),
        ("client_id=2&handled_by_bot=true&assigned_to=1", "client_id_updated_at_conversation_id"),
        ("external_chat_id=chat-1&channel=web", "external_chat_id_updated_at_conversation_id"),
        ("external_chat_id=chat-1&client_id=2", "external_chat_id_updated_at_conversation_id"),
    ],
)
def test_what_has_to_be_answered_is_not_looked_for_among_all(
    plans: list[str], agent: Caller, query: str, index: str
) -> None:
    answer = agent.get(f"/api/conversations?limit=5&{query}")

    assert len(answer.json) == 5
    found = set(re.findall(r"SEARCH conversation USING .*?INDEX ix_conversation_(\w+)", plans[-1]))
    assert found == {index}, plans[-1]
    assert not re.search(r"SCAN conversation\b|conversation .*\nUSE TEMP B-TREE", plans[-1])


@on_sqlite
@pytest.mark.usefixtures("calendar")
def test_who_waits_longest_is_not_looked_for_among_all_who_wait(
    plans: list[str], agent: Caller
) -> None:
    agent.get("/api/summary")

    searched = {*re.findall(r"ix_conversation_state_waiting_since \((.*)\)", plans[-1])}
    assert searched == {"active=? AND handled_by_bot=? AND waiting_since>?"}, plans[-1]


@pytest.mark.usefixtures("desk")
def test_a_lists_etag_is_not_looked_for_among_the_changes_of_others(
    plans: list[str], agent: Caller
) -> None:
    new = {"full_name": "x", "active": True, "created_at": utcnow()}
    db.session.execute(insert(Client), [new] * OLD)
    analyze()

    agent.get("/api/tickets?limit=5")

    assert index_columns("change", plans)[0] == "entity", plans[-1]
    assert skipped_rows("change", plans) <= 5, plans[-1]


@pytest.mark.usefixtures("desk")
def test_changes_that_a_token_may_not_read_are_left_out_without_a_sort(
    plans: list[str], agent: Caller
) -> None:
    body = {"name": "Bot", "scopes": ["changes:read", "tickets:read"], "password": PASSWORD}
    token = agent.post("/api/tokens", json=body).json["token"]
    bot = Caller(agent.app)
    bot.headers = {"Authorization": f"Bearer {token}"}

    answer = bot.get("/api/changes?after=1&limit=5")

    assert [change["entity"] for change in answer.json] == ["ticket"] * 5
    assert not re.search("TEMP B-TREE|Sort|Seq Scan on change", plans[-1]), plans[-1]


@pytest.fixture
def log(new_tables: None) -> None:
    """A log whose newest changes are unlike the older ones, and whose database knows it."""
    row = {"entity_id": 1, "op": "updated", "before": "{}", "after": "{}"}
    users = [make_user(username).user_id for username in ("one", "two")]
    for user, entity, count, days in ((1, "client", OLD, 2), (2, "ticket", NEW, 1)):
        made = {"actor": users[user - 1], "entity": entity, "at": utcnow() - timedelta(days=days)}
        db.session.execute(insert(Change), [row | made] * count)
    analyze()


SOME_CHANGES = (
    ("entity=ticket", ["entity"]),
    ("entity=ticket,event", ["entity"]),
    ("actor=2", ["actor", "entity"]),
    ("actor=2,3", ["actor", "entity"]),
    ("actor=2&entity=ticket", ["actor", "entity"]),
    ("actor=2,3&entity=ticket,event", ["actor", "entity"]),
    ("after=1&actor=2", ["actor", "entity"]),
    ("since={yesterday}&entity=ticket", ["entity"]),
    ("since={yesterday}&actor=2", ["actor", "entity"]),
)


@pytest.mark.usefixtures("log")
def test_some_changes_are_not_looked_for_among_all(plans: list[str], admin: Caller) -> None:
    order = ["transaction_id", "seq"] if db.engine.name == "postgresql" else ["seq"]
    yesterday = f"{utcnow() - timedelta(days=1, seconds=30):%Y-%m-%dT%H:%M:%SZ}"
    for query, index in SOME_CHANGES:
        answer = admin.get(f"/api/changes?limit=5&{query.format(yesterday=yesterday)}")

        assert [change["entity"] for change in answer.json] == ["ticket"] * 5, query
        assert [*index, *order] in used_indexes("change", plans), (query, plans[-1])
        assert not re.search(r"SCAN change\b|Seq Scan on change\b", plans[-1]), plans[-1]
        assert removed_rows("change", plans) <= 5, (query, plans[-1])


@pytest.mark.usefixtures("log")
def test_changes_since_a_time_are_not_looked_for_among_all(plans: list[str], admin: Caller) -> None:
    yesterday = f"{utcnow() - timedelta(days=1, seconds=30):%Y-%m-%dT%H:%M:%SZ}"

    answer = admin.get(f"/api/changes?limit=5&since={yesterday}")

    assert [change["entity"] for change in answer.json] == ["ticket"] * 5
    *_, position, page = plans
    assert "ix_change_at" in position
    assert re.search("PRIMARY KEY .rowid>|using ix_change_transaction_id_seq", page), page
    for plan in (position, page):
        assert not re.search("TEMP B-TREE|Sort|Seq Scan on change", plan), plan
        assert removed_rows("change", [plan]) <= 5, plan


def used_indexes(table: str, plans: list[str]) -> list[list[str | None]]:
    """Return the columns of each index that the last plan reads a table by."""
    names = set(re.findall(rf"ix_{table}_\w+", plans[-1]))
    return [i["column_names"] for i in inspect(db.engine).get_indexes(table) if i["name"] in names]


def index_columns(table: str, plans: list[str]) -> list[str | None]:
    """Return the columns of the index in which the last plan finds the rows of a table."""
    on_postgresql, on_sqlite = rf"using (\w+) on {table}\b", rf"SEARCH {table} USING .*INDEX (\w+)"
    names = re.findall(on_postgresql if db.engine.name == "postgresql" else on_sqlite, plans[-1])
    columns = {i["name"]: i["column_names"] for i in inspect(db.engine).get_indexes(table)}
    return columns[names[0]] if names else []


def step(name: str, plan: str) -> str:
    """Return the part of PostgreSQL's plan that is about a CTE."""
    return plan.partition(f"CTE {name}\n")[2].partition("\n  CTE ")[0]


def skipped_rows(table: str, plans: list[str]) -> int:
    """Return how many rows of a table were read for nothing by the last plan; none are sorted."""
    plan = plans[-1]
    assert not re.search(rf"SCAN {table}\b|TEMP B-TREE|Sort|Seq Scan on {table}\b", plan), plan
    return removed_rows(table, plans)


def removed_rows(table: str, plans: list[str]) -> int:
    """Return how many rows of a table were read for nothing by the last plan."""
    steps = [step for step in plans[-1].split("->") if re.search(rf" on {table}\b", step)]
    return sum(int(n) for step in steps for n in re.findall(r"Removed by Filter: (\d+)", step))
