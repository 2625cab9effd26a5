"""Indexes of a client's and a user's tickets by a time also have what else these are found by."""

from alembic import op

revision = "0039_compared_priorities"
down_revision = "0038_senders"

INDEXES = {
    ("client_id",): ("priority", "status"),
    ("assigned_to", "status"): ("priority",),
}


def upgrade() -> None:
    """Make the new indexes, and drop those that they replace."""
    for names, others in INDEXES.items():
        for time in ("updated_at", "due_at"):
            columns = [*names, time, "ticket_id"]
            old = f"ix_ticket_{'_'.join(columns)}"
            op.create_index(f"{old}_{'_'.join(others)}", "ticket", [*columns, *others])
            op.drop_index(op.f(old), "ticket")
