"""The words of clients, and an index of them."""

import sqlalchemy as sa
from alembic import op

from omnidesk.migrations.frozen.search_v1 import fts5_table, fts5_triggers, gin_index, rebuild
from omnidesk.migrations.frozen.words_v2 import client_words

revision = "0023_client_words"
down_revision = "0022_ticket_times"

TEXTS = ("full_name", "email", "phone", "external_id")
INDEX = "client_search"
BATCH = 1_000  # rows


def upgrade() -> None:
    """Make the column and the index, in the place of the column that was searched before."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    op.drop_column("client", "search_text")
    column = sa.Column("words", sa.Text(), server_default="", nullable=False)
    op.add_column("client", column)
    if postgresql:  # to look whether there is anything to log would take long
        op.execute("ALTER TABLE client DISABLE TRIGGER USER")
    fill()
    if postgresql:
        op.execute("ALTER TABLE client ENABLE TRIGGER USER")
        op.execute(gin_index("client"))
        return
    made, kept = fts5_table("client", INDEX), fts5_triggers("client", INDEX)
    for statement in [*made, rebuild(INDEX), *kept]:
        op.execute(statement)


def fill() -> None:
    """Set the words of all clients, which the change log does not show."""
    connection, last = op.get_bind(), 0
    rows = sa.table("client", *map(sa.column, ("client_id", "words", *TEXTS)))
    row_id = rows.c.client_id
    read = sa.select(row_id, *(rows.c[name] for name in TEXTS)).order_by(row_id).limit(BATCH)
    change = sa.update(rows).where(row_id == sa.bindparam("row_id"))
    change = change.values(words=sa.bindparam("found"))
    while found := connection.execute(read.where(row_id > last)).all():
        made = [{"row_id": number, "found": client_words(*texts)} for number, *texts in found]
        connection.execute(change, made)
        last = found[-1][0]
