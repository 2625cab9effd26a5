"""How a resource is served: who may, what comes in, what goes out, and all of it documented."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Request, Response, current_app, g, request, url_for
from flask_smorest import Blueprint as SmorestBlueprint
from sqlalchemy import inspect
from werkzeug.local import LocalProxy

from omnidesk.api.encoding import json
from omnidesk.api.errors import failure, title
from omnidesk.api.paging import HEADERS, PREFER, page
from omnidesk.api.parsing import PARSER
from omnidesk.api.plans import find
from omnidesk.api.rows import dump, store
from omnidesk.api.schemas import Schema, unknown_fields

View = Callable[..., Any]
SAFE_METHODS = frozenset({"GET", "HEAD"})

current_user: Any = LocalProxy(lambda: g.user)  # None where anybody may call


def example_of(schema: Any) -> Any:
    """Give an example of what a schema writes."""
    example = schema.example()
    return [example] if isinstance(schema, Schema) and schema.many else example


def authenticate(header: str | None, *, optional: bool) -> None:
    """Find out whose request this is; raises 401 for every fault of a token."""
    user = None
    if header is not None:
        scheme, _, token = header.partition(" ")
        if scheme.lower() == "bearer":  # the scheme is case-blind (RFC 9110, section 11.1)
            user = current_app.extensions["bearer"](token)
    if user is None and (header is not None or not optional):
        raise failure(401)
    g.user = user


class Blueprint(SmorestBlueprint):  # type: ignore[misc]
    """A resource's routes: each needs a token and refuses unknown queries, unless it says so."""

    ARGUMENTS_PARSER = PARSER

    def __init__(self, name: str, *, url_prefix: str = "/api", description: str = "") -> None:
        super().__init__(name, __name__, url_prefix=url_prefix, description=description)
        self.before_request(self._admit)
        self._prepare_doc_cbks.append(self._prepare_edge_doc)

    @staticmethod
    def _mark(view: View, **facts: object) -> View:
        view.__dict__["_apidoc"] = view.__dict__.get("_apidoc", {}) | facts
        return view

    def _document(self, view: View, document: Callable[[View], View], **facts: object) -> View:
        """Note of a view what a decorator of smorest's does, which stays out of each request."""
        return self._mark(view, **document(view).__dict__["_apidoc"], **facts)

    def public(self, view: View) -> View:
        """Let anybody in, with or without a token."""
        return self._mark(view, public=True)

    def admin_only(self, view: View) -> View:
        """Let only admins in."""
        return self._mark(view, admin_only=True)

    def _admit(self) -> None:
        asked: Request = request._get_current_object()  # type: ignore[attr-defined]
        if asked.method == "OPTIONS":
            return
        marks = current_app.view_functions[asked.endpoint or ""].__dict__["_apidoc"]
        if not marks.get("public"):
            is_open = asked.method in SAFE_METHODS and self._is_open(current_app)
            authenticate(asked.headers.get("Authorization"), optional=is_open)
        if marks.get("admin_only") and current_user.role != "admin":
            raise failure(403)
        if asked.query_string and not marks.get("reads_query"):
            raise failure(400, unknown_fields(list(asked.args), []))

    def _is_open(self, app: Any) -> bool:
        return self.name in app.config["PUBLIC_READS"]

    def arguments(self, schema: type[Schema], *, location: str = "json", **kwargs: Any) -> Any:
        """Read the body or the query with a schema, documented with its example."""
        if location == "json":
            kwargs["example"] = example_of(schema)
        reader = schema()  # made once: webargs would make one of a class for each request
        document = super().arguments(reader, location=location, **kwargs)

        def decorator(view: View) -> View:
            @wraps(view)
            def given(**path: Any) -> Any:
                return view(PARSER.parse(reader, location=location), **path)

            return self._document(given, document, **{f"reads_{location}": True})

        return decorator

    def response(self, status_code: int, schema: Any, **kwargs: Any) -> Any:
        """Write the answer with a schema, documented with its example."""
        return super().response(status_code, schema, example=example_of(schema), **kwargs)

    def also(self, status_code: int, schema: type[Schema]) -> Any:
        """Document another answer that is no error."""
        example = example_of(schema)
        return super().alt_response(status_code, schema=schema, example=example, success=True)

    def page(self, schema: type[Schema], then: Any = None) -> Callable[[View], View]:
        """Answer with one page of the rows that the view selects; then look at what was found."""
        document = self.response(200, schema(many=True), headers=HEADERS)

        def decorator(view: View) -> View:
            @wraps(view)
            def paged(query: dict[str, Any], **path: Any) -> Response:
                return page(view, schema, query, path, then)

            return self._document(paged, document, pages=True)

        return decorator

    def item(self, schema: type[Schema]) -> Callable[[View], View]:
        """Answer with the one row that the view selects, or 404."""
        document = self.response(200, schema)

        def decorator(view: View) -> View:
            def select_one(_filters: dict[str, Any], **path: Any) -> Any:
                return view(**path)

            @wraps(view)
            def one(**path: Any) -> Response:
                if shown := find(select_one, schema, {}, path).shown:
                    return json(shown[0])
                raise failure(404)

            return self._document(one, document)

        return decorator

    def created(self, schema: type[Schema], endpoint: str) -> Callable[[View], View]:
        """Store the new row that the view gives; answer 201 with the address an endpoint serves.

        A row that was stored before is answered as it is, with 200.
        """
        description = "The new row's own address"
        headers = {"Location": {"description": description, "schema": {"type": "string"}}}
        document = self.response(201, schema, headers=headers)

        def decorator(view: View) -> View:
            @wraps(view)
            def located(*args: Any, **path: Any) -> Response:
                row = view(*args, **path)
                if inspect(row).persistent:
                    return json(dump(row, schema))
                answer = json(store(row, schema))
                full_name = f"{self.name}.{endpoint}"
                rule = next(current_app.url_map.iter_rules(full_name))
                ids = {name: getattr(row, name) for name in rule.arguments}
                answer.status_code, answer.headers["Location"] = 201, url_for(full_name, **ids)
                return answer

            return self._document(located, document)

        return decorator

    def add_url_rule(self, rule: str, endpoint: str | None = None, *args: Any, **kw: Any) -> None:
        """Register a route, noting what its document needs to know."""
        view = kw["view_func"] if "view_func" in kw else args[0]
        facts = {"operation_id": view.__name__, "finds": "<" in rule}
        super().add_url_rule(rule, endpoint, self._mark(view, **facts), *args[1:], **kw)

    def _prepare_edge_doc(self, doc: Any, facts: Any, *, app: Any, method: str, **_: Any) -> Any:
        """Document what the edge does to every operation."""
        is_open = facts.get("public") or (method == "get" and self._is_open(app))
        answers = {
            400: True,
            401: not facts.get("public"),
            403: facts.get("admin_only"),
            404: facts["finds"],
            413: facts.get("reads_json"),
            415: facts.get("reads_json"),
            500: True,
            503: self.url_prefix,
        }
        responses = doc.setdefault("responses", {})
        for status, given in answers.items():
            if given:
                responses.setdefault(status, title(status))
        if facts.get("pages"):
            doc["parameters"].append(PREFER)
        doc["operationId"] = facts["operation_id"]
        doc["security"] = [] if is_open else [{"BearerAuth": []}]
        return doc
