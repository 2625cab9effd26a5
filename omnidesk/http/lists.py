"""The response to a list: a page of rows, its ETag, its links and, when asked for, the total."""

from collections.abc import Callable
from typing import Any, NamedTuple, Self
from urllib.parse import quote, quote_plus

from flask import Response, g, request
from werkzeug.http import parse_list_header, quote_etag

from omnidesk.db.statements import Statement
from omnidesk.http.csv_export import csv_page, first_part, prefers_csv
from omnidesk.http.errors import http_error
from omnidesk.http.etags import (
    ETAG,
    digest,
    is_conditional,
    json_response,
    refuse_conditions,
    unchanged_answer,
)
from omnidesk.http.fields import etag_of
from omnidesk.http.matches import MATCH, add_matches, require_query
from omnidesk.http.pagination import Links, Page, PageRows
from omnidesk.http.parsing import query_pairs
from omnidesk.http.queries import PreparedSelect
from omnidesk.http.related import check_readable
from omnidesk.http.schemas import DEFAULT_LIMIT, MAX_CSV_LIMIT, MAX_LIMIT, Schema

HEADERS = ETAG | {
    "Link": {
        "description": "The pages beside this one (RFC 8288): rel=next, rel=prev",
        "schema": {"type": "string"},
        "example": '</api/tickets?limit=20&cursor=a00000064>; rel="next"',
    },
    "Content-Disposition": {
        "description": "The name of the file, where it is CSV (RFC 6266)",
        "schema": {"type": "string"},
        "example": 'attachment; filename="tickets.csv"',
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
TOO_MANY = "Must be greater than or equal to 1 and less than or equal to {}."


class ListRoute(NamedTuple):
    """What a route that serves a list declares."""

    schema: type[Schema]
    parent: Statement | None  # finds the row whose address the list is below


class ListRequest(NamedTuple):
    """What a request asks of a list beside its filters."""

    page: Page
    counts: bool
    as_csv: bool

    @classmethod
    def read(cls, query: dict[str, Any]) -> Self:
        """Take the page out of a query, and read the headers; raise 400 for too many rows."""
        environ = request.environ
        as_csv = prefers_csv(environ.get("HTTP_ACCEPT", ""))
        page = Page(0, query.pop("offset", 0), query.pop("cursor", ""))
        # Parts are read forwards only, and strangers cost no more than as JSON.
        long = as_csv and not page.backwards and g.user is not None
        default, most = (MAX_CSV_LIMIT, MAX_CSV_LIMIT) if long else (DEFAULT_LIMIT, MAX_LIMIT)
        limit = query.pop("limit", default)
        if limit > most:
            raise http_error(400, {"limit": [TOO_MANY.format(most)]})
        counts = "HTTP_PREFER" in environ and prefers_count(environ["HTTP_PREFER"])
        return cls(page._replace(limit=limit), counts, as_csv)

    def etag(self, text: str) -> str:
        """Return the ETag of what is asked for, from a text that tells the rows.

        Of the same file, a stranger gets fewer rows than who has a token.
        """
        file = f"-csv{self.page.limit}" if self.as_csv else ""
        return etag_of(f"{text}{'-count' * self.counts}{file}")


def list_response(
    route: ListRoute, view: Callable[..., Any], query: dict[str, Any], path: dict[str, Any]
) -> Response:
    """Answer with a page of what the view selects; raise 400 for a cursor, 404 for no parent.

    Raises 401 or 403 for related rows that the caller may not read.
    """
    list_request = ListRequest.read(query)
    include = query.pop("include", ())
    check_readable(route.schema, include)
    searched = require_query(query) if MATCH in include else None
    related = tuple(name for name in include if name != MATCH)
    select: PreparedSelect = view(query, **path).including(related)
    response = unchanged(route, select, list_request, path) if is_conditional() else None
    if response is None:
        page = first_part(select, list_request.page) if list_request.as_csv else list_request.page
        rows = select.page(route.schema, page)
        if not rows.positions:
            check_parent(route, path)
        if searched and not list_request.as_csv:  # a file shows none
            found = add_matches(rows.rows, route.schema, searched)
            rows = rows._replace(text="\n".join(found))
        response = page_response(route, select, list_request, rows)
    response.headers["Vary"] = "Accept, Prefer"
    return response


def unchanged(
    route: ListRoute, select: PreparedSelect, list_request: ListRequest, path: dict[str, Any]
) -> Response | None:
    """Return 304 to a client that has the page; raise 404 for no parent, 412 or 400."""
    check_parent(route, path)
    last_change = select.last_change(route.schema, list_request.page)
    if last_change is None:
        return None
    return unchanged_answer(list_request.etag(f"{last_change}-{select.digest()}"), weak=True)


def page_response(
    route: ListRoute, select: PreparedSelect, list_request: ListRequest, rows: PageRows
) -> Response:
    """Return a page with its links and its ETag, or 304 to a client that has it already.

    A file has an ETag only where a change of its rows is told without reading them.
    """
    page = list_request.page
    if list_request.as_csv:
        response, links = csv_page(select, route.schema, page, rows)
    else:
        response = json_response(rows.json(page))
        links = rows.neighbours(page, endless=select.endless)
    add_links(response, page.limit, links)
    if list_request.counts:
        response.headers["X-Total-Count"] = str(select.count())
        response.headers["Preference-Applied"] = "count=exact"
    if rows.last_change is not None:
        text = f"{rows.last_change}-{select.digest()}"
    elif list_request.as_csv:
        refuse_conditions("If-Match")
        return response
    else:
        text = digest(response.get_data(as_text=True) + response.headers.get("Link", ""))
    etag = list_request.etag(text)
    response.headers["ETag"] = quote_etag(etag, weak=True)
    return unchanged_answer(etag, weak=True) or response


def check_parent(route: ListRoute, path: dict[str, Any]) -> None:
    """Raise 404 where the row does not exist whose address the list is below."""
    if route.parent and not route.parent.fetch(**path):
        raise http_error(404)


def add_links(response: Response, limit: int, links: Links) -> None:
    """Add the Link header to other pages of so many rows, keeping all other parameters."""
    if links:
        kept = [(n, value) for n, value in query_pairs() if n not in Page._fields]
        query = "".join(f"{name}={quote_plus(value)}&" for name, value in kept)
        path = f"{quote(request.script_root + request.path)}?{query}limit={limit}"
        response.headers["Link"] = ", ".join(
            f'<{path}&{name}={quote_plus(str(value))}>; rel="{rel}"'
            for rel, (name, value) in links.items()
        )


def prefers_count(prefer: str) -> bool:
    """Return whether the client prefers to wait for an exact count (RFC 7240)."""
    for preference in parse_list_header(prefer):
        name, _, value = preference.partition(";")[0].partition("=")
        if name.strip().lower() == "count":  # of a preference given twice, the first holds
            return value.strip().strip('"') == "exact"
    return False
