"""Two clients who are one: all that the one has moves to the other."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, select, update

from omnidesk.clients.identities import Identity
from omnidesk.clients.models import WAS_ERASED, Client
from omnidesk.db import Base, RuleViolation, Versioned, db
from omnidesk.db.constraints import defer_constraints


def merge(client_id: int, into: int) -> Client | None:
    """Move all that refers to a client to another one; return the emptied client, None for none.

    Raises RuleViolation where either of them was merged or erased before, or they are the same.
    """
    if client_id == into:
        raise RuleViolation("into", "Must be another client.")
    # One merge at a time: it also changes the clients who were merged into the emptied one before.
    Identity.lock_all()
    # In the order of their ids, as others lock several. New rows can refer to the one that stays
    # meanwhile, and to the other one no more.
    found = {
        number: db.session.get(Client, number, with_for_update={"key_share": number == into})
        for number in sorted((client_id, into))
    }
    emptied, other = found[client_id], found[into]
    if emptied is None:
        return None
    if emptied.merged_into is not None:
        raise RuleViolation("client_id", "Was merged already.", conflict=True)
    if emptied.erasure is not None:
        raise RuleViolation("client_id", WAS_ERASED, conflict=True)
    if other is None:
        raise RuleViolation("into", "No such row.")
    if other.merged_into is not None:
        raise RuleViolation("into", "Was merged into another client.", conflict=True)
    if other.erasure is not None:
        raise RuleViolation("into", WAS_ERASED, conflict=True)
    move(client_id, into)
    emptied.change(active=False, merged_into=into)
    return emptied


def move(client_id: int, into: int) -> None:
    """Let all that refers to a client refer to another one."""
    defer_constraints()  # a ticket has the client of its conversation again when all is done
    for entity, column in references():
        key = entity.primary_key()
        # In one order, as others lock several rows.
        some = select(key).where(column == client_id).order_by(key)
        some = some.with_for_update(key_share=True)
        values: dict[str, Any] = {column.name: into}
        if issubclass(entity, Versioned):
            values |= entity.as_changed()
        moved = update(entity).where(key.in_(some)).values(values)
        db.session.execute(moved, execution_options={"synchronize_session": False})


def references() -> Iterator[tuple[type[Base], Column[Any]]]:
    """Yield the columns that refer to clients, with their entities.

    Tickets come before the conversations that they refer to, as a change of a ticket locks them.
    """
    entities = {mapper.local_table: mapper.class_ for mapper in Base.registry.mappers}
    for table in reversed(Base.metadata.sorted_tables):
        for column in table.columns:
            if column.references(Client.primary_key()):
                yield entities[table], column
