"""Who answers a conversation, since when its client waits, what is unread; who wrote a message."""

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen import change_log_v2, change_log_v3, counters_v4
from omnidesk.migrations.frozen.change_log_v1 import Logged, time_on_postgresql, time_on_sqlite
from omnidesk.migrations.frozen.constraints_v1 import add_on_sqlite
from omnidesk.migrations.frozen.counters_v4 import Count

revision = "0025_inbox"
down_revision = "0024_long_events"

KINDS = (
    "text",
    "image",
    "audio",
    "video",
    "file",
    "location",
    "contact",
    "sticker",
    "reaction",
    "unsupported",
    "note",
)
CONVERSATION = Logged(
    "conversation",
    "conversation",
    "conversation_id",
    (
        *("client_id", "channel", "external_chat_id", "assigned_to"),
        *("read_up_to", "unread_count", "turn", "handoff_reason"),
    ),
    ("active", "handled_by_bot"),
    ("created_at", "updated_at", "last_message_at", "waiting_since", "handed_off_at"),
)
MESSAGE = Logged(
    "message",
    "message",
    "message_id",
    ("conversation_id", "sender", "content", "external_message_id", "user_id", "kind"),
    (),
    ("created_at", "sent_at", "edited_at", "deleted_at"),
    ("meta",),
)
# What a conversation's checks are, by their names.
CONVERSATION_CHECKS = {
    "handoff_reason_length": "length(handoff_reason) BETWEEN 0 AND 255",
    "unread_count": "unread_count >= 0",
}
MESSAGE_CHECKS = {
    "meta_length": "length(meta) BETWEEN 0 AND 4096",
    "kind": f"kind IN ({', '.join(map(repr, KINDS))})",
    "content_given": "kind NOT IN ('text', 'note') OR content <> '' OR deleted_at IS NOT NULL",
    "by_staff": "sender = 'user' OR user_id IS NULL",
    "note_by_client": "kind <> 'note' OR sender <> 'client'",
}
CONTENT = "length(content) BETWEEN {} AND 65536"
INDEXES = (
    ("assigned_to", "active", "updated_at"),
    ("active", "waiting_since"),
    ("assigned_to", "active", "waiting_since"),
)
ASKED = {"unread": "unread_count > 0", "waiting": "waiting_since IS NOT NULL"}

# Who wrote as a user, from the change log.
AUTHORS = """
UPDATE message SET user_id = (
    SELECT actor FROM change WHERE entity = 'message' AND entity_id = message_id AND op = 'created'
    ORDER BY seq LIMIT 1
) WHERE sender = 'user'
"""
SUMS = """
UPDATE conversation SET last_message_id = known.last_id, read_up_to = (
    SELECT max(message_id) FROM message
    WHERE message.conversation_id = conversation.conversation_id
    AND (known.unread_id IS NULL OR message_id < known.unread_id)
), unread_count = (
    SELECT count(*) FROM message
    WHERE message.conversation_id = conversation.conversation_id
    AND sender = 'client' AND message_id >= known.unread_id
), waiting_since = (
    SELECT created_at FROM message
    WHERE message.conversation_id = conversation.conversation_id
    AND sender = 'client' AND message_id > known.answered_id
    ORDER BY message_id LIMIT 1
) FROM (
    SELECT conversation_id, max(message_id) AS last_id,
        min(CASE WHEN sender = 'client' AND read_at IS NULL THEN message_id END) AS unread_id,
        max(CASE WHEN sender <> 'client' THEN message_id ELSE 0 END) AS answered_id
    FROM message GROUP BY conversation_id
) AS known WHERE known.conversation_id = conversation.conversation_id
"""
DAY = {
    "sqlite": "substr({row}.due_at, 1, 10)",
    "postgresql": "to_char({row}.due_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
}
# The new columns of rows that were logged when they were made: as if they had been so from then on.
LOG = """
UPDATE change SET after = substr(after, 1, length(after) - 1) || ',' || (
    SELECT substr({row}, 2) FROM {table} WHERE {table}_id = entity_id
)
WHERE entity = '{table}' AND op = 'created'
AND EXISTS (SELECT 1 FROM {table} WHERE {table}_id = entity_id)
"""
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
    handled_by_bot = handled_by_bot AND NEW.sender <> 'user'
