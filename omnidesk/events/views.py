"""The routes of calendar events."""

from datetime import timedelta
from typing import Any

from omnidesk.events.models import LENGTHS, Event
from omnidesk.events.schemas import EventCreate, EventPatch, EventQuery, EventSchema
from omnidesk.http import Blueprint, PreparedSelect, current_user, require_readable

blp = Blueprint("events", description="Events of the calendar")


@blp.get("/events")
@blp.arguments(EventQuery, location="query")
@blp.page(EventSchema)
def list_events(filters: dict[str, Any]) -> PreparedSelect:
    """List events, earliest first"""
    if "client_id" in filters:
        require_readable("tickets")  # which alone tell whose they are
    overlaps = filters.pop("overlaps", False)
    if overlaps and "start" in filters:
        lengths = (timedelta(hours=hours) for hours in LENGTHS)
        filters["earliest"] = tuple(filters["start"] - length for length in lengths)
    return PreparedSelect(Event.matching, filters, overlaps=overlaps)


@blp.post("/events")
@blp.arguments(EventCreate)
@blp.created(EventSchema, "get_event")
def create_event(data: dict[str, Any]) -> Event:
    """Put an event into the calendar"""
    return Event.new(**data, created_by=current_user.user_id)


@blp.get("/events/<id(example=42):event_id>")
@blp.item(EventSchema)
def get_event(event_id: int) -> PreparedSelect:
    """Show an event"""
    return PreparedSelect(Event.matching, {"event_id": event_id})


@blp.patch("/events/<id(example=42):event_id>")
@blp.arguments(EventPatch)
@blp.changed(Event, EventSchema, owner="created_by")
@blp.alt_response(409, "CONFLICT")
def update_event(event: Event, data: dict[str, Any]) -> None:
    """Change an event, as its creator or an admin"""
    event.change(**data)


@blp.delete("/events/<id(example=42):event_id>")
@blp.deleted(Event, EventSchema, owner="created_by")
def delete_event(_event: Event) -> None:
    """Delete an event, as its creator or an admin"""
