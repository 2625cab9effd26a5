"""What can be imported, and which rows of the desk are made of it."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import case, select, update

from omnidesk.clients.models import Client
from omnidesk.comments.models import Comment
from omnidesk.db import db, utcnow
from omnidesk.db.inserts import insert_all, insert_values
from omnidesk.imports.conversations import add_messages, check_messages
from omnidesk.imports.rows import Row
from omnidesk.imports.schemas import (
    ImportedClient,
    ImportedComment,
    ImportedMessage,
    ImportedRow,
    ImportedTicket,
)
from omnidesk.tickets.models import Ticket
from omnidesk.tickets.tags import TicketTag

COPIED = ("client_id", "priority", "status", "assigned_to")  # from a ticket to its tags


class ImportKind(NamedTuple):
    """Rows of an entity: their schema, and what stores those of a source and returns their ids.

    `check` refuses rows that cannot be stored, although what they refer to exists.
    """

    entity: str
    schema: ImportedRow
    add: Callable[[str, Sequence[Row]], list[int]]
    check: Callable[[Sequence[Row]], None] = lambda _: None


def fields_of(row: Row, *names: str) -> dict[str, Any]:
    """Return the columns of a row: those of these names, its references, and when it was made."""
    values = {name: row.values[name] for name in names if name in row.values}
    return {**values, **row.found, "created_at": row.values.get("created_at") or utcnow()}


def add_clients(_: str, rows: Sequence[Row]) -> list[int]:
    """Store clients; their external id is their own, too, where nobody else has it."""
    names = [row.external_id for row in rows]
    taken = {*db.session.scalars(select(Client.external_id).where(Client.external_id.in_(names)))}
    return insert_all(
        [
            Client(
                **fields_of(row, "full_name", "email", "phone", "active"),
                external_id=None if row.external_id in taken else row.external_id,
            )
            for row in rows
        ]
    )


def add_tickets(_: str, rows: Sequence[Row]) -> list[int]:
    """Store tickets with their tags."""
    tickets = [ticket(row) for row in rows]
    ids = insert_all(tickets)
    tagged = [
        {"ticket_id": ticket_id, "tag": tag} | {name: getattr(new, name) for name in COPIED}
        for ticket_id, new, row in zip(ids, tickets, rows, strict=True)
        for tag in tags_of(row)
    ]
    if tagged:  # in the order of the tags, which is how all imports lock their counts
        tagged.sort(key=itemgetter("tag", "ticket_id"))
        insert_values(TicketTag, tagged)
    return ids


def tags_of(row: Row) -> list[str]:
    """Return the tags of a ticket once each, as the column with all of them has them."""
    return sorted({*row.values.get("tags", ())})


def ticket(row: Row) -> Ticket:
    """Return a new ticket, whose last change is the latest of its times."""
    fields = fields_of(row, "subject", "description", "priority", "status", "due_at")
    given = (row.values.get("updated_at"), row.values.get("resolved_at"))
    updated_at = max(filter(None, (*given, fields["created_at"])))
    is_closed = fields["status"] == "cerrado"
    return Ticket(
        **fields,
        updated_at=row.values.get("updated_at") or updated_at,
        resolved_at=(row.values.get("resolved_at") or updated_at) if is_closed else None,
        tags=json.dumps(tags_of(row), ensure_ascii=False, separators=(",", ":")),
    )


def add_comments(_: str, rows: Sequence[Row]) -> list[int]:
    """Store comments, once their tickets have been changed as long ago as the last of them."""
    comments = [Comment(**fields_of(row, "body")) for row in rows]
    move_tickets(comments)
    return insert_all(comments)


def move_tickets(comments: Sequence[Comment]) -> None:
    """Let tickets be changed when the last of these comments was written, if not later.

    A trigger would do so, too: for each comment alone, which takes longer than all else.
    """
    written: dict[int, datetime] = {}
    for comment in comments:
        known = written.get(comment.ticket_id, comment.created_at)
        written[comment.ticket_id] = max(known, comment.created_at)
    if not written:
        return
    last = case(written, value=Ticket.ticket_id)
    earlier = update(Ticket).where(Ticket.ticket_id.in_(written), Ticket.updated_at < last)
    db.session.execute(
        earlier.values(Ticket.as_changed() | {"updated_at": last}),
        execution_options={"synchronize_session": False},
    )


KINDS = {
    "clients": ImportKind("client", ImportedClient(), add_clients),
    "tickets": ImportKind("ticket", ImportedTicket(), add_tickets),
    "comments": ImportKind("comment", ImportedComment(), add_comments),
    "messages": ImportKind("message", ImportedMessage(), add_messages, check_messages),
}
