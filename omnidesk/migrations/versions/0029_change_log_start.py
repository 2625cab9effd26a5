"""From which change on the feed can be read: not those deleted, nor those before a restore."""

import sqlalchemy as sa
from alembic import op

revision = "0029_change_log_start"
down_revision = "0028_operations"


def upgrade() -> None:
    """Add the `seq` that the changes of the feed come after, to the only row of a table."""
    op.add_column(
        "database_id",
        sa.Column("changes_after", sa.Integer(), server_default="0", nullable=False),
    )
