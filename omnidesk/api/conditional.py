"""Conditional requests (RFC 9110, section 13): nothing is sent twice, and nobody's work is lost."""

from typing import Any

import orjson
from flask import Response, request

from omnidesk.api.encoding import json
from omnidesk.api.errors import failure
from omnidesk.api.rows import dump
from omnidesk.api.schemas import Schema

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


def tagged(shown: str, version: str) -> Response:
    """Answer with a row as JSON and its version, or 304 to a reader who has it."""
    answer = json(shown)
    if version:
        answer.headers["ETag"] = f'"{version}"'
    if "HTTP_IF_NONE_MATCH" in request.environ:
        answer.make_conditional(request)
    return answer


def expect(row: Any, schema: type[Schema]) -> None:
    """Raise 412, with the row as it is now, unless it is as the client knows it."""
    if "If-Match" not in request.headers or request.if_match.contains(str(row.version)):
        return
    error = failure(412)
    error.current = orjson.loads(dump(row, schema))  # type: ignore[attr-defined]
    raise error
