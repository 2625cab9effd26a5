"""Versions of the rows that can be changed, and a log of every change."""

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen.change_log_v1 import Logged, keep

revision = "0004_changes"
down_revision = "0003_flat_summary"

VERSIONED = ("app_user", "client", "ticket", "calendar_event", "conversation")
LOGGED = (
    Logged(
        "app_user",
        "user",
        "user_id",
        ("full_name", "username", "email", "role"),
        ("active",),
        ("last_login_at", "password_changed_at"),
    ),
    Logged(
        "client",
        "client",
        "client_id",
        ("full_name", "email", "phone", "external_id"),
        ("active",),
        ("created_at",),
    ),
    Logged(
        "ticket",
        "ticket",
        "ticket_id",
        ("client_id", "subject", "description", "priority", "status", "assigned_to"),
        (),
        ("created_at", "due_at", "resolved_at"),
    ),
    Logged(
        "calendar_event",
        "event",
        "event_id",
        ("title", "description", "created_by", "ticket_id"),
        (),
        ("start_time", "end_time"),
    ),
    Logged(
        "conversation",
        "conversation",
        "conversation_id",
        ("client_id", "channel", "external_chat_id"),
        ("active", "handled_by_bot"),
        ("created_at", "updated_at", "last_message_at"),
    ),
    Logged(
        "message",
        "message",
        "message_id",
        ("conversation_id", "sender", "content", "external_message_id"),
        (),
        ("created_at", "read_at"),
    ),
)


def words(name: str, *values: str) -> sa.Enum:
    """Return a text type that a check constraint holds to the given values."""
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=16)


def upgrade() -> None:
    """Make them."""
    for table in VERSIONED:
        op.add_column(table, sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    # SQLite knows nothing of how rare values are: it needs an index for every pair to find one.
    for pair in (("client_id", "priority"), ("client_id", "assigned_to")):
        columns = [*pair, "ticket_id"]
        op.create_index(op.f(f"ix_ticket_{'_'.join(columns)}"), "ticket", columns)
    for column in ("active", "external_id"):
        op.create_index(op.f(f"ix_client_{column}_client_id"), "client", [column, "client_id"])
    entities = [*(logged.entity for logged in LOGGED), "comment"]
    op.create_table(
        "change",
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Integer(), nullable=True),
        sa.Column("entity", words("entity", *entities), nullable=False),
        sa.Column("entity_id", sa.Integer(), nullable=False),
        sa.Column("op", words("op", "created", "updated", "deleted"), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["actor"], ["app_user.user_id"], name=op.f("fk_change_actor")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_change")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_change_entity_seq"), "change", ["entity", "seq"])
    op.create_index(
        op.f("ix_change_entity_entity_id_seq"), "change", ["entity", "entity_id", "seq"]
    )
    for logged in LOGGED:
        keep(logged)
