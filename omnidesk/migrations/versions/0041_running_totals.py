"""How many messages the client of a conversation has written: in all, and up to some of them."""

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen.change_log_v5 import Logged, watch

revision = "0041_running_totals"
down_revision = "0040_tag_times"

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
COUNT = """
UPDATE conversation SET client_message_count = known.count FROM (
    SELECT conversation_id, count(*) AS count FROM message
    WHERE sender = 'client' GROUP BY conversation_id
) AS known WHERE known.conversation_id = conversation.conversation_id
"""
FILL = """
INSERT INTO running_total (conversation_id, message_id, client_message_count)
SELECT conversation_id, message_id, number FROM (
    SELECT conversation_id, message_id,
        row_number() OVER (PARTITION BY conversation_id ORDER BY message_id) AS number
    FROM message WHERE sender = 'client' AND conversation_id IN (
        SELECT conversation_id FROM conversation WHERE client_message_count >= 128
    )
) AS numbered WHERE number % 128 = 0
"""
REPLY_UNTIL = {
    "sqlite": "max(coalesce(reply_until, ''), strftime('%Y-%m-%d %H:%M:%f000',"
    " min(coalesce(NEW.sent_at, NEW.created_at), NEW.created_at), '+24 hours'))",
    "postgresql": "greatest(reply_until, least(NEW.sent_at, NEW.created_at) + interval '24 hours')",
}
# As in 0032, and the count.
MOVE = """
UPDATE conversation SET
    last_message_id = NEW.message_id,
    last_message_at = NEW.created_at,
    updated_at = NEW.created_at,
    version = version + 1,
    client_message_count = client_message_count + CASE NEW.sender WHEN 'client' THEN 1 ELSE 0 END,
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
# An import adds many messages at once: then the count passes a multiple of 128.
PASSES = "NEW.client_message_count / 128 > OLD.client_message_count / 128"
ADD = """
INSERT INTO running_total (conversation_id, message_id, client_message_count)
VALUES (NEW.conversation_id, NEW.last_message_id, NEW.client_message_count)
"""
ON_POSTGRESQL = """
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN {body}; RETURN NULL; END $$;
CREATE OR REPLACE TRIGGER {name} AFTER {event} ON {table}
FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()
"""
ON_SQLITE = "CREATE TRIGGER {name} AFTER {event} ON {table} WHEN {when} BEGIN {body}; END"


def upgrade() -> None:
    """Make the column and the table, fill them, and let triggers keep them."""
    dialect = op.get_bind().dialect.name
    add_table()
    fill(quietly=dialect == "postgresql")
    add_triggers(dialect)


def add_table() -> None:
    """Make the column and the table."""
    number = sa.Integer()
    column = sa.Column("client_message_count", number, server_default="0", nullable=False)
    op.add_column("conversation", column)
    keys = ("conversation_id", "message_id")
    op.create_table(
        "running_total",
        *(sa.Column(name, number, nullable=False, autoincrement=False) for name in keys),
        sa.Column("client_message_count", number, nullable=False),
        *(
            sa.ForeignKeyConstraint(
                [name],
                [f"{name.removesuffix('_id')}.{name}"],
                name=op.f(f"fk_running_total_{name}"),
            )
            for name in keys
        ),
        sa.PrimaryKeyConstraint(*keys, name=op.f("pk_running_total")),
    )


def fill(*, quietly: bool) -> None:
    """Count the messages that there are; quietly, since there is nothing to log."""
    if quietly:
        op.execute("ALTER TABLE conversation DISABLE TRIGGER USER")
    op.execute(COUNT)
    if quietly:
        op.execute("ALTER TABLE conversation ENABLE TRIGGER USER")
    op.execute(FILL)


def add_triggers(dialect: str) -> None:
    """Let messages be counted, and every 128th be noted."""
    if dialect == "sqlite":
        op.execute("DROP TRIGGER move_conversation")
    trigger = ON_POSTGRESQL if dialect == "postgresql" else ON_SQLITE
    for name, event, table, when, body in (
        (
            *("move_conversation", "INSERT", "message", "NEW.kind <> 'note'"),
            MOVE.format(reply_until=REPLY_UNTIL[dialect]),
        ),
        (
            *("add_running_total", "UPDATE OF client_message_count", "conversation"),
            *(PASSES, ADD),
        ),
    ):
        op.execute(trigger.format(name=name, event=event, table=table, when=when, body=body))
    if dialect == "sqlite":  # where the newest trigger runs first
        watch(MESSAGE)
