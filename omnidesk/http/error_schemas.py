"""The JSON form of every error, as the OpenAPI document has it."""

from functools import cache
from typing import Any

import marshmallow as ma

from omnidesk.http.schemas import Schema

# Lists of messages by field; for an object or a list in the body, by its own fields or positions.
FIELD_ERRORS: dict[str, Any] = {
    "type": "object",
    "description": "Messages by field; those of a nested object or list nest alike",
    "additionalProperties": {
        "oneOf": [
            {"type": "array", "items": {"type": "string"}},
            {"$ref": "#/components/schemas/FieldErrors"},
        ]
    },
}


class ErrorSchema(ma.Schema):
    """The JSON form of every error."""

    detail = ma.fields.String(
        required=True, metadata={"description": "The reason phrase of the status"}
    )
    errors = ma.fields.Raw(
        metadata={
            "description": "What is wrong with each field to blame",
            "allOf": [{"$ref": "#/components/schemas/FieldErrors"}],
        }
    )


@cache
def precondition_failed(schema: type[Schema]) -> type[ma.Schema]:
    """Return the schema of a 412, which shows the row as it is now to those who may read it."""
    current = ma.fields.Nested(
        schema, metadata={"description": "The row as it is now, for those who may read it"}
    )
    name = f"{schema.__name__.removesuffix('Schema')}PreconditionFailed"
    return ErrorSchema.from_dict({"current": current}, name=name)
