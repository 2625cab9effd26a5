"""The texts of a file as the values that the fields of a schema take."""

import json
import re
from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any

from marshmallow import fields

from omnidesk.conversations.fields import MetaField
from omnidesk.http.fields import BooleanField, EnumField, IdField, ListField, TimeField
from omnidesk.http.schemas import Schema

LONG = {"description", "body", "content"}  # texts whose blanks may mean something
TRUTHS = {
    **dict.fromkeys(("true", "yes", "1", "y", "t", "si", "sí"), True),
    **dict.fromkeys(("false", "no", "0", "n", "f"), False),
}


def typed(schema: Schema, values: dict[str, Any], zone: tzinfo) -> dict[str, Any]:
    """Return the values of a record as JSON would have them; what is none stays a text.

    Times without an offset are in the zone.
    """
    return {
        name: as_json(schema.load_fields.get(name), name, value, zone)
        if isinstance(value, str)
        else value
        for name, value in values.items()
    }


def as_json(field: fields.Field[Any] | None, name: str, text: str, zone: tzinfo) -> Any:
    """Return a text as the value that a field takes, or as it is."""
    if name not in LONG:
        text = text.strip()
    if isinstance(field, TimeField):
        return as_time(text, zone)
    convert = next((each for kind, each in CONVERSIONS.items() if isinstance(field, kind)), None)
    return text if convert is None else convert(text)


def as_time(text: str, zone: tzinfo) -> str:
    """Return a time in ISO 8601 with its offset; the text where it is none."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (time if time.tzinfo else time.replace(tzinfo=zone)).isoformat(timespec="seconds")


def as_id(text: str) -> int | str:
    """Return a number; the text where it is none."""
    return int(text) if re.fullmatch("[0-9]{1,10}", text) else text


def as_truth(text: str) -> bool | str:
    """Return whether a text says yes; the text where it says neither."""
    return TRUTHS.get(text.lower(), text)


def as_list(text: str) -> list[str]:
    """Return the words of a text."""
    return re.split(r"[\s,;]+", text.strip(" ,;"))


def as_object(text: str) -> Any:
    """Return what a JSON text says; the text where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


CONVERSIONS: dict[type[Any], Callable[[str], Any]] = {
    IdField: as_id,
    BooleanField: as_truth,
    ListField: as_list,
    MetaField: as_object,
    EnumField: str.lower,
}
