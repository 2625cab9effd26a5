"""An index of the messages of each sender in a conversation."""

from alembic import op

revision = "0038_senders"
down_revision = "0037_conversation_states"


def upgrade() -> None:
    """Make the index, and drop that of the clients' messages alone."""
    columns = ["conversation_id", "sender", "message_id"]
    op.create_index("ix_message_conversation_id_sender_message_id", "message", columns)
    op.drop_index("ix_message_by_client", "message")
