"""Counts that triggers keep, and an index for each pair of filters: flat reads at any size."""

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen import counters_v1

revision = "0002_flat_reads"
down_revision = "0001_contract"

# What a row of each table is counted under; NULL where it is not counted.
COUNTED = {
    "ticket": "{row}.status",
    "message": "CASE WHEN {row}.sender = 'client' AND {row}.read_at IS NULL THEN 'unread' END",
}
NAMES = ("abierto", "en_progreso", "cerrado", "unread")
PAIRS = (
    ("status", "priority"),
    ("assigned_to", "status"),
    ("assigned_to", "priority"),
    ("client_id", "status"),
)


def upgrade() -> None:
    """Make the counts and what keeps them, and the indexes."""
    tally = op.create_table(
        "tally",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 16", name=op.f("ck_tally_name_length")),
        sa.PrimaryKeyConstraint("name", "slot", name=op.f("pk_tally")),
    )
    op.bulk_insert(tally, [{"name": name, "slot": 0, "count": 0} for name in NAMES])
    for table, name in COUNTED.items():
        counters_v1.keep(table, name)
    for pair in PAIRS:
        columns = [*pair, "ticket_id"]
        op.create_index(op.f(f"ix_ticket_{'_'.join(columns)}"), "ticket", columns)
    op.create_index(
        op.f("ix_app_user_role_active_user_id"), "app_user", ["role", "active", "user_id"]
    )
