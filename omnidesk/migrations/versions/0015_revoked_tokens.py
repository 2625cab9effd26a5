"""API tokens end as sessions do: with a new password of their user, or when the user leaves."""

from alembic import op

revision = "0015_revoked_tokens"
down_revision = "0013_input"

END = (
    "DELETE FROM session WHERE user_id = NEW.user_id;"
    " DELETE FROM api_token WHERE user_id = NEW.user_id;"
)
WHEN = (
    "OLD.password_changed_at IS {other} NEW.password_changed_at OR (OLD.active AND NOT NEW.active)"
)
FUNCTION = f"""
CREATE FUNCTION end_access() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {END}
    RETURN NULL;
END $$
"""
# What the trigger would have revoked, had it been there.
OUTLIVED = """
DELETE FROM api_token WHERE EXISTS (
    SELECT 1 FROM app_user WHERE app_user.user_id = api_token.user_id
    AND (NOT app_user.active OR app_user.password_changed_at > api_token.created_at)
)
"""


def upgrade() -> None:
    """Replace the trigger that ended sessions alone, and revoke what should have ended before."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER end_sessions ON app_user")
        op.execute("DROP FUNCTION end_sessions()")
        op.execute(FUNCTION)
        op.execute(
            f"CREATE TRIGGER end_access AFTER UPDATE ON app_user FOR EACH ROW "
            f"WHEN ({WHEN.format(other='DISTINCT FROM')}) EXECUTE FUNCTION end_access()"
        )
    else:
        op.execute("DROP TRIGGER end_sessions")
        op.execute(
            f"CREATE TRIGGER end_access AFTER UPDATE ON app_user "
            f"WHEN {WHEN.format(other='NOT')} BEGIN {END} END"
        )
    op.execute(OUTLIVED)
