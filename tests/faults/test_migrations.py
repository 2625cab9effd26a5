"""The migrations make the very schema that the models describe."""

import ast
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from flask import Flask
from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from omnidesk import migrations
from omnidesk.auth.models import ApiToken
from omnidesk.clients.identities import Identity
from omnidesk.clients.models import Client
from omnidesk.comments.models import Comment
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.conversations.running_totals import RunningTotal
from omnidesk.db import Base, Filters, db
from omnidesk.db.change_log import ENTITIES, Change
from omnidesk.db.counters import Counter
from omnidesk.db.database_id import DatabaseId
from omnidesk.db.folding import email_key, phone_key
from omnidesk.db.session import READ
from omnidesk.db.words import SearchQuery
from omnidesk.events.models import LENGTHS, Event, longest_hours
from omnidesk.http.idempotency import IdempotencyKey
from omnidesk.migrations.frozen import change_log_v4
from omnidesk.operations.text_index import reindex
from omnidesk.tickets.models import Ticket
from omnidesk.tickets.tags import TicketTag
from omnidesk.users.models import User
from tests.conftest import check_running_totals, make_messages
from tests.test_search import by_index

FROZEN = sorted(
    path for room in ("versions", "frozen") for path in (migrations.HERE / room).glob("*.py")
)


def imported(path: Path) -> Iterator[str]:
    """Return the full names of what a module imports, relative ones with their dots."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_a_migration_imports_nothing_that_may_change(path: Path) -> None:
    allowed = {"alembic", "sqlalchemy", *sys.stdlib_module_names}

    ours = [name for name in imported(path) if name.partition(".")[0] not in allowed]

    assert not [name for name in ours if not name.startswith("omnidesk.migrations.frozen.")]


@pytest.fixture
def empty(app_with: Any, database_url: str, tmp_path: Any) -> Iterator[Flask]:
    """The app on a database of its own without tables."""
    if database_url.startswith("sqlite"):
        (tmp_path / "empty.db").touch()
        app = app_with(DATABASE_URL=f"sqlite:///{tmp_path}/empty.db")
        with app.app_context():
            yield app
        return
    with db.engine.connect() as connection:
        alone = connection.execution_options(isolation_level="AUTOCOMMIT")
        alone.execute(text("DROP DATABASE IF EXISTS empty"))
        alone.execute(text("CREATE DATABASE empty"))
    app = app_with(DATABASE_URL=database_url.replace("/postgres", "/empty"))
    with app.app_context():
        yield app


def schema() -> dict[str, Any]:
    """Return all that the database itself knows about its tables."""
    with db.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            rows = connection.execute(
                text("SELECT name, sql FROM sqlite_master WHERE type != 'trigger' AND sql != ''")
            )
            plain = {name: sql.replace(f'"{name}"', name) for name, sql in rows}  # if renamed
            clauses = {name: sorted(re.split(r"\s*[,\n]\s*", sql)) for name, sql in plain.items()}
            return {name: sql for name, sql in clauses.items() if name != "alembic_version"}
        seen = inspect(connection)
        names = [name for name in seen.get_table_names() if name != "alembic_version"]
        return {
            name: [
                sorted(
                    ({**column, "type": str(column["type"])} for column in seen.get_columns(name)),
                    key=str,
                ),
                seen.get_pk_constraint(name),
                sorted(seen.get_foreign_keys(name), key=str),
                sorted(seen.get_unique_constraints(name), key=str),
                sorted(seen.get_check_constraints(name), key=str),
                sorted(
                    connection.scalars(
                        text("SELECT indexdef FROM pg_indexes WHERE tablename = :name"),
                        {"name": name},
                    )
                ),
            ]
            for name in names
        }


def test_the_migrated_schema_is_the_models(empty: Flask) -> None:
    migrations.upgrade()
    migrated = schema()
    Base.metadata.drop_all(db.engine)
    Base.metadata.create_all(db.engine)

    assert migrated == schema()
    assert set(Base.metadata.tables) <= set(migrated)


def test_an_upgrade_of_a_current_database_changes_nothing(empty: Flask) -> None:
    assert migrations.revision() is None
    migrations.upgrade()
    before = schema()

    migrations.upgrade()

    assert migrations.revision() == migrations.NEWEST
    assert schema() == before


def test_an_upgrade_and_a_new_index_keep_the_id_of_the_database(empty: Flask) -> None:
    migrations.upgrade("0031_sources")
    with db.engine.begin() as connection:  # as the upgrade to what was then the newest did
        DatabaseId.renew(connection)
        known = connection.scalar(select(DatabaseId.id))

    migrations.upgrade()
    reindex()
    migrations.upgrade()

    assert db.session.scalar(select(DatabaseId.id)) == known


OLD_ROWS = """
INSERT INTO app_user (user_id, full_name, username, role, active, password_hash)
VALUES (1, 'Ana', 'ana', 'admin', TRUE, 'secret');
INSERT INTO client (client_id, full_name, active, created_at) VALUES (1, 'Ada', TRUE, :now);
INSERT INTO ticket (client_id, subject, priority, status, created_at, resolved_at)
VALUES (1, 'a', 'alta', 'abierto', :now, NULL), (1, 'b', 'alta', 'cerrado', :now, :now),
       (1, 'c', 'alta', 'cerrado', :now, :now);
