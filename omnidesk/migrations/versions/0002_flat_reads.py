"""Counts that triggers keep, and an index for each pair of filters: flat reads at any size."""

import sqlalchemy as sa
from alembic import op

revision = "0002_flat_reads"
down_revision = "0001_contract"

# What each table is counted under, of a row; NULL where the row is not counted.
STATUS = "{row}.status"
UNREAD = "CASE WHEN {row}.sender = 'client' AND {row}.read_at IS NULL THEN 'unread' END"
COUNTED = {"ticket": STATUS, "message": UNREAD}
NAMES = ("abierto", "en_progreso", "cerrado", "unread")
PAIRS = (
    ("status", "priority"),
    ("assigned_to", "status"),
    ("assigned_to", "priority"),
    ("client_id", "status"),
)

STEP = "UPDATE tally SET count = count {step} WHERE name = {name} AND slot = 0;"
FUNCTION = """
CREATE FUNCTION tally_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN {inserted}
    ELSIF TG_OP = 'DELETE' THEN {deleted}
    ELSE {updated}
    END IF;
    RETURN NULL;
END $$
"""
# Ordered, so that two writers in the same slot lock its rows in the same order.
MERGE = """
    INSERT INTO tally (name, slot, count)
    SELECT name, pg_backend_pid() % 64, sum(step) FROM ({rows}) AS moved
    WHERE name IS NOT NULL GROUP BY name HAVING sum(step) <> 0 ORDER BY name
    ON CONFLICT (name, slot) DO UPDATE SET count = tally.count + EXCLUDED.count;
"""


def upgrade() -> None:
    """Make the counts and what keeps them, and the indexes."""
    tally = op.create_table(
        "tally",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("slot", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.CheckConstraint("length(name) BETWEEN 1 AND 16", name=op.f("ck_tally_name_length")),
        sa.PrimaryKeyConstraint("name", "slot", name=op.f("pk_tally")),
    )
    op.bulk_insert(tally, [{"name": name, "slot": 0, "count": 0} for name in NAMES])
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    for table, name in COUNTED.items():
        # First the triggers, which keep writers out until we are done: none is missed in between.
        (keep_on_postgresql if on_postgresql else keep_on_sqlite)(table, name)
        counted = name.format(row=table)
        op.execute(
            f"UPDATE tally SET count = counted.rows FROM (SELECT {counted} AS name, "  # noqa: S608
            f"count(*) AS rows FROM {table} GROUP BY 1) AS counted WHERE tally.name = counted.name"
        )
    for pair in PAIRS:
        columns = [*pair, "ticket_id"]
        op.create_index(op.f(f"ix_ticket_{'_'.join(columns)}"), "ticket", columns)
    op.create_index(
        op.f("ix_app_user_role_active_user_id"), "app_user", ["role", "active", "user_id"]
    )


def keep_on_sqlite(table: str, name: str) -> None:
    """Move the counts with each row."""
    new, old = name.format(row="NEW"), name.format(row="OLD")
    more, less = STEP.format(name=new, step="+ 1"), STEP.format(name=old, step="- 1")
    for event, moves in (("INSERT", more), ("DELETE", less), ("UPDATE", less + more)):
        when = f"WHEN {old} IS NOT {new}" if event == "UPDATE" else ""
        trigger = f"CREATE TRIGGER tally_{table}_{event.lower()} AFTER {event} ON {table}"
        op.execute(f"{trigger} {when} BEGIN {moves} END")


def keep_on_postgresql(table: str, name: str) -> None:
    """Move the counts with each statement, however many rows it has."""
    counted = name.format(row="row")
    more = f"SELECT {counted} AS name, 1 AS step FROM new_rows AS row"  # noqa: S608 - ours
    less = f"SELECT {counted} AS name, -1 AS step FROM old_rows AS row"  # noqa: S608 - ours
    moves = {"inserted": more, "deleted": less, "updated": f"{more} UNION ALL {less}"}
    merges = {moment: MERGE.format(rows=rows) for moment, rows in moves.items()}
    op.execute(FUNCTION.format(table=table, **merges))
    for event, seen in (
        ("INSERT", "NEW TABLE AS new_rows"),
        ("DELETE", "OLD TABLE AS old_rows"),
        ("UPDATE", "NEW TABLE AS new_rows OLD TABLE AS old_rows"),
    ):
        op.execute(
            f"CREATE TRIGGER tally_{table}_{event.lower()} AFTER {event} ON {table} "
            f"REFERENCING {seen} FOR EACH STATEMENT EXECUTE FUNCTION tally_{table}()"
        )
