"""Lists: the edge cuts a page out of a view's select and says where the next one is."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlencode

import orjson
from flask import Response, current_app, request
from werkzeug.http import parse_dict_header

from omnidesk.api.conditional import ETAG, has, tagged, unchanged
from omnidesk.api.parts import Part
from omnidesk.api.plans import Values, View, count, find, last_change
from omnidesk.api.schemas import Schema

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
    "description": "count=exact asks for X-Total-Count, at the cost of a count (RFC 7240)",
    "schema": {"type": "string"},
    "example": "count=exact",
}


class Listing(NamedTuple):
    """A list as its view declares it."""

    view: View
    schema: type[Schema]
    then: Callable[..., None] | None  # looks at the last key that is sent, None on an empty page
    endless: bool  # whether it leads on from its last page, too


def page(listing: Listing, query: Values, path: Values) -> Response:
    """Answer with one part of what a view selects, and with its neighbours' addresses."""
    part = Part(**{name: query.pop(name) for name in Part._fields if name in query})
    asked = listing.view, listing.schema, query, path, part
    if "HTTP_IF_NONE_MATCH" in request.environ:
        tag = tag_of(last_change(*asked))
        if tag and has(tag):
            return unchanged(tag, weak=True)
    found = find(*asked)
    sent, more = part.cut(found), listing.endless or len(found.keys) > part.limit
    if listing.then is not None:
        listing.then(orjson.loads(sent.keys[-1]) if sent.keys else None, **path)
    answer = tagged(f"[{','.join(sent.shown)}]", tag_of(found.last), weak=True)
    answer.headers.extend(links(part.neighbours(sent.keys, more=more), part.limit))
    if "HTTP_PREFER" in request.environ and wants_total():
        answer.headers["X-Total-Count"] = str(count(listing.view, query, path))
        answer.headers["Preference-Applied"] = "count=exact"
    return answer


def tag_of(last: str | None) -> str:
    """Return the tag of a list by what `last_change` is; "" without one."""
    return "" if last is None else f"{current_app.config['API_VERSION']}-{last}"


def links(neighbours: dict[str, tuple[str, str | int]], limit: int) -> dict[str, str]:
    """Give the Link header of a page, its other parameters kept."""
    if not neighbours:
        return {}
    path = f"{request.script_root}{request.path}?{kept(request.query_string)}limit={limit}"
    addresses = (
        f'<{path}&{name}={place}>; rel="{rel}"' for rel, (name, place) in neighbours.items()
    )
    return {"Link": ", ".join(addresses)}


@lru_cache(maxsize=512)
def kept(_query: bytes) -> str:
    """Give the parameters of the present request's query that say which rows, not which part."""
    pairs = [pair for pair in request.args.items() if pair[0] not in Part._fields]
    return urlencode(pairs) + "&" if pairs else ""


def wants_total() -> bool:
    """Tell whether the client prefers to wait for an exact count (RFC 7240)."""
    preferences = parse_dict_header(", ".join(request.headers.getlist("Prefer")))
    return preferences.get("count") == "exact"