INSERT INTO conversation (conversation_id, client_id, channel, active, handled_by_bot, created_at,
                          updated_at)
VALUES (1, 1, 'web', TRUE, FALSE, :now, :now);
INSERT INTO message (conversation_id, sender, content, created_at)
VALUES (1, 'client', 'Hello', :now);
INSERT INTO calendar_event (title, start_time, end_time)
VALUES ('a', :now, :now), ('b', :later, :later), ('c', :later, :later)
"""


@pytest.fixture
def upgraded(empty: Flask) -> None:
    """A database that had rows before it came to the newest schema."""
    migrations.upgrade("0001_contract")
    times = {"now": "2025-10-29 12:00:00.000000", "later": "2025-10-30 12:00:00.000000"}
    with db.engine.begin() as connection:
        for statement in OLD_ROWS.split(";"):
            named = {name: time for name, time in times.items() if f":{name}" in statement}
            connection.execute(text(statement), named)
    migrations.upgrade()


def test_an_upgrade_counts_the_rows_that_are_there(upgraded: None) -> None:
    counts = {each.name: each.count for each in db.session.scalars(select(Counter))}

    assert counts == {
        "abierto": 1,
        "en_progreso": 0,
        "cerrado": 2,
        "unassigned": 1,
        "unread": 1,
        "waiting": 1,
        "nobody": 1,
        "users": 1,
        "2025-10-29": 1,
        "2025-10-30": 2,
    }


def test_an_upgrade_logs_the_rows_that_are_there(upgraded: None) -> None:
    log = db.session.scalars(select(Change).order_by(Change.seq)).all()

    assert {change.op for change in log} == {"created"}
    assert [change.entity for change in log] == [
        "user",
        "client",
        *["ticket"] * 3,
        *["event"] * 3,
        "conversation",
        "message",
    ]
    assert json.loads(log[3].after or "")["resolved_at"] == "2025-10-29T12:00:00Z"
    assert not [change for change in log if "secret" in (change.after or "")]


@pytest.mark.usefixtures("upgraded")
def test_after_an_upgrade_the_rows_that_were_there_are_found_by_their_words() -> None:
    cases: Any = (
        (Client, "ada", [1]),
        (Ticket, "b", [2]),
        (Message, "hello", [1]),
        (Comment, "b", []),
    )
    for entity, query, found in cases:
        assert by_index(entity, SearchQuery.parse(query)) == found
    assert db.session.scalars(select(Ticket.words)).all() == [" a ", " b ", " c "]
    db.session.rollback()


def test_an_upgrade_copies_to_each_tag_what_its_ticket_is_looked_for_by(empty: Flask) -> None:
    migrations.upgrade("0009_hits")
    with db.engine.begin() as connection:
        for statement in OLD_ROWS.split(";")[:3]:
            times = {"now": "2025-10-29 12:00:00.000000"} if ":now" in statement else {}
            connection.execute(text(statement), times)
        connection.execute(text("INSERT INTO ticket_tag (ticket_id, tag) VALUES (2, 'vip')"))

    migrations.upgrade()

    ticket = db.session.get_one(Ticket, 2)
    (row,) = db.session.execute(select(TicketTag.__table__)).all()
    copies = (1, "alta", "cerrado", None, ticket.updated_at, ticket.due_at)
    assert tuple(row) == (2, "vip", *copies)


@pytest.fixture
def before_the_new_names(empty: Flask) -> None:
    """A database with rows in the last schema that had `tally`, `kept_answer` and `hit`."""
    migrations.upgrade("0010_tagged")
    now = {"now": "2025-10-29 12:00:00.000000"}
    with db.engine.begin() as connection:
        for statement in OLD_ROWS.split(";")[:3]:
            connection.execute(text(statement), now if ":now" in statement else {})
        for number in range(52):
            tag = {"tag": f"tag-{number:02}"}
            connection.execute(
                text("INSERT INTO ticket_tag (ticket_id, tag) VALUES (1, :tag)"), tag
            )
        connection.execute(text(KEPT), now)
        connection.execute(text("INSERT INTO hit (key, count, ends) VALUES ('x', 1, 2)"))


KEPT = """
INSERT INTO kept_answer (user_id, route, key, fingerprint, created_at, status, headers, body)
VALUES (1, '/api/tickets', 'k', 'f', :now, 201, '{}', '[]')
"""


@pytest.mark.usefixtures("before_the_new_names")
def test_an_upgrade_renames_tables_and_keeps_their_rows() -> None:
    migrations.upgrade()

    (kept,) = db.session.scalars(select(IdempotencyKey))
    assert (kept.user_id, kept.route, kept.key, kept.fingerprint) == (1, "/api/tickets", "k", "f")
    assert (kept.status, kept.headers, kept.body) == (201, "{}", "[]")
    assert kept.created_at == datetime(2025, 10, 29, 12, tzinfo=UTC)
    assert db.session.scalar(Counter.total().filter_by(name="cerrado")) == 2
    assert not {"tally", "kept_answer", "hit"} & set(
        inspect(db.session.connection()).get_table_names()
    )
    db.session.rollback()


@pytest.mark.usefixtures("before_the_new_names")
def test_after_an_upgrade_rows_are_counted_on() -> None:
    migrations.upgrade()
    with db.engine.begin() as connection:
        connection.execute(text("DELETE FROM ticket WHERE ticket_id = 3"))
        connection.execute(text("UPDATE ticket SET priority = 'baja' WHERE ticket_id = 2"))

    assert db.session.scalar(Counter.total().filter_by(name="cerrado")) == 1
    assert db.session.scalar(Counter.total().filter_by(name="users")) == 1
    db.session.rollback()


@pytest.mark.usefixtures("before_the_new_names")
def test_a_ticket_with_too_many_tags_keeps_them_and_gets_no_more() -> None:
    migrations.upgrade()
    more = text("INSERT INTO ticket_tag (ticket_id, tag) VALUES (1, 'more')")

    with pytest.raises(IntegrityError), db.engine.begin() as connection:
        connection.execute(more)
    with db.engine.begin() as connection:
        connection.execute(text("DELETE FROM ticket_tag WHERE tag IN ('tag-00', 'tag-01')"))
    with pytest.raises(IntegrityError), db.engine.begin() as connection:
        connection.execute(more)

    (ticket,) = db.session.scalars(select(Ticket).filter_by(ticket_id=1))
    assert json.loads(ticket.tags) == [f"tag-{number:02}" for number in range(2, 52)]
    db.session.rollback()


@pytest.mark.usefixtures("before_the_new_names")
def test_changes_before_an_upgrade_come_first_in_their_order() -> None:
    migrations.upgrade()
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE client SET phone = '1'"))

    log = db.session.scalars(Change.feed(Filters(), hidden=())).all()

    assert [change.seq for change in log] == sorted(change.seq for change in log)
    assert {change.transaction_id for change in log[:-1]} == {0}
    assert (log[-1].transaction_id > 0) == (db.engine.name == "postgresql")
    db.session.rollback()


def test_an_upgrade_revokes_the_tokens_that_should_have_ended(empty: Flask) -> None:
    migrations.upgrade("0011_commit_order")
    people = (("gone", False, None), ("same", True, None), ("new", True, 2), ("old", True, 0))
    with db.engine.begin() as connection:
        for number, (name, active, changed) in enumerate(people, 1):
            values = {
                "id": number,
                "name": name,
                "active": active,
                "made": "2025-10-29 12:00:00.000000",
            }
            values["changed"] = (
                f"2025-10-29 1{changed + 1}:00:00.000000" if changed is not None else None
            )
            for statement in (OLD_USER, OLD_TOKEN):
                named = {key: value for key, value in values.items() if f":{key}" in statement}
                connection.execute(text(statement), named)

    migrations.upgrade()

    assert db.session.scalars(select(ApiToken.name).order_by(ApiToken.token_id)).all() == [
        "same",
        "old",
    ]
    db.session.rollback()


OLD_USER = """
INSERT INTO app_user (full_name, username, role, active, password_hash, password_changed_at)
VALUES (:name, :name, 'admin', :active, 'secret', :changed)
"""
OLD_TOKEN = """
INSERT INTO api_token (user_id, name, scopes, digest, created_at)
VALUES (:id, :name, '[]', :name, :made)
"""


CLIENT = """
INSERT INTO client (client_id, full_name, email, phone, external_id, active, created_at)
VALUES (:n, 'José', 'a@xn--mnchen-3ya.example', '+57 301 555', :external_id, TRUE, :now)
"""


@pytest.fixture
def before_input(empty: Flask) -> None:
    """A database with rows in the schema before 0013, three clients with one external id."""
    migrations.upgrade("0011_commit_order")
    now = {"now": "2025-10-29 12:00:00.000000"}
    with db.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO app_user (full_name, username, email, role, active, password_hash)"
                " VALUES ('Ana', 'ana', 'Ana@Example.com', 'admin', TRUE, 'x')"
            )
        )
        for number, external_id in enumerate(("crm-1", "crm-1", None, None, "crm-1", "crm-2"), 1):
            connection.execute(text(CLIENT), {"n": number, "external_id": external_id, **now})
        connection.execute(
            text(
                "INSERT INTO ticket (client_id, subject, priority, status, created_at)"
                " VALUES (1, 'a', 'alta', 'abierto', :now)"
            ),
            now,
        )


@pytest.mark.usefixtures("before_input")
def test_an_upgrade_leaves_an_external_id_to_the_oldest_client_and_says_so(capsys: Any) -> None:
    migrations.upgrade()

    ids = db.session.execute(
        select(Client.external_id, Client.version).order_by(Client.client_id)
    ).all()
    assert [tuple(row) for row in ids] == [
        *(("crm-1", 1), (None, 2), (None, 1), (None, 1), (None, 2), ("crm-2", 1))
    ]
    assert "2 clients had the external_id of an older client" in capsys.readouterr().out
    changes = db.session.scalars(select(Change).filter_by(entity="client", op="updated")).all()
    assert [(row.entity_id, json.loads(row.before or "")) for row in changes] == [
        *((2, {"external_id": "crm-1"}), (5, {"external_id": "crm-1"}))
    ]
    db.session.rollback()


@pytest.mark.usefixtures("before_input")
def test_after_an_upgrade_old_clients_are_found_and_old_addresses_are_taken() -> None:
    migrations.upgrade()

    clients = db.session.scalars(select(Client)).all()
    texts = {client.words for client in clients if client.client_id > 1}
    words = (" jose ", " 57301555 ", " 301555 ", " munchen ")
    assert all(word in shown for shown in texts for word in words)
    keys = db.session.execute(select(Client.email_key, Client.phone_key)).all()
    assert {(email_key(client.email), phone_key(client.phone)) for client in clients} == {*keys}
    assert db.session.scalar(select(User.search_text)) == "ana\nana@example.com"
    db.session.add(
        User.new(username="b", full_name="B", email="ANA@example.com", password_hash="x")
    )
    with pytest.raises(IntegrityError):
        db.session.commit()
    db.session.rollback()


@pytest.mark.usefixtures("before_input")
def test_after_an_upgrade_longer_texts_fit_and_triggers_go_on() -> None:
    change = text("UPDATE ticket SET subject = :text")
    with db.engines[READ].connect() as other:  # that has read the tables already
        other.execute(text("SELECT * FROM ticket")).all()
        migrations.upgrade()
        other.execute(change, {"text": "y" * 998})

    with db.engine.begin() as connection:
        connection.execute(change, {"text": "x" * 998})
    with pytest.raises(DBAPIError), db.engine.begin() as connection:
        connection.execute(change, {"text": "x" * 999})
    assert db.session.scalar(Counter.total().filter_by(name="abierto")) == 1
    log = select(Change).filter_by(entity="ticket").order_by(Change.seq.desc())
    assert json.loads(db.session.scalars(log).all()[0].after or "")["subject"] == "x" * 998
    if db.engine.name == "sqlite":
        assert db.session.scalar(text("PRAGMA integrity_check")) == "ok"
    db.session.rollback()


LOG_A_THING = """
INSERT INTO change (at, entity, entity_id, op) VALUES ('2025-10-29 12:00:00', 'thing', 1, 'created')
"""


def test_a_migration_lets_the_change_log_hold_another_entity(empty: Flask) -> None:
    migrations.upgrade()
    with pytest.raises(IntegrityError), db.engine.begin() as connection:
        connection.execute(text(LOG_A_THING))

    with (
        db.engine.begin() as connection,
        Operations.context(MigrationContext.configure(connection)),
    ):
        change_log_v4.allow((*ENTITIES, "thing"))

    with db.engine.begin() as connection:
        connection.execute(text(LOG_A_THING))
        connection.execute(text("UPDATE client SET phone = '1'"))  # its triggers are still there
        assert connection.scalar(text("SELECT count(*) FROM change")) == 1


COMMENTED = """
INSERT INTO comment (ticket_id, user_id, body, created_at, edited_at)
VALUES (1, 1, 'x', '2025-11-02 12:00:00.000000', NULL),
       (2, 1, 'x', '2025-11-02 12:00:00.000000', '2025-11-03 12:00:00.000000');
