"""Longer texts; one form to compare e-mail addresses and find clients by; unique external ids."""

import sys
from typing import Any

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen.folding_v1 import search_text

revision = "0013_input"
down_revision = "0012_database_id"

# Table, column, its shortest and its longest text before, and its longest now; in code points.
LENGTHS = (
    ("ticket", "subject", 1, 200, 998),
    ("ticket", "description", 0, 10_000, 65_536),
    ("calendar_event", "description", 0, 10_000, 65_536),
    ("comment", "body", 1, 10_000, 65_536),
    ("message", "content", 1, 10_000, 65_536),
    ("message", "external_message_id", 0, 128, 255),
    ("conversation", "external_chat_id", 0, 128, 255),
    ("client", "external_id", 0, 128, 255),
)
BATCH = 10_000  # clients
SHARED = """
SELECT client_id FROM client
WHERE EXISTS (
    SELECT 1 FROM client AS older
    WHERE older.external_id = client.external_id AND older.client_id < client.client_id
)
ORDER BY client_id
"""
CLEAR = "UPDATE client SET external_id = NULL, version = version + 1 WHERE client_id = :client_id"
NEXT = """
SELECT client_id, full_name, email, phone, external_id FROM client
WHERE client_id > :last ORDER BY client_id LIMIT :batch
"""
FILL = "UPDATE client SET search_text = :text WHERE client_id = :client_id"
FILL_AT_ONCE = """
UPDATE client SET search_text = filled.text
FROM unnest(CAST(:ids AS integer[]), CAST(:texts AS text[])) AS filled (client_id, text)
WHERE client.client_id = filled.client_id
"""


def upgrade() -> None:
    """Make them."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    lengthen = lengthen_on_postgresql if postgresql else lengthen_on_sqlite
    lengthen()
    compare_emails(postgresql=postgresql)
    tell_clients_apart()
    fold_clients(postgresql=postgresql)


def lengthen_on_postgresql() -> None:
    """Allow longer texts, which changes no row."""
    for table, column, shortest, before, now in LENGTHS:
        name = op.f(f"ck_{table}_{column}_length")
        op.drop_constraint(name, table, type_="check")
        op.alter_column(table, column, type_=sa.String(now), existing_type=sa.String(before))
        op.create_check_constraint(
            name, table, sa.func.length(sa.column(column)).between(shortest, now)
        )


def lengthen_on_sqlite() -> None:
    """Allow longer texts, which changes no row.

    Only what SQLite stores of its tables is changed, as its manual describes for a check that is
    taken away ("Making Other Kinds Of Table Schema Changes"): no table is copied, and triggers
    and indexes stay as they are.
    """
    connection = op.get_bind()
    number = connection.scalar(sa.text("PRAGMA schema_version"))
    op.execute("PRAGMA writable_schema=ON")
    for table, column, shortest, before, now in LENGTHS:
        where = {"table": table}
        sql = connection.scalar(
            sa.text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :table"), where
        )
        for text in (f"{column} VARCHAR({{}})", f"length({column}) BETWEEN {shortest} AND {{}}"):
            if sql.count(text.format(before)) != 1:
                raise RuntimeError(f"The table {table} is not as it was made: {sql}")
            sql = sql.replace(text.format(before), text.format(now))
        connection.execute(
            sa.text("UPDATE sqlite_master SET sql = :sql WHERE type = 'table' AND name = :table"),
            where | {"sql": sql},
        )
    op.execute(f"PRAGMA schema_version={number + 1}")  # other connections read the tables again
    op.execute("PRAGMA writable_schema=RESET")  # and so does this one


def compare_emails(*, postgresql: bool) -> None:
    """Compare users' e-mail addresses by a column of their own; so far all are in ASCII."""
    op.add_column("app_user", sa.Column("email_key", sa.Text(), nullable=True))
    # In every locale alike: in Turkish, the small letter of I is another one.
    ascii_email = 'email COLLATE "C"' if postgresql else "email"
    op.execute(f"UPDATE app_user SET email_key = lower({ascii_email})")  # noqa: S608 - ours
    op.drop_index("uq_app_user_email", "app_user")
    unique_where_given("app_user", "email_key")


def unique_where_given(table: str, column: str) -> None:
    """Let no two rows of a table have the same value.

    Partial, since PostgreSQL locks a row against references to it while a column changes that
    others could refer to, as one with a whole unique index.
    """
    given = sa.text(f"{column} IS NOT NULL")
    op.create_index(
        f"uq_{table}_{column}",
        table,
        [column],
        unique=True,
        postgresql_where=given,
        sqlite_where=given,
    )


def tell_clients_apart() -> None:
    """Let no two clients have one external id: where some do, the oldest client keeps it.

    What the others had stays in their histories, and a line says who they are.
    """
    connection = op.get_bind()
    younger: list[Any] = list(connection.scalars(sa.text(SHARED)))
    if younger:
        connection.execute(sa.text(CLEAR), [{"client_id": number} for number in younger])
        listed = ", ".join(map(str, younger[:100])) + (", ..." if len(younger) > 100 else "")
        sys.stdout.write(  # of `init-db`
            f"{len(younger)} clients had the external_id of an older client. It was cleared, and "
            f"their histories show what it was: {listed}\n"
        )
    op.drop_index(op.f("ix_client_external_id_client_id"), "client")
    unique_where_given("client", "external_id")


def fold_clients(*, postgresql: bool) -> None:
    """Note what each client is found by."""
    column = sa.Column("search_text", sa.Text(), server_default="", nullable=False)
    op.add_column("client", column)
    connection, last = op.get_bind(), 0
    if postgresql:  # a log of what it does not show would take long
        op.execute("ALTER TABLE client DISABLE TRIGGER change_client")
    while rows := connection.execute(sa.text(NEXT), {"last": last, "batch": BATCH}).all():
        texts = {client_id: search_text(*shown) for client_id, *shown in rows}
        if postgresql:
            values = {"ids": list(texts), "texts": list(texts.values())}
            connection.execute(sa.text(FILL_AT_ONCE), values)
        else:
            filled = [{"client_id": number, "text": text} for number, text in texts.items()]
            connection.execute(sa.text(FILL), filled)
        last = rows[-1].client_id
    if postgresql:
        op.execute("ALTER TABLE client ENABLE TRIGGER change_client")
