"""Which row of the desk stands for which row of another system; what imported rows change."""

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen.change_log_v4 import Logged, watch

revision = "0031_sources"
down_revision = "0030_erased"

LOGGED = Logged(
    *("comment", "comment", "comment_id"),
    ("ticket_id", "user_id", "body"),
    (),
    ("created_at", "edited_at"),
)
NOW_ON_SQLITE = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
IMPORTS = "logged_operation() IS 'imported'"
# An imported tag is counted. Its ticket, which is imported with it, has it already.
TAG = """
CREATE TRIGGER tag_ticket_insert AFTER INSERT ON ticket_tag
BEGIN
    INSERT INTO tag (tag, tickets) VALUES (NEW.tag, 1)
    ON CONFLICT (tag) DO UPDATE SET tickets = tickets + 1;
    UPDATE ticket SET
        version = version + 1,
        updated_at = CASE WHEN {imports} THEN updated_at ELSE {now} END,
        tags = (
            SELECT json_group_array(tag)
            FROM (SELECT tag FROM ticket_tag WHERE ticket_id = NEW.ticket_id ORDER BY tag)
        )
    WHERE ticket_id = NEW.ticket_id AND NOT (
        {imports} AND EXISTS (SELECT 1 FROM json_each(tags) WHERE value = NEW.tag)
    );
END
"""
# A ticket's change is logged if one of its columns changes: two changes in the same millisecond get
# two times.
LATER = f"max({NOW_ON_SQLITE}, strftime('%Y-%m-%d %H:%M:%f000', updated_at, '+0.001 seconds'))"
# An imported comment is no change of its ticket now: it was one when it was written.
COMMENT = """
CREATE TRIGGER comment_on_ticket_insert AFTER INSERT ON comment
BEGIN
    UPDATE ticket SET
        version = version + 1,
        updated_at = CASE WHEN {imports} THEN NEW.created_at ELSE {later} END
    WHERE ticket_id = NEW.ticket_id AND NOT ({imports} AND updated_at >= NEW.created_at);
END
"""
DELETED = """
CREATE TRIGGER comment_on_ticket_delete AFTER DELETE ON comment
BEGIN
    UPDATE ticket SET version = version + 1, updated_at = {later} WHERE ticket_id = OLD.ticket_id;
END
"""
TAGGED = """
CREATE TRIGGER tagged_as_ticket_insert AFTER INSERT ON ticket_tag WHEN NEW.client_id IS NULL
BEGIN
    UPDATE ticket_tag SET (client_id, priority, status, assigned_to) = (
        SELECT client_id, priority, status, assigned_to FROM ticket
        WHERE ticket.ticket_id = ticket_tag.ticket_id
    ) WHERE ticket_id = NEW.ticket_id;
END
"""
TAG_FUNCTION = """
CREATE OR REPLACE FUNCTION tag_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    number integer;
    imports boolean := coalesce(current_setting('omnidesk.operation', true) = 'imported', false);
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
        imports := false;
        UPDATE tag SET tickets = tickets - 1 WHERE tag = OLD.tag;
        DELETE FROM tag WHERE tag = OLD.tag AND tickets = 0;
    END IF;
    UPDATE ticket SET
        version = version + 1,
        updated_at = CASE WHEN imports THEN updated_at ELSE clock_timestamp() END,
        tags = (
            SELECT '[' || coalesce(string_agg(to_json(tag)::text, ',' ORDER BY tag), '') || ']'
            FROM ticket_tag WHERE ticket_id = number
        )
    WHERE ticket_id = number AND NOT (imports AND jsonb_exists(tags::jsonb, NEW.tag));
    RETURN NULL;
END $$
"""
COMMENT_FUNCTION = """
CREATE OR REPLACE FUNCTION comment_on_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' AND current_setting('omnidesk.operation', true) = 'imported' THEN
        UPDATE ticket SET version = version + 1, updated_at = NEW.created_at
        WHERE ticket_id = NEW.ticket_id AND updated_at < NEW.created_at;
    ELSE
        UPDATE ticket SET version = version + 1, updated_at = clock_timestamp()
        WHERE ticket_id = coalesce(NEW.ticket_id, OLD.ticket_id);
    END IF;
    RETURN NULL;
END $$
"""
TAGGED_ON_POSTGRESQL = """
CREATE OR REPLACE TRIGGER tagged_as_ticket_insert AFTER INSERT ON ticket_tag
FOR EACH ROW WHEN (NEW.client_id IS NULL) EXECUTE FUNCTION tagged_as_ticket()
"""


def upgrade() -> None:
    """Make the table, and let imported tags and comments leave their tickets as they were."""
    add_table()
    if op.get_bind().dialect.name == "postgresql":
        for statement in (TAG_FUNCTION, COMMENT_FUNCTION, TAGGED_ON_POSTGRESQL):
            op.execute(statement)
        return
    for name, statement in (
        ("tagged_as_ticket_insert", TAGGED),
        ("tag_ticket_insert", TAG),
        ("comment_on_ticket_insert", COMMENT),
        ("comment_on_ticket_delete", DELETED),
    ):
        op.execute(f"DROP TRIGGER {name}")
        op.execute(statement.format(imports=IMPORTS, now=NOW_ON_SQLITE, later=LATER))
    # SQLite runs the newest trigger first, and a comment is logged before what it changes.
    watch(LOGGED)


def add_table() -> None:
    """Make the table of imported rows."""
    op.create_table(
        "source_row",
        sa.Column("external_id", sa.String(length=255), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("entity", sa.String(length=16), nullable=False),
        sa.Column("row_id", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "length(source) BETWEEN 1 AND 32", name=op.f("ck_source_row_source_length")
        ),
        sa.CheckConstraint(
            "entity IN ('client', 'ticket', 'comment', 'conversation', 'message')",
            name=op.f("ck_source_row_entity"),
        ),
        sa.CheckConstraint(
            "length(external_id) BETWEEN 1 AND 255",
            name=op.f("ck_source_row_external_id_length"),
        ),
        sa.PrimaryKeyConstraint("external_id", "source", "entity", name=op.f("pk_source_row")),
    )
    op.create_index(op.f("ix_source_row_row_id_entity"), "source_row", ["row_id", "entity"])
