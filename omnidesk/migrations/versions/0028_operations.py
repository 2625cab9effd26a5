"""The change log tells rows that were imported, and clients that were erased."""

from alembic import op

from omnidesk.migrations.frozen.change_log_v4 import Logged, watch
from omnidesk.migrations.frozen.constraints_v1 import add_on_sqlite

revision = "0028_operations"
down_revision = "0027_cases"

OPERATIONS = "op IN ('created', 'updated', 'deleted'{more})"
BEFORE, NOW = OPERATIONS.format(more=""), OPERATIONS.format(more=", 'imported', 'erased'")
LOGGED = (
    Logged(
        *("app_user", "user", "user_id"),
        ("full_name", "username", "email", "role"),
        ("active",),
        ("last_login_at", "password_changed_at"),
    ),
    Logged(
        *("client", "client", "client_id"),
        ("full_name", "email", "phone", "external_id", "merged_into"),
        ("active",),
        ("created_at",),
    ),
    Logged(
        *("ticket", "ticket", "ticket_id"),
        (
            *("client_id", "subject", "description", "priority", "status", "assigned_to"),
            "conversation_id",
        ),
        (),
        ("created_at", "due_at", "resolved_at", "updated_at"),
        ("tags",),
    ),
    Logged(
        *("calendar_event", "event", "event_id"),
        ("title", "description", "created_by", "ticket_id"),
        (),
        ("start_time", "end_time"),
    ),
    Logged(
        *("conversation", "conversation", "conversation_id"),
        (
            *("client_id", "channel", "external_chat_id", "assigned_to"),
            *("read_up_to", "unread_count", "turn", "handoff_reason"),
        ),
        ("active", "handled_by_bot"),
        ("created_at", "updated_at", "last_message_at", "waiting_since", "handed_off_at"),
    ),
    Logged(
        *("message", "message", "message_id"),
        ("conversation_id", "sender", "content", "external_message_id", "user_id", "kind"),
        (),
        ("created_at", "sent_at", "edited_at", "deleted_at"),
        ("meta",),
    ),
    Logged(
        *("comment", "comment", "comment_id"),
        ("ticket_id", "user_id", "body"),
        (),
        ("created_at", "edited_at"),
    ),
    Logged(
        *("identity", "identity", "identity_id"),
        ("client_id", "channel", "external_user_id"),
        (),
        ("created_at",),
    ),
)


def upgrade() -> None:
    """Allow both operations, and let the triggers log them where a transaction says so."""
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f("ck_change_op"), "change", type_="check")
        op.create_check_constraint(op.f("ck_change_op"), "change", NOW)
    else:
        add_on_sqlite("change", (), before=BEFORE, now=NOW)
    for logged in LOGGED:
        watch(logged)
