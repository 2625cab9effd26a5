"""Lists: the edge cuts a page out of a view's select and says where the next one is."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from flask import request, url_for
from sqlalchemy import Select, func, select
from werkzeug.http import parse_dict_header

from omnidesk.db import db

HEADERS = {
    "Link": {
        "description": "The pages beside this one (RFC 8288): rel=next, rel=prev",
        "schema": {"type": "string"},
        "example": '</api/tickets?limit=20&offset=20>; rel="next"',
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
    "description": "count=exact asks for X-Total-Count, at the cost of a count (RFC 7240)",
    "schema": {"type": "string"},
    "example": "count=exact",
}


def paged(view: Callable[..., Select[Any]]) -> Callable[..., Any]:
    """Send one page of the rows that the view selects, with its neighbours' addresses."""

    @wraps(view)
    def page(query: dict[str, Any], **path: Any) -> tuple[Sequence[Any], dict[str, str]]:
        limit, offset = query.pop("limit"), query.pop("offset")
        rows = view(query, **path)
        found = db.session.scalars(rows.limit(limit + 1).offset(offset)).all()
        headers = links(limit, offset, more=len(found) > limit) | total(rows)
        return found[:limit], headers

    return page


def links(limit: int, offset: int, *, more: bool) -> dict[str, str]:
    """Give the Link header of a page, its other parameters kept."""
    pages = {}
    if more:
        pages["next"] = offset + limit
    if offset:
        pages["prev"] = max(0, offset - limit)
    here = {**request.args, **(request.view_args or {}), "limit": limit}
    addresses = [
        f'<{url_for(request.endpoint or "", **{**here, "offset": start})}>; rel="{rel}"'
        for rel, start in pages.items()
    ]
    return {"Link": ", ".join(addresses)} if addresses else {}


def total(rows: Select[Any]) -> dict[str, str]:
    """Give the exact count of all rows, where the client prefers to wait for it."""
    preferences = parse_dict_header(", ".join(request.headers.getlist("Prefer")))
    if preferences.get("count") != "exact":
        return {}
    count = db.session.scalar(select(func.count()).select_from(rows.order_by(None).subquery()))
    return {"X-Total-Count": str(count), "Preference-Applied": "count=exact"}
