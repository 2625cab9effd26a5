"""The routes of tickets and their tags."""

from typing import Any

from flask import Response

from omnidesk.db import db
from omnidesk.http import Blueprint, PreparedSelect, TextPageQuery, current_user, with_caller
from omnidesk.http.errors import http_error, insufficient_scope, nested_errors
from omnidesk.http.etags import ETAG, json_response
from omnidesk.http.fields import etag_of
from omnidesk.http.idempotency import REPLAYED
from omnidesk.http.serialization import dump
from omnidesk.tickets import bulk
from omnidesk.tickets.fields import TAG
from omnidesk.tickets.finding import matching
from omnidesk.tickets.models import Ticket, lock_clients
from omnidesk.tickets.queries import select_tickets
from omnidesk.tickets.queue import take_next
from omnidesk.tickets.schemas import (
    TagSchema,
    TicketCreate,
    TicketPatch,
    TicketQuery,
    TicketSchema,
    TicketsPatch,
)
from omnidesk.tickets.tags import Tag

COMMENT = "comments:write"

blp = Blueprint("tickets", description="Requests of clients, and their tags")


@blp.get("/tickets")
@blp.arguments(TicketQuery, location="query")
@blp.page(TicketSchema)
def list_tickets(filters: dict[str, Any]) -> PreparedSelect:
    """List tickets, newest first or in another order"""
    return select_tickets(with_caller(filters, "assigned_to"))


@blp.post("/tickets")
@blp.arguments(TicketCreate)
@blp.created(TicketSchema, "get_ticket")
def create_ticket(data: dict[str, Any]) -> Ticket:
    """Open a ticket"""
    return Ticket.new(**data)


@blp.get("/tickets/<id(example=100):ticket_id>")
@blp.item(TicketSchema)
def get_ticket(ticket_id: int) -> PreparedSelect:
    """Show a ticket"""
    return PreparedSelect(matching, {"ticket_id": ticket_id})


@blp.patch("/tickets/<id(example=100):ticket_id>")
@blp.arguments(TicketPatch)
@blp.changed(Ticket, TicketSchema)
@blp.alt_response(409, "CONFLICT")
def update_ticket(ticket: Ticket, data: dict[str, Any]) -> None:
    """Change a ticket, or comment on it, or both"""
    if add_comment([ticket.ticket_id], data):
        ticket.refresh()
    ticket.change(**data)


@blp.patch("/tickets")
@blp.arguments(TicketsPatch)
@blp.response(200, TicketSchema(many=True))
@blp.alt_response(409, "CONFLICT")
def update_tickets(data: dict[str, Any]) -> list[Ticket]:
    """Change up to a hundred tickets at once, all or none"""
    ids = data["ticket_ids"]
    lock_tickets(ids, data["set"])
    with nested_errors("set"):
        add_comment(ids, data["set"])
        changed = {ticket.ticket_id: ticket for ticket in bulk.change_all(ids, **data["set"])}
        db.session.commit()
    return [changed[ticket_id] for ticket_id in ids]


def lock_tickets(ids: list[int], changes: dict[str, Any]) -> None:
    """Lock these tickets until the transaction ends; raise 400 where one does not exist.

    The clients whom the changes are about are locked first.
    """
    lock_clients(ids, changes)
    found = bulk.lock(ids)
    missing = {n: ["No such row."] for n, ticket_id in enumerate(ids) if ticket_id not in found}
    if missing:
        raise http_error(400, {"ticket_ids": missing})


def add_comment(ticket_ids: list[int], data: dict[str, Any]) -> bool:
    """Store the comment that a body has on locked tickets, and take it out of the body.

    Return whether there was one; raise 403. It changes the versions of the tickets, so it comes
    before all other changes.
    """
    has_comment = "comment" in data
    if has_comment:
        if current_user.scopes is not None and COMMENT not in current_user.scopes:
            raise insufficient_scope(COMMENT)
        bulk.comment_on(ticket_ids, current_user.user_id, data.pop("comment"))
    return has_comment


@blp.post("/tickets/next")
@blp.response(200, TicketSchema, headers={**ETAG, **REPLAYED})
@blp.alt_response(
    204, description="No Content: somebody has each of them", headers=REPLAYED, success=True
)
@blp.done_once
def take_next_ticket() -> Response:
    """Take the oldest ticket of the highest priority that nobody has"""
    ticket = take_next(current_user.user_id)
    if ticket is None:
        return Response(status=204)
    return json_response(dump(ticket, TicketSchema), etag_of(ticket.etag))


TAG_PATH = "/tickets/<id(example=100):ticket_id>/tags/<tag>"
TAG_PARAMETER = {
    "in": "path",
    "name": "tag",
    "description": "1 to 50 letters and digits of any script, and _ . : - but not at the "
    "beginning; upper and lower case are the same",
    "schema": {"type": "string", "pattern": f"^{TAG}$", "example": "vip"},
}


@blp.put(TAG_PATH, parameters=[TAG_PARAMETER])
@blp.changed(Ticket, TicketSchema)
def add_tag(ticket: Ticket, tag: str) -> None:
    """Put a tag on a ticket"""
    ticket.add_tag(tag)


@blp.delete(TAG_PATH, parameters=[TAG_PARAMETER])
@blp.changed(Ticket, TicketSchema)
def remove_tag(ticket: Ticket, tag: str) -> None:
    """Take a tag off a ticket"""
    ticket.remove_tag(tag)


@blp.get("/tags")
@blp.arguments(TextPageQuery, location="query")
@blp.page(TagSchema)
def list_tags(filters: dict[str, Any]) -> PreparedSelect:
    """List the tags that tickets have, and how many have each"""
    return PreparedSelect(Tag.matching, filters)
