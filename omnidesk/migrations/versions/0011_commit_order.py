"""Writers on PostgreSQL need not wait for each other; standard names; at most 50 tags."""

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen import change_log_v2, counters_v2
from omnidesk.migrations.frozen.change_log_v2 import Logged

revision = "0011_commit_order"
down_revision = "0010_tagged"

# The newest transaction that a change can depend on: its own, or one that has ended already.
TRANSACTION = (
    "greatest(pg_current_xact_id()::text::bigint,"
    " pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)"
)
LOGGED = (
    Logged(
        "app_user",
        "user",
        "user_id",
        ("full_name", "username", "email", "role"),
        ("active",),
        ("last_login_at", "password_changed_at"),
    ),
    Logged(
        "client",
        "client",
        "client_id",
        ("full_name", "email", "phone", "external_id"),
        ("active",),
        ("created_at",),
    ),
    Logged(
        "ticket",
        "ticket",
        "ticket_id",
        ("client_id", "subject", "description", "priority", "status", "assigned_to"),
        (),
        ("created_at", "due_at", "resolved_at"),
        ("tags",),
    ),
    Logged(
        "calendar_event",
        "event",
        "event_id",
        ("title", "description", "created_by", "ticket_id"),
        (),
        ("start_time", "end_time"),
    ),
    Logged(
        "conversation",
        "conversation",
        "conversation_id",
        ("client_id", "channel", "external_chat_id"),
        ("active", "handled_by_bot"),
        ("created_at", "updated_at", "last_message_at"),
    ),
    Logged(
        "message",
        "message",
        "message_id",
        ("conversation_id", "sender", "content", "external_message_id"),
        (),
        ("created_at", "read_at"),
    ),
    Logged(
        "comment",
        "comment",
        "comment_id",
        ("ticket_id", "user_id", "body"),
        (),
        ("created_at", "edited_at"),
    ),
)
DAY = {
    "postgresql": "to_char({row}.start_time AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    "sqlite": "substr({row}.start_time, 1, 10)",
}
TAG_FUNCTION = """
CREATE OR REPLACE FUNCTION tag_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    number integer;
BEGIN
    IF TG_OP = 'INSERT' THEN number := NEW.ticket_id; ELSE number := OLD.ticket_id; END IF;
    -- Locked first, or the count and the list would lack what others are committing just now.
    PERFORM FROM ticket WHERE ticket_id = number FOR NO KEY UPDATE;
    IF TG_OP = 'INSERT' THEN
        IF (SELECT count(*) FROM ticket_tag WHERE ticket_id = number) > 50 THEN
            RAISE EXCEPTION USING
                ERRCODE = 'check_violation', TABLE = 'ticket_tag',
                CONSTRAINT = 'ck_ticket_tag_at_most_50', MESSAGE = 'a ticket has at most 50 tags';
        END IF;
        INSERT INTO tag (tag, tickets) VALUES (NEW.tag, 1)
        ON CONFLICT (tag) DO UPDATE SET tickets = tag.tickets + 1;
    ELSE
        UPDATE tag SET tickets = tickets - 1 WHERE tag = OLD.tag;
        DELETE FROM tag WHERE tag = OLD.tag AND tickets = 0;
    END IF;
    UPDATE ticket SET version = version + 1, tags = (
        SELECT '[' || coalesce(string_agg(to_json(tag)::text, ',' ORDER BY tag), '') || ']'
        FROM ticket_tag WHERE ticket_id = number
    ) WHERE ticket_id = number;
    RETURN NULL;
END $$
"""
TAG_TRIGGER = """
CREATE TRIGGER ticket_tag_at_most_50 BEFORE INSERT ON ticket_tag
WHEN (SELECT count(*) FROM ticket_tag WHERE ticket_id = NEW.ticket_id) >= 50
BEGIN
    SELECT RAISE(ABORT, 'CHECK constraint failed: ck_ticket_tag_at_most_50');
END
"""


