"""Counts of users, and of events by the day they start: the summary counts no table."""

from alembic import op

from omnidesk.migrations.frozen import counters_v1

revision = "0003_flat_summary"
down_revision = "0002_flat_reads"


def upgrade() -> None:
    """Keep the counts."""
    counters_v1.keep("app_user", "'users'")
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    day = (
        "to_char({row}.start_time AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
        if on_postgresql
        else "substr({row}.start_time, 1, 10)"
    )
    # A day is one row to read: few write to the same day at the same time.
    counters_v1.keep("calendar_event", day, slots=1)
