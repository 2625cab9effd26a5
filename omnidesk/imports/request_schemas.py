"""Imports over HTTP as JSON: what is asked, and what has become of each row."""

from typing import Any

from marshmallow import fields
from sqlalchemy import Enum

from omnidesk.http import QuerySchema, ResponseSchema, Schema
from omnidesk.http.fields import DocumentedField, EnumField, IdField, ListField, TextField
from omnidesk.http.parameters import BooleanParameter
from omnidesk.imports.models import SourceRow
from omnidesk.imports.rows import STATUSES
from omnidesk.imports.schemas import (
    ImportedClient,
    ImportedComment,
    ImportedMessage,
    ImportedRow,
    ImportedTicket,
)

MAX_ROWS = 100  # of a request
SOURCE = "[a-z0-9][a-z0-9._-]*"
FORM = "a to z, digits, and . _ - but not at the beginning"


class SourceField(TextField):
    """The name of another system."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(SourceRow.source, pattern=SOURCE, form=FORM, **kwargs)


class UnloadedRow(fields.Nested):
    """A row that is loaded by itself later, so that one that is refused does not stop others."""

    def deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        """Return any JSON value as it is."""
        return value


class RowsField(ListField):
    """The rows of a request, documented by their schema."""

    def __init__(self, schema: type[ImportedRow], example: dict[str, Any]) -> None:
        super().__init__(
            UnloadedRow(schema),
            max_length=MAX_ROWS,
            required=True,
            example=[example],
            description=f"The rows, up to {MAX_ROWS}",
        )


class ImportBody(Schema):
    """What every import says."""

    source = SourceField(
        required=True,
        example="old-desk",
        description="A name for the system that the rows come from, always the same",
    )


class ClientsImport(ImportBody):
    """Clients of another system."""

    rows = RowsField(
        ImportedClient,
        {
            "external_id": "c-77",
            "full_name": "Rosalind Franklin",
            "email": "rosalind@example.com",
            "created_at": "2019-03-01T08:00:00Z",
        },
    )


class TicketsImport(ImportBody):
    """Tickets of another system."""

    rows = RowsField(
        ImportedTicket,
        {
            "external_id": "1029",
            "client_id": 55,
            "subject": "Printer jams",
            "status": "cerrado",
            "assigned_to_email": "agent2@example.com",
            "created_at": "2019-03-04T09:12:00Z",
            "resolved_at": "2019-03-05T10:00:00Z",
            "tags": ["hardware"],
        },
    )


class CommentsImport(ImportBody):
    """Comments of another system."""

    rows = RowsField(
        ImportedComment,
        {
            "external_id": "1029-1",
            "ticket_id": 98,
            "user_email": "agent2@example.com",
            "body": "Sent a technician.",
            "created_at": "2019-03-04T11:30:00Z",
        },
    )


class MessagesImport(ImportBody):
    """Messages of another system."""

    rows = RowsField(
        ImportedMessage,
        {
            "external_id": "chat-5-1",
            "conversation_external_id": "chat-5",
            "client_id": 55,
            "channel": "web",
            "sender": "client",
            "content": "The printer jams again.",
            "created_at": "2019-03-04T09:10:00Z",
        },
    )


class ImportQuery(QuerySchema):
    """How rows are taken."""

    atomic = BooleanParameter(
        load_default=False,
        description="Whether all rows are stored or none: then one that is refused is 400, with"
        " the errors of each row by its position",
    )


class ErrorsField(DocumentedField, fields.Raw):
    """What is wrong with the fields of a row."""


class ImportedSchema(ResponseSchema):
    """What has become of a row."""

    external_id = TextField(
        SourceRow.external_id,
        allow_none=True,
        example="1029",
        description="The id of the row in its source; null where it has none",
    )
    id = IdField(
        allow_none=True,
        example=103,
        description="The id of the row here; null where it was refused",
    )
    status = EnumField(
        Enum(*STATUSES, name="importstatus"),
        example="created",
        description="Whether it was stored now, was stored before, or was refused",
    )
    errors = ErrorsField(
        metadata={"allOf": [{"$ref": "#/components/schemas/FieldErrors"}]},
        example={},
        description="Why it was refused",
    )

    class Meta:
        """The order of the columns."""

        fields = ("external_id", "id", "status", "errors")


class ImportResult(ResponseSchema):
    """What has become of all rows, in their order."""

    results = fields.List(
        fields.Nested(ImportedSchema),
        metadata={
            "description": "What has become of each row, in their order",
            "example": [ImportedSchema.example()],
        },
    )