def upgrade() -> None:
    """Make them, what takes longest first."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    order_changes(postgresql=postgresql)
    if postgresql:
        for logged in LOGGED:
            change_log_v2.watch(logged)
    op.execute(TAG_FUNCTION if postgresql else TAG_TRIGGER)
    rename_counters(postgresql=postgresql)
    rename_answers(postgresql=postgresql)
    rename_windows()


def order_changes(*, postgresql: bool) -> None:
    """Order changes by `transaction_id`, then `seq`; on SQLite by `seq` alone, as ever."""
    # A default that is no constant would rewrite the table: it comes when the column is there.
    zero = sa.literal_column("0", sa.BigInteger())
    op.add_column(
        "change", sa.Column("transaction_id", zero.type, server_default=zero, nullable=False)
    )
    if postgresql:
        op.alter_column("change", "transaction_id", server_default=sa.text(TRANSACTION))
        for columns in (["transaction_id", "seq"], ["entity", "transaction_id", "seq"]):
            op.create_index(op.f(f"ix_change_{'_'.join(columns)}"), "change", columns)
        op.drop_index(op.f("ix_change_entity_seq"), "change")


def length(table: str, column: str, longest: int) -> sa.CheckConstraint:
    """Hold a text to its length."""
    text = sa.func.length(sa.column(column)).between(1, longest)
    return sa.CheckConstraint(text, name=op.f(f"ck_{table}_{column}_length"))


def move(old: str, new: str, columns: str) -> None:
    """Move all rows to another table, and drop the one they were in."""
    op.execute(f"INSERT INTO {new} ({columns}) SELECT {columns} FROM {old}")  # noqa: S608 - ours
    op.drop_table(old)


def rename_counters(*, postgresql: bool) -> None:
    """Let `tally` be `counter`, and what keeps it be called alike."""
    op.create_table(
        "counter",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        length("counter", "name", 16),
        sa.PrimaryKeyConstraint("name", "slot", name=op.f("pk_counter")),
    )
    unread = "CASE WHEN {row}.sender = 'client' AND {row}.read_at IS NULL THEN 'unread' END"
    day = DAY["postgresql" if postgresql else "sqlite"]
    for table, name, slots in (
        ("app_user", "'users'", 64),
        ("ticket", "{row}.status", 64),
        ("message", unread, 64),
        ("calendar_event", day, 1),
    ):
        drop_old_triggers(table, postgresql=postgresql)
        counters_v2.watch(table, name, slots)
    move("tally", "counter", "name, slot, count")


def drop_old_triggers(table: str, *, postgresql: bool) -> None:
    """Drop what counts a table's rows in `tally`."""
    for event in ("insert", "update", "delete"):
        op.execute(f"DROP TRIGGER tally_{table}_{event}{f' ON {table}' if postgresql else ''}")
    if postgresql:
        op.execute(f"DROP FUNCTION tally_{table}()")


def rename_answers(*, postgresql: bool) -> None:
    """Let `kept_answer` be `idempotency_key`."""
    if postgresql:
        op.execute("LOCK TABLE kept_answer")  # or an answer that is being stored would be lost
    op.create_table(
        "idempotency_key",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("route", sa.String(length=255), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        length("idempotency_key", "route", 255),
        length("idempotency_key", "key", 255),
        length("idempotency_key", "fingerprint", 64),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.user_id"], name=op.f("fk_idempotency_key_user_id")
        ),
        sa.PrimaryKeyConstraint("user_id", "route", "key", name=op.f("pk_idempotency_key")),
    )
    columns = "user_id, route, key, fingerprint, created_at, status, headers, body"
    move("kept_answer", "idempotency_key", columns)
    op.create_index(op.f("ix_idempotency_key_created_at"), "idempotency_key", ["created_at"])


def rename_windows() -> None:
    """Let `hit` be `rate_limit_window`, which is empty: what was counted would soon be over."""
    op.drop_table("hit")
    op.create_table(
        "rate_limit_window",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        length("rate_limit_window", "key", 255),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_rate_limit_window")),
    )
    op.create_index(op.f("ix_rate_limit_window_ends_at"), "rate_limit_window", ["ends_at"])
