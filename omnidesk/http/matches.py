"""`include=match`: where the texts of a row say what is searched for."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson
from marshmallow import fields
from sqlalchemy import Enum

from omnidesk.db.match import MAX_SHOWN, first_match
from omnidesk.db.words import SearchQuery
from omnidesk.http.errors import http_error
from omnidesk.http.fields import ANY_TEXT, CountField, EnumField, TextField
from omnidesk.http.related import related_of
from omnidesk.http.schemas import ResponseSchema, Schema

MATCH = "match"
FIELD = Enum("subject", "description", "comment", "content", name="field")
Texts = Mapping[str, str | None]  # by the name of a field


class MatchSchema(ResponseSchema):
    """Where a text says what is searched for."""

    field = EnumField(FIELD, example="subject", description="Which text it is")
    text = TextField(
        pattern=ANY_TEXT,
        max_length=MAX_SHOWN,
        example="Cannot login",
        description="The part of it to show, as plain text",
    )
    ranges = fields.List(
        fields.List(CountField(), metadata={"minItems": 2, "maxItems": 2}),
        metadata={
            "description": "What to highlight in it: from one code point to before another",
            "example": [[7, 12]],
        },
    )


class Match(NamedTuple):
    """Where rows say what is searched for; `texts` finds what the rows of a page say."""

    texts: Callable[[list[dict[str, Any]], SearchQuery], list[Texts]]
    resource: str = ""

    def field(self) -> fields.Field[Any]:
        """Return the field that shows it."""
        description = "Where the row says first what `q` asks for, if it does"
        return fields.Nested(MatchSchema, allow_none=True, metadata={"description": description})


def add_matches(rows: list[str], schema: type[Schema], query: SearchQuery) -> list[str]:
    """Return rows that are JSON objects, each with its match."""
    match: Any = related_of(schema)[MATCH]
    texts = match.texts([orjson.loads(row) for row in rows], query)
    matches = (orjson.dumps(first_match(query, each)).decode() for each in texts)
    return [f'{row[:-1]},"{MATCH}":{found}}}' for row, found in zip(rows, matches, strict=True)]


def require_query(query: dict[str, Any]) -> SearchQuery:
    """Return what is searched for; raise 400 where nothing is."""
    if "q" not in query:
        raise http_error(400, {"include": ["There is a match only where q is given."]})
    found: SearchQuery = query["q"]
    return found
