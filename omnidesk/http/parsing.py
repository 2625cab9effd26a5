"""How a request is read: strictly, with errors under the fields' own names."""

import json
from collections import Counter
from collections.abc import Callable
from functools import cache, cached_property, lru_cache
from typing import Any, NoReturn
from urllib.parse import parse_qsl

import marshmallow as ma
import orjson
from flask import Request, request
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_options_header

from omnidesk.http.errors import http_error

DUPLICATE = ["Given more than once."]
INVALID = {"_schema": ["Invalid JSON body."]}
JSON_TYPE, MERGE_PATCH_TYPE = "application/json", "application/merge-patch+json"
SMALL_BODY = 8 * 1024  # bytes: whatever it holds, it is read in no time
MAX_VALUES = 1000  # of an array or object in a body; every schema takes fewer, or says how many


class StrictRequest(Request):
    """A request whose query has no bytes that are not UTF-8."""

    @cached_property
    def pairs(self) -> list[tuple[str, str]]:
        """The query parameters, undecodable bytes as lone surrogates, which every field refuses.

        werkzeug would replace such bytes by the text of their escapes.
        """
        text = self.query_string.decode(errors="surrogateescape")
        return parse_qsl(text, keep_blank_values=True, errors="surrogateescape")

    @cached_property
    def args(self) -> ImmutableMultiDict[str, str]:
        """The same, as Flask has them."""
        return ImmutableMultiDict(self.pairs)


def load_json(schema: ma.Schema, max_bytes: int | None = None, max_values: int = MAX_VALUES) -> Any:
    """Return the request's body as the schema loads it; raise 400, 413 or 415.

    `max_bytes` is a lower limit than that of all bodies, `max_values` a higher one.
    """
    check_content_type()
    if max_bytes is not None:
        request.max_content_length = max_bytes
    return load(schema, parse_json(read_body(request), max_values))


def check_content_type() -> None:
    """Raise 415 unless the body is JSON in UTF-8, or a merge patch, and is not compressed.

    It names the header to blame.
    """
    environ = request.environ
    coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    transfer = environ.get("HTTP_TRANSFER_ENCODING", "chunked").strip().lower()
    types = (JSON_TYPE, MERGE_PATCH_TYPE) if environ["REQUEST_METHOD"] == "PATCH" else (JSON_TYPE,)
    mimetype, charset = parse_content_type(environ.get("CONTENT_TYPE", ""))
    if mimetype not in types or charset not in ("utf-8", "utf8"):
        raise http_error(415, {"Content-Type": [f"Must be {' or '.join(types)}, in UTF-8."]})
    for name, is_plain_body in (
        ("Content-Encoding", coding in ("", "identity")),
        ("Transfer-Encoding", transfer == "chunked"),
    ):
        if not is_plain_body:
            raise http_error(415, {name: ["The body must not be compressed."]})


@lru_cache
def parse_content_type(text: str) -> tuple[str, str]:
    """Return the media type and the charset that a Content-Type names, in lower case."""
    mimetype, parameters = parse_options_header(text)
    return mimetype.lower(), parameters.get("charset", "utf-8").lower()


def load_query(schema: ma.Schema) -> Any:
    """Return the query parameters as the schema loads them; raise 400."""
    pairs = query_pairs()
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise http_error(400, {name: DUPLICATE for name in values if counts[name] > 1})
    return load_parameters(schema, values) if is_plain(schema) else load(schema, values)


@cache
def is_plain(schema: ma.Schema) -> bool:
    """Return whether a schema does nothing but load its fields, none of which is required."""
    fields = schema.load_fields.values()
    return not (any(schema._hooks.values()) or any(field.required for field in fields))


def load_parameters(schema: ma.Schema, values: dict[str, str]) -> dict[str, Any]:
    """Return what a plain schema makes of query parameters, as `load` does."""
    found = dict(defaults(schema))
    try:
        for name, text in values.items():
            found[name] = load_parameter(schema, name, text)
    except (KeyError, ma.ValidationError):
        return load(schema, values)  # type: ignore[no-any-return] # which raises with all messages
    return found


@cache
def defaults(schema: ma.Schema) -> dict[str, Any]:
    """Return what a plain schema loads where no parameter is given."""
    found: dict[str, Any] = schema.load({})
    return found


