"""When each ticket was last changed, with its tags and comments; indexes to sort tickets by."""

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen import change_log_v2, change_log_v3
from omnidesk.migrations.frozen.change_log_v1 import Logged, time_on_postgresql, time_on_sqlite

revision = "0020_updated_at"
down_revision = "0019_found"

LOGGED = Logged(
    "ticket",
    "ticket",
    "ticket_id",
    ("client_id", "subject", "description", "priority", "status", "assigned_to"),
    (),
    ("created_at", "due_at", "resolved_at", "updated_at"),
    ("tags",),
)
# What tickets are found by and then ordered by a time.
SORTED_WITHIN = (
    *((), ("status",), ("client_id",)),
    *(("status", "priority"), ("assigned_to", "status")),
)
# The last that the change log and the comments tell of a ticket. That a row was logged as
# `created` may be the time of an upgrade.
FILL = """
UPDATE ticket SET updated_at = {greatest}(
    created_at,
    coalesce((
        SELECT at FROM change WHERE entity = 'ticket' AND entity_id = ticket_id AND op = 'updated'
        ORDER BY seq DESC LIMIT 1
    ), created_at),
    coalesce((
        SELECT max(coalesce(edited_at, comment.created_at)) FROM comment
        WHERE comment.ticket_id = ticket.ticket_id
    ), ticket.created_at)
)
"""
LOG = """
UPDATE change SET after = substr(after, 1, length(after) - 1) || ',"updated_at":"' || (
    SELECT {time} FROM ticket WHERE ticket_id = entity_id
) || '"}}'
WHERE entity = 'ticket' AND op = 'created'
"""
NOW_ON_SQLITE = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
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
    UPDATE ticket SET version = version + 1, updated_at = clock_timestamp(), tags = (
        SELECT '[' || coalesce(string_agg(to_json(tag)::text, ',' ORDER BY tag), '') || ']'
        FROM ticket_tag WHERE ticket_id = number
    ) WHERE ticket_id = number;
    RETURN NULL;
END $$
"""
TAG_TRIGGER = """
CREATE TRIGGER tag_ticket_{event} AFTER {event} ON ticket_tag
BEGIN
    {count}
    UPDATE ticket SET version = version + 1, updated_at = {now}, tags = (
        SELECT json_group_array(tag)
        FROM (SELECT tag FROM ticket_tag WHERE ticket_id = {row}.ticket_id ORDER BY tag)
    ) WHERE ticket_id = {row}.ticket_id;
END
"""
MORE = """
    INSERT INTO tag (tag, tickets) VALUES (NEW.tag, 1)
    ON CONFLICT (tag) DO UPDATE SET tickets = tickets + 1;
"""
LESS = """
    UPDATE tag SET tickets = tickets - 1 WHERE tag = OLD.tag;
    DELETE FROM tag WHERE tag = OLD.tag AND tickets = 0;
"""
COMMENT_FUNCTION = """
CREATE FUNCTION comment_on_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE ticket SET version = version + 1, updated_at = clock_timestamp()
    WHERE ticket_id = coalesce(NEW.ticket_id, OLD.ticket_id);
    RETURN NULL;
END $$
"""
COMMENT_TRIGGER = """
CREATE TRIGGER comment_on_ticket_{name} AFTER {event} ON comment
BEGIN
    UPDATE ticket SET version = version + 1, updated_at = {now} WHERE ticket_id = {row}.ticket_id;
END
"""


def upgrade() -> None:
    """Make the column, what keeps it, and the indexes."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:
        add_on_postgresql()
        watch_on_postgresql()
    else:
        add_on_sqlite()
        watch_on_sqlite()
    time = time_on_postgresql if postgresql else time_on_sqlite
    op.execute(LOG.format(time=time("updated_at")))
    for names in SORTED_WITHIN:
        for name in ("updated_at", "due_at"):
            columns = [*names, name, "ticket_id"]
            op.create_index(op.f(f"ix_ticket_{'_'.join(columns)}"), "ticket", columns)


def add_on_postgresql() -> None:
    """Add the column and fill it, without a log of it."""
    op.add_column("ticket", sa.Column("updated_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("ALTER TABLE ticket DISABLE TRIGGER USER")
    op.execute(FILL.format(greatest="greatest"))
    op.execute("ALTER TABLE ticket ENABLE TRIGGER USER")
    op.alter_column("ticket", "updated_at", nullable=False)


def add_on_sqlite() -> None:
    """Add the column and fill it.

    SQLite adds a column that is never null with a default only. Then the default is taken away,
    as its manual describes ("Making Other Kinds Of Table Schema Changes").
    """
    default = "DEFAULT '1970-01-01 00:00:00.000000' "
    op.execute(f"ALTER TABLE ticket ADD COLUMN updated_at DATETIME {default}NOT NULL")
    op.execute(FILL.format(greatest="max"))
    connection = op.get_bind()
    number = connection.scalar(sa.text("PRAGMA schema_version"))
    op.execute("PRAGMA writable_schema=ON")
    connection.execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :default, '')"
            " WHERE type = 'table' AND name = 'ticket'"
        ),
        {"default": default},
    )
    op.execute(f"PRAGMA schema_version={number + 1}")  # other connections read the table again
    op.execute("PRAGMA writable_schema=RESET")  # and so does this one


def watch_on_postgresql() -> None:
    """Log the column, and let tags and comments change it."""
    op.execute("DROP TRIGGER change_ticket_insert ON ticket")
    change_log_v2.watch(LOGGED)
    change_log_v3.watch_inserts(LOGGED)
    op.execute(TAG_FUNCTION)
    op.execute(COMMENT_FUNCTION)
    op.execute(
        "CREATE TRIGGER comment_on_ticket AFTER INSERT OR UPDATE OF body OR DELETE ON comment "
        "FOR EACH ROW EXECUTE FUNCTION comment_on_ticket()"
    )


def watch_on_sqlite() -> None:
    """Log the column, and let tags and comments change it."""
    change_log_v2.watch(LOGGED)
    for event, row, count in (("insert", "NEW", MORE), ("delete", "OLD", LESS)):
        op.execute(f"DROP TRIGGER tag_ticket_{event}")
        op.execute(TAG_TRIGGER.format(event=event, row=row, count=count, now=NOW_ON_SQLITE))
    for event, row in (("insert", "NEW"), ("update OF body", "NEW"), ("delete", "OLD")):
        name = event.partition(" ")[0]
        op.execute(COMMENT_TRIGGER.format(name=name, event=event, row=row, now=NOW_ON_SQLITE))
