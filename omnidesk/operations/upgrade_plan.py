"""What `init-db` would do to a database, how long it would take, and the disk that it needs."""

import shutil
from typing import NamedTuple

from sqlalchemy import inspect, text

from omnidesk import migrations
from omnidesk.db import db, sqlite
from omnidesk.db.session import READ
from omnidesk.operations.backup.backups import size_text

TABLES = {  # whose rows are counted, with their ids
    "ticket": "ticket_id",
    "comment": "comment_id",
    "message": "message_id",
    "client": "client_id",
    "conversation": "conversation_id",
    "calendar_event": "event_id",
}
# Seconds for a million rows of these tables, on SQLite and on PostgreSQL. Measured with 2 cores
# and a local disk, on a desk of 50,000 tickets that was made by version 0016. Later migrations that
# are not here take a moment on any desk.
MEASURED_FROM = "0016_bytewise_keys"
FIGURES = {
    "0018_faster_inserts": (1.1, 1.2),
    "0019_found": (1.3, 3.3),
    "0020_updated_at": (6.2, 42.0),
    "0021_search": (17.0, 178.0),
    "0022_ticket_times": (1.5, 3.5),
    "0023_client_words": (2.5, 11.0),
    "0024_long_events": (1.4, 4.5),
    "0025_inbox": (9.3, 44.0),
    "0026_inbound": (12.6, 5.9),
    "0027_cases": (4.4, 18.5),
    "0032_channels": (8.3, 41.0),
    "0034_feed": (7.3, 2.5),
    "0036_client_copies": (5.3, 36.0),
    "0037_conversation_states": (0.2, 0.2),
    "0038_senders": (0.4, 0.3),
    "0039_compared_priorities": (2.0, 1.6),
    "0040_tag_times": (0.2, 0.5),
    "0041_running_totals": (0.7, 2.0),
}
TIMES_SIZE = 4  # of the database, that an upgrade needs beside it: 3.3 were seen on SQLite
MILLION = 1_000_000


class Plan(NamedTuple):
    """The migrations that would be run, for a database with about so many rows."""

    revision: str | None
    pending: list[str]
    rows: int

    @property
    def fault(self) -> str | None:
        """Return what is wrong where newer code has migrated the database."""
        is_newer = self.revision is not None and self.revision not in migrations.KNOWN
        return migrations.fault(self.revision) if is_newer else None

    def seconds(self, revision: str) -> float | None:
        """Return how long a migration would take here; None if it has no figure."""
        figures = FIGURES.get(revision)
        return figures and figures[db.engine.name == "postgresql"] * self.rows / MILLION

    @property
    def duration(self) -> str:
        """Return how long all would take, as a text."""
        return duration_text(sum(self.seconds(revision) or 0 for revision in self.pending))

    def lines(self) -> list[str]:
        """Return the plan for people."""
        if not self.pending:
            return [f"The schema is at {self.revision}, the newest. There is nothing to do."]
        return [
            f"The schema is at {self.revision}. For about {self.rows:,} rows:",
            *(f"  {revision:24} {self.expected(revision)}" for revision in self.pending),
            f"In all about {self.duration}, on a machine like that of our measurements.",
            *disk_lines(),
            STOP[db.engine.name],
        ]

    def expected(self, revision: str) -> str:
        """Return how long a migration would take, as a text."""
        seconds = self.seconds(revision)
        if seconds is None:
            return "a moment" if revision > MEASURED_FROM else "not measured"
        return f"about {duration_text(seconds)}"


STOP = {
    "sqlite": "Stop the server first: nobody else can write until the migration is done.",
    "postgresql": "Stop the server first: requests would wait for the tables, and get 503.",
}


def plan() -> Plan:
    """Return what `init-db` would do; raise the database's own error."""
    revision = migrations.revision()
    is_known = revision is None or revision in migrations.KNOWN
    pending = [name for name in sorted(migrations.KNOWN) if name > (revision or "") and is_known]
    return Plan(revision, pending, row_count() if pending else 0)


def is_served() -> bool:
    """Return whether another process has a SQLite database open that is to be migrated."""
    files = sqlite.files_of(db.engine)
    if files is None or not files.file.exists() or not plan().pending:
        return False
    return files.is_open_elsewhere()


def row_count() -> int:
    """Return about how many rows there are, from the greatest ids."""
    with db.engines[READ].connect() as connection:
        present = set(inspect(connection).get_table_names())
        greatest = (
            connection.scalar(text(f"SELECT max({key}) FROM {table}"))  # noqa: S608 - ours
            for table, key in TABLES.items()
            if table in present
        )
        return sum(number or 0 for number in greatest)


def disk_lines() -> list[str]:
    """Return what an upgrade needs of the disk, for people."""
    needed, free = disk_needed(), disk_free()
    told = "" if free is None else f"; {size_text(free)} are free"
    return [f"It needs up to {size_text(needed)} of the disk for a while{told}."]


def disk_needed() -> int:
    """Return how many bytes an upgrade may need beside the database."""
    if files := sqlite.files_of(db.engine):
        return TIMES_SIZE * (files.file.stat().st_size if files.file.exists() else 0)
    with db.engines[READ].connect() as connection:
        size = connection.scalar(text("SELECT pg_database_size(current_database())"))
    return TIMES_SIZE * int(size)


def disk_free() -> int | None:
    """Return how many bytes are free where the database is; None for PostgreSQL's disk."""
    files = sqlite.files_of(db.engine)
    return shutil.disk_usage(files.parent).free if files else None


def duration_text(seconds: float) -> str:
    """Return a time such as `a second`, `40 seconds` or `3 minutes`."""
    if seconds < 1.5:
        return "a second"
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"
