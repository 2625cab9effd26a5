"""Fields of query strings, where everything is text."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from flask import g
from marshmallow import ValidationError, fields
from marshmallow.validate import Range
from sqlalchemy import Enum

from omnidesk.db import MAX_ID
from omnidesk.db.folding import search_words
from omnidesk.db.search import QUERY
from omnidesk.db.words import MAX_QUERY, MAX_QUERY_WORDS, SearchQuery
from omnidesk.http.errors import http_error
from omnidesk.http.fields import BooleanField, Column, DocumentedField, EnumField, TextField

MAX_VALUES = 100  # of a filter
NO_WORD = "There is no word in it: no letter and no digit."
ME = "me"  # stands for the caller's own id


def with_caller(filters: dict[str, Any], name: str) -> dict[str, Any]:
    """Return filters with the id of the caller instead of `ME`; raise 401 where nobody is."""
    values = values_of(filters.get(name))
    if ME not in values:
        return filters
    if g.user is None:
        raise http_error(401)
    return filters | {name: one_or_many(g.user.user_id if item is ME else item for item in values)}


def values_of(value: Any) -> list[Any]:
    """Return the values that a `ManyParameter` has loaded, as a list also where there is one."""
    return value if isinstance(value, list) else [value]


def one_or_many(values: Iterable[Any]) -> Any:
    """Return values, each once, as a `ManyParameter` loads them: a list where there are several."""
    found = [*dict.fromkeys(values)]
    return found if len(found) > 1 else found[0]


class BooleanParameter(BooleanField):
    """A boolean in a query string: `true`, `1`, `false` or `0`."""

    words = {"true": True, "1": True, "false": False, "0": False}
    default_error_messages = {"invalid": "Must be one of: true, 1, false, 0."}


class IntegerParameter(DocumentedField, fields.Integer):
    """An integer in a query string: decimal digits and nothing else."""

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> int:
        if not re.fullmatch("-?[0-9]{1,19}", str(value)):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, *args, **kwargs)


class IdParameter(IntegerParameter):
    """The id of a row in a query string."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(validate=Range(min=1, max=MAX_ID), **kwargs)


class ManyParameter(DocumentedField, fields.Field[Any]):
    """Values in a query string, separated by commas: a list, or the value where there is one.

    `words` are texts that stand for other values.
    """

    default_error_messages = {"many": "At most {limit} values."}
    max_values = MAX_VALUES

    def __init__(
        self,
        item: fields.Field[Any],
        pattern: str,
        *,
        words: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.item, self.words = item, words or {}
        one = f"({'|'.join([*self.words, pattern])})"
        self.keywords = {"type": "string", "pattern": f"^{one}(,{one}){{0,{self.max_values - 1}}}$"}
        super().__init__(**kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        texts = value.split(",")
        if len(texts) > self.max_values:
            raise self.make_error("many", limit=self.max_values)
        return one_or_many(map(self.load_one, texts))

    def load_one(self, text: str) -> Any:
        """Return the value that a text stands for; raise ValidationError with what is allowed."""
        if text in self.words:
            return self.words[text]
        try:
            return self.item.deserialize(text)
        except ValidationError as error:
            words = [f"Or one of: {', '.join(self.words)}."] if self.words else []
            raise ValidationError([*error.messages, *words]) from None


class EnumsParameter(ManyParameter):
    """Values of an enum in a query string."""

    def __init__(self, column: Column, **kwargs: Any) -> None:
        super().__init__(EnumField(column), "|".join(column.type.enums), **kwargs)


class IdsParameter(ManyParameter):
    """Ids of rows in a query string."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(IdParameter(), "[0-9]{1,19}", **kwargs)


class SortParameter(DocumentedField, fields.Field[Any]):
    """One or two names that a list is ordered by, with `-` where it descends: loaded as a tuple."""

    default_error_messages = {
        "many": "At most two, separated by a comma.",
        "twice": "Given more than once: {name}.",
    }

    def __init__(self, *values: str, **kwargs: Any) -> None:
        self.item = EnumField(Enum(*values, name="sort"))
        pattern = "|".join(sort_pattern(value, values) for value in values)
        self.keywords = {"type": "string", "pattern": f"^({pattern})$"}
        super().__init__(**kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        keys = tuple(self.item.deserialize(text) for text in value.split(",", 2))
        first, *others = (key.removeprefix("-") for key in keys)
        if first in others:
            raise self.make_error("twice", name=first)
        if len(others) > 1:
            raise self.make_error("many")
        return keys


def sort_pattern(value: str, values: Iterable[str]) -> str:
    """Return the pattern of a value, and after a comma another one with another name."""
    name = value.removeprefix("-")
    others = [other for other in values if other.removeprefix("-") != name]
    return f"{value}(,({'|'.join(others)}))?" if others else value


class IncludeField(ManyParameter):
    """Names of related rows, loaded as a tuple in their order: by default a schema's."""

    default_error_messages = {"many": "Too many: at most {limit}."}

    def __init__(self, schema: Any, *names: str) -> None:
        self.names = names or tuple(schema.related)
        self.max_values = len(self.names)
        super().__init__(
            EnumField(Enum(*self.names, name="include")),
            "|".join(self.names),
            description=f"Related rows to show: {', '.join(f'`{name}`' for name in self.names)}",
        )

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        found = values_of(super()._deserialize(value, *args, **kwargs))
        return tuple(name for name in self.names if name in found)


class SearchField(TextField):
    """Words to look for, loaded as a tuple of their folded forms."""

    default_error_messages = {"blank": NO_WORD}

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> Any:
        words = search_words(super()._deserialize(value, *args, **kwargs))
        if not words:
            raise self.make_error("blank")
        return tuple(words)


class QueryField(TextField):
    """Words and phrases to look for, loaded as a `SearchQuery`."""

    default_error_messages = {"blank": NO_WORD, "many": "At most {limit} words."}

    def __init__(self, description: str, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_QUERY, description=description, **kwargs)

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> Any:
        query = SearchQuery.parse(super()._deserialize(value, *args, **kwargs))
        if not query.terms:
            raise self.make_error("blank")
        if len(" ".join(query.terms).split()) > MAX_QUERY_WORDS:
            raise self.make_error("many", limit=MAX_QUERY_WORDS)
        return query


def words_filters(query: SearchQuery) -> dict[str, Any]:
    """Return the filters that a query consists of."""
    parts = query.terms, query.words, query.phrases, query.index_prefix
    return dict(zip(QUERY, parts, strict=True))


class KeyField(TextField):
    """A text to look for, loaded in the form in which it is compared."""

    def __init__(self, key: Callable[[str], str | None], **kwargs: Any) -> None:
        self.key = key
        super().__init__(**kwargs)

    def _deserialize(self, value: object, *args: Any, **kwargs: Any) -> str:
        return self.key(super()._deserialize(value, *args, **kwargs)) or ""