UPDATE ticket SET subject = 'changed' WHERE ticket_id = 3;
UPDATE change SET at = '2025-11-04 12:00:00.000000' WHERE op = 'updated'
"""


def test_an_upgrade_finds_out_when_each_ticket_was_last_changed(empty: Flask) -> None:
    migrations.upgrade("0019_found")
    with db.engine.begin() as connection:
        for statement in (*OLD_ROWS.split(";")[:3], *COMMENTED.split(";")):
            now = {"now": "2025-10-29 12:00:00.000000"} if ":now" in statement else {}
            connection.execute(text(statement), now)
        connection.execute(text(ANOTHER_TICKET))

    migrations.upgrade()

    days = {4: 1, 1: 2, 2: 3, 3: 4}
    times = {number: datetime(2025, 11, day, 12, tzinfo=UTC) for number, day in days.items()}
    found = {row.ticket_id: row.updated_at for row in db.session.scalars(select(Ticket))}
    assert found == times
    log = db.session.scalars(select(Change).filter_by(entity="ticket")).all()
    made = {row.entity_id: json.loads(row.after or "") for row in log if row.op == "created"}
    assert {number: row["updated_at"] for number, row in made.items()} == {
        number: f"{time:%Y-%m-%dT%H:%M:%SZ}" for number, time in times.items()
    }
    assert [row.entity_id for row in log if row.op == "updated"] == [3]
    assert db.session.scalar(Counter.total().filter_by(name="cerrado")) == 2
    db.session.rollback()


ANOTHER_TICKET = """
INSERT INTO ticket (client_id, subject, priority, status, created_at)
VALUES (1, 'd', 'alta', 'abierto', '2025-11-01 12:00:00.000000')
"""


EVENTS = """
INSERT INTO calendar_event (title, start_time, end_time)
VALUES ('x', '2024-01-01 00:00:00.000000', :end)
"""


def test_an_upgrade_finds_out_how_long_events_last_at_most(empty: Flask) -> None:
    migrations.upgrade("0023_client_words")
    start = datetime(2024, 1, 1)  # noqa: DTZ001 - as it is stored
    seconds = [0, *(3600 * hours + more for hours in LENGTHS[:-1] for more in (0, 1))]
    ends = [start + timedelta(seconds=number) for number in seconds]
    with db.engine.begin() as connection:
        rows = [{"end": end.isoformat(" ", "microseconds")} for end in ends]
        connection.execute(text(EVENTS), rows)

    migrations.upgrade()

    found = db.session.scalars(select(Event.longest_hours).order_by(Event.event_id)).all()
    assert found == [longest_hours(start, end) for end in ends]
    updates = select(Change).filter_by(entity="event", op="updated")
    assert db.session.scalars(updates).all() == []


ABOUT_TICKETS = """
INSERT INTO ticket (client_id, subject, priority, status, created_at, updated_at)
VALUES (1, 'a', 'alta', 'abierto', :now, :now), (1, 'b', 'alta', 'abierto', :now, :now);
INSERT INTO comment (ticket_id, user_id, body, created_at)
VALUES (1, 1, 'x', :now), (2, 1, 'x', :now);
INSERT INTO calendar_event (title, start_time, end_time, ticket_id)
VALUES ('a', :now, :now, 2), ('b', :now, :now, NULL);
UPDATE ticket SET client_id = 2 WHERE ticket_id = 2
"""


def test_an_upgrade_copies_the_client_of_tickets_to_comments_and_events(empty: Flask) -> None:
    migrations.upgrade("0035_faster_updates")
    now = {"now": "2025-10-29 12:00:00.000000"}
    before = (*OLD_ROWS.split(";")[:2], OTHER_CLIENT, *ABOUT_TICKETS.split(";"))
    with db.engine.begin() as connection:
        for statement in before:
            connection.execute(text(statement), now if ":now" in statement else {})
        logged = connection.scalar(select(func.count()).select_from(Change))

    migrations.upgrade()

    found = select(Comment.client_id, Comment.version).order_by(Comment.comment_id)
    assert [tuple(row) for row in db.session.execute(found)] == [(1, 1), (2, 1)]
    found = select(Event.client_id, Event.version).order_by(Event.event_id)
    assert [tuple(row) for row in db.session.execute(found)] == [(2, 1), (None, 1)]
    assert db.session.scalar(select(func.count()).select_from(Change)) == logged
    db.session.rollback()


def test_an_upgrade_counts_the_messages_of_each_client(empty: Flask) -> None:
    migrations.upgrade("0040_tag_times")
    now = {"now": "2025-10-29 12:00:00.000000"}
    said = "INSERT INTO message (conversation_id, sender, content, created_at)"
    said += " VALUES (:number, :sender, 'Hello', :now)"
    senders = [(n % 3, ("client", "client", "bot")[n % 7 % 3]) for n in range(900)]
    with db.engine.begin() as connection:
        connection.execute(text(OLD_ROWS.split(";")[1]), now)
        for number in range(4):
            connection.execute(text(CONVERSATION), {"number": number + 1} | now)
        for number, sender in senders:
            values = {"number": number + 1, "sender": sender}
            connection.execute(text(said), values | now)
        logged = connection.scalar(select(func.count()).select_from(Change))

    migrations.upgrade()

    assert db.session.scalar(select(func.count()).select_from(Change)) == logged
    assert db.session.scalars(select(RunningTotal)).all()
    for conversation in db.session.scalars(select(Conversation)).all():
        make_messages(conversation.conversation_id, *["client"] * 100)
        check_running_totals(conversation.conversation_id)


CONVERSATION = """
INSERT INTO conversation (conversation_id, client_id, channel, active, handled_by_bot, created_at,
                          updated_at)
