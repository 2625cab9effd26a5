"""Tickets that came from a conversation; what happened with a client, by time."""

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen import change_log_v2, change_log_v3
from omnidesk.migrations.frozen.change_log_v1 import Logged

revision = "0029_cases"
down_revision = "0022_ticket_times"

TICKET = Logged(
    "ticket",
    "ticket",
    "ticket_id",
    (
        *("client_id", "subject", "description", "priority", "status", "assigned_to"),
        "conversation_id",
    ),
    (),
    ("created_at", "due_at", "resolved_at", "updated_at"),
    ("tags",),
)
# What the newest rows are looked for by, for a timeline.
NEWEST = (("ticket", "client_id"), ("comment", "ticket_id"), ("message", "conversation_id"))
ORIGIN = """
CONSTRAINT fk_ticket_conversation_id FOREIGN KEY(conversation_id, client_id)
REFERENCES conversation (conversation_id, client_id) DEFERRABLE INITIALLY IMMEDIATE
"""
LOG = r"""
UPDATE change SET after = substr(after, 1, length(after) - 1) || ',"{column}"\:null}}'
WHERE entity = '{entity}' AND op = 'created'
"""


def upgrade() -> None:
    """Make the columns, what holds them, and the indexes."""
    op.create_index(
        "uq_conversation_conversation_id_client_id",
        "conversation",
        ["conversation_id", "client_id"],
        unique=True,
    )
    add_column("ticket", sa.Column("conversation_id", sa.Integer(), nullable=True), [ORIGIN])
    given = sa.text("conversation_id IS NOT NULL")
    op.create_index(
        op.f("ix_ticket_conversation_id_ticket_id"),
        "ticket",
        ["conversation_id", "ticket_id"],
        sqlite_where=given,
        postgresql_where=given,
    )
    log(TICKET, "conversation_id")
    for table, column in NEWEST:
        columns = [column, "created_at", f"{table}_id"]
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns)


def add_column(table: str, column: sa.Column[int], constraints: list[str]) -> None:
    """Add a column that is null in all rows, and constraints of the table."""
    op.add_column(table, column)
    clauses = [" ".join(constraint.split()) for constraint in constraints]
    if op.get_bind().dialect.name == "postgresql":
        for clause in clauses:
            op.execute(f"ALTER TABLE {table} ADD {clause}")
    else:
        constrain_on_sqlite(table, clauses)


def constrain_on_sqlite(table: str, clauses: list[str]) -> None:
    """Add constraints that all rows meet.

    Only what SQLite stores of the table is changed, as its manual describes for constraints that
    are taken away ("Making Other Kinds Of Table Schema Changes"): no table is copied, and triggers
    and indexes stay as they are.
    """
    connection = op.get_bind()
    number = connection.scalar(sa.text("PRAGMA schema_version"))
    op.execute("PRAGMA writable_schema=ON")
    where = "WHERE type = 'table' AND name = :table"
    sql = connection.scalar(sa.text(f"SELECT sql FROM sqlite_master {where}"), {"table": table})  # noqa: S608 - ours
    made = ", ".join([sql.rstrip().removesuffix(")").rstrip(), *clauses])
    connection.execute(
        sa.text(f"UPDATE sqlite_master SET sql = :sql {where}"),  # noqa: S608 - ours
        {"table": table, "sql": f"{made}\n)"},
    )
    op.execute(f"PRAGMA schema_version={number + 1}")  # other connections read the table again
    op.execute("PRAGMA writable_schema=RESET")  # and so does this one


def log(logged: Logged, column: str) -> None:
    """Log a new column, and say of older rows that it was null from the beginning."""
    table = logged.table
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"DROP TRIGGER change_{table}_insert ON {table}")
    change_log_v2.watch(logged)
    change_log_v3.watch_inserts(logged)
    op.execute(LOG.format(column=column, entity=logged.entity))
