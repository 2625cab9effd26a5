"""Imported rows as JSON: as new rows of the API are, with their own dates and states."""

from typing import Any, ClassVar, NamedTuple

from marshmallow import ValidationError, validates_schema

from omnidesk.clients.schemas import ClientCreate
from omnidesk.comments.schemas import CommentCreate
from omnidesk.conversations.message_schemas import MessageFields, require_text
from omnidesk.conversations.models import Conversation
from omnidesk.http import Schema
from omnidesk.http.fields import IdField, ListField, TextField, TimeField
from omnidesk.imports.models import SourceRow
from omnidesk.tickets.fields import TagField
from omnidesk.tickets.schemas import TicketCreate
from omnidesk.tickets.tags import MAX_TAGS
from omnidesk.users.models import User


class Reference(NamedTuple):
    """A field with the id of another row, and the one that names it otherwise."""

    field: str
    other: str
    entity: str
    required: bool = True
    changed: bool = False  # whether the other row changes with the import
    made: bool = False  # whether it is made where its external id is not known


CLIENT = Reference("client_id", "client_external_id", "client")
TICKET = Reference("ticket_id", "ticket_external_id", "ticket")
CONVERSATION = Reference("conversation_id", "conversation_external_id", "conversation")
AUTHOR = Reference("user_id", "user_email", "user")
ASSIGNEE = Reference("assigned_to", "assigned_to_email", "user", required=False)


class ImportedRow(Schema):
    """A row of another system."""

    references: ClassVar[tuple[Reference, ...]] = ()

    external_id = TextField(
        SourceRow.external_id,
        required=True,
        example="1029",
        description="The id of the row in its source. It is stored once",
    )
    created_at = TimeField(
        example="2019-03-04T09:12:00Z",
        description="When it was made or written; now where it is left out",
    )

    @validates_schema(skip_on_field_errors=False)
    def check_references(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse a row that names another one twice, or not at all where it must."""
        for field, other, _entity, required, *_more in self.references:
            given = [name for name in (field, other) if data.get(name) is not None]
            if len(given) == 2:
                raise ValidationError({other: [f"Give this or {field}, not both."]})
            if required and not given:
                raise ValidationError({other: [f"Give this or {field}."]})


def by_id(what: str, example: int) -> IdField:
    """Return the field of a reference by our own id."""
    return IdField(allow_none=True, example=example, description=f"{what}, by our id")


def external(what: str, example: str) -> TextField:
    """Return the field of a reference by the id that a row has in the same source."""
    return TextField(
        SourceRow.external_id,
        allow_none=True,
        example=example,
        description=f"{what}, by the id in the same source",
    )


def by_email(what: str) -> TextField:
    """Return the field of a reference to a user by their e-mail address."""
    return TextField(
        max_length=User.email.type.length,
        allow_none=True,
        example="user@example.com",
        description=f"{what}, by the email address",
    )


class ImportedClient(ImportedRow, ClientCreate):
    """A client of another system."""

    external_id = TextField(
        SourceRow.external_id,
        required=True,
        example="c-77",
        description="The id of the client in its source. The client is stored once, and has it as"
        " its own `external_id`, too, unless another client does",
    )


class ImportedTicket(ImportedRow, TicketCreate):
    """A ticket of another system."""

    references = (CLIENT, ASSIGNEE, CONVERSATION._replace(required=False))

    client_id = by_id("The client who asked", 55)
    client_external_id = external("The client who asked", "c-77")
    assigned_to_email = by_email("The user who worked on it, active or not")
    conversation_external_id = external("The conversation that it came from", "chat-5")
    updated_at = TimeField(
        example="2019-03-05T10:00:00Z",
        description="When it was last changed; the latest of its times where it is left out",
    )
    resolved_at = TimeField(
        allow_none=True,
        example="2019-03-05T10:00:00Z",
        description="When it was closed, of a ticket that is `cerrado`; the time of its last change"
        " where it is left out",
    )
    tags = ListField(
        TagField(), max_length=MAX_TAGS, example=["vip"], description="The tags of the ticket"
    )

    @validates_schema
    def check_state(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse a time of closing for a ticket that is not closed."""
        if data.get("resolved_at") and data["status"] != "cerrado":
            raise ValidationError({"resolved_at": ["The status is not cerrado."]})


class ImportedComment(ImportedRow, CommentCreate):
    """A comment of another system."""

    references = (TICKET._replace(changed=True), AUTHOR)

    ticket_id = by_id("The ticket that the comment is on", 100)
    ticket_external_id = external("The ticket that the comment is on", "1029")
    user_id = by_id("The author", 2)
    user_email = by_email("The author, active or not")


class ImportedMessage(ImportedRow, MessageFields):
    """A message of another system."""

    references = (
        CONVERSATION._replace(changed=True, made=True),
        CLIENT._replace(required=False),
        AUTHOR._replace(required=False),
    )

    conversation_id = by_id("The conversation, which is closed and read", 3)
    conversation_external_id = external(
        "The conversation; the first message of one that is not known makes it, closed", "chat-5"
    )
    client_id = by_id("The client whom a new conversation is with", 55)
    client_external_id = external("The client whom a new conversation is with", "c-77")
    channel = TextField(
        Conversation.channel,
        example="whatsapp",
        description="The channel of a new conversation; the source where it is left out",
    )
    user_id = by_id("Who of the staff wrote it", 2)
    user_email = by_email("Who of the staff wrote it")

    @validates_schema
    def check_text(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse a message without the text that its kind needs, and an author who is no user."""
        require_text(data)
        given = [name for name in AUTHOR[:2] if data.get(name) is not None]
        if given and data["sender"] != "user":
            raise ValidationError({given[0]: ["Only for messages whose sender is user."]})
        if data["kind"] == "note" and data["sender"] == "client":
            raise ValidationError({"kind": ["Clients write no notes."]})
