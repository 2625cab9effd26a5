"""Conditional requests (RFC 9110, section 13): no answer is sent twice, no change is lost."""

from typing import Any

import orjson
from flask import Response, current_app, g, request
from werkzeug.http import quote_etag

from omnidesk.http.errors import http_error
from omnidesk.http.schemas import Schema
from omnidesk.http.serialization import dump

ETAG = {
    "ETag": {
        "description": "Changes whenever the answer does (RFC 9110)",
        "schema": {"type": "string"},
        "example": '"3"',
    }
}
IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "description": "The ETag of the row as you know it: 412 if it has been changed since",
    "schema": {"type": "string"},
}
IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "description": "The ETag of the answer that you have: 304 if it is still the same",
    "schema": {"type": "string"},
}


def matches_if_none_match(etag: str) -> bool:
    """Return whether the client already has the answer with this ETag."""
    asked = "HTTP_IF_NONE_MATCH" in request.environ and request.method in ("GET", "HEAD")
    return asked and request.if_none_match.contains_weak(etag)


def not_modified(etag: str, *, weak: bool = False) -> Response:
    """Return 304 with the ETag."""
    response = current_app.response_class(status=304)
    response.set_etag(etag, weak=weak)
    return response


def json_response(body: str, etag: str | None, *, weak: bool = False) -> Response:
    """Return a JSON body with its ETag, if it has one; 304 to a client that has it already.

    A weak ETag does not promise that each byte is the same.
    """
    headers = [("Content-Type", "application/json")]
    if etag is not None:
        if matches_if_none_match(etag):
            return not_modified(etag, weak=weak)
        headers.append(("ETag", quote_etag(etag, weak)))
    return current_app.response_class(body, headers=headers)


def row_etag(version: int | None) -> str | None:
    """Return the ETag of a row: its version, or None for a row that has none."""
    return None if version is None else str(version)


def check_if_match(row: Any, schema: type[Schema]) -> None:
    """Raise 412, with the row as it is now if the caller may read it, unless it is as known."""
    if "If-Match" not in request.headers or request.if_match.contains(str(row.version)):
        return
    error = http_error(412)
    if "write_only" not in g:
        error.current = orjson.loads(dump(row, schema))  # type: ignore[attr-defined]
    raise error
