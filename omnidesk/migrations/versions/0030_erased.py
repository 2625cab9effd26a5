"""Clients can be erased: nothing is written about them any more, and their names stay empty."""

from typing import NamedTuple

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen.constraints_v1 import add_on_sqlite

revision = "0030_erased"
down_revision = "0029_change_log_start"

ERASURE = "CONSTRAINT ck_client_erasure_length CHECK (length(erasure) BETWEEN 0 AND 64)"
EMPTIED = (
    "CONSTRAINT ck_client_emptied_when_erased CHECK (erasure IS NULL OR (NOT active AND"
    " full_name = '***' AND coalesce(email, phone, external_id) IS NULL))"
)


class Text(NamedTuple):
    """A table with texts of clients, and how a row's client is found."""

    table: str
    columns: str
    client: str  # the condition of the rows of `client` that a row's column names
    column: str


OF_TICKET = "client_id {has} (SELECT client_id FROM ticket WHERE ticket_id {has} ({ids}))"
OF_CONVERSATION = (
    "client_id {has} (SELECT client_id FROM conversation WHERE conversation_id {has} ({ids}))"
)
OF_CLIENT = "client_id {has} ({ids})"
TEXTS = (
    Text("ticket", "client_id, subject, description", OF_CLIENT, "client_id"),
    Text("conversation", "client_id, external_chat_id, handoff_reason", OF_CLIENT, "client_id"),
    Text("identity", "client_id, external_user_id", OF_CLIENT, "client_id"),
    Text("calendar_event", "ticket_id, title, description", OF_TICKET, "ticket_id"),
    Text("comment", "ticket_id, body", OF_TICKET, "ticket_id"),
    Text(
        "message",
        "conversation_id, content, meta, external_message_id",
        OF_CONVERSATION,
        "conversation_id",
    ),
)
ON_SQLITE = """
CREATE TRIGGER refuse_erased_{table}_{name} BEFORE {event} ON {table}
WHEN {when}EXISTS (SELECT 1 FROM client WHERE {client} AND erasure IS NOT NULL)
BEGIN SELECT RAISE(ABORT, 'CHECK constraint failed: ck_client_not_erased'); END
"""
# An insert is checked after its foreign keys, which wait until nobody has locked what they name.
ON_POSTGRESQL = """
CREATE FUNCTION refuse_erased_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM client WHERE {client} AND erasure IS NOT NULL) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', TABLE = 'client',
            CONSTRAINT = 'ck_client_not_erased', MESSAGE = 'the client was erased';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_erased_{table}_insert AFTER INSERT ON {table}
FOR EACH ROW EXECUTE FUNCTION refuse_erased_{table}();
CREATE TRIGGER refuse_erased_{table}_update BEFORE UPDATE OF {columns} ON {table}
FOR EACH ROW WHEN (current_setting('omnidesk.operation', true) IS DISTINCT FROM 'erased')
EXECUTE FUNCTION refuse_erased_{table}()
"""
# As in 0020, but the erasure of a comment does not move its ticket. A ticket's change is logged if
# one of its columns changes, so two changes in the same millisecond get two times.
COMMENTED_ON_SQLITE = """
CREATE TRIGGER comment_on_ticket_update AFTER update OF body ON comment
WHEN logged_operation() IS NOT 'erased'
BEGIN
    UPDATE ticket
    SET version = version + 1, updated_at = max(
        strftime('%Y-%m-%d %H:%M:%f000', 'now'),
        strftime('%Y-%m-%d %H:%M:%f000', updated_at, '+0.001 seconds')
    )
    WHERE ticket_id = NEW.ticket_id;
END
"""
COMMENTED_ON_POSTGRESQL = """
CREATE OR REPLACE TRIGGER comment_on_ticket AFTER INSERT OR UPDATE OF body OR DELETE ON comment
FOR EACH ROW WHEN (current_setting('omnidesk.operation', true) IS DISTINCT FROM 'erased')
EXECUTE FUNCTION comment_on_ticket()
"""


def upgrade() -> None:
    """Make the columns, what holds them, and what refuses texts of erased clients."""
    op.add_column("client", sa.Column("erasure", sa.String(64), nullable=True))
    op.add_column(
        "database_id", sa.Column("erasures", sa.Integer(), server_default="0", nullable=False)
    )
    deleted = sa.text("op = 'deleted'")
    op.create_index(
        "ix_change_deleted",
        "change",
        ["entity", "entity_id"],
        sqlite_where=deleted,
        postgresql_where=deleted,
    )
    if op.get_bind().dialect.name == "postgresql":
        refuse_on_postgresql()
    else:
        refuse_on_sqlite()


def refuse_on_postgresql() -> None:
    """Add the constraints and triggers."""
    for clause in (ERASURE, EMPTIED):
        op.execute(f"ALTER TABLE client ADD {clause}")
    for text in TEXTS:
        client = text.client.format(has="IN", ids=f"NEW.{text.column}, OLD.{text.column}")
        op.execute(ON_POSTGRESQL.format(**text._asdict() | {"client": client}))
    op.execute(COMMENTED_ON_POSTGRESQL)


def refuse_on_sqlite() -> None:
    """Add the constraints and triggers."""
    add_on_sqlite("client", (ERASURE, EMPTIED))
    for text in TEXTS:
        new, old = f"NEW.{text.column}", f"OLD.{text.column}"
        for name, event, when, client in (
            ("insert", "INSERT", "", text.client.format(has="=", ids=new)),
            (
                "update",
                f"UPDATE OF {text.columns}",
                "logged_operation() IS NOT 'erased' AND ",
                text.client.format(has="IN", ids=f"{new}, {old}"),
            ),
        ):
            parts = {"name": name, "event": event, "when": when, "client": client}
            op.execute(ON_SQLITE.format(**text._asdict() | parts))
    op.execute("DROP TRIGGER comment_on_ticket_update")
    op.execute(COMMENTED_ON_SQLITE)