VALUES (:number, 1, 'web', TRUE, FALSE, :now, :now)
"""
OTHER_CLIENT = """
INSERT INTO client (client_id, full_name, active, created_at) VALUES (2, 'Eve', TRUE, :now)
"""
DOUBLED = """
INSERT INTO conversation (conversation_id, client_id, channel, external_chat_id, active,
                          handled_by_bot, created_at, updated_at, turn, unread_count)
VALUES (11, 1, 'web', 'a', TRUE, FALSE, :now, '2025-10-29 15:00:00.000000', 0, 2),
       (12, 1, 'web', 'a', TRUE, FALSE, :now, '2025-10-29 16:00:00.000000', 0, 0),
       (13, 1, 'web', 'a', FALSE, FALSE, :now, '2025-10-29 17:00:00.000000', 0, 0),
       (14, 1, 'web', 'a', TRUE, FALSE, :now, '2025-10-29 16:00:00.000000', 0, 0),
       (15, 1, 'sms', 'a', TRUE, FALSE, :now, :now, 0, 0),
       (16, 1, 'web', 'b', FALSE, FALSE, :now, :now, 0, 0),
       (17, 1, 'web', NULL, TRUE, FALSE, :now, :now, 0, 0),
       (18, 1, 'web', NULL, TRUE, FALSE, :now, :now, 0, 0)
