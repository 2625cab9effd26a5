"""Channels, and what became of the messages that are sent on them."""

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen.change_log_v4 import Logged, watch
from omnidesk.migrations.frozen.constraints_v1 import add_on_sqlite

revision = "0032_channels"
down_revision = "0031_sources"

CONVERSATION = Logged(
    *("conversation", "conversation", "conversation_id"),
    (
        *("client_id", "channel", "external_chat_id", "assigned_to"),
        *("read_up_to", "unread_count", "turn", "handoff_reason"),
    ),
    ("active", "handled_by_bot"),
    (
        *("created_at", "updated_at", "last_message_at", "waiting_since", "handed_off_at"),
        "reply_until",
    ),
)
MESSAGE = Logged(
    *("message", "message", "message_id"),
    (
        *("conversation_id", "sender", "content", "external_message_id", "user_id", "kind"),
        *("delivery_state", "delivery_error"),
    ),
    (),
    ("created_at", "sent_at", "edited_at", "deleted_at", "delivery_at"),
    ("meta",),
)
MAX_HOURS = 878_400
STATES = "'cancelled', 'queued', 'sending', 'unknown', 'sent', 'failed', 'delivered', 'read'"
MESSAGE_CHECKS = (
    f"CONSTRAINT ck_message_delivery_state CHECK (delivery_state IN ({STATES}))",
    "CONSTRAINT ck_message_delivery_error_length CHECK (length(delivery_error) BETWEEN 0 AND 500)",
)
# Of rows that were logged when they were made: that the new columns were null from the beginning.
LOG = r"""
UPDATE change SET after = substr(after, 1, length(after) - 1) || '{columns}}}'
WHERE entity = '{entity}' AND op IN ('created', 'imported')
"""
NOW = {"sqlite": "strftime('%Y-%m-%d %H:%M:%f000', 'now')", "postgresql": "clock_timestamp()"}
# WhatsApp lets one answer for 24 hours, from the time of the message by its own clock.
REPLY_UNTIL = {
    "sqlite": "max(coalesce(reply_until, ''), strftime('%Y-%m-%d %H:%M:%f000',"
    " min(coalesce(NEW.sent_at, NEW.created_at), NEW.created_at), '+24 hours'))",
    "postgresql": "greatest(reply_until, least(NEW.sent_at, NEW.created_at) + interval '24 hours')",
}
# As in 0025, and until when one may answer.
MOVE = """
UPDATE conversation SET
    last_message_id = NEW.message_id,
    last_message_at = NEW.created_at,
    updated_at = NEW.created_at,
    version = version + 1,
    unread_count = CASE NEW.sender
        WHEN 'client' THEN unread_count + 1 WHEN 'user' THEN 0 ELSE unread_count END,
    read_up_to = CASE NEW.sender WHEN 'user' THEN NEW.message_id ELSE read_up_to END,
    waiting_since = CASE NEW.sender
        WHEN 'client' THEN coalesce(waiting_since, NEW.created_at) END,
    assigned_to = CASE WHEN NEW.user_id IS NULL OR EXISTS (
        SELECT 1 FROM app_user WHERE user_id = conversation.assigned_to AND app_user.active
    ) THEN assigned_to ELSE NEW.user_id END,
    turn = turn + CASE WHEN handled_by_bot AND NEW.sender = 'user' THEN 1 ELSE 0 END,
    handled_by_bot = handled_by_bot AND NEW.sender <> 'user',
    reply_until = CASE WHEN NEW.sender = 'client' AND EXISTS (
        SELECT 1 FROM channel WHERE channel.channel = conversation.channel AND type = 'whatsapp'
    ) THEN {reply_until} ELSE reply_until END
WHERE conversation_id = NEW.conversation_id
AND (last_message_id IS NULL OR last_message_id < NEW.message_id)
"""
# Whoever has sent the last message deletes the row, and holds its lock meanwhile: this one waits.
QUEUE = """
INSERT INTO outbox (conversation_id, channel_id, due_at)
SELECT NEW.conversation_id, channel_id, {now} FROM channel JOIN conversation USING (channel)
WHERE conversation_id = NEW.conversation_id
ON CONFLICT (conversation_id) DO UPDATE SET channel_id = excluded.channel_id
"""
# Who takes over answers: what the bot has said meanwhile is not sent. A bot that gives it away
# itself, which sets `handed_off_at`, has said so.
CANCEL = """
UPDATE outbox SET due_at = {now}, attempts = 0
WHERE conversation_id = NEW.conversation_id AND lease IS NULL;
UPDATE message SET delivery_state = 'cancelled', delivery_at = {now}, version = version + 1
WHERE conversation_id = NEW.conversation_id AND sender = 'bot' AND delivery_state = 'queued'
"""
TAKEN_OVER = (
    "OLD.handled_by_bot AND NOT NEW.handled_by_bot AND NEW.handed_off_at {same} OLD.handed_off_at"
)
# A channel that is deleted meanwhile queues nothing: the message is refused.
QUEUED = """
{queue};
IF NOT FOUND THEN RAISE EXCEPTION USING
    ERRCODE = 'foreign_key_violation', TABLE = 'outbox',
    CONSTRAINT = 'fk_outbox_channel_id', MESSAGE = 'the channel was deleted';
END IF
"""
# Conversations refer to a channel by its name, which need not have a row.
IN_USE = "SELECT 1 FROM conversation WHERE channel = OLD.channel"
REFUSE = {
    "sqlite": f"SELECT RAISE(ABORT, 'the channel has conversations') WHERE EXISTS ({IN_USE})",
    "postgresql": f"""
IF EXISTS ({IN_USE}) THEN RAISE EXCEPTION USING
    ERRCODE = 'foreign_key_violation', TABLE = 'conversation',
    MESSAGE = 'the channel has conversations';
END IF""",
}
ON_POSTGRESQL = """
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN {body}; RETURN NULL; END $$;
CREATE OR REPLACE TRIGGER {name} AFTER {event} ON {table}
FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()
"""
ON_SQLITE = "CREATE TRIGGER {name} AFTER {event} ON {table} WHEN {when} BEGIN {body}; END"


