"""How long events last at most, by which those that go on at some time are found.

And an index of tickets without a time at which they are due, for lists by that and another time.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024_long_events"
down_revision = "0023_client_words"

HOURS = (1, 24, 7 * 24, 31 * 24)
LONGEST = "8784"
LASTS = {
    "sqlite": "strftime('%s', end_time) - strftime('%s', start_time)",
    "postgresql": "extract(epoch FROM end_time - start_time)",
}


def upgrade() -> None:
    """Add the column, set it, and make the index."""
    name = op.get_bind().dialect.name
    column = sa.Column("longest_hours", sa.Integer(), server_default=LONGEST, nullable=False)
    op.add_column("calendar_event", column)
    if name == "postgresql":  # to look whether there is anything to log or to count would take long
        op.execute("ALTER TABLE calendar_event DISABLE TRIGGER USER")
    seconds: sa.ColumnElement[int] = sa.literal_column(LASTS[name], sa.Integer())
    hours = sa.case(*((seconds <= 3600 * h, h) for h in HOURS), else_=sa.literal_column(LONGEST))
    op.execute(
        sa.table("calendar_event", sa.column("longest_hours")).update().values(longest_hours=hours)
    )
    if name == "postgresql":
        op.execute("ALTER TABLE calendar_event ENABLE TRIGGER USER")
    columns = ["longest_hours", "start_time", "end_time"]
    op.create_index(op.f(f"ix_calendar_event_{'_'.join(columns)}"), "calendar_event", columns)
    op.create_index(
        "ix_ticket_not_due",
        "ticket",
        ["status", "updated_at", "ticket_id"],
        sqlite_where=sa.text("due_at IS NULL"),
        postgresql_where=sa.text("due_at IS NULL"),
    )
