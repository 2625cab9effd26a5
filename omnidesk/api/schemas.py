"""What every schema does: refuse what it does not know, and say what was probably meant."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import marshmallow as ma
from marshmallow.validate import Range

from omnidesk.api.fields import IntegerParam, Text

LARGEST_LIMIT = 200
NUMBER, TIME = "[0-7][0-9a-f]{7}", "[01][0-9a-f]{13}"
CURSOR, TIMELINE_CURSOR = f"[ab]{NUMBER}", f"[ab]{TIME}{NUMBER}"
WORD_CURSOR = r"[ab]\.[!-~]{1,50}"
LARGEST_OFFSET = 2**53 - 1  # the largest integer that every JSON reader holds exactly


def unknown_fields(names: list[str], known: list[str]) -> dict[str, list[str]]:
    """Give an error for each unknown name, with the known one that was probably meant."""
    errors = {}
    for position, name in enumerate(names):
        # Comparing costs time, and nobody misspells a hundred names.
        near = get_close_matches(name[:64], known, n=1, cutoff=0.75) if position < 10 else []
        hint = f" Did you mean {near[0]!r}?" if near else ""
        errors[name] = [f"Unknown field.{hint}"]
    return errors


class Schema(ma.Schema):
    """A schema that refuses unknown fields and keeps the order it is written in."""

    def handle_error(self, error: ma.ValidationError, data: Any, **_: Any) -> None:
        """Say of each unknown field what was probably meant."""
        messages = error.messages_dict
        unknown = [name for name in messages if isinstance(data, Mapping) and name in data]
        unknown = [name for name in unknown if name not in self.load_fields]
        for name in unknown:
            del messages[name]
        messages |= unknown_fields(unknown, list(self.load_fields))

    @classmethod
    def example(cls) -> dict[str, object]:
        """Give the object that the fields' own examples make."""
        schema = cls()
        return {
            name: field.metadata["example"]
            for name, field in schema.fields.items()
            if "example" in field.metadata
        }


class Answer(Schema):
    """A schema of what we send: every key is always there."""

    def on_bind_field(self, _: str, field_obj: ma.fields.Field[Any]) -> None:
        """Document the field as present, without the default that a request may leave out."""
        field_obj.required, field_obj.load_default = True, ma.missing


class Patch(Schema):
    """A schema of a change: what is not named stays as it is (RFC 7396)."""

    def on_bind_field(self, _: str, field_obj: ma.fields.Field[Any]) -> None:
        """Document the field as one that may be left out."""
        field_obj.required, field_obj.load_default = False, ma.missing


class PageQuery(Schema):
    """The part of a list to send, which is ordered by a number."""

    limit = IntegerParam(load_default=50, validate=Range(min=1, max=LARGEST_LIMIT), example=20)
    offset = IntegerParam(load_default=0, validate=Range(min=0, max=LARGEST_OFFSET), example=0)
    cursor = Text(pattern=CURSOR, longest=9, example="a00000064")


class TimelineQuery(PageQuery):
    """The part of a list to send, which is ordered by a time and a number."""

    cursor = Text(pattern=TIMELINE_CURSOR, longest=23, example="a0642427ad5680000000002a")


class WordQuery(PageQuery):
    """The part of a list to send, which is ordered by a word."""

    cursor = Text(pattern=WORD_CURSOR, longest=52, example="a.vip")
