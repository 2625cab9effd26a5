"""Tags of tickets: what each ticket has, and how many tickets have each."""

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen.change_log_v1 import Logged, watch

revision = "0007_tags"
down_revision = "0006_comments"

FUNCTION = """
CREATE FUNCTION tag_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    number integer;
BEGIN
    IF TG_OP = 'INSERT' THEN
        number := NEW.ticket_id;
        INSERT INTO tag (tag, tickets) VALUES (NEW.tag, 1)
        ON CONFLICT (tag) DO UPDATE SET tickets = tag.tickets + 1;
    ELSE
        number := OLD.ticket_id;
        UPDATE tag SET tickets = tickets - 1 WHERE tag = OLD.tag;
        DELETE FROM tag WHERE tag = OLD.tag AND tickets = 0;
    END IF;
    -- Locked first, or the list would lack what others are committing just now.
    PERFORM FROM ticket WHERE ticket_id = number FOR NO KEY UPDATE;
    UPDATE ticket SET version = version + 1, tags = (
        SELECT '[' || coalesce(string_agg(to_json(tag)::text, ',' ORDER BY tag), '') || ']'
        FROM ticket_tag WHERE ticket_id = number
    ) WHERE ticket_id = number;
    RETURN NULL;
END $$
"""
LIST = """
    UPDATE ticket SET version = version + 1, tags = (
        SELECT json_group_array(tag)
        FROM (SELECT tag FROM ticket_tag WHERE ticket_id = {row}.ticket_id ORDER BY tag)
    ) WHERE ticket_id = {row}.ticket_id;
"""
MORE = """
    INSERT INTO tag (tag, tickets) VALUES (NEW.tag, 1)
    ON CONFLICT (tag) DO UPDATE SET tickets = tickets + 1;
"""
LESS = """
    UPDATE tag SET tickets = tickets - 1 WHERE tag = OLD.tag;
    DELETE FROM tag WHERE tag = OLD.tag AND tickets = 0;
"""


def word() -> sa.Column[str]:
    """Return a column of tags, which sort by their bytes on either database."""
    text = sa.String(length=50)
    return sa.Column(
        "tag", text.with_variant(sa.String(50, collation="C"), "postgresql"), nullable=False
    )


def length(table: str) -> sa.CheckConstraint:
    """Hold a tag to its length."""
    return sa.CheckConstraint("length(tag) BETWEEN 1 AND 50", name=op.f(f"ck_{table}_tag_length"))


def upgrade() -> None:
    """Make the tables, and keep what follows from them; the log says it as if it had always."""
    op.add_column("ticket", sa.Column("tags", sa.Text(), server_default="[]", nullable=False))
    op.create_table(
        "tag",
        word(),
        sa.Column("tickets", sa.Integer(), nullable=False),
        length("tag"),
        sa.PrimaryKeyConstraint("tag", name=op.f("pk_tag")),
    )
    op.create_table(
        "ticket_tag",
        sa.Column("ticket_id", sa.Integer(), nullable=False),
        word(),
        length("ticket_tag"),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["ticket.ticket_id"], name=op.f("fk_ticket_tag_ticket_id")
        ),
        sa.PrimaryKeyConstraint("ticket_id", "tag", name=op.f("pk_ticket_tag")),
    )
    op.create_index(op.f("ix_ticket_tag_tag_ticket_id"), "ticket_tag", ["tag", "ticket_id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(FUNCTION)
        op.execute(
            "CREATE TRIGGER tag_ticket AFTER INSERT OR DELETE ON ticket_tag "
            "FOR EACH ROW EXECUTE FUNCTION tag_ticket()"
        )
    else:
        for event, row, count in (("INSERT", "NEW", MORE), ("DELETE", "OLD", LESS)):
            op.execute(
                f"CREATE TRIGGER tag_ticket_{event.lower()} AFTER {event} ON ticket_tag "
                f"BEGIN {count} {LIST.format(row=row)} END"
            )
    watch(
        Logged(
            "ticket",
            "ticket",
            "ticket_id",
            ("client_id", "subject", "description", "priority", "status", "assigned_to"),
            (),
            ("created_at", "due_at", "resolved_at"),
            ("tags",),
        )
    )
    op.execute(
        "UPDATE change SET after = substr(after, 1, length(after) - 1) || ',\"tags\":[]}' "
        "WHERE entity = 'ticket' AND op = 'created'"
    )
