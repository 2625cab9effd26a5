"""Counts of how often somebody came."""

import sqlalchemy as sa
from alembic import op

revision = "0009_hits"
down_revision = "0008_accounts"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "hit",
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=False),
        sa.CheckConstraint('length("key") BETWEEN 1 AND 255', name=op.f("ck_hit_key_length")),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_hit")),
    )
    op.create_index(op.f("ix_hit_ends"), "hit", ["ends"])
