"""What a view answers: a page, a row, or a row that is new, changed or deleted.

Each is a decorator of the blueprint, which documents the response where the view is declared.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Response, current_app, g, request
from flask_smorest import Blueprint as SmorestBlueprint
from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError
from werkzeug.local import LocalProxy

from omnidesk.db import Base, RuleViolation, db
from omnidesk.db.session import in_transaction
from omnidesk.db.statements import Statement
from omnidesk.http import idempotency
from omnidesk.http.conflicts import conflicts_shown, taken_shown
from omnidesk.http.csv_export import csv_example
from omnidesk.http.errors import http_error
from omnidesk.http.etags import (
    BY_TIME,
    CONDITIONS,
    ETAG,
    IF_MATCH,
    IF_NONE_MATCH,
    check_conditions,
    digest,
    is_conditional,
    json_response,
    refuse_conditions,
    unchanged_answer,
)
from omnidesk.http.fields import etag_of
from omnidesk.http.idempotency import respond_once
from omnidesk.http.lists import HEADERS, PREFER, ListRoute, list_response
from omnidesk.http.queries import PreparedSelect
from omnidesk.http.schemas import Schema, example_of
from omnidesk.http.serialization import dump, insert_row

View = Callable[..., Any]
LOCATION = {
    "Location": {"description": "The new row's own address", "schema": {"type": "string"}},
}
STORED = {**ETAG, **idempotency.REPLAYED}  # of a row that was stored before
CREATED = {**STORED, **LOCATION}

current_user: Any = LocalProxy(lambda: g.user)  # None where no token is needed and none was sent


class ResponseDecorators(SmorestBlueprint):  # type: ignore[misc]
    """The part of a blueprint that declares what its views answer."""

    @staticmethod
    def _mark(view: View, **facts: object) -> View:
        view.__dict__["_apidoc"] = view.__dict__.get("_apidoc", {}) | facts
        return view

    def _document(self, view: View, document: Callable[[View], View], **facts: object) -> View:
        """Note what a decorator of smorest's documents, without calling it in each request."""
        return self._mark(view, **document(view).__dict__["_apidoc"], **facts)

    def response(self, status_code: int, schema: Any = None, **kwargs: Any) -> Any:
        """Answer what the view returns, written with a schema; documented with its example."""
        if schema is not None and "example" not in kwargs:
            kwargs["example"] = example_of(schema)
        return super().response(status_code, schema, **kwargs)

    def page(
        self, schema: type[Schema], *, parent: Statement | None = None
    ) -> Callable[[View], View]:
        """Answer with a page of the rows that the view's prepared select finds.

        `parent` finds the row whose address the list is below: 404 where there is none.
        """
        document = self.response(200, schema(many=True), headers=HEADERS)

        def decorator(view: View) -> View:
            route = ListRoute(schema, parent)

            @wraps(view)
            def paged(query: dict[str, Any], **path: Any) -> Response:
                return list_response(route, view, query, path)

            return self._document(
                paged,
                document,
                accepts=[PREFER, IF_NONE_MATCH],
                conditional=True,
                unchanged=True,
                csv_example=csv_example(schema),
            )

        return decorator

    def item(self, schema: type[Schema]) -> Callable[[View], View]:
        """Answer with the row that the view's prepared select finds; 404 for none, 304 as asked."""
        document = self.response(200, schema, headers=ETAG)

        def decorator(view: View) -> View:
            @wraps(view)
            def show(**path: Any) -> Response:
                select: PreparedSelect = view(**path)
                found = select.row(schema)
                if found is None:
                    raise http_error(404)
                shown, version = found
                etag = etag_of(version or digest(shown))
                return unchanged_answer(etag) or json_response(shown, etag)

            return self._document(
                show, document, accepts=[IF_NONE_MATCH], conditional=True, unchanged=True
            )

        return decorator

    def created(
        self, schema: type[Schema], endpoint: str, *, shown_once: str | None = None
    ) -> Callable[[View], View]:
        """Store the new row that the view returns; answer 201 with the address of an endpoint.

        A row that was stored before is answered as it is, with 200. A request that is sent again
        gets null for the field named `shown_once`.
        """
        document = self.response(201, schema, headers=CREATED)

        def decorator(view: View) -> View:
            def store(*args: Any, **path: Any) -> tuple[Base, bool, str, str | None]:
                with conflicts_shown(schema):
                    row = view(*args, **path)
                refuse_conditions(*CONDITIONS)
                if inspect(row).persistent:
                    return row, False, dump(row, schema), getattr(row, "etag", None)
                with taken_shown(schema, row):
                    return row, True, *insert_row(row, schema)

            def respond(row: Base, is_new: bool, shown: str, etag: str | None) -> Response:
                response = json_response(shown, etag_of(etag or digest(shown)))
                if is_new:
                    response.status_code = 201
                    response.headers["Location"] = self._address(endpoint, row)
                return response

            @wraps(view)
            def create(*args: Any, **path: Any) -> Response:
                if "Idempotency-Key" not in request.headers:
                    stored = store(*args, **path)
                    if in_transaction():
                        db.session.commit()  # first of all, since others wait for it
                    return respond(*stored)
                kept: dict[str, Any] = {"body": request.get_data(), "shown_once": shown_once}
                response = respond_once(lambda: respond(*store(*args, **path)), **kept)
                db.session.commit()
                return response

            return self._document(
                create, document, accepts=[idempotency.HEADER], conditional=True, keyed=True
            )

        return decorator

    def done_once(self, view: View) -> View:
        """Commit what the view did, once for each Idempotency-Key; for views without a body."""

        @wraps(view)
        def respond(**path: Any) -> Response:
            has_key = "Idempotency-Key" in request.headers
            response = respond_once(lambda: view(**path)) if has_key else view(**path)
            db.session.commit()
            return response

        return self._mark(respond, accepts=[idempotency.HEADER], keyed=True)

    def _address(self, endpoint: str, row: Base) -> str:
        """Return the address of a row, which the blueprint's view serves, or `other.view`."""
        name = endpoint if "." in endpoint else f"{self.name}.{endpoint}"
        rule = next(current_app.url_map.iter_rules(name))
        _, path = rule.build({name: getattr(row, name) for name in rule.arguments}) or ("", "")
        return request.script_root + path

    def changed(
        self, entity: type[Base], schema: type[Schema], owner: str | None = None
    ) -> Callable[[View], View]:
        """Lock the row of the path, let the view change it, commit, and answer with the row.

        404 for no row, 412 where it is not as the client knows it, and with `owner`, the column
        that names the row's user, 403 to anybody else but an admin.
        """
        document = self.response(200, schema, headers=ETAG)

        def decorator(view: View) -> View:
            @wraps(view)
            def change(*data: dict[str, Any], **path: Any) -> Response:
                row = locked_row(entity, path, schema, owner, *data)
                with taken_shown(schema, row):
                    view(row, *data, **path)
                    db.session.commit()
                return json_response(dump(row, schema), etag_of(row.etag))

            return self._document(
                change, document, accepts=[IF_MATCH], conditional=True, changes=schema
            )

        return decorator

    def deleted(
        self, entity: type[Base], schema: type[Schema], owner: str | None = None
    ) -> Callable[[View], View]:
        """Lock the row of the path, call the view, delete the row, and answer 204.

        404, 412 and 403 as for `changed`; 409 where other rows refer to this one.
        """
        document = self.response(204)

        def decorator(view: View) -> View:
            @wraps(view)
            def delete(**path: Any) -> Response:
                row = locked_row(entity, path, schema, owner)
                view(row, **path)
                try:
                    db.session.delete(row)
                    db.session.commit()
                except IntegrityError:
                    key, message = entity.primary_key().name, "Other rows refer to this one."
                    raise RuleViolation(key, message, conflict=True) from None
                return Response(status=204)

            return self._document(
                delete, document, accepts=[IF_MATCH], conditional=True, changes=schema
            )

        return decorator


def locked_row(entity: type[Base], path: Any, schema: Any, owner: str | None, *data: Any) -> Any:
    """Lock and return the row of a path, taking its ids out of this; raise 404, 403 or 412."""
    row_id = path.pop(entity.primary_key().name)
    parents = {name: path.pop(name) for name in [*path] if hasattr(entity, name)}
    entity.lock_first(row_id, *data)
    row: Any = db.session.get(entity, row_id, with_for_update={"key_share": True})
    if row is None or any(getattr(row, name) != number for name, number in parents.items()):
        raise http_error(404)
    if owner and current_user.role != "admin" and getattr(row, owner) != current_user.user_id:
        raise http_error(403)
    refuse_conditions(BY_TIME)
    if is_conditional():
        check_conditions(row, schema)
    return row
