"""Answers that are kept under an Idempotency-Key."""

import sqlalchemy as sa
from alembic import op

revision = "0005_kept_answers"
down_revision = "0004_changes"


def length(column: str, longest: int) -> sa.CheckConstraint:
    """Hold a text to its length."""
    name = op.f(f"ck_kept_answer_{column}_length")
    return sa.CheckConstraint(sa.func.length(sa.column(column)).between(1, longest), name=name)


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "kept_answer",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("route", sa.String(length=255), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        length("route", 255),
        length("key", 255),
        length("fingerprint", 64),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.user_id"], name=op.f("fk_kept_answer_user_id")
        ),
        sa.PrimaryKeyConstraint("user_id", "route", "key", name=op.f("pk_kept_answer")),
    )
    op.create_index(op.f("ix_kept_answer_created_at"), "kept_answer", ["created_at"])