WHERE conversation_id = NEW.conversation_id
AND (last_message_id IS NULL OR last_message_id < NEW.message_id)
"""
ON_POSTGRESQL = """
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NULL; END $$;
CREATE TRIGGER {name} AFTER {event} ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()
"""
ON_SQLITE = "CREATE TRIGGER {name} AFTER {event} ON {table} WHEN {when} BEGIN {body}; END"


def upgrade() -> None:
    """Make the columns, fill them, and let triggers keep them."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    drop_triggers(postgresql=postgresql)
    add_columns()
    op.execute(AUTHORS)
    op.execute(SUMS)
    op.drop_index("ix_message_unread", "message")
    op.drop_column("message", "read_at")
    if postgresql:
        constrain_on_postgresql()
    else:
        constrain_on_sqlite()
    add_indexes()
    log(postgresql=postgresql)
    watch(ON_POSTGRESQL if postgresql else ON_SQLITE)
    count(DAY["postgresql" if postgresql else "sqlite"])


def drop_triggers(*, postgresql: bool) -> None:
    """Drop what logs and counts the rows of both tables, which is made anew in the end."""
    for table in ("conversation", "message"):
        for name in (f"change_{table}", f"count_{table}"):
            for event in ("insert", "update", "delete"):
                where = f" ON {table}" if postgresql else ""
                op.execute(f"DROP TRIGGER IF EXISTS {name}_{event}{where}")
    if postgresql:
        op.execute("DROP FUNCTION count_message(), count_message_insert()")
        op.execute("ALTER TABLE conversation DISABLE TRIGGER USER")
        op.execute("ALTER TABLE message DISABLE TRIGGER USER")


def add_columns() -> None:
    """Add the columns to both tables."""
    time, number = sa.DateTime(timezone=True), sa.Integer()
    for column in (
        sa.Column("last_message_id", number),
        sa.Column("assigned_to", number),
        sa.Column("read_up_to", number),
        sa.Column("unread_count", number, server_default="0", nullable=False),
        sa.Column("waiting_since", time),
        sa.Column("turn", number, server_default="0", nullable=False),
        sa.Column("handed_off_at", time),
        sa.Column("handoff_reason", sa.String(255)),
    ):
        op.add_column("conversation", column)
    for column in (
        sa.Column("user_id", number),
        sa.Column("kind", sa.String(16), server_default="text", nullable=False),
        sa.Column("meta", sa.String(4096)),
        sa.Column("sent_at", time),
        sa.Column("edited_at", time),
        sa.Column("deleted_at", time),
        sa.Column("version", number, server_default="1", nullable=False),
    ):
        op.add_column("message", column)


def constrain_on_postgresql() -> None:
    """Add the constraints, and allow an empty text."""
    for table, checks in (("conversation", CONVERSATION_CHECKS), ("message", MESSAGE_CHECKS)):
        for name, condition in checks.items():
            op.create_check_constraint(op.f(f"ck_{table}_{name}"), table, sa.text(condition))
    content = op.f("ck_message_content_length")
    op.drop_constraint(content, "message", type_="check")
    op.create_check_constraint(content, "message", sa.text(CONTENT.format(0)))
    for table, column in (("conversation", "assigned_to"), ("message", "user_id")):
        name = op.f(f"fk_{table}_{column}")
        op.create_foreign_key(name, table, "app_user", [column], ["user_id"])
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def constrain_on_sqlite() -> None:
    """Add the constraints, and allow an empty text."""
    conversation = constraints("conversation", CONVERSATION_CHECKS, "assigned_to")
    message = constraints("message", MESSAGE_CHECKS, "user_id")
    add_on_sqlite("conversation", conversation)
    add_on_sqlite("message", message, before=CONTENT.format(1), now=CONTENT.format(0))


