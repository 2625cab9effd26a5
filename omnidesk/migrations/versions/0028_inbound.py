"""At most one active conversation of each chat."""

import sys

import sqlalchemy as sa
from alembic import op

revision = "0028_inbound"
down_revision = "0025_inbox"

ACTIVE_CHAT = {
    "sqlite": "active = 1 AND external_chat_id IS NOT NULL",
    "postgresql": "active AND external_chat_id IS NOT NULL",
}
# Of the active conversations of a chat, all but the one with the latest activity. When these had
# their latest activity stays as it is: the change log says when they were closed.
CLOSE = """
UPDATE conversation SET active = FALSE, version = version + 1 WHERE conversation_id IN (
    SELECT conversation_id FROM (
        SELECT conversation_id, row_number() OVER (
            PARTITION BY channel, external_chat_id
            ORDER BY updated_at DESC, conversation_id DESC
        ) AS place FROM conversation WHERE {active_chat}
    ) AS placed WHERE place > 1
) RETURNING conversation_id
"""


def upgrade() -> None:
    """Close what is doubled, and let no chat have two active conversations from now on."""
    active_chat = ACTIVE_CHAT[op.get_bind().dialect.name]
    close_doubled(active_chat)
    op.create_index(
        "uq_conversation_channel_external_chat_id",
        "conversation",
        ["channel", "external_chat_id"],
        unique=True,
        sqlite_where=sa.text(active_chat),
        postgresql_where=sa.text(active_chat),
    )


def close_doubled(active_chat: str) -> None:
    """Close all but the latest active conversation of each chat, and say which."""
    close = sa.text(CLOSE.format(active_chat=active_chat))
    closed = sorted(op.get_bind().scalars(close))
    if closed:
        listed = ", ".join(map(str, closed[:100])) + (", ..." if len(closed) > 100 else "")
        sys.stdout.write(  # of `init-db`
            f"{len(closed)} conversations were closed, since their chats have a later active one: "
            f"{listed}\n"
        )
