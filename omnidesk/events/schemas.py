"""Events as JSON."""

from omnidesk.events.models import Event
from omnidesk.http import PatchSchema, ResponseSchema, Schema, TimePageQuery
from omnidesk.http.fields import ANY_TEXT, IdField, IdParameter, TextField, TimeField


class EventQuery(TimePageQuery):
    """The filters of events: those that start and end within a window."""

    start = TimeField(example="2025-11-01T00:00:00Z")
    end = TimeField(example="2025-11-30T23:59:59Z")
    ticket_id = IdParameter(example=7)
    created_by = IdParameter(example=2)


class EventCreate(Schema):
    """A new event; its creator is the user of the token."""

    title = TextField(Event.title, required=True, example="Call with client")
    description = TextField(
        Event.description,
        pattern=ANY_TEXT,
        min_length=0,
        load_default=None,
        example="Discuss feature X",
    )
    start_time = TimeField(required=True, example="2025-11-01T15:00:00Z")
    end_time = TimeField(required=True, example="2025-11-01T15:30:00Z")
    ticket_id = IdField(allow_none=True, load_default=None, example=7)


class EventPatch(PatchSchema, EventCreate):
    """The fields of an event that can be changed."""


class EventSchema(ResponseSchema, EventCreate):
    """A calendar event."""

    event_id = IdField(example=42)
    created_by = IdField(allow_none=True, example=2)

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
