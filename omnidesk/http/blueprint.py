"""A resource's routes: who may call them, what they read and what they answer, all documented."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from flask import Flask, Request, Response, after_this_request, current_app, g, request
from werkzeug.exceptions import HTTPException

from omnidesk.http.error_schemas import precondition_failed
from omnidesk.http.errors import http_error, insufficient_scope, status_name
from omnidesk.http.etags import CONDITIONS, ETAG, refuse_conditions
from omnidesk.http.openapi import told_of_scopes
from omnidesk.http.parsing import MAX_VALUES, load_json, load_query
from omnidesk.http.request_log import USER_ID
from omnidesk.http.responses import ResponseDecorators, View
from omnidesk.http.schemas import Schema, example_of, unknown_parameters


class Blueprint(ResponseDecorators):
    """Routes that need a token and refuse query parameters, unless their view says otherwise."""

    def __init__(self, name: str, *, url_prefix: str = "/api", description: str = "") -> None:
        super().__init__(name, __name__, url_prefix=url_prefix, description=description)
        self.before_request(self._authorize)
        self._prepare_doc_cbks.append(self._document_operation)

    def public(self, view: View) -> View:
        """Let anybody call, with or without a token."""
        return self._mark(view, public=True)

    def signed(self, view: View) -> View:
        """Let whoever signs the request call: the view checks it, and then counts it.

        The view also reads its query; conditions play no role.
        """
        return self._mark(view, public=True, signed=True, reads_query=True, conditional=True)

    def scope(self, scope: str, *also: str, shows: str = "") -> Callable[[View], View]:
        """Ask of API tokens another scope than the blueprint's own, or several.

        `shows` is whose rows are answered, where it is not the blueprint's.
        """
        return partial(self._mark, scope=scope, also=also, shows=shows or self.name)

    def admin_only(self, view: View) -> View:
        """Let only admins call."""
        return self._mark(view, admin_only=True)

    def arguments(
        self,
        schema: type[Schema],
        *,
        location: str = "json",
        max_bytes: int | None = None,
        max_values: int = MAX_VALUES,
        **kwargs: Any,
    ) -> Any:
        """Pass the view the body or the query as a schema loads it; documented with an example.

        `max_bytes` is how long the body may be, where all bodies may be too long; `max_values` how
        many values it may have, where it may have more than others. A view that reads both gets
        them in the order of its decorators.
        """
        if location == "json":
            kwargs["example"] = example_of(schema)
        document = super().arguments(schema, location=location, error_status_code=400, **kwargs)
        load_body = partial(load_json, max_bytes=max_bytes, max_values=max_values)
        load = load_body if location == "json" else load_query
        reader = schema()

        def decorator(view: View) -> View:
            @wraps(view)
            def call(*loaded: Any, **path: Any) -> Any:
                return view(*loaded, load(reader), **path)

            return self._document(call, document, **{f"reads_{location}": True})

        return decorator

    def _authorize(self) -> None:
        """Set `g.user`, count the request, and raise 429, 401, 403, or 400 for a parameter."""
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        sent: Request = request._get_current_object()  # type: ignore[attr-defined]
        environ = sent.environ
        method = environ["REQUEST_METHOD"]
        if method == "OPTIONS":
            return
        facts = app.view_functions[sent.endpoint or ""].__dict__["_apidoc"]
        header = None if facts.get("public") else environ.get("HTTP_AUTHORIZATION")
        user, fault = (None, None) if header is None else authenticated(header)
        g.user = user
        environ[USER_ID] = user and user.user_id
        is_counted = self.url_prefix or environ.get("QUERY_STRING")  # plain health checks are not
        if is_counted and not facts.get("signed"):
            app.extensions["rate_limits"].count_request(user, environ.get("REMOTE_ADDR"))
        reads = method in ("GET", "HEAD")
        if user is None:
            if fault or not (facts.get("public") or self._is_open(app, reads=reads)):
                raise fault or http_error(401)
        elif user.scopes is not None:
            self._check_scope(user, facts, reads=reads)
        if facts.get("admin_only") and (user is None or user.role != "admin"):
            raise http_error(403)
        if environ.get("QUERY_STRING") and not facts.get("reads_query") and sent.args:
            raise http_error(400, unknown_parameters(list(sent.args)))
        if not facts.get("conditional"):
            refuse_conditions(*(("If-Match",) if reads else CONDITIONS))

    def _check_scope(self, user: Any, facts: dict[str, Any], *, reads: bool) -> None:
        """Raise 403 unless an API token has the scope of a view."""
        scope = self._scope(facts, reads=reads)
        if scope not in user.scopes:
            raise insufficient_scope(*{scope}.intersection(current_app.extensions["scopes"]))
        if missing := [other for other in facts.get("also", ()) if other not in user.scopes]:
            raise insufficient_scope(scope, *missing)
        if not reads and self._read_scope(facts) not in user.scopes:
            g.write_only = True
            after_this_request(hide_rows)

    def _scope(self, facts: dict[str, Any], *, reads: bool) -> str:
        """Return the scope that an API token needs to call a view."""
        return facts.get("scope") or f"{self.name}:{'read' if reads else 'write'}"

    def _read_scope(self, facts: dict[str, Any]) -> str:
        """Return the scope that an API token needs to see the row that a view writes."""
        return f"{facts.get('shows', self.name)}:read"

    def _is_open(self, app: Flask, *, reads: bool) -> bool:
        """Return whether the settings let anybody call without a token."""
        return reads and self.name in app.config["PUBLIC_READS"]

    def add_url_rule(
        self, rule: str, endpoint: str | None = None, view_func: Any = None, *args: Any, **kw: Any
    ) -> None:
        """Register a route, noting what its documentation needs."""
        view = self._mark(view_func, operation_id=view_func.__name__, finds="<" in rule)
        super().add_url_rule(rule, endpoint, view, *args, **kw)

    def _document_operation(self, doc: Any, facts: Any, *, app: Any, method: str, **_: Any) -> Any:
        """Document what holds for every operation: its errors, scope and security."""
        is_open = facts.get("public") or self._is_open(app, reads=method == "get")
        has_signature = facts.get("signed") and method == "post"
        statuses = {
            400: True,
            401: not facts.get("public") or has_signature,
            403: not facts.get("public"),
            404: facts["finds"],
            412: facts.get("unchanged"),
            413: facts.get("reads_json") or has_signature,
            409: facts.get("keyed"),
            415: facts.get("reads_json"),
            422: facts.get("keyed"),
            429: self.url_prefix,
            500: True,
            503: self.url_prefix,
        }
        responses = doc.setdefault("responses", {})
        for status, applies in statuses.items():
            if applies:
                responses.setdefault(status, status_name(status))
        if facts.get("unchanged"):
            responses[304] = {"description": "Not Modified", "headers": ETAG}
        if example := facts.get("csv_example"):
            as_csv = {"schema": {"type": "string"}, "example": example}
            responses[200]["content"]["text/csv"] = as_csv
        if changes := facts.get("changes"):
            responses[412] = document_precondition_failed(changes)
        doc.setdefault("parameters", []).extend(facts.get("accepts", []))
        doc["operationId"] = facts["operation_id"]
        scope = self._scope(facts, reads=method == "get")
        scopes = [scope, *facts.get("also", ())] if scope in app.extensions["scopes"] else []
        written = {} if method == "get" else responses
        tokens = told_of_scopes(scopes, written, self._read_scope(facts))
        doc["description"] = who_may_call(facts, tokens, is_open=is_open)
        doc["security"] = security(facts, is_open=is_open)
        return doc


def security(facts: dict[str, Any], *, is_open: bool) -> list[dict[str, Any]]:
    """Return the ways to authenticate of an operation; {} where a token may be absent."""
    if facts.get("public"):
        return []
    return [{}, {"BearerAuth": []}] if is_open else [{"BearerAuth": []}]


def who_may_call(facts: dict[str, Any], tokens: str, *, is_open: bool) -> str:
    """Return the description of an operation; `tokens` says what API tokens need."""
    if facts.get("signed"):
        return "The provider of a channel calls this, and proves it by a secret. No token is read."
    if facts.get("public"):
        return "Anybody can call this. No token is needed or read."
    words = ["A token is optional." if is_open else "An access token is needed."]
    if facts.get("admin_only"):
        words.append("Only admins can call this.")
    return " ".join([*words, tokens])


def document_precondition_failed(schema: type[Schema]) -> dict[str, Any]:
    """Return the 412 of a resource, with the row as it is now."""
    example = {"detail": "Precondition Failed", "current": schema.example()}
    content = {"schema": precondition_failed(schema), "example": example}
    return {"description": "Precondition Failed", "content": {"application/json": content}}


def hide_rows(response: Response) -> Response:
    """Take the row out of the response to a write by an API token that may not read it."""
    if response.status_code in (200, 201):
        response.set_data("")
        response.status_code = 204 if response.status_code == 200 else 201
        for name in ("Content-Type", "ETag"):
            response.headers.pop(name, None)
    return response


def authenticated(header: str) -> tuple[Any, HTTPException | None]:
    """Return the user whose token an Authorization header has, or the 401 for it.

    It is raised later: when the request has been counted.
    """
    try:
        return authenticate(header), None
    except HTTPException as error:
        return None, error


def authenticate(header: str) -> Any:
    """Return the user whose token an Authorization header has; raise 401 for every fault of it."""
    token = bearer_token(header)
    if not token:
        raise http_error(401)
    return current_app.extensions["authenticate"](token)


def bearer_token(header: str) -> str:
    """Return the token of an Authorization header, "" where it has none of the scheme Bearer.

    The scheme is in any case, and one or more spaces follow it (RFC 9110, section 11).
    """
    scheme, _, token = header.partition(" ")
    return token.lstrip(" ") if scheme.lower() == "bearer" else ""
