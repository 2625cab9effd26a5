"""Column types that mean the same on SQLite and PostgreSQL, and the clock."""

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, Enum, String
from sqlalchemy.types import TypeDecorator

MAX_ID = 2**31 - 1  # the largest id of a row


def utcnow() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC: timestamptz on PostgreSQL, sortable text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Convert an aware time to UTC; a naive one would be taken for local time."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Return an aware time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def enum_type(name: str, *values: str) -> Enum:
    """Return a text type of at most 16 characters, limited by a check constraint to the values."""
    return Enum(*values, name=name, native_enum=False, create_constraint=True, length=16)


def bytewise_text(length: int) -> String:
    """Return a text type that is ordered by its bytes on both databases, whatever the locale.

    `lower()` folds its ASCII letters, and no others.
    """
    return String(length).with_variant(String(length, collation="C"), "postgresql")
