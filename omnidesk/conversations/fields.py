"""The field of what is known of a message beside its text."""

import json
import math
from collections.abc import Iterator
from typing import Any

from marshmallow import fields

from omnidesk.conversations.messages import MAX_META
from omnidesk.http.fields import DocumentedField
from omnidesk.providers.parts import MAX_META_DEPTH, UNSTORABLE, is_integer

MAX_VALUES = MAX_META  # of a body with it: each of its values takes a byte or more


class MetaField(DocumentedField, fields.Dict):
    """A JSON object of at most `MAX_META` bytes, loaded as its text without white space.

    Every reader of JSON takes it: its integers have 64 bits, and few values are in each other.
    """

    default_error_messages = {
        "length": f"At most {MAX_META} bytes of JSON.",
        "characters": "NUL and lone surrogates are not allowed.",
        "number": "A number is too large.",
        "depth": f"More than {MAX_META_DEPTH} arrays and objects are in each other.",
    }

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        for number, (depth, part) in enumerate(parts(value)):
            if fault := "length" if number > MAX_META else fault_of(part, depth):
                raise self.make_error(fault)
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        if len(text.encode()) > MAX_META:
            raise self.make_error("length")
        return text


def parts(value: Any, depth: int = 1) -> Iterator[tuple[int, Any]]:
    """Yield all values in a JSON value, and the names in its objects, each with its depth."""
    yield depth, value
    if isinstance(value, dict):
        for name in value:
            yield depth, name
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from parts(item, depth + 1)


def fault_of(part: Any, depth: int) -> str | None:
    """Return the name of what is wrong with a value at a depth, its own items aside."""
    if isinstance(part, dict | list):
        return "depth" if depth > MAX_META_DEPTH else None
    if isinstance(part, str):
        return "characters" if UNSTORABLE.search(part) else None
    if isinstance(part, float):
        return None if math.isfinite(part) else "number"
    return None if part is None or isinstance(part, bool) or is_integer(part) else "number"
