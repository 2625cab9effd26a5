"""Fields that accept exactly what the contract says, and document it with the same pattern."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from email_validator import EmailNotValidError
from marshmallow import ValidationError, fields, missing
from marshmallow.validate import Length, OneOf, Range
from sqlalchemy import Enum
from sqlalchemy.orm import InstrumentedAttribute
from werkzeug.http import quote_etag

from omnidesk.db import MAX_ID
from omnidesk.db.folding import validated_email
from omnidesk.db.visible import VISIBLE_TEXT, is_visible

Column = InstrumentedAttribute[Any]

VERSION = "0.1.0"  # in the OpenAPI document, and in all ETags

ANY_TEXT = r"[^\x00]*"
USERNAME = r"[A-Za-z0-9._-]{3,64}"
# All that a valid address matches: `EmailField` is stricter.
EMAIL = r"[^\s@]+@[^\s@]+\.[^\s@]+"

# A date, a time to the minute or finer, and an offset (ISO 8601, in its long or its short form).
DATE = "[0-9]{4}(-?)[0-9]{2}\\1[0-9]{2}"
CLOCK = "[0-9]{2}(:?)[0-9]{2}(\\2[0-9]{2}([.,][0-9]{1,30})?)?"
DATETIME = f"{DATE}[T ]{CLOCK}(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)"


def etag_of(text: str) -> str:
    """Return the ETag of an answer: the API's version, and a text that no other answer has."""
    return f"{VERSION}-{text}"


class DocumentedField(fields.Field[Any]):
    """A field with what the OpenAPI document says about it."""

    keywords: dict[str, object] = {}

    def __init__(self, *, description: str = "", example: object = missing, **kwargs: Any) -> None:
        keywords = dict(self.keywords)
        if description:
            keywords["description"] = description
        if example is not missing:
            keywords["example"] = example
        super().__init__(metadata=keywords | kwargs.pop("metadata", {}), **kwargs)


class TextField(DocumentedField, fields.String):
    """A text that matches a pattern and fits its column, counted in code points."""

    default_error_messages = {
        "blank": "Nothing in it can be seen.",
        "pattern": "Not allowed: must be {form}.",
        "length": "Length must be between {min_length} and {max_length}.",
        "characters": "NUL and lone surrogates are not allowed.",
    }

    def __init__(
        self,
        column: Column | None = None,
        *,
        pattern: str = VISIBLE_TEXT,
        form: str = "",  # the pattern in words
        min_length: int = 1,
        max_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        if column is not None:
            max_length = column.type.length
            kwargs.setdefault("allow_none", column.nullable)
        self.pattern, self.form = pattern, form
        self.min_length, self.max_length = min_length, max_length or 0
        limits = {"minLength": min_length, "maxLength": max_length, "pattern": f"^{pattern}$"}
        super().__init__(metadata=limits, **kwargs)

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, *args, **kwargs)
        if not self.min_length <= len(text) <= self.max_length:
            raise self.make_error("length", min_length=self.min_length, max_length=self.max_length)
        if re.search("[\x00\ud800-\udfff]", text):
            raise self.make_error("characters")
        if self.pattern == VISIBLE_TEXT:
            if not is_visible(text):
                raise self.make_error("blank")
        elif not re.fullmatch(self.pattern, text):
            raise self.make_error("pattern", form=self.form)
        return text


class EmailField(TextField):
    """An e-mail address, in any script (RFC 6531); its domain is not looked up."""

    def __init__(self, column: Column, **kwargs: Any) -> None:
        super().__init__(column, pattern=EMAIL, form="an address such as ada@example.com", **kwargs)

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> str:
        email = super()._deserialize(value, *args, **kwargs)
        try:
            validated_email(email)
        except EmailNotValidError as error:
            raise ValidationError(str(error)) from None
        return email


class ListField(DocumentedField, fields.List[Any]):
    """A list whose length is checked before its items are."""

    def __init__(self, item: fields.Field[Any], *, max_length: int, **kwargs: Any) -> None:
        length = Length(min=1, max=max_length)
        super().__init__(cls_or_instance=item, validate=length, **kwargs)

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, list):
            self._validate(value)
        return super()._deserialize(value, *args, **kwargs)


class EnumField(DocumentedField, fields.String):
    """One of the values of an enum, such as a column's check constraint allows."""

    def __init__(self, column: Column | Enum, **kwargs: Any) -> None:
        enum = column if isinstance(column, Enum) else column.type
        self.component = str(enum.name).capitalize()  # its name in the OpenAPI document
        super().__init__(validate=OneOf(enum.enums), **kwargs)


class BooleanField(DocumentedField, fields.Boolean):
    """A JSON true or false, not a text or number that means the same."""

    words: dict[object, bool] = {}  # texts that are accepted, too

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value in self.words:
            return self.words[value]
        raise self.make_error("invalid", input=value)


class IdField(DocumentedField, fields.Integer):
    """The id of a row: a JSON integer from 1 to 2147483647."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=Range(min=1, max=MAX_ID), **kwargs)


class CountField(DocumentedField, fields.Integer):
    """How many rows there are."""

    keywords = {"minimum": 0}


class EtagField(DocumentedField, fields.String):
    """The ETag of a row, in its quotes."""

    def _serialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        return quote_etag(etag_of(value))


class PartField(fields.Nested):
    """Several columns of a row as one object: a composite attribute, null where all are null."""


class JsonField(DocumentedField, fields.Field[Any]):
    """JSON that a text column holds, of the type in its metadata."""

    def _serialize(self, value: str | None, *args: Any, **kwargs: Any) -> Any:
        return None if value is None else json.loads(value)


class TimeField(DocumentedField, fields.AwareDateTime):
    """A time in UTC, to the second: `2025-10-29T12:34:56Z` (ISO 8601)."""

    keywords = {"pattern": "^(19[7-9][0-9]|2[01][0-9]{2})-"}
    default_error_messages = {
        "invalid": "Not a time with Z or an offset, such as 2025-10-29T12:34:56Z.",
        "years": "The year must be 1970 to 2199, in UTC.",
        "space": "A + in a query string means a space: send %2B or use Z.",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(format="iso", default_timezone=None, **kwargs)
        self.error_messages["invalid_awareness"] = self.error_messages["invalid"]

    def _serialize(self, value: datetime | None, *args: Any, **kwargs: Any) -> str | None:
        if value is None:
            return None
        return value.astimezone(UTC).isoformat(timespec="seconds")[:19] + "Z"

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> datetime:
        text = value.upper() if isinstance(value, str) else ""
        if not re.fullmatch(DATETIME, text):
            as_sent = "+".join(text.rsplit(" ", 1))
            fault = "space" if re.fullmatch(DATETIME, as_sent) else "invalid"
            raise self.make_error(fault, input=value, obj_type="datetime")
        try:
            time = super()._deserialize(text, *args, **kwargs).astimezone(UTC)
        except OverflowError:
            raise self.make_error("years") from None
        if not 1970 <= time.year <= 2199:
            raise self.make_error("years")
        return time.replace(microsecond=0)
