"""What tickets are looked for by beside their tag: each tag has it, too, and an index for each."""

import sqlalchemy as sa
from alembic import op

revision = "0010_tagged"
down_revision = "0009_hits"

NAMES = ("client_id", "priority", "status", "assigned_to")
COLUMNS = ", ".join(NAMES)
COPY = (
    f"UPDATE ticket_tag SET ({COLUMNS}) = "  # noqa: S608 - our own names
    f"(SELECT {COLUMNS} FROM ticket WHERE ticket.ticket_id = ticket_tag.ticket_id)"
)
THIS = f"{COPY} WHERE ticket_id = NEW.ticket_id;"
FUNCTION = f"""
CREATE FUNCTION tagged_as_ticket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {THIS}
    RETURN NULL;
END $$
"""
EVENTS = {
    # On PostgreSQL triggers go by their names: `tag_ticket` has locked the ticket when this begins.
    "tagged_as_ticket_insert": ("INSERT ON ticket_tag", ""),
    "tagged_as_ticket_update": (f"UPDATE OF {COLUMNS} ON ticket", "WHEN (NEW.tags <> '[]')"),
}


def upgrade() -> None:
    """Copy it, and let triggers keep the copies."""
    for name in NAMES:
        kind = sa.Integer() if name.endswith(("_id", "_to")) else sa.Text()
        op.add_column("ticket_tag", sa.Column(name, kind, nullable=True))
    op.execute(COPY)
    for name in NAMES:
        op.create_index(
            op.f(f"ix_ticket_tag_tag_{name}_ticket_id"), "ticket_tag", ["tag", name, "ticket_id"]
        )
    postgresql = op.get_bind().dialect.name == "postgresql"
    if postgresql:
        op.execute(FUNCTION)
    then = "EXECUTE FUNCTION tagged_as_ticket()" if postgresql else f"BEGIN {THIS} END"
    for name, (event, when) in EVENTS.items():
        op.execute(f"CREATE TRIGGER {name} AFTER {event} FOR EACH ROW {when} {then}")
