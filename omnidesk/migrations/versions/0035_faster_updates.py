"""PostgreSQL logs a changed row in a third of the time: it compares columns, and not JSON."""

from omnidesk.migrations.frozen.change_log_v5 import Logged, compare_columns

revision = "0035_faster_updates"
down_revision = "0034_feed"

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
        (
            *("created_at", "updated_at", "last_message_at", "waiting_since", "handed_off_at"),
            "reply_until",
        ),
    ),
    Logged(
        *("message", "message", "message_id"),
        (
            *("conversation_id", "sender", "content", "external_message_id", "user_id", "kind"),
            *("delivery_state", "delivery_error"),
        ),
        (),
        ("created_at", "sent_at", "edited_at", "deleted_at", "delivery_at"),
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
    """Replace the functions of the triggers."""
    for logged in LOGGED:
        compare_columns(logged)
