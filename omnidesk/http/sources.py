"""What the selects of a view are built from."""

from collections.abc import Callable, Hashable
from contextvars import Context
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, Column, Select, Table, inspect
from sqlalchemy.orm import contains_eager
from sqlalchemy.sql.visitors import iterate

from omnidesk.db import Base, Filters
from omnidesk.db.scans import Divided, Scan
from omnidesk.http.parts import Part, parts

MAX_PARTS = 32  # of a list; each adds to what a statement costs


class Source(NamedTuple):
    """What a select is built from: everything that it may depend on."""

    build: Callable[..., Select[Any] | Divided | Scan]
    filters: Filters
    shape: tuple[tuple[str, Hashable], ...]
    include: tuple[str, ...] = ()  # names of relationships

    def select(self) -> Select[Any]:
        """Build the select; raise TypeError where it leaves a filter out, or has a time in it."""
        found = self.call(self.filters)
        rows = found if isinstance(found, Select) else found.select()
        for relationship in self.relationships(entity_of(rows)):
            rows = rows.outerjoin(relationship).options(contains_eager(relationship))
        parameters = [part for part in iterate(rows) if isinstance(part, BindParameter)]
        name, used = self.build.__qualname__, {part.key for part in parameters}
        if missing := set(self.filters.parameter_names()) - used:
            raise TypeError(f"{name} does not filter by {sorted(missing)}")
        if any(isinstance(part.value, date) for part in parameters):
            raise TypeError(f"{name} compares with a time, which must be the value of a filter")
        return rows

    def call(self, filters: Filters) -> Select[Any] | Divided | Scan:
        """Call the function, for which there is no request: what it builds serves all callers."""
        try:
            return Context().run(self.build, filters, **dict(self.shape))
        except RuntimeError as error:  # Flask's
            name = self.build.__qualname__
            raise RuntimeError(f"{name} asks for the request, and only views may") from error

    def parts(self) -> list[Part]:
        """Return the parts of the list, without lists of values, which together have its rows.

        Those of a scan leave its condition out.
        """
        whole = self.parts_for(self.filters)
        # Each part has one value of a rank already.
        ranked = [key.column.value.key for key in whole[0].keys if key.ranked]
        branches = self.filters.branches(MAX_PARTS // len(whole), *ranked)
        return [part for some in branches for part in self.parts_for(some)] or whole

    def parts_for(self, filters: Filters) -> list[Part]:
        """Return the parts for some filters, without the condition of a scan."""
        found = self.call(filters)
        if isinstance(found, Divided):
            return [part for rows in found.selects for part in parts(rows)]
        return parts(found.rows if isinstance(found, Scan) else found)

    def scan(self) -> Scan | None:
        """Build the scan, where rows must be looked at one by one."""
        found = self.call(self.filters)
        return found if isinstance(found, Scan) else None

    def relationships(self, entity: type[Base]) -> list[Any]:
        """Return the attributes of the related rows that are read with an entity's."""
        names = inspect(entity).relationships.keys()
        return [getattr(entity, name) for name in self.include if name in names]


def entity_of(rows: Select[Any]) -> type[Base]:
    """Return the entity that a select returns the rows of."""
    entity: type[Base] = rows.column_descriptions[0]["entity"]
    return entity


def found_by(rows: Select[Any]) -> set[type[Base]]:
    """Return the entities whose changes can change which rows a select finds."""
    tables = {part for part in iterate(rows) if isinstance(part, Table)}
    entities = (mapper.class_ for mapper in Base.registry.mappers)
    found = {e for e in entities if e.__table__ in tables and e.logged_as}
    compared = [] if rows.whereclause is None else iterate(rows.whereclause)
    infos = (part.info for part in compared if isinstance(part, Column))
    return found | {info["copied_from"] for info in infos if "copied_from" in info}
