"""User names, addresses and names of counters are compared by their bytes, in any locale."""

import sqlalchemy as sa
from alembic import op

revision = "0016_bytewise_keys"
down_revision = "0015_revoked_tokens"

KEYS = (("app_user", "username", 64), ("app_user", "email", 254), ("counter", "name", 16))


def upgrade() -> None:
    """Set their collation to "C", as SQLite has it; their indexes are built anew."""
    if op.get_bind().dialect.name == "postgresql":
        for table, column, length in KEYS:
            op.alter_column(table, column, type_=sa.String(length, collation="C"))
