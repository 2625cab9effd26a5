"""The base classes of all schemas: unknown fields are refused, with the name probably meant."""

from collections.abc import Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any, ClassVar

import marshmallow as ma
from marshmallow.validate import Range

from omnidesk.http.errors import MAX_FAULTS, MoreErrors
from omnidesk.http.fields import TextField
from omnidesk.http.parameters import IntegerParameter

DEFAULT_LIMIT, MAX_LIMIT = 50, 200  # rows of a page
MAX_CSV_LIMIT = 10_000  # rows of a page as CSV, and its default
MAX_OFFSET = 2**53 - 1  # rows; the largest integer that every JSON reader holds exactly
MAX_FIELDS = 100  # of an object; every schema has fewer
MAX_HINTS = 10  # unknown fields that are compared with the known ones: that takes time
# What a cursor holds for each type of column: hexadecimal digits, or a text behind a dot.
CURSOR_INTEGER, CURSOR_TIME = "[0-7][0-9a-f]{7}", "[01][0-9a-f]{13}"
NO_CURSOR = "Not a cursor: take it from a Link header."
CURSOR_TEXT = r"\.[^\x00-\x20\x7f-\xa0]{1,50}"


def unknown_parameters(names: list[str]) -> dict[str, list[str]]:
    """Return an error for each parameter of a path that takes none."""
    return {name: ["Unknown parameter. None is taken here."] for name in names}


def unknown_fields(names: list[str], known: list[str], noun: str = "field") -> dict[str, list[str]]:
    """Return an error for each unknown name, with the known name that was probably meant.

    The first for which there is none has all that are known.
    """
    errors, others = {}, f" Must be one of: {', '.join(known)}." if known else ""
    for position, name in enumerate(names):
        compared = known if position < MAX_HINTS else []
        near = get_close_matches(name[:64], compared, n=1, cutoff=0.75)
        hint = f" Did you mean {near[0]!r}?" if near else others
        others = others if near else ""
        errors[name] = [f"Unknown {noun}.{hint}"]
    return errors


class Schema(ma.Schema):
    """A schema that refuses unknown fields and keeps the order of its declaration."""

    noun: ClassVar[str] = "field"  # what a message calls one of them

    def load(self, data: Any, **kwargs: Any) -> Any:
        """Return the loaded values; raise ValidationError, quickly for very many unknown names."""
        if isinstance(data, dict) and len(data) > MAX_FIELDS:
            raise ma.ValidationError(self.many_unknown_fields(data))
        return super().load(data, **kwargs)

    def many_unknown_fields(self, data: dict[str, Any]) -> dict[str, list[str]]:
        """Return the errors of the first unknown names, and how many there are beside."""
        unknown = (name for name in data if name not in self.load_fields)
        first = unknown_fields([*islice(unknown, MAX_FAULTS)], [*self.load_fields], self.noun)
        number = len(data) - sum(name in data for name in self.load_fields)
        return first | {"_schema": [MoreErrors(number - len(first))]}

    def handle_error(self, error: ma.ValidationError, data: Any, **_: Any) -> None:
        """Add to the error of each unknown field the name that was probably meant."""
        messages = error.messages_dict
        names = data if isinstance(data, Mapping) else ()  # in their order: marshmallow has none
        unknown = [name for name in names if name in messages and name not in self.load_fields]
        for name in unknown:
            del messages[name]
        messages |= unknown_fields(unknown, list(self.load_fields), self.noun)

    @classmethod
    def example(cls) -> dict[str, object]:
        """Return an object of the fields' own examples."""
        schema = cls()
        return {
            name: field.metadata["example"]
            for name, field in schema.fields.items()
            if "example" in field.metadata
        }


def example_of(schema: Any) -> Any:
    """Return an example of what a schema writes, or an instance of one that may write several."""
    example = schema.example()
    return [example] if isinstance(schema, Schema) and schema.many else example


class ResponseSchema(Schema):
    """The schema of a response: every key is always there, but for related rows."""

    related: ClassVar[dict[str, Any]] = {}  # what `include` can add to a row: a `Related` by name

    def on_bind_field(self, _: str, field_obj: ma.fields.Field[Any]) -> None:
        """Document the field as required, and without the default of a request."""
        field_obj.required, field_obj.load_default = True, ma.missing


class PatchSchema(Schema):
    """The schema of a merge patch (RFC 7396): a field that is left out stays as it is."""

    def on_bind_field(self, _: str, field_obj: ma.fields.Field[Any]) -> None:
        """Document the field as optional."""
        field_obj.required, field_obj.load_default = False, ma.missing


def cursor_field(pattern: str, max_length: int) -> TextField:
    """Return the field of the cursors that match a pattern."""
    return TextField(
        pattern=pattern,
        max_length=max_length,
        error_messages={"pattern": NO_CURSOR, "length": NO_CURSOR},
        description="Where the page begins: copied from the `Link` header of another page",
    )


class QuerySchema(Schema):
    """The parameters of a query string."""

    noun = "parameter"


class PageQuery(QuerySchema):
    """The page of a list that is ordered by an integer."""

    # The maximum depends on the Accept header: `http/lists.py` checks it.
    limit = IntegerParameter(
        validate=Range(min=1),
        metadata={"maximum": MAX_LIMIT},
        description=f"How many rows to send at most (default: {DEFAULT_LIMIT}); for `text/csv`,"
        f" with a token, up to {MAX_CSV_LIMIT}, which is the default there",
    )
    offset = IntegerParameter(
        load_default=0,
        validate=Range(min=0, max=MAX_OFFSET),
        description="How many rows to skip first. A cursor is faster",
    )
    cursor = cursor_field(f"[ab]{CURSOR_INTEGER}", 9)


class TimePageQuery(PageQuery):
    """The page of a list that is ordered by a time and an integer."""

    cursor = cursor_field(f"[ab]{CURSOR_TIME}{CURSOR_INTEGER}", 23)


class SortedPageQuery(PageQuery):
    """The page of a list that is ordered by up to three keys, as the client chooses."""

    cursor = cursor_field(f"[ab](~|{CURSOR_TIME}|{CURSOR_INTEGER}){{1,3}}", 37)


class TextPageQuery(PageQuery):
    """The page of a list that is ordered by a text."""

    cursor = cursor_field(f"[ab]{CURSOR_TEXT}", 52)
