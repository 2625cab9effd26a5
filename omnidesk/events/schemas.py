"""Events as JSON."""

from omnidesk.events.models import Event
from omnidesk.http import PatchSchema, Related, ResponseSchema, RowEtag, Schema, TimePageQuery
from omnidesk.http.fields import ANY_TEXT, IdField, TextField, TimeField
from omnidesk.http.parameters import BooleanParameter, IdsParameter, IncludeField
from omnidesk.tickets.schemas import RelatedTicket
from omnidesk.users.schemas import RelatedUser


class EventCreate(Schema):
    """A new event; its creator is the user of the token."""

    title = TextField(
        Event.title, required=True, example="Call with client", description="What the event is"
    )
    description = TextField(
        Event.description,
        pattern=ANY_TEXT,
        min_length=0,
        load_default=None,
        example="Discuss feature X",
        description="More about the event",
    )
    start_time = TimeField(
        required=True, example="2025-11-01T15:00:00Z", description="When the event starts"
    )
    end_time = TimeField(
        required=True,
        example="2025-11-01T15:30:00Z",
        description="When the event ends: not before it starts",
    )
    ticket_id = IdField(
        allow_none=True,
        load_default=None,
        example=7,
        description="The ticket that the event is about",
    )


class EventPatch(PatchSchema, EventCreate):
    """The fields of an event that can be changed."""


class EventSchema(ResponseSchema, EventCreate):
    """A calendar event."""

    event_id = IdField(example=42, description="The id of the event")
    created_by = IdField(
        allow_none=True, example=2, description="The user who made the event; null for nobody"
    )

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

    related = {
        "ticket": Related(RelatedTicket, "tickets", "The ticket it is about", nullable=True),
        "creator": Related(RelatedUser, "users", "The user who made it", nullable=True),
        "etag": RowEtag(),
    }


class EventQuery(TimePageQuery):
    """The filters of events: those that start and end within a window."""

    start = TimeField(
        description="Only events that start at this time or later, such as `2025-11-01T00:00:00Z`"
    )
    end = TimeField(
        description="Only events that end at this time or earlier, such as `2025-11-30T23:59:59Z`"
    )
    overlaps = BooleanParameter(
        description="`true`: also events that only overlap the window from `start` to before `end`"
    )
    ticket_id = IdsParameter(description="Only events about these tickets, such as `7,100`")
    client_id = IdsParameter(
        description="Only events about tickets of these clients, for those who may read tickets"
    )
    created_by = IdsParameter(description="Only events that these users made")
    include = IncludeField(EventSchema)
