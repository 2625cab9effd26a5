"""Rows, the change log and kept answers without their texts."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import orjson
from sqlalchemy import (
    Column,
    ColumnElement,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    text,
    update,
)

from omnidesk.channels.models import UnsupportedUpdate
from omnidesk.clients.models import ERASED
from omnidesk.conversations.deliveries import CANCELLED, OUTGOING, QUEUED, Outbox
from omnidesk.conversations.messages import Message
from omnidesk.conversations.models import Conversation
from omnidesk.db import Base, db, utcnow
from omnidesk.db.change_log import Change
from omnidesk.http.idempotency import IdempotencyKey
from omnidesk.imports.models import SourceRow
from omnidesk.personal_data.rows import TEXT_COLUMNS, erased, integer_in
from omnidesk.tickets.models import Ticket

QUIETLY = {"synchronize_session": False}
# By the names that JSON has for them, whatever the kind of row.
ALL_TEXTS: dict[str, Column[Any]] = {
    name: column for columns in TEXT_COLUMNS.values() for name, column in columns.items()
}
LOG, ANSWERS = Change.__table__, IdempotencyKey.__table__
REWRITE = (
    update(LOG)
    .where(LOG.c.seq == bindparam("the_seq"))
    .values(before=bindparam("new_before"), after=bindparam("new_after"))
)
ANSWER_KEY = tuple(ANSWERS.primary_key)
KEEP = (
    update(ANSWERS)
    .where(*(column == bindparam(f"the_{column.name}") for column in ANSWER_KEY))
    .values(body=bindparam("new_body"))
)


@cache
def empty_values(entity: type[Base]) -> dict[str, Any]:
    """Return what an erasure sets in an entity's rows: the texts, and what is made of them."""
    texts = TEXT_COLUMNS[entity]
    values: dict[str, Any] = {name: emptied(column) for name, column in texts.items()}
    for column in entity.__table__.columns:
        make, names = column.info.get("derived", (None, ()))
        if texts.keys() & set(names):
            values[column.name] = make(*(erased(texts[name], ERASED) for name in names))
    return values | {"version": entity.__table__.c.version + 1}  # but times stay


def emptied(column: Column[Any]) -> Any:
    """Return the SQL of what a text is after an erasure: nothing stays nothing."""
    if column.nullable:
        return None
    return case((column == literal(""), literal("")), else_=literal(ERASED))


def empty_rows(entity: type[Base], row_ids: Sequence[int], **values: Any) -> int:
    """Empty the texts of rows, here and elsewhere; return how many rows there are."""
    key = entity.primary_key()
    change = update(entity).where(key.in_(row_ids)).values(empty_values(entity) | values)
    count: int = db.session.execute(change, execution_options=QUIETLY).rowcount  # type: ignore[attr-defined]
    empty_records(entity, row_ids)
    return count


def lock_rows(entity: type[Base], condition: ColumnElement[bool]) -> list[int]:
    """Lock rows in the order of their ids, as others do who lock several; return the ids."""
    key = entity.primary_key()
    some = select(key).where(condition).order_by(key)
    return [*db.session.scalars(some.with_for_update(key_share=True))]


def cancel_queued(client_id: int) -> None:
    """Let nothing more be sent to a client, nor queued meanwhile: their conversations are locked.

    Locks are taken in the order of all: tickets, conversation, outbox, message.
    """
    lock_rows(Ticket, Ticket.client_id == client_id)
    theirs = lock_rows(Conversation, Conversation.client_id == client_id)
    waiting = select(Outbox.conversation_id).where(Outbox.conversation_id.in_(theirs))
    db.session.execute(waiting.order_by(Outbox.conversation_id).with_for_update())
    # `OUTGOING` is the condition of an index, which a parameter would not use.
    queued = text(OUTGOING), Message.conversation_id.in_(theirs), Message.delivery_state == QUEUED
    cancelled = {"delivery_state": CANCELLED, "delivery_at": utcnow(), **Message.as_changed()}
    change = update(Message).where(*queued).values(cancelled)
    db.session.execute(change, execution_options=QUIETLY)


def empty_records(entity: type[Base], row_ids: Sequence[int]) -> None:
    """Empty what is stored of rows elsewhere: in the change log, and of what they were made of."""
    empty_log(entity, row_ids)
    if entity is Message:
        UnsupportedUpdate.forget(row_ids)
    SourceRow.forget(str(entity.logged_as), row_ids)


def empty_log(entity: type[Base], row_ids: Iterable[int]) -> None:
    """Empty the texts of rows in what the change log says of them."""
    if changes := changes_with_texts(entity, row_ids):
        db.session.connection().execute(REWRITE, changes)


def changes_with_texts(entity: type[Base], row_ids: Iterable[int]) -> list[dict[str, Any]]:
    """Return what changes of rows the log has with texts, and what it says without them."""
    columns = TEXT_COLUMNS[entity]
    logged = select(LOG.c.seq, LOG.c.before, LOG.c.after).where(
        LOG.c.entity == entity.logged_as, LOG.c.entity_id.in_(row_ids)
    )
    found = []
    for seq, before, after in db.session.execute(logged):
        new = without_texts(before, columns), without_texts(after, columns)
        if new != (before, after):
            found.append({"the_seq": seq, "new_before": new[0], "new_after": new[1]})
    return found


def without_texts(row: str | None, columns: dict[str, Column[Any]]) -> str | None:
    """Return a row as JSON with its texts as an erasure leaves them; as it is if it has none."""
    found = orjson.loads(row) if row else {}
    new = {name: erased(columns[name], found[name]) for name in columns.keys() & found.keys()}
    if new.items() <= found.items():
        return row
    return orjson.dumps(found | new).decode()


def kept_answers(owners: dict[str, Any]) -> Any:
    """Select the kept answers that show a row with one of these numbers, by their names."""
    body = func.nullif(ANSWERS.c.body, literal(""))  # that of a 204 is empty, which is no JSON
    shows = (integer_in(body, name).in_(numbers) for name, numbers in owners.items())
    return select(*ANSWER_KEY, ANSWERS.c.body).where(ANSWERS.c.body.is_not(None), or_(*shows))


def empty_answers(owners: dict[str, Any]) -> int:
    """Empty the texts of kept answers; return how many there are."""
    kept = db.session.execute(kept_answers(owners)).all()
    rewritten = [
        {f"the_{column.name}": value for column, value in zip(ANSWER_KEY, row, strict=False)}
        | {"new_body": without_texts(row.body, ALL_TEXTS)}
        for row in kept
    ]
    if rewritten:
        db.session.connection().execute(KEEP, rewritten)
    return len(kept)


def count_answers(owners: dict[str, Any]) -> int:
    """Return how many kept answers there are."""
    found = kept_answers(owners).subquery()
    return int(db.session.scalar(select(func.count()).select_from(found)) or 0)
