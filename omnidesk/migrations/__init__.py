"""The schema's versions, and which of them this database has."""

from pathlib import Path

from sqlalchemy import inspect, text

from omnidesk.db import db
from omnidesk.db.change_log import renumber_restored
from omnidesk.db.postgresql import disable_timeouts
from omnidesk.db.session import READ

HERE = Path(__file__).parent
# Each file is named after its revision, and they are numbered in order.
NEWEST = max(path.stem for path in (HERE / "versions").glob("[0-9]*.py"))
LOCK = 7_401_055  # any number that nothing else of ours uses


def revision() -> str | None:
    """Return the revision of the database's schema, None before the first."""
    with db.engines[READ].connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


def upgrade(revision: str = "head") -> None:
    """Bring the database to a revision, the newest by default; a second caller waits.

    At the newest, a database that was restored from a dump has its changes renumbered.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(HERE))
    with db.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            disable_timeouts(connection)
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        if revision == "head" and connection.dialect.name == "postgresql":
            renumber_restored(connection)
