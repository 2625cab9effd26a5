"""A row on its way into the desk, and what has become of it."""

from dataclasses import dataclass, field
from typing import Any, Self

from marshmallow import ValidationError

from omnidesk.http import Schema
from omnidesk.http.errors import listed

CREATED, UNCHANGED, REFUSED = STATUSES = ("created", "unchanged", "refused")


@dataclass
class Row:
    """What was sent, as its schema loads it, and the rows that it refers to."""

    external_id: str | None
    values: dict[str, Any] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)  # the ids of these rows, by field
    errors: dict[str, Any] = field(default_factory=dict)
    status: str = REFUSED
    id: int | None = None

    @classmethod
    def load(cls, schema: Schema, sent: Any) -> Self:
        """Return the row that a JSON value is; refused where the schema does not take it."""
        row = cls(external_id_of(schema, sent))
        try:
            row.values = schema.load(sent)
        except ValidationError as error:
            row.refuse(error.messages_dict)
        return row

    def refuse(self, errors: dict[str, Any]) -> None:
        """Note why it cannot be stored."""
        self.status, self.errors = REFUSED, listed(self.errors | errors)

    def accept(self, status: str, row_id: int) -> None:
        """Note under which id it is stored."""
        self.status, self.id, self.errors = status, row_id, {}


def external_id_of(schema: Schema, sent: Any) -> str | None:
    """Return the external id of a row, None where it has none that the schema takes."""
    value = sent.get("external_id") if isinstance(sent, dict) else None
    try:
        return schema.fields["external_id"].deserialize(value)
    except ValidationError:
        return None
