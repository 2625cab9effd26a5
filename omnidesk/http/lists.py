"""The response to a list: a page of rows, its ETag, its links and, when asked for, the total."""

from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus

from flask import Response, request
from werkzeug.http import parse_list_header

from omnidesk.db.statements import Statement
from omnidesk.http.errors import http_error
from omnidesk.http.etags import (
    ETAG,
    check_if_match,
    client_has,
    conditional,
    digest,
    is_conditional,
    json_response,
    not_modified,
)
from omnidesk.http.fields import etag_of
from omnidesk.http.pagination import Page
from omnidesk.http.parsing import query_pairs
from omnidesk.http.queries import PageRows, PreparedSelect
from omnidesk.http.related import check_readable
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


def list_response(
    route: ListRoute, view: Callable[..., Any], query: dict[str, Any], path: dict[str, Any]
) -> Response:
    """Answer with a page of what the view selects; raise 400 for a cursor, 404 for no parent.

    Raises 401 or 403 for related rows that the caller may not read.
    """
    page = Page(**{name: query.pop(name) for name in Page._fields if name in query})
    include = query.pop("include", ())
    check_readable(route.schema, include)
    select: PreparedSelect = view(query, **path).including(include)
    counts = "HTTP_PREFER" in request.environ and prefers_count(request.environ["HTTP_PREFER"])
    response = unchanged(route, select, page, path, counts=counts) if is_conditional() else None
    if response is None:
        rows = select.page(route.schema, page)
        if not rows.rows:
            check_parent(route, path)
        response = page_response(select, page, rows, counts=counts)
    response.headers["Vary"] = "Prefer"
    return response


def unchanged(
    route: ListRoute, select: PreparedSelect, page: Page, path: dict[str, Any], *, counts: bool
) -> Response | None:
    """Return 304 to a client that has the page; raise 404 for no parent, 412 or 400."""
    check_parent(route, path)
    last_change = select.last_change(route.schema, page)
    if last_change is None:
        return None
    etag = list_etag(f"{last_change}-{select.digest()}", counts=counts)
    check_if_match(etag)
    return not_modified(etag, weak=True) if client_has(etag) else None


def page_response(select: PreparedSelect, page: Page, rows: PageRows, *, counts: bool) -> Response:
    """Return a page with its links and its ETag, or 304 to a client that has it already."""
    body = f"[{','.join(page.cut(rows.rows))}]"
    response = json_response(body)
    add_links(response, page, rows, endless=select.endless)
    if counts:
        response.headers["X-Total-Count"] = str(select.count())
        response.headers["Preference-Applied"] = "count=exact"
    if rows.last_change is None:
        text = digest(body + response.headers.get("Link", ""))
    else:
        text = f"{rows.last_change}-{select.digest()}"
    return conditional(response, list_etag(text, counts=counts), weak=True)


def list_etag(text: str, *, counts: bool) -> str:
    """Return the ETag of a page, with or without the total, from a text that tells its rows."""
    return etag_of(f"{text}-count" if counts else text)


def check_parent(route: ListRoute, path: dict[str, Any]) -> None:
    """Raise 404 where the row does not exist whose address the list is below."""
    if route.parent and not route.parent.fetch(**path):
        raise http_error(404)


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


def prefers_count(prefer: str) -> bool:
    """Return whether the client prefers to wait for an exact count (RFC 7240)."""
    for preference in parse_list_header(prefer):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "count":  # of a preference given twice, the first holds
            return value.strip().strip('"') == "exact"
    return False
