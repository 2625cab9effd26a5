"""Comments on tickets."""

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen.change_log_v1 import Logged, keep

revision = "0006_comments"
down_revision = "0005_kept_answers"


def upgrade() -> None:
    """Make the table, and log its changes."""
    op.create_table(
        "comment",
        sa.Column("comment_id", sa.Integer(), nullable=False),
        sa.Column("ticket_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("body", sa.String(length=10000), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint("length(body) BETWEEN 1 AND 10000", name=op.f("ck_comment_body_length")),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["ticket.ticket_id"], name=op.f("fk_comment_ticket_id")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["app_user.user_id"], name=op.f("fk_comment_user_id")),
        sa.PrimaryKeyConstraint("comment_id", name=op.f("pk_comment")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_comment_ticket_id_comment_id"), "comment", ["ticket_id", "comment_id"])
    keep(
        Logged(
            "comment",
            "comment",
            "comment_id",
            ("ticket_id", "user_id", "body"),
            (),
            ("created_at", "edited_at"),
        )
    )
