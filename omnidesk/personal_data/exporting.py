"""All that is stored of a client, as lines of JSON."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from tempfile import SpooledTemporaryFile
from typing import IO, Any

import orjson
from sqlalchemy import Column, Connection, Select, select

from omnidesk.channels.models import UnsupportedUpdate
from omnidesk.clients.models import Client
from omnidesk.conversations.messages import Message
from omnidesk.db import Base, db
from omnidesk.db.change_log import Change
from omnidesk.db.session import READ
from omnidesk.http.idempotency import IdempotencyKey
from omnidesk.imports.models import SourceRow
from omnidesk.personal_data.emptying import kept_answers
from omnidesk.personal_data.rows import ALL_KINDS, clients, owners

BATCH = 500  # rows that are in memory
IN_MEMORY = 1024 * 1024  # bytes; what is longer is written to a file without a name
JSON_TEXTS = {"tags", "meta", "before", "after"}
DELIVERY = ("delivery_state", "delivery_at", "delivery_error")  # shown as one
OURS = {"version", "erasure", "words", "transaction_id", "fingerprint"}
SNAPSHOT = {
    "sqlite": "BEGIN",
    "postgresql": "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
}


def export(client_id: int) -> IO[bytes]:
    """Return a file with a line for each row, all as they are at one moment.

    It is written before it is sent, since a snapshot must not wait for slow readers.
    """
    file = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - whoever sends it closes it
    with snapshot() as connection:
        for name, rows in selects(client_id):
            for row in connection.execution_options(yield_per=BATCH).execute(rows):
                file.write(line(name, row._mapping))
    file.seek(0)
    return file


@contextmanager
def snapshot() -> Iterator[Connection]:
    """Yield a connection whose statements all see the database as it is now; it writes nothing."""
    kind = db.engine.name
    engine = db.engines[READ] if kind == "sqlite" else db.engine
    with engine.connect() as connection:
        connection.exec_driver_sql(SNAPSHOT[kind])
        try:
            yield connection
        finally:
            if kind == "sqlite":
                connection.exec_driver_sql("ROLLBACK")


def selects(client_id: int) -> Iterator[tuple[str, Select[Any]]]:
    """Yield what selects the rows of each kind, and their changes and sources."""
    key: Any = Client.client_id
    people = select(*columns(Client)).where(key.in_(clients(client_id)))
    yield from with_records(Client, people)
    for kind in ALL_KINDS:
        yield from with_records(kind.entity, kind.of(client_id, *columns(kind.entity)))
    answers = kept_answers(owners(client_id)).with_only_columns(*columns(IdempotencyKey))
    yield "answer", answers


def with_records(entity: type[Base], rows: Select[Any]) -> Iterator[tuple[str, Select[Any]]]:
    """Yield what selects an entity's rows, their changes, and what they were made of."""
    key, name = entity.primary_key(), str(entity.logged_as)
    yield name, rows.order_by(key)
    row_ids = rows.with_only_columns(key)
    changes = select(*columns(Change)).where(Change.entity == name, Change.entity_id.in_(row_ids))
    yield "change", changes.order_by(Change.entity_id, Change.seq)
    sources = select(*columns(SourceRow)).where(SourceRow.row_id.in_(row_ids))
    yield "source", sources.where(SourceRow.entity == name).order_by(SourceRow.row_id)
    if entity is Message:
        updates = select(*columns(UnsupportedUpdate))
        yield "unsupported_update", updates.where(UnsupportedUpdate.message_id.in_(row_ids))


def columns(entity: type[Base]) -> list[Column[Any]]:
    """Return the columns that say something of a person, and are not made of others."""
    found = entity.__table__.columns
    made = {"derived", "copied_from"}
    return [c for c in found if c.name not in OURS and not made & c.info.keys()]


def line(entity: str, row: Any) -> bytes:
    """Return the line of a row."""
    shown = {name: value_shown(name, value) for name, value in row.items()}
    if DELIVERY[0] in shown:
        state, at, error = (shown.pop(name) for name in DELIVERY)
        shown["delivery"] = state and {"state": state, "at": at, "error": error}
    return orjson.dumps({"entity": entity, "row": shown}) + b"\n"


def value_shown(name: str, value: Any) -> Any:
    """Return a value as JSON shows it."""
    if isinstance(value, datetime):
        return f"{value.isoformat()[:19]}Z"
    return orjson.loads(value) if value and name in JSON_TEXTS else value
