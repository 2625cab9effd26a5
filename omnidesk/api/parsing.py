"""How a request is read: strictly, and blaming fields by their own names."""

import json
from collections import Counter
from functools import cached_property, lru_cache
from typing import Any, NoReturn
from urllib.parse import parse_qsl

import marshmallow as ma
from flask import Request, request
from webargs.flaskparser import FlaskParser
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import HTTPException

from omnidesk.api.errors import failure


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and JSON does not have (RFC 8259)."""
    raise ValueError(name)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Give a JSON object; raises 400 for a name given twice, of which readers differ."""
    found = dict(pairs)
    if len(found) < len(pairs):
        times = Counter(name for name, _ in pairs)
        twice = {name: ["Given more than once."] for name in found if times[name] > 1}
        raise failure(400, twice)
    return found


class StrictRequest(Request):
    """A request in whose query undecodable bytes are lone surrogates, which every field refuses."""

    @cached_property
    def args(self) -> ImmutableMultiDict[str, str]:
        """The query parameters; werkzeug would take such bytes for the text of their escapes."""
        text = self.query_string.decode(errors="surrogateescape")
        pairs = parse_qsl(text, keep_blank_values=True, errors="surrogateescape")
        return ImmutableMultiDict(pairs)


def whole_body(req: Request) -> str:
    """Give the body as text; raises 400 or 413 unless it came as announced."""
    try:
        body = req.get_data()
    except HTTPException:
        raise
    except Exception:  # noqa: BLE001 - what WSGI servers raise for a broken body has no common class
        raise failure(400, {"_schema": ["The body could not be read."]}) from None
    if req.content_length is None and len(body) == req.max_content_length:
        raise failure(413)  # werkzeug cuts a body without a length short, and says nothing
    if req.content_length not in (None, len(body)):
        raise failure(400, {"_schema": ["The body is shorter than its Content-Length."]})
    return body.decode()


class Parser(FlaskParser):
    """Reads requests strictly, and blames fields by their own names."""

    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {}

    def parse(self, argmap: Any, *args: Any, location: str | None = None, **kwargs: Any) -> Any:
        """Give what a request says; of a query that was read before, what it said then."""
        if location == "query":
            return dict(query(argmap, request.query_string))
        return super().parse(argmap, *args, location=location, **kwargs)

    def _raw_load_json(self, req: Request) -> Any:
        if not req.is_json:
            raise failure(415)
        try:
            return json.loads(
                whole_body(req), parse_constant=refuse_constant, object_pairs_hook=unique
            )
        except (ValueError, RecursionError):
            raise failure(400, {"_schema": ["Invalid JSON body."]}) from None

    def load_querystring(self, req: Request, schema: ma.Schema) -> Any:
        """Give the query parameters; raises ValidationError for one given twice."""
        twice = [name for name, values in req.args.lists() if len(values) > 1]
        if twice:
            raise ma.ValidationError({name: ["Given more than once."] for name in twice})
        return super().load_querystring(req, schema)

    def handle_error(self, error: ma.ValidationError, *_: Any, **__: Any) -> NoReturn:
        """End the request with the messages, free of the location that webargs puts above."""
        (messages,) = error.messages_dict.values()
        raise failure(400, messages)


PARSER = Parser()


@lru_cache(maxsize=512)
def query(schema: ma.Schema, _text: bytes) -> dict[str, Any]:
    """Give what the query of the present request says: front ends ask the same again and again."""
    return super(Parser, PARSER).parse(schema, location="query")  # type: ignore[no-any-return]