def constraints(table: str, checks: dict[str, str], column: str) -> Iterable[str]:
    """Yield the constraints of a table as SQLite stores them."""
    for name, condition in checks.items():
        yield f"CONSTRAINT ck_{table}_{name} CHECK ({condition})"
    yield (f"CONSTRAINT fk_{table}_{column} FOREIGN KEY({column}) REFERENCES app_user (user_id)")


def add_indexes() -> None:
    """Make the indexes of the new filters and orders."""
    for names in INDEXES:
        columns = [*names, "conversation_id"]
        op.create_index(op.f(f"ix_conversation_{'_'.join(columns)}"), "conversation", columns)
    for name, condition in ASKED.items():
        for first in (["active"], ["assigned_to", "active"]):
            op.create_index(
                f"ix_conversation_{name}_{'_'.join(first)}",
                "conversation",
                [*first, "updated_at", "conversation_id"],
                sqlite_where=sa.text(condition),
                postgresql_where=sa.text(condition),
            )
    by_client = sa.text("sender = 'client'")
    op.create_index(
        "ix_message_by_client",
        "message",
        ["conversation_id", "message_id"],
        sqlite_where=by_client,
        postgresql_where=by_client,
    )


def log(*, postgresql: bool) -> None:
    """Add the new columns to what the change log says of rows when they were made."""
    time = time_on_postgresql if postgresql else time_on_sqlite
    new = {
        "conversation": Logged(
            *("conversation", "", "assigned_to"),
            ("read_up_to", "unread_count", "turn", "handoff_reason"),
            (),
            ("waiting_since", "handed_off_at"),
        ),
        "message": Logged(
            *("message", "", "user_id"),
            ("kind",),
            (),
            ("sent_at", "edited_at", "deleted_at"),
            ("meta",),
        ),
    }
    for table, logged in new.items():
        columns = logged.columns(table, time, str, str)
        if postgresql:
            shown = ", ".join(f"{value} AS {name}" for name, value in columns.items())
            row = f"(SELECT row_to_json(shown)::text FROM (SELECT {shown}) AS shown)"  # noqa: S608
        else:
            pairs = ", ".join(f"'{name}', {value}" for name, value in columns.items())
            row = f"json_object({pairs})"
        op.execute(LOG.format(table=table, row=row))


def watch(trigger: str) -> None:
    """Log both tables, and let messages move their conversations."""
    for logged in (CONVERSATION, MESSAGE):
        change_log_v2.watch(logged)
        change_log_v3.watch_inserts(logged)
    op.execute(
        trigger.format(
            name="move_conversation",
            event="INSERT",
            table="message",
            when="NEW.kind <> 'note'",
            body=MOVE,
        )
    )


def count(day: str) -> None:
    """Count what waits for somebody: the summary shows how much it is."""
    op.execute("DELETE FROM counter WHERE name = 'unread'")
    counters_v4.keep(
        "conversation",
        (
            Count("unread", "'unread'", ("unread_count",), "{row}.unread_count"),
            Count(
                "waiting",
                "CASE WHEN {row}.active AND {row}.waiting_since IS NOT NULL THEN 'waiting' END",
                ("active", "waiting_since"),
            ),
            Count(
                "nobody",
                "CASE WHEN {row}.active AND {row}.assigned_to IS NULL THEN 'nobody' END",
                ("active", "assigned_to"),
            ),
        ),
    )
    is_open = "{row}.status <> 'cerrado'"
    counters_v4.keep_also(
        "ticket",
        (
            Count(
                "unassigned",
                f"CASE WHEN {is_open} AND {{row}}.assigned_to IS NULL THEN 'unassigned' END",
                ("status", "assigned_to"),
            ),
            Count(
                "due",
                f"CASE WHEN {is_open} AND {{row}}.due_at IS NOT NULL THEN 'due ' || {day} END",
                ("status", "due_at"),
            ),
        ),
        "{row}.status",
    )
