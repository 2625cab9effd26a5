"""Webhooks, and what became of telling other systems."""

import sqlalchemy as sa
from alembic import op

revision = "0033_webhooks"
down_revision = "0032_channels"

TIME, NUMBER = sa.DateTime(timezone=True), sa.Integer()


def upgrade() -> None:
    """Make the tables."""
    add_webhooks()
    add_deliveries()


def length(table: str, column: str, least: int, most: int) -> sa.CheckConstraint:
    """Return the check of a text's length."""
    name = op.f(f"ck_{table}_{column}_length")
    return sa.CheckConstraint(f"length({column}) BETWEEN {least} AND {most}", name=name)


def add_webhooks() -> None:
    """Make the table of webhooks."""
    name = "webhook"
    op.create_table(
        name,
        sa.Column("webhook_id", NUMBER, nullable=False),
        sa.Column("slot", NUMBER, nullable=False),
        sa.Column("url", sa.String(2048), nullable=False),
        sa.Column("types", sa.String(1024), nullable=False),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("active", sa.Boolean(create_constraint=True, name="active"), nullable=False),
        sa.Column("description", sa.String(200)),
        sa.Column("inactive_reason", sa.String(200)),
        sa.Column("inactive_since", TIME),
        sa.Column("failing_since", TIME),
        sa.Column("warning", sa.String(200)),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("secret", sa.String(100), nullable=False),
        sa.Column("old_secret", sa.String(100)),
        sa.Column("old_secret_until", TIME),
        sa.Column("after_seq", NUMBER, nullable=False),
        sa.Column("version", NUMBER, server_default="1", nullable=False),
        length(name, "url", 1, 2048),
        length(name, "types", 1, 1024),
        sa.CheckConstraint("format IN ('standard', 'slack')", name=op.f("ck_webhook_format")),
        length(name, "description", 0, 200),
        length(name, "inactive_reason", 0, 200),
        length(name, "warning", 0, 200),
        length(name, "secret", 1, 100),
        length(name, "old_secret", 0, 100),
        sa.CheckConstraint("slot BETWEEN 1 AND 25", name=op.f("ck_webhook_at_most_25")),
        sa.CheckConstraint(
            "active = (inactive_since IS NULL)", name=op.f("ck_webhook_inactive_since")
        ),
        sa.CheckConstraint(
            "inactive_reason IS NULL OR NOT active", name=op.f("ck_webhook_inactive_reason")
        ),
        sa.PrimaryKeyConstraint("webhook_id", name=op.f("pk_webhook")),
        sa.UniqueConstraint("slot", name=op.f("uq_webhook_slot")),
        sqlite_autoincrement=True,
    )


def add_deliveries() -> None:
    """Make the table of deliveries."""
    name = "webhook_delivery"
    op.create_table(
        name,
        sa.Column("delivery_id", NUMBER, nullable=False),
        sa.Column("webhook_id", NUMBER, nullable=False),
        sa.Column("seq", NUMBER, nullable=False),
        sa.Column("database_id", sa.String(16), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", NUMBER, server_default="0", nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("attempted_at", TIME),
        sa.Column("due_at", TIME),
        sa.Column("lease", sa.String(32)),
        sa.Column("status_code", NUMBER),
        sa.Column("error", sa.String(200)),
        length(name, "database_id", 1, 16),
        length(name, "type", 1, 32),
        sa.CheckConstraint(
            "state IN ('pending', 'sent', 'failed')", name=op.f("ck_webhook_delivery_state")
        ),
        length(name, "lease", 0, 32),
        length(name, "error", 0, 200),
        sa.CheckConstraint(
            "(state = 'pending') = (due_at IS NOT NULL)", name=op.f("ck_webhook_delivery_due")
        ),
        sa.CheckConstraint(
            "lease IS NULL OR due_at IS NOT NULL", name=op.f("ck_webhook_delivery_leased")
        ),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["webhook.webhook_id"],
            name=op.f("fk_webhook_delivery_webhook_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_webhook_delivery")),
        sa.UniqueConstraint("webhook_id", "seq", name=op.f("uq_webhook_delivery_webhook_id_seq")),
        sqlite_autoincrement=True,
    )
    for columns in (["webhook_id", "delivery_id"], ["webhook_id", "state", "delivery_id"]):
        op.create_index(op.f(f"ix_{name}_{'_'.join(columns)}"), name, columns)
    for which, condition, columns in (
        ("due", "due_at IS NOT NULL", ["webhook_id", "due_at"]),
        ("finished", "due_at IS NULL", ["attempted_at"]),
    ):
        where = sa.text(condition)
        op.create_index(
            f"ix_{name}_{which}", name, columns, sqlite_where=where, postgresql_where=where
        )
