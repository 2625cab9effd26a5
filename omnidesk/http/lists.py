"""The response to a list: a page of rows, its ETag, its links and, when asked for, the total."""

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

from flask import Response, current_app, request
from werkzeug.http import parse_dict_header

from omnidesk.db.statements import Statement
from omnidesk.http.errors import http_error
from omnidesk.http.etags import ETAG, json_response, matches_if_none_match, not_modified
from omnidesk.http.pagination import Page
from omnidesk.http.parsing import query_pairs
from omnidesk.http.queries import PageRows, PreparedSelect
from omnidesk.http.schemas import Schema

HEADERS = ETAG | {
    "Link": {
        "description": "The pages beside this one (RFC 8288): rel=next, rel=prev",
        "schema": {"type": "string"},
        "example": '</api/tickets?limit=20&cursor=a00000064>; rel="next"',
    },
    "X-Total-Count": {
        "description": "How many rows there are in all; sent when Prefer asks for it",
        "schema": {"type": "integer", "minimum": 0},
    },
    "Preference-Applied": {
        "description": "The preference that was followed (RFC 7240)",
        "schema": {"type": "string"},
    },
}
PREFER = {
    "in": "header",
    "name": "Prefer",
    "description": "`count=exact` asks for X-Total-Count, at the cost of a count (RFC 7240)",
    "schema": {"type": "string"},
}


class ListRoute(NamedTuple):
    """What a route that serves a list declares."""

    schema: type[Schema]
    parent: Statement | None  # finds the row whose address the list is below
    endless: bool  # whether the last page links to a next one, too


def list_response(
    route: ListRoute, view: Callable[..., Any], query: dict[str, Any], path: dict[str, Any]
) -> Response:
    """Answer with a page of what the view selects; raise 400 for a cursor, 404 for no parent."""
    page = Page(**{name: query.pop(name) for name in Page._fields if name in query})
    select: PreparedSelect = view(query, **path)
    if "HTTP_IF_NONE_MATCH" in request.environ:
        check_parent(route, path)
        etag = list_etag(select.last_change(route.schema, page))
        if etag is not None and matches_if_none_match(etag):
            return not_modified(etag, weak=True)
    rows = select.page(route.schema, page)
    if not rows.rows:
        check_parent(route, path)
    body = f"[{','.join(page.cut(rows.rows))}]"
    response = json_response(body, list_etag(rows.last_change), weak=True)
    add_links(response, page, rows, endless=route.endless)
    if "HTTP_PREFER" in request.environ and prefers_count():
        response.headers["X-Total-Count"] = str(select.count())
        response.headers["Preference-Applied"] = "count=exact"
    return response


def check_parent(route: ListRoute, path: dict[str, Any]) -> None:
    """Raise 404 where the row does not exist whose address the list is below."""
    if route.parent and not route.parent.fetch(**path):
        raise http_error(404)


def list_etag(last_change: str | None) -> str | None:
    """Return the ETag of a list, from the last change of any row that it might show."""
    return None if last_change is None else f"{current_app.config['API_VERSION']}-{last_change}"


def add_links(response: Response, page: Page, rows: PageRows, *, endless: bool) -> None:
    """Add the Link header to the pages beside this one, keeping all other parameters."""
    more = endless or len(rows.positions) > page.limit
    neighbours = page.neighbours(page.cut(rows.positions), rows.keys, more=more)
    if neighbours:
        kept = [(n, value) for n, value in query_pairs() if n not in Page._fields]
        query = "".join(f"{name}={quote_plus(value)}&" for name, value in kept)
        path = f"{quote(request.script_root + request.path)}?{query}limit={page.limit}"
        response.headers["Link"] = ", ".join(
            f'<{path}&{name}={value}>; rel="{rel}"' for rel, (name, value) in neighbours.items()
        )


def prefers_count() -> bool:
    """Return whether the client prefers to wait for an exact count (RFC 7240)."""
    preferences = parse_dict_header(", ".join(request.headers.getlist("Prefer")))
    return preferences.get("count") == "exact"
