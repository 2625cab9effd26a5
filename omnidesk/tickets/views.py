"""Tickets over HTTP."""

from typing import Any

from sqlalchemy import Select

from omnidesk.api import Blueprint, WordQuery
from omnidesk.api.errors import failure
from omnidesk.db import db
from omnidesk.tickets.models import TAG, Tag, Ticket
from omnidesk.tickets.schemas import (
    TagSchema,
    TicketCreate,
    TicketPatch,
    TicketQuery,
    TicketSchema,
    TicketsPatch,
)

blp = Blueprint("tickets", description="What clients ask for")


@blp.get("/tickets")
@blp.arguments(TicketQuery, location="query")
@blp.page(TicketSchema)
def list_tickets(filters: dict[str, Any]) -> Select[Any]:
    """List tickets, newest first"""
    return Ticket.matching(**filters)


@blp.post("/tickets")
@blp.arguments(TicketCreate)
@blp.created(TicketSchema, "get_ticket")
def create_ticket(data: dict[str, Any]) -> Ticket:
    """Open a ticket"""
    return Ticket.open(**data)


@blp.get("/tickets/<id(example=100):ticket_id>")
@blp.item(TicketSchema)
def get_ticket(ticket_id: int) -> Select[Any]:
    """Show a ticket"""
    return Ticket.matching(ticket_id=ticket_id)


@blp.patch("/tickets/<id(example=100):ticket_id>")
@blp.arguments(TicketPatch)
@blp.changed(Ticket, TicketSchema)
def update_ticket(ticket: Ticket, data: dict[str, Any]) -> None:
    """Change a ticket"""
    ticket.change(**data)


@blp.patch("/tickets")
@blp.arguments(TicketsPatch)
@blp.response(200, TicketSchema(many=True))
def update_tickets(data: dict[str, Any]) -> list[Ticket]:
    """Change up to a hundred tickets at once, all or none"""
    numbers = data["ticket_ids"]
    known = Ticket.lock(numbers)
    missing = {n: ["No such row."] for n, number in enumerate(numbers) if number not in known}
    if missing:
        raise failure(400, {"ticket_ids": missing})
    changed = {ticket.ticket_id: ticket for ticket in Ticket.change_all(numbers, **data["set"])}
    db.session.commit()
    return [changed[number] for number in numbers]


ON_A_TICKET = "/tickets/<id(example=100):ticket_id>/tags/<tag>"
WORD = {
    "in": "path",
    "name": "tag",
    "schema": {"type": "string", "pattern": f"^{TAG}$", "maxLength": 50, "example": "vip"},
}


@blp.put(ON_A_TICKET, parameters=[WORD])
@blp.changed(Ticket, TicketSchema)
def add_tag(ticket: Ticket, tag: str) -> None:
    """Put a tag on a ticket"""
    ticket.add_tag(tag)


@blp.delete(ON_A_TICKET, parameters=[WORD])
@blp.changed(Ticket, TicketSchema)
def remove_tag(ticket: Ticket, tag: str) -> None:
    """Take a tag off a ticket"""
    ticket.remove_tag(tag)


@blp.get("/tags")
@blp.arguments(WordQuery, location="query")
@blp.page(TagSchema)
def list_tags(filters: dict[str, Any]) -> Select[Any]:
    """List the tags that tickets have, and how many have each"""
    return Tag.matching(**filters)
