"""The field of what is known of a message beside its text."""

import json
from collections.abc import Iterator
from typing import Any

from marshmallow import fields

from omnidesk.conversations.messages import MAX_META
from omnidesk.http.fields import DocumentedField


class MetaField(DocumentedField, fields.Dict):
    """A JSON object of at most `MAX_META` bytes, loaded as its text without white space."""

    default_error_messages = {
        "length": f"At most {MAX_META} bytes of JSON.",
        "characters": "NUL and lone surrogates are not allowed.",
        "number": "A number is too large, or values are nested too deep.",
    }

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(value, dict):
            raise self.make_error("invalid")
        try:
            text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            if any("\0" in part for part in texts(value)):
                raise self.make_error("characters")
            length = len(text.encode())
        except UnicodeEncodeError:
            raise self.make_error("characters") from None
        except (ValueError, RecursionError):
            raise self.make_error("number") from None
        if length > MAX_META:
            raise self.make_error("length")
        return text


def texts(value: Any) -> Iterator[str]:
    """Yield all texts in a JSON value, the names in its objects included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
