"""The feed: the changes after the position of a reader, in the order of their commits."""

from datetime import timedelta
from typing import Any, cast

from omnidesk.changes.schemas import LATEST, TOO_OLD
from omnidesk.db import feed_positions
from omnidesk.db.change_log import ENTITIES, Change
from omnidesk.db.statements import Statement
from omnidesk.http import PreparedSelect, Schema
from omnidesk.http.cursors import AFTER, read_cursor
from omnidesk.http.errors import http_error
from omnidesk.http.list_statements import PageStatement, source_keys
from omnidesk.http.pagination import Page, PageRows

# For pages that marshmallow writes.
LAST_CHANGE = Statement(cast("Any", Change.last(Change)))
LATEST_POSITION = Statement(feed_positions.latest())
POSITION_BEFORE = Statement(feed_positions.position_before())
PLACE = Statement(feed_positions.place())
# How far changes may be from the order of their times: so long a transaction may go on after a
# change, and so far may a clock be set back, without a change that `since` leaves out.
MARGIN = timedelta(minutes=1)


def with_entities(filters: dict[str, Any], hidden: tuple[str, ...]) -> dict[str, Any]:
    """Return filters by actors with the entities that may be read: an index has those of each."""
    if "actor" not in filters or "entity" in filters:
        return filters
    return filters | {"entity": [name for name in ENTITIES if name not in hidden]}


def from_time(filters: dict[str, Any]) -> dict[str, Any]:
    """Return filters by a time with a position before it, so that no older changes are read."""
    if "since" not in filters:
        return filters
    ((before,),) = POSITION_BEFORE.fetch(time=filters["since"] - MARGIN)
    positions = {before, filters.get("after", before)}
    return filters | {"after": last_of(positions) if len(positions) > 1 else before}


def last_of(positions: set[int]) -> int:
    """Return the seq that is the last of several in the order of commits."""
    return max(positions, key=lambda seq: (PLACE.fetch(seq=seq)[0][0], seq))


def begun_at_latest(query: dict[str, Any]) -> dict[str, Any]:
    """Return a query whose page begins behind the last change there is, if it asks for that.

    Where it has a cursor, it has begun before.
    """
    if query.get("after") != LATEST:
        return query
    kept = {name: value for name, value in query.items() if name != "after"}
    if "cursor" in kept:
        return kept
    ((seq,),) = LATEST_POSITION.fetch()
    return kept | {"cursor": f"{AFTER}{seq:08x}"}


class Feed(PreparedSelect):
    """The changes after the position of a reader, or from the oldest that can be read.

    Pages raise 410 where changes after the position can no longer be read.
    """

    def __init__(self, filters: dict[str, Any], hidden: tuple[str, ...]) -> None:
        self.after = filters.get("after")  # of the request: a time is no position
        filters = from_time(with_entities(filters, hidden))
        from_start = "after" not in filters
        super().__init__(Change.feed, filters, hidden=hidden, from_start=from_start)
        self.filters, self.hidden, self.endless = filters, hidden, True

    def page(self, schema: type[Schema], page: Page) -> PageRows:
        """Return the rows of a page; raise 410, and 400 for a cursor."""
        rows = super().page(schema, page)
        self.check_position(page, rows.last_change or str(LAST_CHANGE.fetch()[0][0]))
        return rows

    def last_change(self, schema: type[Schema], page: Page) -> str:
        """Return what names the last change; raise 410, and 400 for a cursor."""
        last = str(super().last_change(schema, page))
        self.check_position(page, last)
        return last

    def prepare(
        self, schema: type[Schema], page: Page, way: Any = None
    ) -> tuple[PageStatement, dict[str, Any]]:
        """Return the statement of a page and the values of its parameters.

        A cursor replaces an earlier `after`: SQLite would walk from the first of two positions.
        """
        if not page.cursor or page.backwards:
            return super().prepare(schema, page, way)
        seq = self.cursor_seq(page)
        filters = {n: value for n, value in self.filters.items() if n != "after" or value > seq}
        return PreparedSelect(Change.feed, filters, hidden=self.hidden).prepare(schema, page, way)

    def cursor_seq(self, page: Page) -> int:
        """Return the seq that the cursor of a page points at; raise 400."""
        (seq,) = read_cursor(page.cursor, source_keys(self.source))
        return int(seq)

    def check_position(self, page: Page, last: str) -> None:
        """Raise 410 for a position before the start of the feed, as the last change tells it."""
        start = Change.feed_start_in(last)
        name = "cursor" if page.cursor else "after"
        position = self.cursor_seq(page) if page.cursor else self.after
        if position is not None and position < start:
            error = http_error(410, {name: [TOO_OLD.format(start + 1)]})
            error.oldest_seq = start + 1  # type: ignore[attr-defined]
            raise error
