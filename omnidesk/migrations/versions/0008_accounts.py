"""Sessions, which end with a new password or when their user leaves, and API tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0008_accounts"
down_revision = "0007_tags"

END = "DELETE FROM session WHERE user_id = NEW.user_id;"
WHEN = (
    "OLD.password_changed_at IS {other} NEW.password_changed_at OR (OLD.active AND NOT NEW.active)"
)
FUNCTION = f"""
CREATE FUNCTION end_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {END}
    RETURN NULL;
END $$
"""


def length(table: str, column: str, longest: int, shortest: int = 1) -> sa.CheckConstraint:
    """Hold a text to its length."""
    text = sa.func.length(sa.column(column)).between(shortest, longest)
    return sa.CheckConstraint(text, name=op.f(f"ck_{table}_{column}_length"))


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "session",
        sa.Column("session_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.String(length=45), nullable=True),
        sa.Column("user_agent", sa.String(length=200), nullable=True),
        length("session", "address", 45, shortest=0),
        length("session", "user_agent", 200, shortest=0),
        sa.ForeignKeyConstraint(["user_id"], ["app_user.user_id"], name=op.f("fk_session_user_id")),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_session")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_session_user_id_session_id"), "session", ["user_id", "session_id"])
    op.create_index(op.f("ix_session_expires_at"), "session", ["expires_at"])
    op.create_table(
        "api_token",
        sa.Column("token_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        length("api_token", "name", 100),
        length("api_token", "digest", 64),
        sa.ForeignKeyConstraint(
            ["user_id"], ["app_user.user_id"], name=op.f("fk_api_token_user_id")
        ),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_api_token")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_token_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_api_token_user_id_token_id"), "api_token", ["user_id", "token_id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(FUNCTION)
        op.execute(
            f"CREATE TRIGGER end_sessions AFTER UPDATE ON app_user FOR EACH ROW "
            f"WHEN ({WHEN.format(other='DISTINCT FROM')}) EXECUTE FUNCTION end_sessions()"
        )
    else:
        op.execute(
            f"CREATE TRIGGER end_sessions AFTER UPDATE ON app_user "
            f"WHEN {WHEN.format(other='NOT')} BEGIN {END} END"
        )
