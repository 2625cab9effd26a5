"""How a view's select is run: the view is asked once for each set of names, not at each request."""

from collections.abc import Callable
from contextvars import Context
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

from sqlalchemy import BindParameter, Select, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql.visitors import iterate

from omnidesk.api.parts import Order, Part, Shape
from omnidesk.api.rows import Found, dumped, written
from omnidesk.api.schemas import Schema
from omnidesk.db import Base
from omnidesk.log import Change
from omnidesk.prepared import Prepared, read

View = Callable[..., Select[Any]]
Values = dict[str, Any]
Names = frozenset[str]


class Given(BindParameter[Any]):
    """A value that is yet to come: a column can be compared with it, and nobody can look at it."""

    inherit_cache = True

    def operate(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse to be compared in Python: it would not be known with what."""
        raise TypeError(self.key)

    reverse_operate = operate


def asked(view: View, names: Names, path: Names) -> Select[Any] | None:
    """Give what a view selects whatever the values are; None where that depends on more.

    It is asked outside of any request, with values that it cannot look at. What it selects by other
    values than these, such as the time or who is calling, holds for one request alone.
    """
    if names & path:
        return None
    filters, places = ({name: Given(name) for name in some} for some in (names, path))
    try:
        rows = Context().run(view, filters, **places)
    except (AttributeError, LookupError, RuntimeError, TypeError, SQLAlchemyError):
        return None
    values = [part for part in iterate(rows) if isinstance(part, BindParameter)]
    return rows if all(isinstance(value, Given) for value in values) else None


def entity_of(rows: Select[Any]) -> type[Base]:
    """Give the entity whose rows are selected."""
    (entity,) = rows.column_descriptions
    found: type[Base] = entity["entity"]
    return found


def placed(rows: Select[Any], shape: Shape | None) -> tuple[Select[Any], list[Any]]:
    """Give a part of this shape and the columns it is ordered by; or all rows and their version."""
    if shape is None:
        version = getattr(entity_of(rows), "version", None)
        return rows, [] if version is None else [version]
    order = Order.of(rows)
    return shape.of(rows, order), order.keys


class Plan(NamedTuple):
    """How all requests with the same parameters are answered, and how far their rows have come."""

    run: Prepared
    last: Prepared | None

    @classmethod
    def of(cls, rows: Select[Any], schema: type[Schema], shape: Shape | None) -> "Plan | None":
        """Give the plan for a select; None where its rows are shown by more than the database."""
        statement = written(*placed(rows, shape), schema)
        if statement is None:
            return None
        last = Change.last(entity_of(rows))
        if last is not None and shape is not None:
            statement = statement.add_columns(last.scalar_subquery())
        return cls(Prepared(statement), None if last is None else Prepared(last))


@lru_cache(maxsize=512)
def planned(
    view: View, schema: type[Schema], names: Names, path: Names, shape: Shape | None
) -> Plan | None:
    """Give the plan that answers all requests with these names; None where there is none."""
    rows = asked(view, names, path)
    return None if rows is None else Plan.of(rows, schema, shape)


def find(
    view: View, schema: type[Schema], filters: Values, path: Values, part: Part | None = None
) -> Found:
    """Give the rows that a view selects, or a part of them, as the schema shows them."""
    shape, values = (part.shape, part.values()) if part else (None, {})
    plan = planned(view, schema, frozenset(filters), frozenset(path), shape)
    if plan:
        return Found.in_lines(plan.run(**filters, **path, **values))
    rows, keys = placed(view(filters, **path), shape)
    statement = written(rows, keys, schema)
    if statement is None:
        return dumped(rows, keys, schema, values)
    return Found.in_lines(read(statement, **values))


def last_change(
    view: View, schema: type[Schema], filters: Values, path: Values, part: Part
) -> str | None:
    """Return what changes with any row that a list might show; None where it depends on more."""
    plan = planned(view, schema, frozenset(filters), frozenset(path), part.shape)
    return str(plan.last()[0][0]) if plan and plan.last else None


def counting(rows: Select[Any]) -> Select[int]:
    """Select how many rows there are."""
    return select(func.count()).select_from(rows.order_by(None).subquery())


@lru_cache(maxsize=512)
def prepared_count(view: View, names: Names, path: Names) -> Prepared | None:
    """Give the statement that counts what a view selects; None where there is none."""
    rows = asked(view, names, path)
    return None if rows is None else Prepared(counting(rows))


def count(view: View, filters: Values, path: Values) -> int:
    """Give how many rows a view selects."""
    run = prepared_count(view, frozenset(filters), frozenset(path))
    found = run(**filters, **path) if run else read(counting(view(filters, **path)))
    return int(found[0][0])
