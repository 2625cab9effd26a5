"""Tickets that came from a conversation; clients that were merged; rows of a client by time."""

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen import change_log_v2, change_log_v3
from omnidesk.migrations.frozen.change_log_v1 import Logged
from omnidesk.migrations.frozen.constraints_v1 import add_on_sqlite

revision = "0027_cases"
down_revision = "0026_inbound"

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
CLIENT = Logged(
    "client",
    "client",
    "client_id",
    ("full_name", "email", "phone", "external_id", "merged_into"),
    ("active",),
    ("created_at",),
)
MERGED = (
    "CONSTRAINT fk_client_merged_into FOREIGN KEY(merged_into) REFERENCES client (client_id)",
    "CONSTRAINT ck_client_inactive_when_merged CHECK (merged_into IS NULL OR NOT active)",
)
# Beside a merge, which locks the client first, a new reference waits until that is done.
REFUSE_ON_POSTGRESQL = """
CREATE FUNCTION refuse_merged_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    other integer;
BEGIN
    SELECT merged_into INTO other FROM client WHERE client_id = NEW.{column} FOR KEY SHARE;
    IF other IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation', TABLE = 'client',
            CONSTRAINT = 'ck_client_not_merged', MESSAGE = 'the client was merged';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse_merged_{table} BEFORE INSERT OR UPDATE OF {column} ON {table}
FOR EACH ROW EXECUTE FUNCTION refuse_merged_{table}()
"""
REFUSE_ON_SQLITE = """
CREATE TRIGGER refuse_merged_{table}_{name} BEFORE {event} ON {table}
WHEN (SELECT merged_into FROM client WHERE client_id = NEW.{column}) IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'CHECK constraint failed: ck_client_not_merged'); END
"""
FREE = "assigned_to IS NULL AND status != 'cerrado'"
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
    add_column("ticket", "conversation_id", ORIGIN)
    index_where_given("ticket", "conversation_id", "ticket_id")
    op.create_index(
        "ix_ticket_free",
        "ticket",
        [sa.text("(CASE priority WHEN 'alta' THEN 0 WHEN 'media' THEN 1 ELSE 2 END)"), "ticket_id"],
        sqlite_where=sa.text(FREE),
        postgresql_where=sa.text(FREE),
    )
    log(TICKET, "conversation_id")
    add_column("client", "merged_into", *MERGED)
    index_where_given("client", "merged_into")
    log(CLIENT, "merged_into")
    refuse_merged()
    for table, column in NEWEST:
        columns = [column, "created_at", f"{table}_id"]
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns)


def add_column(table: str, column: str, *constraints: str) -> None:
    """Add a column that is null in all rows, and constraints of the table."""
    op.add_column(table, sa.Column(column, sa.Integer(), nullable=True))
    clauses = [" ".join(constraint.split()) for constraint in constraints]
    if op.get_bind().dialect.name == "postgresql":
        for clause in clauses:
            op.execute(f"ALTER TABLE {table} ADD {clause}")
    else:
        add_on_sqlite(table, clauses)


def index_where_given(table: str, *columns: str) -> None:
    """Make an index of the rows in which the first column is not null."""
    given, name = sa.text(f"{columns[0]} IS NOT NULL"), f"ix_{table}_{'_'.join(columns)}"
    op.create_index(op.f(name), table, [*columns], sqlite_where=given, postgresql_where=given)


def refuse_merged() -> None:
    """Let no row of any table refer to a client that was merged."""
    found = sa.inspect(op.get_bind())
    for table in sorted(found.get_table_names()):
        for key in found.get_foreign_keys(table):
            if key["referred_table"] == "client" and table != "client":
                (column,) = key["constrained_columns"]
                refuse(table, column)


def refuse(table: str, column: str) -> None:
    """Let no row of a table refer by a column to a client that was merged."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(REFUSE_ON_POSTGRESQL.format(table=table, column=column))
        return
    for name, event in (("insert", "INSERT"), ("update", f"UPDATE OF {column}")):
        trigger = REFUSE_ON_SQLITE.format(table=table, column=column, name=name, event=event)
        op.execute(trigger)


def log(logged: Logged, column: str) -> None:
    """Log a new column, and say of older rows that it was null from the beginning."""
    table = logged.table
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"DROP TRIGGER change_{table}_insert ON {table}")
    change_log_v2.watch(logged)
    change_log_v3.watch_inserts(logged)
    op.execute(LOG.format(column=column, entity=logged.entity))
