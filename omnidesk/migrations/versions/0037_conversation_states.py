"""Indexes of conversations by whether they are active and whose turn it is, both together."""

import sqlalchemy as sa
from alembic import op

revision = "0037_conversation_states"
down_revision = "0036_client_copies"

OLD = (
    "ix_conversation_active_updated_at_conversation_id",
    "ix_conversation_active_waiting_since_conversation_id",
    "ix_conversation_assigned_to_active_updated_at_conversation_id",
    "ix_conversation_assigned_to_active_waiting_since_conversation_id",
    "ix_conversation_channel_updated_at_conversation_id",
    "ix_conversation_handled_by_bot_updated_at_conversation_id",
    "ix_conversation_unread_active",
    "ix_conversation_unread_assigned_to_active",
    "ix_conversation_waiting_active",
    "ix_conversation_waiting_assigned_to_active",
)
STATE = ("active", "handled_by_bot")
BY_NAME = {
    "ix_conversation_state_updated_at": (*STATE, "updated_at"),
    "ix_conversation_state_waiting_since": (*STATE, "waiting_since"),
    "ix_conversation_assigned_to_updated_at": ("assigned_to", *STATE, "updated_at"),
    "ix_conversation_assigned_to_waiting_since": ("assigned_to", *STATE, "waiting_since"),
    "ix_conversation_channel_updated_at": ("channel", *STATE, "updated_at"),
}
ASKED = {"unread": "unread_count > 0", "waiting": "waiting_since IS NOT NULL"}
ORDERS = (("unread", "updated_at"), ("unread", "waiting_since"), ("waiting", "updated_at"))


def upgrade() -> None:
    """Make the new indexes, and drop those that they replace."""
    for name, columns in BY_NAME.items():
        op.create_index(name, "conversation", [*columns, "conversation_id"])
    for asked, time in ORDERS:
        condition = sa.text(ASKED[asked])
        for name, first in (("state", STATE), ("assigned_to", ("assigned_to", *STATE))):
            op.create_index(
                f"ix_conversation_{name}_{asked}_{time}",
                "conversation",
                [*first, time, "conversation_id"],
                sqlite_where=condition,
                postgresql_where=condition,
            )
    for name in OLD:
        op.drop_index(op.f(name), "conversation")