def upgrade() -> None:
    """Make the tables and columns, and let triggers keep them."""
    dialect = op.get_bind().dialect.name
    add_tables()
    add_columns()
    if dialect == "postgresql":
        for clause in MESSAGE_CHECKS:
            op.execute(f"ALTER TABLE message ADD {clause}")
    else:
        add_on_sqlite("message", MESSAGE_CHECKS)
        op.execute("DROP TRIGGER move_conversation")
    add_indexes()
    add_triggers(dialect)
    nulls = ',"delivery_state"\\:null,"delivery_error"\\:null,"delivery_at"\\:null'
    op.execute(LOG.format(entity="message", columns=nulls))
    op.execute(LOG.format(entity="conversation", columns=',"reply_until"\\:null'))
    for logged in (CONVERSATION, MESSAGE):  # on SQLite the newest trigger runs first
        watch(logged)


def add_tables() -> None:
    """Make the tables."""
    time, number = sa.DateTime(timezone=True), sa.Integer()
    op.create_table(
        "channel",
        sa.Column("channel_id", number, nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("settings", sa.String(4096), nullable=False),
        sa.Column("secrets", sa.String(4096), nullable=False),
        sa.Column("active", sa.Boolean(create_constraint=True, name="active"), nullable=False),
        sa.Column(
            "bot_first", sa.Boolean(create_constraint=True, name="bot_first"), nullable=False
        ),
        sa.Column("reopen_hours", number),
        sa.Column("created_at", time, nullable=False),
        sa.Column("version", number, server_default="1", nullable=False),
        sa.CheckConstraint(
            "length(channel) BETWEEN 1 AND 32", name=op.f("ck_channel_channel_length")
        ),
        sa.CheckConstraint(
            "type IN ('whatsapp', 'telegram', 'webhook', 'none')", name=op.f("ck_channel_type")
        ),
        sa.CheckConstraint(
            "length(settings) BETWEEN 1 AND 4096", name=op.f("ck_channel_settings_length")
        ),
        sa.CheckConstraint(
            "length(secrets) BETWEEN 1 AND 4096", name=op.f("ck_channel_secrets_length")
        ),
        sa.CheckConstraint(
            f"reopen_hours BETWEEN 0 AND {MAX_HOURS}", name=op.f("ck_channel_reopen_hours")
        ),
        sa.PrimaryKeyConstraint("channel_id", name=op.f("pk_channel")),
        sa.UniqueConstraint("channel", name=op.f("uq_channel_channel")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "outbox",
        sa.Column("conversation_id", number, nullable=False, autoincrement=False),
        sa.Column("channel_id", number, nullable=False),
        sa.Column("due_at", time, nullable=False),
        sa.Column("lease", sa.String(32)),
        sa.Column("attempts", number, server_default="0", nullable=False),
        sa.CheckConstraint("length(lease) BETWEEN 0 AND 32", name=op.f("ck_outbox_lease_length")),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.conversation_id"],
            name=op.f("fk_outbox_conversation_id"),
        ),
        sa.ForeignKeyConstraint(
            ["channel_id"], ["channel.channel_id"], name=op.f("fk_outbox_channel_id")
        ),
        sa.PrimaryKeyConstraint("conversation_id", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_channel_id_due_at", "outbox", ["channel_id", "due_at"])
    op.create_table(
        "unsupported_update",
        sa.Column("unsupported_update_id", number, nullable=False),
        sa.Column("channel_id", number, nullable=False),
        sa.Column("message_id", number),
        sa.Column("received_at", time, nullable=False),
        sa.Column("body", sa.String(65_536), nullable=False),
        sa.CheckConstraint(
            "length(body) BETWEEN 1 AND 65536", name=op.f("ck_unsupported_update_body_length")
        ),
        sa.ForeignKeyConstraint(
            ["channel_id"],
            ["channel.channel_id"],
            name=op.f("fk_unsupported_update_channel_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("unsupported_update_id", name=op.f("pk_unsupported_update")),
        sqlite_autoincrement=True,
    )
    for columns in (["channel_id", "unsupported_update_id"], ["message_id"], ["received_at"]):
        op.create_index(
            op.f(f"ix_unsupported_update_{'_'.join(columns)}"), "unsupported_update", columns
        )
    op.create_table(
        "worker",
        sa.Column("worker_id", sa.String(32), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", number, nullable=False),
        sa.Column("started_at", time, nullable=False),
        sa.Column("seen_at", time, nullable=False),
        sa.CheckConstraint(
            "length(worker_id) BETWEEN 1 AND 32", name=op.f("ck_worker_worker_id_length")
        ),
        sa.CheckConstraint("length(host) BETWEEN 1 AND 255", name=op.f("ck_worker_host_length")),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("pk_worker")),
    )


def add_columns() -> None:
    """Add the columns of messages and conversations."""
    op.add_column("message", sa.Column("delivery_state", sa.String(16)))
    op.add_column("message", sa.Column("delivery_at", sa.DateTime(timezone=True)))
    op.add_column("message", sa.Column("delivery_error", sa.String(500)))
    op.add_column("conversation", sa.Column("reply_until", sa.DateTime(timezone=True)))


def add_indexes() -> None:
    """Make the indexes of what is to be sent."""
    for name, condition, columns in (
        (
            "ix_message_outgoing",
            "delivery_state IN ('queued', 'sending')",
            ["conversation_id", "message_id"],
        ),
        ("ix_message_queued", "delivery_state = 'queued'", ["delivery_at"]),
    ):
        where = sa.text(condition)
        op.create_index(name, "message", columns, sqlite_where=where, postgresql_where=where)


def add_triggers(dialect: str) -> None:
    """Let messages move their conversations and queue themselves; let a take-over cancel some."""
    is_postgresql = dialect == "postgresql"
    trigger = ON_POSTGRESQL if is_postgresql else ON_SQLITE
    now, same = NOW[dialect], "IS NOT DISTINCT FROM" if is_postgresql else "IS"
    for name, event, table, when, body in (
        (
            *("move_conversation", "INSERT", "message", "NEW.kind <> 'note'"),
            MOVE.format(reply_until=REPLY_UNTIL[dialect]),
        ),
        (
            *("queue_message", "INSERT", "message", "NEW.delivery_state = 'queued'"),
            QUEUED.format(queue=QUEUE.format(now=now).strip())
            if is_postgresql
            else QUEUE.format(now=now),
        ),
        (
            *("taken_over", "UPDATE OF handled_by_bot", "conversation"),
            *(TAKEN_OVER.format(same=same), CANCEL.format(now=now)),
        ),
        ("channel_in_use", "DELETE", "channel", "true", REFUSE[dialect]),
    ):
        op.execute(trigger.format(name=name, event=event, table=table, when=when, body=body))
