"""The schema's history, and how far this database has come."""

from pathlib import Path

from sqlalchemy import inspect, text

from omnidesk.db import alone, db, take_time
from omnidesk.log import renumber_restored

HERE = Path(__file__).parent
# Each file is named after its revision, and they are numbered in order.
NEWEST = max(path.stem for path in (HERE / "versions").glob("[0-9]*.py"))
LOCK = 7_401_055  # any number that nothing else of ours uses


def revision() -> str | None:
    """Return the revision of the database's schema, None before the first."""
    with alone(db.engine).connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return str(connection.scalar(text("SELECT version_num FROM alembic_version")))


def upgrade(revision: str = "head") -> None:
    """Bring the database to a schema, the newest; others who do so at the same time wait.

    The newest may have been restored from a dump: then its changes are numbered anew.
    """
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(HERE))
    with db.engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            take_time(connection)
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        if revision == "head" and connection.dialect.name == "postgresql":
            renumber_restored(connection)
