"""At most one active conversation of each chat; by what channels know clients."""

import sys

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen.change_log_v3 import Logged, allow, keep

revision = "0026_inbound"
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

ENTITIES = ("user", "client", "ticket", "event", "conversation", "message", "comment", "identity")
IDENTITY = Logged(
    "identity",
    "identity",
    "identity_id",
    ("client_id", "channel", "external_user_id"),
    (),
    ("created_at",),
)
# Whoever has the latest conversation of a chat, since its first.
KNOWN = """
INSERT INTO identity (client_id, channel, external_user_id, created_at)
SELECT client_id, channel, external_chat_id, began_at FROM (
    SELECT client_id, channel, external_chat_id,
        min(created_at) OVER (PARTITION BY channel, external_chat_id) AS began_at,
        row_number() OVER (
            PARTITION BY channel, external_chat_id
            ORDER BY updated_at DESC, conversation_id DESC
        ) AS place
    FROM conversation WHERE external_chat_id IS NOT NULL
) AS placed WHERE place = 1 ORDER BY began_at, channel, external_chat_id
"""


def upgrade() -> None:
    """Close what is doubled, and note who has which chat."""
    unite_chats()
    add_identities()


def unite_chats() -> None:
    """Let no chat have two active conversations from now on."""
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


def add_identities() -> None:
    """Make the table of identities, with those that conversations tell, and log its changes."""
    op.create_table(
        "identity",
        sa.Column("identity_id", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("external_user_id", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.CheckConstraint(
            "length(channel) BETWEEN 1 AND 32", name=op.f("ck_identity_channel_length")
        ),
        sa.CheckConstraint(
            "length(external_user_id) BETWEEN 1 AND 255",
            name=op.f("ck_identity_external_user_id_length"),
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.client_id"], name=op.f("fk_identity_client_id")
        ),
        sa.PrimaryKeyConstraint("identity_id", name=op.f("pk_identity")),
        sa.UniqueConstraint(
            "channel", "external_user_id", name=op.f("uq_identity_channel_external_user_id")
        ),
        sqlite_autoincrement=True,
    )
    columns = ["client_id", "identity_id"]
    op.create_index(op.f("ix_identity_client_id_identity_id"), "identity", columns)
    op.execute(KNOWN)
    allow(ENTITIES)
    keep(IDENTITY)
