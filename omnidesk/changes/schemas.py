"""Changes as JSON."""

from typing import Any

from marshmallow import ValidationError, fields
from marshmallow.validate import Range

from omnidesk.db import MAX_ID
from omnidesk.db.change_log import Change
from omnidesk.http import ME, PageQuery, ResponseSchema
from omnidesk.http.error_schemas import ErrorSchema
from omnidesk.http.fields import DocumentedField, EnumField, IdField, JsonField, TimeField
from omnidesk.http.parameters import EnumsParameter, IdsParameter, IntegerParameter

LATEST = "latest"
MAX_WAIT = 25  # seconds; less than a proxy waits for a response
MAX_ACTORS = 4  # in a request; each has a part of the feed for each entity
COLUMN_VALUE = {
    "oneOf": [
        {"type": "string", "nullable": True},
        {"type": "integer"},
        {"type": "boolean"},
        {"type": "array", "items": {"type": "string"}},
        {"type": "object", "additionalProperties": {}},  # `meta` of a message
    ]
}
COLUMNS = {"type": "object", "additionalProperties": COLUMN_VALUE}


class PositionParameter(DocumentedField, fields.Field[Any]):
    """The `seq` of a change, or the word for the last there is."""

    keywords = {
        "oneOf": [
            {"type": "integer", "minimum": 0, "maximum": MAX_ID},
            {"type": "string", "pattern": f"^{LATEST}$"},
        ]
    }
    seq = IntegerParameter(validate=Range(min=0, max=MAX_ID))

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if value == LATEST:
            return LATEST
        try:
            return self.seq.deserialize(value)
        except ValidationError as error:
            raise ValidationError([*error.messages, f"Or one of: {LATEST}."]) from None


class ActorsParameter(IdsParameter):
    """Ids of users, or `me`: so few that each has parts of the list of its own."""

    max_values = MAX_ACTORS


class ChangeQuery(PageQuery):
    """The filters of changes."""

    after = PositionParameter(
        description="Only changes that were committed after the one with this `seq`, such as 41;"
        f" `{LATEST}` for those that are committed from now on",
    )
    since = TimeField(
        description="Only changes that were made at this time or later, by the server's clock"
    )
    entity = EnumsParameter(
        Change.entity,
        description="Only changes of rows of these kinds: one, or several with commas between them",
    )
    actor = ActorsParameter(
        words={ME: ME},
        description="Only changes by these users: ids with commas between them, or `me`; at most"
        f" {MAX_ACTORS}",
    )
    wait = IntegerParameter(
        validate=Range(min=0, max=MAX_WAIT),
        description="For how many seconds the response waits while there is nothing new: no change"
        " on the page, or none since `If-None-Match`. It may come sooner without one",
    )


OLDEST_SEQ = IdField(required=True, description="The oldest `seq` that can be read")
GoneSchema = ErrorSchema.from_dict({"oldest_seq": OLDEST_SEQ}, name="ChangesGone")
TOO_OLD = (
    "Changes before {} can no longer be read: read the rows anew, then the changes from there."
)
GONE = {"detail": "Gone", "errors": {"after": [TOO_OLD.format(43)]}, "oldest_seq": 43}


class ChangeSchema(ResponseSchema):
    """A change of a row."""

    seq = IdField(example=42, description="The number of the change")
    at = TimeField(example="2025-10-29T09:12:00Z", description="When the row was changed")
    actor = IdField(
        allow_none=True,
        example=2,
        description="The user who changed it; null for nobody, such as a command",
    )
    entity = EnumField(Change.entity, example="ticket", description="The kind of row")
    entity_id = IdField(example=100, description="The id of the row")
    op = EnumField(Change.op, example="updated", description="What was done to the row")
    before = JsonField(
        metadata=COLUMNS,
        allow_none=True,
        example={"status": "abierto"},
        description="What the changed columns held before; null for a new row",
    )
    after = JsonField(
        metadata=COLUMNS,
        allow_none=True,
        example={"status": "en_progreso"},
        description="What they hold now; null for a deleted row",
    )
