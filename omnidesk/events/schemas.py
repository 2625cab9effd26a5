"""Events on the wire."""

from omnidesk.api import Answer, Patch, Schema, TimelineQuery
from omnidesk.api.fields import ANY, Id, IdParam, Text, Time
from omnidesk.events.models import Event


class EventQuery(TimelineQuery):
    """Which events to list."""

    start = Time(example="2025-11-01T00:00:00Z")
    end = Time(example="2025-11-30T23:59:59Z")
    ticket_id = IdParam(example=7)
    created_by = IdParam(example=2)


class EventCreate(Schema):
    """A new event; who creates it is known from the token."""

    title = Text(Event.title, required=True, example="Call with client")
    description = Text(
        Event.description, pattern=ANY, shortest=0, load_default=None, example="Discuss feature X"
    )
    start_time = Time(required=True, example="2025-11-01T15:00:00Z")
    end_time = Time(required=True, example="2025-11-01T15:30:00Z")
    ticket_id = Id(allow_none=True, load_default=None, example=7)


class EventPatch(Patch, EventCreate):
    """What is to be another in an event."""


class EventSchema(Answer, EventCreate):
    """A calendar event."""

    event_id = Id(example=42)
    created_by = Id(allow_none=True, example=2)

    class Meta:
        """The contract's order."""

        fields = (
            "event_id",
            "title",
            "description",
            "start_time",
            "end_time",
            "created_by",
            "ticket_id",
        )
