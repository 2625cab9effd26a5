"""Conditional requests (RFC 9110, section 13): nothing is sent twice, and nobody's work is lost."""

from typing import Any

import orjson
from flask import Response, current_app, request

from omnidesk.api.encoding import json
from omnidesk.api.errors import failure
from omnidesk.api.rows import dump
from omnidesk.api.schemas import Schema

SAFE_METHODS = frozenset({"GET", "HEAD"})
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
    "example": "*",
}
IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "description": "The ETag of the answer that you have: 304 if it is still the same",
    "schema": {"type": "string"},
    "example": '"0"',
}


def has(tag: str) -> bool:
    """Tell whether a reader has the answer with this tag already."""
    asks = "HTTP_IF_NONE_MATCH" in request.environ and request.method in SAFE_METHODS
    return asks and request.if_none_match.contains_weak(tag)


def unchanged(tag: str, *, weak: bool = False) -> Response:
    """Answer 304: the reader has the answer with this tag."""
    answer = current_app.response_class(status=304)
    answer.set_etag(tag, weak=weak)
    return answer


def tagged(shown: str, tag: str, *, weak: bool = False) -> Response:
    """Answer with JSON and its tag, if it has one; a weak one does not vouch for each byte."""
    if tag and has(tag):
        return unchanged(tag, weak=weak)
    answer = json(shown)
    if tag:
        answer.set_etag(tag, weak=weak)
    return answer


def expect(row: Any, schema: type[Schema]) -> None:
    """Raise 412, with the row as it is now, unless it is as the client knows it."""
    if "If-Match" not in request.headers or request.if_match.contains(str(row.version)):
        return
    error = failure(412)
    error.current = orjson.loads(dump(row, schema))  # type: ignore[attr-defined]
    raise error