"""


@pytest.fixture
def before_inbound(empty: Flask) -> None:
    """A database with a chat that has three active conversations."""
    migrations.upgrade("0025_inbox")
    now = {"now": "2025-10-29 12:00:00.000000"}
    with db.engine.begin() as connection:
        for statement in (*OLD_ROWS.split(";")[:2], OTHER_CLIENT, DOUBLED):
            connection.execute(text(statement), now if ":now" in statement else {})


@pytest.mark.usefixtures("before_inbound")
def test_an_upgrade_finds_out_who_has_which_chat() -> None:
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE conversation SET client_id = 2 WHERE conversation_id = 13"))

    migrations.upgrade()

    found = db.session.scalars(select(Identity).order_by(Identity.identity_id)).all()
    assert [(row.client_id, row.channel, row.external_user_id) for row in found] == [
        *((1, "sms", "a"), (2, "web", "a"), (1, "web", "b"))
    ]
    assert {row.created_at for row in found} == {datetime(2025, 10, 29, 12, tzinfo=UTC)}
    log = db.session.scalars(select(Change).filter_by(entity="identity")).all()
    assert [json.loads(row.after or "")["external_user_id"] for row in log] == ["a", "a", "b"]
    db.session.rollback()


@pytest.mark.usefixtures("before_inbound")
def test_an_upgrade_leaves_each_chat_its_latest_active_conversation(capsys: Any) -> None:
    migrations.upgrade()

    after = db.session.scalars(select(Conversation).order_by(Conversation.conversation_id)).all()
    assert [row.conversation_id for row in after if row.active] == [14, 15, 17, 18]
    assert [row.conversation_id for row in after if row.version == 2] == [11, 12]
    log = select(Change.entity_id, Change.before, Change.after).filter_by(op="updated")
    changes = [(n, json.loads(b or ""), json.loads(a or "")) for n, b, a in db.session.execute(log)]
    assert changes == [(n, {"active": True}, {"active": False}) for n in (11, 12)]
    assert "2 conversations were closed" in capsys.readouterr().out
    assert db.session.scalar(Counter.total().filter_by(name="unread")) == 2
    db.session.rollback()
