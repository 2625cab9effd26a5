"""Each database has a random id of its own, which ETags hold."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0012_database_id"
down_revision = "0011_commit_order"


def upgrade() -> None:
    """Make the table with its only row."""
    table = op.create_table(
        "database_id",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("copy", sa.Text(), nullable=False),
        sa.CheckConstraint("number = 1", name=op.f("ck_database_id_one_row")),
        sa.CheckConstraint("length(id) BETWEEN 1 AND 16", name=op.f("ck_database_id_id_length")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_database_id")),
    )
    # Which copy of the database this is, `init-db` notes after the last migration.
    op.bulk_insert(table, [{"number": 1, "id": secrets.token_hex(8), "copy": ""}])
