"""What is sent of a change: a body of at most 20 KiB, in which long texts are cut."""

from typing import Any

import orjson

from omnidesk.webhooks.event_types import LoggedChange

MAX_BODY = 20 * 1024  # bytes
# To how many code points texts are cut, one after the other until the body is short enough.
CUTS = (4_096, 1_024, 256, 64, 16)
ELLIPSIS = "…"


def standard_body(type_: str, change: LoggedChange) -> bytes:
    """Return the body for a change as it is told, without white space."""
    before, after = (None if text is None else orjson.loads(text) for text in change[-2:])
    body = orjson.dumps(message(type_, change, before, after))
    for most in CUTS:
        if len(body) <= MAX_BODY:
            break
        short = message(type_, change, cut(before, most), cut(after, most), truncated=True)
        body = orjson.dumps(short)
    return body


def message(
    type_: str, change: LoggedChange, before: Any, after: Any, *, truncated: bool = False
) -> dict[str, Any]:
    """Return what is told of a change; `truncated` says whether something is missing."""
    data = {
        "entity": change.entity,
        "entity_id": change.entity_id,
        "op": change.op,
        "actor": change.actor,
        "before": before,
        "after": after,
        "truncated": truncated,
    }
    return {"type": type_, "timestamp": change.at, "seq": change.seq, "data": data}


def cut(columns: dict[str, Any] | None, most: int) -> dict[str, Any] | None:
    """Return columns with texts of so many code points at most, and no longer objects and lists."""
    if columns is None:
        return None
    return {name: cut_value(value, most) for name, value in columns.items()}


def cut_value(value: Any, most: int) -> Any:
    """Return a text with an ellipsis for its end; null for an object or a list that is too long."""
    if isinstance(value, str) and len(value) > most:
        return value[:most] + ELLIPSIS
    if isinstance(value, dict | list) and len(orjson.dumps(value)) > most:
        return None
    return value


def test_body(timestamp: str) -> bytes:
    """Return the body of a test, which is about no change."""
    names = ("entity", "entity_id", "op", "actor", "before", "after")
    data = {**dict.fromkeys(names), "truncated": False}
    return orjson.dumps({"type": "test", "timestamp": timestamp, "seq": None, "data": data})
