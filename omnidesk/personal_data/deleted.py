"""Clients who were deleted: the change log, kept answers and imports still have their texts."""

from time import monotonic
from typing import Any

import orjson
from sqlalchemy import select

from omnidesk.clients.models import ERASED, Client
from omnidesk.db import db
from omnidesk.db.change_log import Change
from omnidesk.db.session import logging_as
from omnidesk.personal_data import traces
from omnidesk.personal_data.emptying import (
    changes_with_texts,
    count_answers,
    empty_answers,
    empty_records,
)
from omnidesk.personal_data.erasing import (
    ANSWERS,
    COUNT_ERASURE,
    MAX_SECONDS,
    NAMES,
    Counts,
    require,
)
from omnidesk.personal_data.rows import ALL_KINDS, all_clients, owners


def erase_deleted(client_id: int, full_name: str, *, dry_run: bool) -> tuple[bool, Counts] | None:
    """Erase what is left of a client who was deleted; return whether all is, and how many rows.

    None where the change log knows of no such client. Raises RuleViolation as `erasing.find` does.
    """
    gives_up_at, counts = monotonic() + MAX_SECONDS, dict.fromkeys(NAMES, 0)
    client = as_deleted(client_id)
    if client is None:
        return None
    people = [*db.session.scalars(all_clients(client_id))]
    rows = {Client: people} | {
        kind.entity: [*db.session.scalars(kind.deleted(client_id))] for kind in ALL_KINDS
    }
    # Somebody may have given the name of an erased client to one who was not.
    is_erased = client["full_name"] == ERASED and not any(
        changes_with_texts(entity, row_ids) for entity, row_ids in rows.items()
    )
    if is_erased:
        db.session.rollback()  # traces are removed in transactions of their own
        return dry_run or traces.remove(gives_up_at), counts
    require(client["full_name"], client["merged_into"], full_name)
    counts |= {"client": len(people), ANSWERS: count_answers(owners(client_id))}
    if dry_run:
        return False, counts
    with logging_as("erased"):
        for entity, row_ids in rows.items():
            empty_records(entity, row_ids)
        empty_answers(owners(client_id))
        db.session.execute(COUNT_ERASURE)
        db.session.commit()
    return traces.remove(gives_up_at), counts


def as_deleted(client_id: int) -> dict[str, Any] | None:
    """Return a client as they were when they were deleted; None for another, and for none."""
    gone = Change.entity == "client", Change.entity_id == client_id, Change.op == "deleted"
    before = db.session.scalar(select(Change.before).where(*gone))
    return orjson.loads(before) if before else None
