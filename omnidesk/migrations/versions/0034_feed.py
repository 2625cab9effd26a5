"""The feed is read from a time on, and by who made its changes."""

from alembic import op

revision = "0034_feed"
down_revision = "0033_webhooks"


def upgrade() -> None:
    """Make the indexes."""
    op.create_index(op.f("ix_change_at"), "change", ["at"])
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    order = ["transaction_id", "seq"] if is_postgresql else ["seq"]
    columns = ["actor", "entity", *order]
    op.create_index(op.f(f"ix_change_{'_'.join(columns)}"), "change", columns)
