"""Conditional requests (RFC 9110, section 13): no answer is sent twice, no change is lost."""

import re
from hashlib import sha256
from typing import Any

import orjson
from flask import Response, current_app, g, request
from werkzeug.exceptions import PreconditionFailed
from werkzeug.http import quote_etag

from omnidesk.http.errors import http_error
from omnidesk.http.fields import etag_of
from omnidesk.http.schemas import Schema
from omnidesk.http.serialization import dump

ETAG = {
    "ETag": {
        "description": "Changes whenever the answer does (RFC 9110)",
        "schema": {"type": "string"},
        "example": '"0.1.0-9f86d081884c7d65-100-3"',
    }
}
CONDITION = {
    "type": "string",
    "pattern": r'^(\*|(W/)?"[!#-~]*"(, *(W/)?"[!#-~]*")*)$',
}
IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "description": "The ETag of the row as you know it: 412 if it has been changed since",
    "schema": CONDITION,
}
IF_NONE_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "description": "The ETag of the answer that you have: 304 if it is still the same",
    "schema": CONDITION,
}

# An entity tag, and a list of them (RFC 9110, sections 8.8.3 and 5.6.1).
TAG = '(?:W/)?"([!#-~\x80-\xff]*)"'
TAGS = re.compile(f"[ \t,]*{TAG}(?:[ \t]*,[ \t,]*{TAG})*[ \t,]*")
MALFORMED = ["Must be * or ETags in double quotes, as they were sent."]
UNSUPPORTED = ["Not supported here."]
# What a change may depend on. A time in seconds does not tell two changes apart (RFC 9110, section
# 13.1.4), which is no reason to make a change that was meant for an unchanged row alone.
BY_TIME = "If-Unmodified-Since"
CONDITIONS = "If-Match", "If-None-Match", BY_TIME
CONDITION_KEYS = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in CONDITIONS}


def digest(body: str) -> str:
    """Return a digest of a body, for an answer that nothing else tells from others."""
    return sha256(body.encode()).hexdigest()[:32]


def names_etag(condition: str, etag: str) -> bool:
    """Return whether a condition is `*` or has an ETag; raise ValueError for a malformed one.

    A weak ETag is as good as a strong one: a proxy that compresses answers makes ETags weak, and
    that of a row means a version of the row, not the bytes that were sent.
    """
    if condition.strip(" \t") == "*":
        return True
    if not TAGS.fullmatch(condition):
        raise ValueError(condition)
    return etag in re.findall(TAG, condition)


def is_conditional() -> bool:
    """Return whether the request is to be done only if an ETag matches, or if it does not."""
    environ = request.environ
    return "HTTP_IF_NONE_MATCH" in environ or "HTTP_IF_MATCH" in environ


def check_if_match(etag: str) -> None:
    """Raise 412 for a request that is meant for another version than the one with this ETag."""
    condition = request.environ.get("HTTP_IF_MATCH")
    try:
        failed = condition is not None and not names_etag(condition, etag)
    except ValueError:
        raise http_error(412, {"If-Match": MALFORMED}) from None
    if failed:
        raise http_error(412)


def client_has(etag: str) -> bool:
    """Return whether the client says that it has the answer with this ETag; raise 400."""
    condition = request.environ.get("HTTP_IF_NONE_MATCH")
    try:
        return condition is not None and names_etag(condition, etag)
    except ValueError:
        raise http_error(400, {"If-None-Match": MALFORMED}) from None


def check_conditions(row: Any, schema: type[Schema]) -> None:
    """Raise 412 for a change that is meant for another version, with the row as it is now.

    Whoever may not read the row does not get it.
    """
    try:
        etag = etag_of(row.etag)
        check_if_match(etag)
        if client_has(etag):
            raise http_error(412)
    except PreconditionFailed as error:
        if "write_only" not in g:
            error.current = orjson.loads(dump(row, schema))  # type: ignore[attr-defined]
        raise


def refuse_conditions(*names: str) -> None:
    """Raise 400 for a request that is to be done on one of these conditions, not checked here."""
    environ = request.environ
    if given := [name for name in names if CONDITION_KEYS[name] in environ]:
        raise http_error(400, dict.fromkeys(given, UNSUPPORTED))


def not_modified(etag: str, *, weak: bool = False) -> Response:
    """Return 304 with the ETag."""
    response = current_app.response_class(status=304)
    response.set_etag(etag, weak=weak)
    return response


def json_response(body: str, etag: str | None = None) -> Response:
    """Return a JSON body, with its ETag if it has one."""
    headers = [("Content-Type", "application/json")]
    if etag is not None:
        headers.append(("ETag", quote_etag(etag)))
    return current_app.response_class(body, headers=headers)


def unchanged_answer(etag: str, *, weak: bool = False) -> Response | None:
    """Return 304 to a client that has the answer with this ETag, else None; raise 412 or 400.

    A weak ETag does not promise that each byte is the same.
    """
    if not is_conditional():
        return None
    check_if_match(etag)
    return not_modified(etag, weak=weak) if client_has(etag) else None
