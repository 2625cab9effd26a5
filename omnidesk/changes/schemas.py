"""Changes as JSON."""

from marshmallow.validate import Range

from omnidesk.db import MAX_ID
from omnidesk.db.change_log import Change
from omnidesk.http import PageQuery, ResponseSchema
from omnidesk.http.error_schemas import ErrorSchema
from omnidesk.http.fields import EnumField, IdField, JsonField, TimeField
from omnidesk.http.parameters import IntegerParameter

COLUMN_VALUE = {
    "oneOf": [
        {"type": "string", "nullable": True},
        {"type": "integer"},
        {"type": "boolean"},
        {"type": "array", "items": {"type": "string"}},
    ]
}
COLUMNS = {"type": "object", "additionalProperties": COLUMN_VALUE}


class ChangeQuery(PageQuery):
    """The filters of changes."""

    after = IntegerParameter(
        validate=Range(min=0, max=MAX_ID),
        description="Only changes that were committed after the one with this `seq`, such as 41",
    )
    entity = EnumField(Change.entity, description="Only changes of rows of this kind")


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
