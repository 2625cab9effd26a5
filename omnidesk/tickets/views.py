"""Tickets over HTTP."""

from typing import Any

from sqlalchemy import Select

from omnidesk.api import Blueprint
from omnidesk.api.errors import failure
from omnidesk.db import db
from omnidesk.tickets.models import Ticket
from omnidesk.tickets.schemas import (
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
