"""What conversations, clients and users are found by."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen.folding_v2 import email_key, phone_key, search_text

revision = "0019_found"
down_revision = "0018_faster_inserts"

CONVERSATIONS = ("client_id", "channel", "external_chat_id", "active", "handled_by_bot")
BATCH = 10_000  # rows


def upgrade() -> None:
    """Make the indexes, and the columns with what is compared."""
    op.drop_index(op.f("ix_conversation_client_id"), "conversation")
    for name in CONVERSATIONS:
        op.create_index(
            op.f(f"ix_conversation_{name}_updated_at_conversation_id"),
            "conversation",
            [name, "updated_at", "conversation_id"],
        )
    op.add_column("client", sa.Column("email_key", sa.Text(), nullable=True))
    op.add_column("client", sa.Column("phone_key", sa.Text(), nullable=True))
    fill("client", "client_id", ("email", "phone"), client_keys)
    for name in ("email_key", "phone_key"):
        op.create_index(op.f(f"ix_client_{name}_client_id"), "client", [name, "client_id"])
    column = sa.Column("search_text", sa.Text(), server_default="", nullable=False)
    op.add_column("app_user", column)
    fill("app_user", "user_id", ("full_name", "username", "email"), user_text)


def client_keys(email: str | None, phone: str | None) -> dict[str, str | None]:
    """Return what a client's address and number are compared by."""
    return {"email_key": email_key(email), "phone_key": phone_key(phone)}


def user_text(full_name: str, username: str, email: str | None) -> dict[str, str | None]:
    """Return what a user is found by."""
    return {"search_text": search_text(full_name, email, None, username)}


def fill(table: str, key: str, names: tuple[str, ...], make: Callable[..., dict[str, Any]]) -> None:
    """Set columns that hold what others make, which the change log does not show."""
    connection = op.get_bind()
    rows = sa.table(table, *map(sa.column, (key, *names, *make(*["x"] * len(names)))))
    row_id = rows.c[key]
    read = sa.select(row_id, *(rows.c[name] for name in names)).order_by(row_id).limit(BATCH)
    change, last = sa.update(rows).where(row_id == sa.bindparam("row_id")), 0
    postgresql = connection.dialect.name == "postgresql"
    if postgresql:  # to look whether there is anything to log would take long
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER change_{table}")
    while found := connection.execute(read.where(row_id > last)).all():
        made = [{"row_id": number, **make(*values)} for number, *values in found]
        columns = [name for name in made[0] if name != "row_id"]
        filled = change.values({name: sa.bindparam(name) for name in columns})
        connection.execute(filled, made)
        last = found[-1][0]
    if postgresql:
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER change_{table}")
