"""How a resource is served: who may, what comes in, what goes out, and all of it documented."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from flask import Flask, Request, current_app, g, request

from omnidesk.api.answers import Answers, View, example_of
from omnidesk.api.conditional import SAFE_METHODS
from omnidesk.api.errors import failure, title
from omnidesk.api.parsing import PARSER
from omnidesk.api.schemas import Schema, unknown_fields


def caller(app: Flask, header: str | None) -> Any:
    """Give the user whose token an Authorization header has; None for every fault of it."""
    scheme, _, token = (header or "").partition(" ")
    # The scheme is case-blind (RFC 9110, section 11.1).
    return app.extensions["bearer"](token) if scheme.lower() == "bearer" else None


class Blueprint(Answers):
    """A resource's routes: each needs a token and refuses unknown queries, unless it says so."""

    ARGUMENTS_PARSER = PARSER

    def __init__(self, name: str, *, url_prefix: str = "/api", description: str = "") -> None:
        super().__init__(name, __name__, url_prefix=url_prefix, description=description)
        self.before_request(self._admit)
        self._prepare_doc_cbks.append(self._prepare_edge_doc)

    def public(self, view: View) -> View:
        """Let anybody in, with or without a token."""
        return self._mark(view, public=True)

    def scope(self, scope: str) -> Callable[[View], View]:
        """Let API tokens in with another scope than the resource's own `:read` or `:write`."""
        return partial(self._mark, scope=scope)

    def admin_only(self, view: View) -> View:
        """Let only admins in."""
        return self._mark(view, admin_only=True)

    def _admit(self) -> None:
        asked: Request = request._get_current_object()  # type: ignore[attr-defined]
        if asked.method == "OPTIONS":
            return
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        marks = app.view_functions[asked.endpoint or ""].__dict__["_apidoc"]
        method = "get" if asked.method in SAFE_METHODS else ""
        header = None if marks.get("public") else asked.environ.get("HTTP_AUTHORIZATION")
        g.user = user = None if header is None else caller(app, header)
        if self.url_prefix:  # whoever looks after the server may look as often as they like
            app.extensions["limits"].admit(user, asked.environ.get("REMOTE_ADDR"))
        if user is None:
            is_open = marks.get("public") or (method and self._is_open(app))
            if header is not None or not is_open:
                raise failure(401)
        elif user.scopes is not None and self._scope(marks, method) not in user.scopes:
            raise failure(403)
        if marks.get("admin_only") and (user is None or user.role != "admin"):
            raise failure(403)
        if asked.environ.get("QUERY_STRING") and not marks.get("reads_query"):
            raise failure(400, unknown_fields(list(asked.args), []))

    def _scope(self, marks: dict[str, Any], method: str) -> str:
        return marks.get("scope") or f"{self.name}:{'read' if method == 'get' else 'write'}"

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
            403: not facts.get("public"),
            404: facts["finds"],
            412: facts.get("changes"),
            413: facts.get("reads_json"),
            409: facts.get("keyed"),
            415: facts.get("reads_json"),
            422: facts.get("keyed"),
            429: self.url_prefix,
            500: True,
            503: self.url_prefix,
        }
        responses = doc.setdefault("responses", {})
        for status, given in answers.items():
            if given:
                responses.setdefault(status, title(status))
        if facts.get("unchanged"):
            responses[304] = {"description": "Not Modified"}
        doc.setdefault("parameters", []).extend(facts.get("accepts", []))
        doc["operationId"] = facts["operation_id"]
        if (scope := self._scope(facts, method)) in app.extensions["scopes"]:
            doc["description"] = f"API tokens need the scope `{scope}`."
        doc["security"] = [] if is_open else [{"BearerAuth": []}]
        return doc
