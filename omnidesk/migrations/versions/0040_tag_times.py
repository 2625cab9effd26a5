"""Tags have the times by which tickets are sorted: an index has the tickets of a tag in order."""

import sqlalchemy as sa
from alembic import op

revision = "0040_tag_times"
down_revision = "0039_compared_priorities"

UNSET = "1970-01-01 00:00:00.000000"
COLUMNS = "client_id, priority, status, assigned_to, updated_at, due_at"
COPY = f"""
UPDATE ticket_tag SET ({COLUMNS}) = (
    SELECT {COLUMNS} FROM ticket WHERE ticket.ticket_id = ticket_tag.ticket_id
)
"""  # noqa: S608 - our own names
THIS = f"{COPY} WHERE ticket_id = NEW.ticket_id;"
FUNCTION = f"""
CREATE OR REPLACE FUNCTION tagged_as_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {THIS}
    RETURN NULL;
END $$
"""
TRIGGERS = {
    "tagged_as_ticket_insert": ("INSERT ON ticket_tag", "NEW.client_id IS NULL", "ticket_tag"),
    "tagged_as_ticket_update": (f"UPDATE OF {COLUMNS} ON ticket", "NEW.tags <> '[]'", "ticket"),
}


def upgrade() -> None:
    """Add the columns, set them, make the indexes, and let the triggers copy them."""
    time = sa.DateTime(timezone=True)
    column = sa.Column("updated_at", time, server_default=UNSET, nullable=False)
    op.add_column("ticket_tag", column)
    op.add_column("ticket_tag", sa.Column("due_at", time, nullable=True))
    op.execute(COPY)
    for name in ("updated_at", "due_at"):
        columns = ["tag", name, "ticket_id", "priority", "status"]
        op.create_index(f"ix_ticket_tag_{'_'.join(columns)}", "ticket_tag", columns)
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:
        op.execute(FUNCTION)
    for name, (event, when, table) in TRIGGERS.items():
        then = "EXECUTE FUNCTION tagged_as_ticket()" if postgresql else f"BEGIN {THIS} END"
        op.execute(f"DROP TRIGGER {name} ON {table}" if postgresql else f"DROP TRIGGER {name}")
        op.execute(f"CREATE TRIGGER {name} AFTER {event} FOR EACH ROW WHEN ({when}) {then}")