@lru_cache(maxsize=4096)
def load_parameter(schema: ma.Schema, name: str, text: str) -> Any:
    """Return what a field makes of a text: requests differ, but share most of their parameters."""
    return schema.load_fields[name].deserialize(text)


def query_pairs() -> list[tuple[str, str]]:
    """Return the query parameters in their order; none of a loaded query is a duplicate."""
    pairs: list[tuple[str, str]] = request.pairs  # type: ignore[attr-defined]
    return pairs


def load(schema: ma.Schema, values: Any) -> Any:
    """Return what a schema makes of values; raise 400 with the messages by field."""
    try:
        return schema.load(values)
    except ma.ValidationError as error:
        raise http_error(400, error.messages_dict) from None


def read_body(req: Request) -> bytes:
    """Return the whole body; raise 400 or 413 unless it arrived as announced."""
    try:
        body = req.get_data()
    except HTTPException:
        raise
    except Exception:  # noqa: BLE001 - what WSGI servers raise for a broken body has no common class
        raise http_error(400, {"_schema": ["The body could not be read."]}) from None
    length = req.content_length
    if length is None and len(body) == req.max_content_length:
        raise http_error(413)  # werkzeug truncates a body without a length, and says nothing
    if length not in (None, len(body)):
        raise http_error(400, {"_schema": ["The body is shorter than its Content-Length."]})
    return body


def parse_json(body: bytes, max_values: int = MAX_VALUES) -> Any:
    """Return the value of a JSON text (RFC 8259); raise 400."""
    try:
        if len(body) > SMALL_BODY and has_many_values(body, max_values):
            return parse_wide_json(body, max_values)
        return read_json(body, unique_names)
    except DuplicateNameError:
        raise http_error(400, duplicates(body)) from None
    except (ValueError, RecursionError):
        raise http_error(400, INVALID) from None


def read_json(body: bytes, read_object: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> Any:
    """Return the value of a JSON text, its objects as a function makes them of their members."""
    return json.loads(body.decode(), parse_constant=refuse_constant, object_pairs_hook=read_object)


def duplicates(body: bytes) -> dict[Any, Any]:
    """Return the errors of a JSON text in which objects have a name twice."""
    try:
        return errors_in(read_json(body, duplicate_names))
    except (ValueError, RecursionError):
        return INVALID


def has_many_values(body: bytes, max_values: int) -> bool:
    """Return whether a JSON text has more values than any schema, without parsing it.

    Raises ValueError if many of them are arrays or objects: even to parse these takes long.
    """
    shorter = body.replace(rb"\\", b"").replace(rb"\"", b"").replace(b'""', b"")
    outside_strings = b"".join(shorter.split(b'"')[::2])
    count = outside_strings.count
    if count(b"[") + count(b"{") > max_values:
        raise ValueError
    return count(b",") > max_values


def parse_wide_json(body: bytes, max_values: int) -> Any:
    """Return a value that every schema refuses, without the checks of `parse_json`; raise 400."""
    value = orjson.loads(body)
    if widest(value) <= MAX_VALUES:  # what is wide is further down, or has a duplicate name
        raise http_error(400, {"_schema": [f"More than {max_values} values."]})
    return value


def widest(value: Any) -> int:
    """Return how many items the longest array or object has, down to the values of the first."""
    parts = (value, *value.values()) if isinstance(value, dict) else (value,)
    return max((len(part) for part in parts if isinstance(part, dict | list)), default=0)


def refuse_constant(name: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and JSON does not have (RFC 8259)."""
    raise ValueError(name)


class DuplicateNameError(Exception):
    """An object has a name twice, which readers treat differently."""


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object; raise DuplicateNameError."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise DuplicateNameError
    return found


def duplicate_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the errors of a JSON object, in place of it, from those of the objects in it."""
    counts = Counter(name for name, _ in pairs)
    errors = {name: found for name, value in pairs if (found := errors_in(value))}
    return errors | {name: DUPLICATE for name, count in counts.items() if count > 1}


def errors_in(value: Any) -> dict[Any, Any]:
    """Return the errors that stand in a value where it has objects, a list's by position."""
    if isinstance(value, list):
        return {number: found for number, item in enumerate(value) if (found := errors_in(item))}
    return value if isinstance(value, dict) else {}
