"""What a view answers with: pages, single rows, rows that are new, changed or gone."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from flask import Response, current_app, g, request, url_for
from flask_smorest import Blueprint as SmorestBlueprint
from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError
from werkzeug.local import LocalProxy

from omnidesk.api.conditional import ETAG, IF_MATCH, IF_NONE_MATCH, expect, tagged
from omnidesk.api.encoding import json
from omnidesk.api.errors import failure
from omnidesk.api.idempotency import KEY, once
from omnidesk.api.paging import HEADERS, PREFER, Listing, page
from omnidesk.api.plans import find
from omnidesk.api.rows import dump, store
from omnidesk.api.schemas import Schema
from omnidesk.db import Base, Refused, Versioned, begun, db

View = Callable[..., Any]
LOCATION = {
    "Location": {"description": "The new row's own address", "schema": {"type": "string"}},
}
CREATED = {
    **ETAG,
    **LOCATION,
    "Idempotent-Replayed": {
        "description": "true where the request was answered before, under the same Idempotency-Key",
        "schema": {"type": "string", "enum": ["true"]},
    },
}

current_user: Any = LocalProxy(lambda: g.user)  # None where anybody may call


def example_of(schema: Any) -> Any:
    """Give an example of what a schema writes."""
    example = schema.example()
    return [example] if isinstance(schema, Schema) and schema.many else example


def key_of(entity: type[Base]) -> str:
    """Give the name of an entity's number."""
    (key,) = entity.__table__.primary_key
    return str(key.name)


class Answers(SmorestBlueprint):  # type: ignore[misc]
    """The answers of a resource's routes, documented where they are declared."""

    @staticmethod
    def _mark(view: View, **facts: object) -> View:
        view.__dict__["_apidoc"] = view.__dict__.get("_apidoc", {}) | facts
        return view

    def _document(self, view: View, document: Callable[[View], View], **facts: object) -> View:
        """Note of a view what a decorator of smorest's does, which stays out of each request."""
        return self._mark(view, **document(view).__dict__["_apidoc"], **facts)

    def response(self, status_code: int, schema: Any = None, **kwargs: Any) -> Any:
        """Write the answer with a schema, documented with its example."""
        if schema is not None:
            kwargs["example"] = example_of(schema)
        return super().response(status_code, schema, **kwargs)

    def also(self, status_code: int, schema: type[Schema]) -> Any:
        """Document another answer that is no error."""
        example = example_of(schema)
        return super().alt_response(status_code, schema=schema, example=example, success=True)

    def page(
        self, schema: type[Schema], then: Any = None, *, endless: bool = False
    ) -> Callable[[View], View]:
        """Answer with one page of the rows that the view selects; then look at what was found.

        An endless list leads on even from its last page, to the rows that are yet to come.
        """
        document = self.response(200, schema(many=True), headers=HEADERS)

        def decorator(view: View) -> View:
            listing = Listing(view, schema, then, endless)

            @wraps(view)
            def paged(query: dict[str, Any], **path: Any) -> Response:
                return page(listing, query, path)

            return self._document(paged, document, accepts=[PREFER, IF_NONE_MATCH], unchanged=True)

        return decorator

    def item(self, schema: type[Schema]) -> Callable[[View], View]:
        """Answer with the one row that the view selects, or 404; 304 to whoever has it."""
        document = self.response(200, schema, headers=ETAG)

        def decorator(view: View) -> View:
            def select_one(_filters: dict[str, Any], **path: Any) -> Any:
                return view(**path)

            @wraps(view)
            def one(**path: Any) -> Response:
                found = find(select_one, schema, {}, path)
                if not found.shown:
                    raise failure(404)
                return tagged(found.shown[0], found.keys[0][1:-1])

            return self._document(one, document, accepts=[IF_NONE_MATCH], unchanged=True)

        return decorator

    def created(self, schema: type[Schema], endpoint: str) -> Callable[[View], View]:
        """Store the new row that the view gives; answer 201 with the address an endpoint serves.

        A row that was stored before is answered as it is, with 200.
        """
        document = self.response(201, schema, headers=CREATED)

        def decorator(view: View) -> View:
            def make(*args: Any, **path: Any) -> Response:
                row = view(*args, **path)
                if inspect(row).persistent:
                    return json(dump(row, schema))
                answer = tagged(store(row, schema), "1" if isinstance(row, Versioned) else "")
                full_name = f"{self.name}.{endpoint}"
                rule = next(current_app.url_map.iter_rules(full_name))
                ids = {name: getattr(row, name) for name in rule.arguments}
                answer.status_code, answer.headers["Location"] = 201, url_for(full_name, **ids)
                return answer

            @wraps(view)
            def create(*args: Any, **path: Any) -> Response:
                if "Idempotency-Key" in request.headers:
                    answer = once(current_user.user_id, partial(make, *args, **path))
                else:
                    answer = make(*args, **path)
                if begun():
                    db.session.commit()
                return answer

            return self._document(create, document, accepts=[KEY], keyed=True)

        return decorator

    def changed(
        self, entity: type[Base], schema: type[Schema], owner: str | None = None
    ) -> Callable[[View], View]:
        """Answer with the row of the path after the view has changed it; 412 if it is another now.

        With an owner, the column that names them, only they and admins may.
        """
        document = self.response(200, schema, headers=ETAG)

        def decorator(view: View) -> View:
            @wraps(view)
            def change(*data: dict[str, Any], **path: Any) -> Response:
                row = locked(entity, path.pop(key_of(entity)), schema, owner)
                view(row, *data, **path)
                db.session.commit()
                return tagged(dump(row, schema), str(row.version))

            return self._document(change, document, **conditions(owner))

        return decorator

    def deleted(
        self, entity: type[Base], schema: type[Schema], owner: str | None = None
    ) -> Callable[[View], View]:
        """Delete the row of the path, if the view does not object, and answer 204."""
        document = self.response(204)

        def decorator(view: View) -> View:
            @wraps(view)
            def delete(**path: Any) -> Response:
                row = locked(entity, path[key_of(entity)], schema, owner, to_delete=True)
                view(row)
                try:
                    db.session.delete(row)
                    db.session.commit()
                except IntegrityError:
                    why = "Other rows refer to this one."
                    raise Refused(key_of(entity), why, conflict=True) from None
                return Response(status=204)

            return self._document(delete, document, **conditions(owner))

        return decorator


def conditions(owner: str | None) -> dict[str, Any]:
    """Give what the document says of a change."""
    return {"accepts": [IF_MATCH], "changes": True, "owned": owner is not None}


def locked(
    entity: type[Base],
    number: int,
    schema: type[Schema],
    owner: str | None,
    *,
    to_delete: bool = False,
) -> Any:
    """Return the row of a number, which nobody else changes until we are done; 404, 403 or 412.

    Others may still store rows that refer to it, unless it is to be deleted.
    """
    row: Any = db.session.get(entity, number, with_for_update={"key_share": not to_delete})
    if row is None:
        raise failure(404)
    if owner and current_user.role != "admin" and getattr(row, owner) != current_user.user_id:
        raise failure(403)
    expect(row, schema)
    return row
