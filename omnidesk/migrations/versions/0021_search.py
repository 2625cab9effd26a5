"""The words of tickets, comments and messages, and an index of them."""

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen.search_v1 import fts5_table, fts5_triggers, gin_index, rebuild
from omnidesk.migrations.frozen.words_v1 import words

revision = "0021_search"
down_revision = "0020_updated_at"

TEXTS = {"ticket": ("subject", "description"), "comment": ("body",), "message": ("content",)}
BATCH = 1_000  # rows


def upgrade() -> None:
    """Make the columns and the indexes."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table, names in TEXTS.items():
        column = sa.Column("words", sa.Text(), server_default="", nullable=False)
        op.add_column(table, column)
        fill(table, names, postgresql=postgresql)
        if postgresql:
            op.execute(gin_index(table))
        else:
            index = f"{table}_search"
            made, kept = fts5_table(table, index), fts5_triggers(table, index)
            for statement in [*made, rebuild(index), *kept]:
                op.execute(statement)


def fill(table: str, names: tuple[str, ...], *, postgresql: bool) -> None:
    """Set the words of all rows, which the change log does not show."""
    connection, last = op.get_bind(), 0
    rows = sa.table(table, *map(sa.column, (f"{table}_id", "words", *names)))
    row_id = rows.c[f"{table}_id"]
    read = sa.select(row_id, *(rows.c[name] for name in names)).order_by(row_id).limit(BATCH)
    change = sa.update(rows).where(row_id == sa.bindparam("row_id"))
    change = change.values(words=sa.bindparam("found"))
    if postgresql:  # to look whether there is anything to log or to count would take long
        op.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    while found := connection.execute(read.where(row_id > last)).all():
        made = [{"row_id": number, "found": words(*texts)} for number, *texts in found]
        connection.execute(change, made)
        last = found[-1][0]
    if postgresql:
        op.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
