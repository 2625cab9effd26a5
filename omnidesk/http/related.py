"""What `include` adds to the rows of a list, in the same statement: related rows, and ETags."""

from functools import cache
from typing import Any, NamedTuple

import marshmallow as ma
from flask import current_app, g

from omnidesk.http.errors import http_error, insufficient_scope
from omnidesk.http.fields import EtagField
from omnidesk.http.schemas import ResponseSchema, Schema


class Related(NamedTuple):
    """A row that another one refers to, by a relationship of the same name."""

    schema: type[ResponseSchema]
    resource: str  # whose readers may see it
    description: str
    nullable: bool = False

    def field(self) -> ma.fields.Field[Any]:
        """Return the field that shows it."""
        return ma.fields.Nested(
            self.schema,
            allow_none=self.nullable,
            metadata={"description": self.description},
        )


class RowEtag(NamedTuple):
    """The ETag of a row, as its own address would send it."""

    resource: str = ""

    def field(self) -> ma.fields.Field[Any]:
        """Return the field that shows it."""
        return EtagField(
            description="The row's own ETag, for `If-Match`",
            example='"0.1.0-9f86d081884c7d65-100-3"',
        )


def related_of(schema: Any) -> dict[str, Related | RowEtag]:
    """Return what the rows of a schema can be shown with, by name."""
    found: dict[str, Related | RowEtag] = getattr(schema, "related", {})
    return found


@cache
def with_related(schema: type[Schema], names: tuple[str, ...]) -> type[Schema]:
    """Return a schema that shows these after its own keys."""
    if not names:
        return schema
    fields = {name: related_of(schema)[name].field() for name in names}
    meta = {"fields": (*schema.Meta.fields, *names), "register": False}
    return type(schema.__name__, (schema,), {**fields, "Meta": type("Meta", (), meta)})


def check_readable(schema: type[Schema], names: tuple[str, ...]) -> None:
    """Raise 401 or 403 unless the caller may read these rows where they are at home."""
    for name in names:
        if resource := related_of(schema)[name].resource:
            require_readable(resource)


def require_readable(resource: str) -> None:
    """Raise 401 or 403 unless the caller may read the rows of a resource."""
    if not may_read(resource):
        raise http_error(401) if g.user is None else insufficient_scope(f"{resource}:read")


def may_read(resource: str) -> bool:
    """Return whether the caller may read the rows of a resource."""
    if g.user is None:
        return resource in current_app.config["PUBLIC_READS"]
    return g.user.scopes is None or f"{resource}:read" in g.user.scopes
