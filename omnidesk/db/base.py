"""The base class of every table."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    MetaData,
    String,
    Table,
    event,
    func,
    inspect,
    text,
)
from sqlalchemy.orm import DeclarativeBase

from omnidesk.db.types import UtcDateTime


class Base(DeclarativeBase):
    """A table: its constraints have names, and its texts are no longer than their columns."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime()}
    __table__: ClassVar[Table]
    logged_as: ClassVar[str | None] = None  # the entity of the change log that rows belong to

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for column in cls.__table__.columns:
            if type(column.type) is String:
                cls.__table__.append_constraint(length_constraint(column))
        if any("derived" in column.info for column in cls.__table__.columns):
            event.listen(cls, "before_update", derive)

    @classmethod
    def primary_key(cls) -> Column[Any]:
        """Return the column of a primary key that has one column."""
        (column,) = cls.__table__.primary_key
        return column

    @classmethod
    def lock_first(cls, _row_id: int, *_data: dict[str, Any]) -> None:
        """Lock what others lock before a row, which is to be changed by this data or deleted."""


def derive(_mapper: Any, _connection: Any, row: Base) -> None:
    """Set the columns of a changed row that hold what others make, where one of these changes."""
    changes = inspect(row).attrs
    for column in row.__table__.columns:
        make, names = column.info.get("derived", (None, ()))
        if any(changes[name].history.has_changes() for name in names):
            setattr(row, column.name, make(*(getattr(row, name) for name in names)))


def unique_where_given(table: str, column: str, field: str) -> Index:
    """Return the index that lets no two rows have the same value; `field` is to blame for it.

    Partial, since PostgreSQL locks a row against references to it while a column changes that
    others could refer to, as one with a whole unique index.
    """
    given = text(f"{column} IS NOT NULL")
    return Index(
        f"uq_{table}_{column}",
        column,
        unique=True,
        postgresql_where=given,
        sqlite_where=given,
        info={"field": field},
    )


def partial_index(condition: str, name: str | None, *columns: Any) -> Index:
    """Return an index of those rows that meet a condition; without a name, it gets its columns'."""
    where = text(condition)
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


def length_constraint(column: Column[str]) -> CheckConstraint:
    """Return the check of a text's length, which SQLite would not make by itself.

    The least is 1, or 0 where the column may be null or says so.
    """
    least = column.info.get("min_length", int(not column.nullable))
    length = func.length(column).between(least, column.type.length)  # type: ignore[attr-defined]
    return CheckConstraint(length, name=f"{column.name}_length", info={"field": column.name})
