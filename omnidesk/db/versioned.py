"""Rows that can be changed, and what tells one version of a row from all others."""

from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    Mapped,
    MappedSQLExpression,
    column_property,
    declared_attr,
    mapped_column,
)

from omnidesk.db.database_id import DatabaseId


class Versioned:
    """A row that can be changed: every change increments its version, a part of its ETag."""

    version: Mapped[int] = mapped_column(server_default="1", sort_order=99)

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        """Let SQLAlchemy increment the version and refuse to overwrite another one."""
        return {"version_id_col": cls.__dict__["__table__"].c.version}

    @declared_attr
    @classmethod
    def database_id(cls) -> MappedSQLExpression[str]:
        """Return the attribute that has the database's own id, read with the row."""
        return column_property(DatabaseId.value(), expire_on_flush=False)

    @hybrid_property
    def etag(self) -> str:
        """Tell this version of the row from all others, in any database: `<id>-100-3`."""
        key: str = self.primary_key().name  # type: ignore[attr-defined]
        return f"{self.database_id}-{getattr(self, key)}-{self.version}"

    @etag.inplace.expression
    @classmethod
    def _etag(cls) -> ColumnElement[str]:
        return DatabaseId.joined_to(cls.primary_key(), cls.version)  # type: ignore[attr-defined]

    @classmethod
    def as_changed(cls) -> dict[str, Any]:
        """Return what an UPDATE of many rows sets beside what it changes."""
        return {"version": cls.version + 1}

    def differs(self, **fields: Any) -> bool:
        """Return whether any of these fields has another value now."""
        return any(getattr(self, name) != value for name, value in fields.items())

    def change(self, **fields: Any) -> None:
        """Set these fields; raise RuleViolation where a rule of the desk forbids it."""
        for name, value in fields.items():
            setattr(self, name, value)
