"""The contract's tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001_contract"
down_revision = None


def upgrade() -> None:
    """Make every table, from the ones referred to, to those that refer."""
    op.create_table(
        "app_user",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("full_name", sa.String(length=120), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column(
            "role",
            sa.Enum(
                "admin",
                "empleado",
                name="role",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("active", sa.Boolean(create_constraint=True, name="active"), nullable=False),
        sa.Column("last_login_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.CheckConstraint(
            "length(email) BETWEEN 0 AND 254", name=op.f("ck_app_user_email_length")
        ),
        sa.CheckConstraint(
            "length(full_name) BETWEEN 1 AND 120", name=op.f("ck_app_user_full_name_length")
        ),
        sa.CheckConstraint(
            "length(password_hash) BETWEEN 1 AND 255", name=op.f("ck_app_user_password_hash_length")
        ),
        sa.CheckConstraint(
            "length(username) BETWEEN 1 AND 64", name=op.f("ck_app_user_username_length")
        ),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_app_user")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_app_user_username", "app_user", [sa.text("lower(username)")], unique=True)
    op.create_index("uq_app_user_email", "app_user", [sa.text("lower(email)")], unique=True)
    op.create_index(op.f("ix_app_user_active_user_id"), "app_user", ["active", "user_id"])
    op.create_index(op.f("ix_app_user_role_user_id"), "app_user", ["role", "user_id"])
    op.create_table(
        "client",
        sa.Column("client_id", sa.Integer(), nullable=False),
        sa.Column("full_name", sa.String(length=120), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=True),
        sa.Column("phone", sa.String(length=32), nullable=True),
        sa.Column("external_id", sa.String(length=128), nullable=True),
        sa.Column("active", sa.Boolean(create_constraint=True, name="active"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("length(email) BETWEEN 0 AND 254", name=op.f("ck_client_email_length")),
        sa.CheckConstraint(
            "length(external_id) BETWEEN 0 AND 128", name=op.f("ck_client_external_id_length")
        ),
        sa.CheckConstraint(
            "length(full_name) BETWEEN 1 AND 120", name=op.f("ck_client_full_name_length")
        ),
        sa.CheckConstraint("length(phone) BETWEEN 0 AND 32", name=op.f("ck_client_phone_length")),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_client")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "conversation",
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("external_chat_id", sa.String(length=128), nullable=True),
        sa.Column("active", sa.Boolean(create_constraint=True, name="active"), nullable=False),
        sa.Column(
            "handled_by_bot",
            sa.Boolean(create_constraint=True, name="handled_by_bot"),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_message_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "length(channel) BETWEEN 1 AND 32", name=op.f("ck_conversation_channel_length")
        ),
        sa.CheckConstraint(
            "length(external_chat_id) BETWEEN 0 AND 128",
            name=op.f("ck_conversation_external_chat_id_length"),
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.client_id"], name=op.f("fk_conversation_client_id")
        ),
        sa.PrimaryKeyConstraint("conversation_id", name=op.f("pk_conversation")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_conversation_client_id"), "conversation", ["client_id"])
    op.create_index(
        op.f("ix_conversation_updated_at_conversation_id"),
        "conversation",
        ["updated_at", "conversation_id"],
    )
    op.create_table(
        "ticket",
        sa.Column("ticket_id", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.Integer(), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("description", sa.String(length=10000), nullable=True),
        sa.Column(
            "priority",
            sa.Enum(
                "alta",
                "media",
                "baja",
                name="priority",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column(
            "status",
            sa.Enum(
                "abierto",
                "en_progreso",
                "cerrado",
                name="status",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("assigned_to", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "(status = 'cerrado') = (resolved_at IS NOT NULL)",
            name=op.f("ck_ticket_resolved_when_closed"),
        ),
        sa.CheckConstraint(
            "length(description) BETWEEN 0 AND 10000", name=op.f("ck_ticket_description_length")
        ),
        sa.CheckConstraint(
            "length(subject) BETWEEN 1 AND 200", name=op.f("ck_ticket_subject_length")
        ),
        sa.ForeignKeyConstraint(
            ["assigned_to"], ["app_user.user_id"], name=op.f("fk_ticket_assigned_to")
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.client_id"], name=op.f("fk_ticket_client_id")
        ),
        sa.PrimaryKeyConstraint("ticket_id", name=op.f("pk_ticket")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_ticket_assigned_to_ticket_id"), "ticket", ["assigned_to", "ticket_id"])
    op.create_index(op.f("ix_ticket_client_id_ticket_id"), "ticket", ["client_id", "ticket_id"])
    op.create_index(op.f("ix_ticket_priority_ticket_id"), "ticket", ["priority", "ticket_id"])
    op.create_index(op.f("ix_ticket_status_ticket_id"), "ticket", ["status", "ticket_id"])
    op.create_table(
        "calendar_event",
        sa.Column("event_id", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("description", sa.String(length=10000), nullable=True),
        sa.Column("start_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("end_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Integer(), nullable=True),
        sa.Column("ticket_id", sa.Integer(), nullable=True),
        sa.CheckConstraint(
            "end_time >= start_time", name=op.f("ck_calendar_event_ends_after_start")
        ),
        sa.CheckConstraint(
            "length(description) BETWEEN 0 AND 10000",
            name=op.f("ck_calendar_event_description_length"),
        ),
        sa.CheckConstraint(
            "length(title) BETWEEN 1 AND 200", name=op.f("ck_calendar_event_title_length")
        ),
        sa.ForeignKeyConstraint(
            ["created_by"], ["app_user.user_id"], name=op.f("fk_calendar_event_created_by")
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"], ["ticket.ticket_id"], name=op.f("fk_calendar_event_ticket_id")
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_calendar_event")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_calendar_event_created_by_start_time_event_id"),
        "calendar_event",
        ["created_by", "start_time", "event_id"],
    )
    op.create_index(op.f("ix_calendar_event_end_time"), "calendar_event", ["end_time"])
    op.create_index(
        op.f("ix_calendar_event_start_time_event_id"), "calendar_event", ["start_time", "event_id"]
    )
    op.create_index(
        op.f("ix_calendar_event_ticket_id_start_time_event_id"),
        "calendar_event",
        ["ticket_id", "start_time", "event_id"],
    )
    op.create_table(
        "message",
        sa.Column("message_id", sa.Integer(), nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column(
            "sender",
            sa.Enum(
                "client",
                "user",
                "bot",
                name="sender",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("content", sa.String(length=10000), nullable=False),
        sa.Column("external_message_id", sa.String(length=128), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "length(content) BETWEEN 1 AND 10000", name=op.f("ck_message_content_length")
        ),
        sa.CheckConstraint(
            "length(external_message_id) BETWEEN 0 AND 128",
            name=op.f("ck_message_external_message_id_length"),
        ),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.conversation_id"],
            name=op.f("fk_message_conversation_id"),
        ),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_message")),
        sa.UniqueConstraint(
            "conversation_id",
            "external_message_id",
            name=op.f("uq_message_conversation_id_external_message_id"),
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_message_conversation_id_message_id"), "message", ["conversation_id", "message_id"]
    )
    unread = sa.text("sender = 'client' AND read_at IS NULL")
    op.create_index(
        "ix_message_unread",
        "message",
        ["conversation_id", "message_id"],
        sqlite_where=unread,
        postgresql_where=unread,
    )
