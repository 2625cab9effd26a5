"""Comments and events have their ticket's client, too: an index has those of a client in order."""

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen.change_log_v5 import Logged, watch

revision = "0036_client_copies"
down_revision = "0035_faster_updates"

ORDERS = {"comment": ("created_at", "comment_id"), "calendar_event": ("start_time", "event_id")}
COPY = """
UPDATE {table} SET client_id = (
    SELECT client_id FROM ticket WHERE ticket.ticket_id = {table}.ticket_id
) WHERE ticket_id IS NOT NULL
"""
# The ticket is locked, so that a change of its client is seen here, or sees the new row.
ON_POSTGRESQL = """
CREATE FUNCTION client_of_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT client_id INTO NEW.client_id FROM ticket WHERE ticket_id = NEW.ticket_id
    FOR NO KEY UPDATE;
    RETURN NEW;
END $$
"""
COPIED_ON_POSTGRESQL = """
CREATE TRIGGER client_of_ticket BEFORE INSERT OR UPDATE OF ticket_id ON {table}
FOR EACH ROW EXECUTE FUNCTION client_of_ticket()
"""
CHANGED_ON_POSTGRESQL = """
CREATE FUNCTION client_of_ticket_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE comment SET client_id = NEW.client_id WHERE ticket_id = NEW.ticket_id;
    UPDATE calendar_event SET client_id = NEW.client_id WHERE ticket_id = NEW.ticket_id;
    RETURN NULL;
END $$;
CREATE TRIGGER client_of_ticket_update AFTER UPDATE OF client_id ON ticket
FOR EACH ROW WHEN (OLD.client_id <> NEW.client_id) EXECUTE FUNCTION client_of_ticket_update()
"""
COPIED_ON_SQLITE = """
CREATE TRIGGER client_of_{table}_{name} AFTER {event} ON {table} WHEN {when}
BEGIN
    UPDATE {table} SET client_id = (SELECT client_id FROM ticket WHERE ticket_id = NEW.ticket_id)
    WHERE {key} = NEW.{key};
END
"""
CHANGED_ON_SQLITE = """
CREATE TRIGGER client_of_ticket_update AFTER UPDATE OF client_id ON ticket
WHEN OLD.client_id <> NEW.client_id
BEGIN
    UPDATE comment SET client_id = NEW.client_id WHERE ticket_id = NEW.ticket_id;
    UPDATE calendar_event SET client_id = NEW.client_id WHERE ticket_id = NEW.ticket_id;
END
"""
LOGGED = (
    Logged(
        *("comment", "comment", "comment_id"),
        ("ticket_id", "user_id", "body"),
        (),
        ("created_at", "edited_at"),
    ),
    Logged(
        *("calendar_event", "event", "event_id"),
        ("title", "description", "created_by", "ticket_id"),
        (),
        ("start_time", "end_time"),
    ),
)


def upgrade() -> None:
    """Add the column, set it, make the indexes, and let triggers keep the copies."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table, order in ORDERS.items():
        op.add_column(table, sa.Column("client_id", sa.Integer(), nullable=True))
        copy(table, quietly=postgresql)
        columns, given = ["client_id", *order], sa.text("client_id IS NOT NULL")
        name = op.f(f"ix_{table}_{'_'.join(columns)}")
        op.create_index(name, table, columns, sqlite_where=given, postgresql_where=given)
    op.drop_index("ix_comment_ticket_id_created_at_comment_id", "comment")
    if postgresql:
        keep_on_postgresql()
    else:
        keep_on_sqlite()


def copy(table: str, *, quietly: bool) -> None:
    """Copy the clients of the tickets; quietly, since there is nothing to log or to count."""
    if quietly:
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    op.execute(COPY.format(table=table))
    if quietly:
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def keep_on_postgresql() -> None:
    """Make the triggers that keep the copies."""
    op.execute(ON_POSTGRESQL)
    for table in ORDERS:
        op.execute(COPIED_ON_POSTGRESQL.format(table=table))
    op.execute(CHANGED_ON_POSTGRESQL)


def keep_on_sqlite() -> None:
    """Make the triggers, and those of the log anew: the newest runs first."""
    events = {
        "insert": ("INSERT", "NEW.ticket_id IS NOT NULL"),
        "update": ("UPDATE OF ticket_id", "OLD.ticket_id IS NOT NEW.ticket_id"),
    }
    for table, (_, key) in ORDERS.items():
        for name, (event, when) in events.items():
            parts = {"name": name, "event": event, "when": when, "table": table, "key": key}
            op.execute(COPIED_ON_SQLITE.format(**parts))
    op.execute(CHANGED_ON_SQLITE)
    for logged in LOGGED:
        watch(logged)
