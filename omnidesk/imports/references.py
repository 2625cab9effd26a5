"""The rows that imported rows refer to: by our ids, or by what their source calls them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from omnidesk.clients.models import Client
from omnidesk.conversations.models import Conversation
from omnidesk.db import db
from omnidesk.db.folding import email_key
from omnidesk.imports.models import SourceRow
from omnidesk.imports.rows import Row
from omnidesk.imports.schemas import Reference
from omnidesk.tickets.models import Ticket
from omnidesk.users.models import User

NO_ROW = "No such row."
REFERRED: dict[str, Any] = {
    "client": Client,
    "ticket": Ticket,
    "conversation": Conversation,
    "user": User,
}


def resolve(reference: Reference, source: str, rows: Sequence[Row]) -> None:
    """Set which row each row refers to, if any; refuse rows whose reference leads nowhere.

    The rows that are referred to stay as they are until the transaction ends.
    """
    known = ids_by_name(reference, source, given(rows, reference.other))
    targets = locked(reference, {*known.values(), *given(rows, reference.field)})
    for row in rows:
        name, row_id = row.values.get(reference.other), row.values.get(reference.field)
        row.found[reference.field] = target = targets.get(row_id or known.get(name))
        if target is None and not (name is None and row_id is None):
            blamed = reference.field if name is None else reference.other
            if name in known or not reference.made or row_id is not None:
                row.refuse({blamed: [NO_ROW]})


def given(rows: Sequence[Row], field: str) -> set[Any]:
    """Return the values that rows have of a field."""
    return {row.values[field] for row in rows if row.values.get(field) is not None}


def ids_by_name(reference: Reference, source: str, names: set[str]) -> dict[Any, int]:
    """Return the ids of the rows that are referred to otherwise than by them, by these names."""
    if not names:
        return {}
    if reference.entity != "user":
        return SourceRow.ids(source, reference.entity, names)
    keys = {name: email_key(name) for name in names}
    users = select(User.email_key, User.user_id).where(User.email_key.in_(keys.values()))
    ids = dict(db.session.execute(users).all())
    return {name: ids[key] for name, key in keys.items() if key in ids}


def locked(reference: Reference, ids: set[int]) -> dict[Any, int]:
    """Lock the rows with these ids that exist; return their ids, by the ids they are named by.

    For a client who was merged, that is the one who has their rows now.
    """
    if not ids:
        return {}
    entity = REFERRED[reference.entity]
    key = entity.primary_key()
    lock: dict[str, Any] = {"key_share": True, "read": not reference.changed}
    merged_into = entity.merged_into if entity is Client else key
    found = select(key, merged_into).where(key.in_(ids)).order_by(key).with_for_update(**lock)
    targets = {row_id: other or row_id for row_id, other in db.session.execute(found)}
    others = locked(reference, {*targets.values()} - targets.keys())
    return {row_id: others.get(other, other) for row_id, other in targets.items()}
