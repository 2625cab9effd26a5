"""The database: its session, its base class, and what SQLite and PostgreSQL do differently."""

from omnidesk.db import postgresql, sqlite, sqlite_constraints  # their event listeners
from omnidesk.db.base import Base, unique_where_given
from omnidesk.db.constraints import RuleViolation
from omnidesk.db.filters import Filters
from omnidesk.db.session import db
from omnidesk.db.types import MAX_ID, UtcDateTime, bytewise_text, enum_type, utcnow
from omnidesk.db.versioned import Versioned

__all__ = [
    "MAX_ID",
    "Base",
    "Filters",
    "RuleViolation",
    "UtcDateTime",
    "Versioned",
    "bytewise_text",
    "db",
    "enum_type",
    "postgresql",
    "sqlite",
    "sqlite_constraints",
    "unique_where_given",
    "utcnow",
]
