"""A whole desk as files: a line of JSON for each row of each table, and a list of the tables."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Table

from omnidesk.auth.models import UserSession
from omnidesk.channels.models import UnsupportedUpdate
from omnidesk.conversations.deliveries import Outbox
from omnidesk.db import Base, UtcDateTime
from omnidesk.db.database_id import DatabaseId
from omnidesk.http.idempotency import IdempotencyKey
from omnidesk.http.rate_limits.storage import RateLimitWindow
from omnidesk.worker.heartbeat import Worker

MANIFEST = "manifest.json"
# What is of this database alone, and ends by itself: everybody logs in again.
LEFT_OUT: tuple[type[Base], ...] = (
    *(DatabaseId, UserSession, IdempotencyKey, RateLimitWindow),
    *(Outbox, UnsupportedUpdate, Worker),
)
# Which tables each of these names stands for.
PARTS = {
    "users": ("app_user", "api_token"),
    "clients": ("client", "identity"),
    "tickets": ("ticket", "ticket_tag", "tag", "ticket_span"),
    "comments": ("comment",),
    "events": ("calendar_event",),
    "conversations": ("channel", "conversation", "message", "running_total"),
    "changes": ("change",),
    "webhooks": ("webhook", "webhook_delivery"),
    "sources": ("source_row",),
    "counters": ("counter",),
}


def tables(parts: Iterable[str] = PARTS) -> list[Table]:
    """Return the tables of these parts of a desk, each after those that it refers to."""
    wanted = {name for part in parts for name in PARTS[part]}
    return [table for table in Base.metadata.sorted_tables if table.name in wanted]


def file_of(folder: Path, table: Table) -> Path:
    """Return the file with the rows of a table."""
    return folder / f"{table.name}.ndjson"


def dumps(row: dict[str, Any]) -> str:
    """Return a row as a line of JSON."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=datetime.isoformat)


def rows_in(path: Path, table: Table) -> Iterator[dict[str, Any]]:
    """Yield the rows in a file of a table; raise ValueError, with the line, for anything else."""
    times = [column.name for column in table.columns if isinstance(column.type, UtcDateTime)]
    names = {*table.columns.keys()}
    with path.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                if row.keys() != names:
                    raise ValueError("other columns than the table")
                yield row | {name: time_of(row[name]) for name in times}
            except (ValueError, AttributeError, TypeError, OverflowError, RecursionError) as error:
                raise ValueError(f"{path}, line {number}: {error}") from None


def time_of(text: str | None) -> datetime | None:
    """Return the time that an ISO text is, None for none; raise OverflowError out of all years."""
    time = None if text is None else datetime.fromisoformat(text)
    return time.astimezone(UTC) if time and time.tzinfo else time
