"""The database's own random id: no copy of it and no other database has the same.

ETags hold it. After a backup is restored, a row can get the same version a second time, with other
content: it then has another ETag.
"""

import secrets
from pathlib import Path
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    Connection,
    ScalarSelect,
    String,
    Text,
    cast,
    inspect,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db.base import Base

HYPHEN = literal_column("'-'", Text())  # a prepared statement has no parameters of its own
# A dump that is restored makes a new table, most often in another database or cluster; recovery
# to a point in time begins a new timeline.
POSTGRESQL_COPY = text(
    "SELECT concat_ws('/', cluster.system_identifier, recovery.timeline_id, pg_database.oid,"
    " 'database_id'::regclass::oid)"
    " FROM pg_control_system() AS cluster, pg_control_checkpoint() AS recovery, pg_database"
    " WHERE datname = current_database()"
)


class DatabaseId(Base):
    """The id, in the only row of its table."""

    __tablename__ = "database_id"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(String(16))
    copy: Mapped[str] = mapped_column(Text)  # which copy of the database has the id
    # Changes up to this seq are not in the feed: they were deleted, or are from before a restore.
    changes_after: Mapped[int] = mapped_column(server_default="0")
    erasures: Mapped[int] = mapped_column(server_default="0")  # steps in which clients were erased

    __table_args__ = (CheckConstraint("number = 1", name="one_row"),)

    @classmethod
    def value(cls) -> ScalarSelect[str]:
        """Return the subquery of the id."""
        return select(cls.id).scalar_subquery()

    @classmethod
    def feed_start(cls) -> ScalarSelect[int]:
        """Return the subquery of the seq that the changes of the feed come after."""
        return select(cls.changes_after).scalar_subquery()

    @classmethod
    def joined_to(cls, *parts: Any) -> ColumnElement[str]:
        """Return the SQL of the id and other values as one text, such as `9f86d081884c7d65-3`."""
        return hyphenated(cls.value(), *parts)

    @classmethod
    def and_erasures_joined_to(cls, *parts: Any) -> ColumnElement[str]:
        """Return the SQL of the id, the number of erasures, and other values as one text."""
        both = select(hyphenated(cls.id, cls.erasures)).scalar_subquery()
        return hyphenated(both, *parts)

    @classmethod
    def renew(cls, connection: Connection) -> None:
        """Set a new id of this copy of the database."""
        new = {"id": secrets.token_hex(8), "copy": this_copy(connection)}
        connection.execute(update(cls).values(**new))

    @classmethod
    def is_known_here(cls, connection: Connection) -> bool:
        """Return whether the database has an id, and is the one that got it, and no copy."""
        is_there = inspect(connection).has_table(cls.__tablename__)
        return is_there and connection.scalar(select(cls.copy)) == this_copy(connection)

    @classmethod
    def stay_known(cls, connection: Connection) -> None:
        """Keep the id after a change of the schema, which SQLite counts."""
        connection.execute(update(cls).values(copy=this_copy(connection)))


def hyphenated(first: Any, *parts: Any) -> ColumnElement[str]:
    """Return the SQL of values as one text."""
    joined: ColumnElement[str] = first
    for part in parts:
        joined = joined + HYPHEN + cast(part, Text)
    return joined


def this_copy(connection: Connection) -> str:
    """Return what tells this copy of the database from others.

    On SQLite that is the file's inode, and the number of the schema's last change, which begins
    anew in a file that `.backup` writes. So only a plain copy of the file that overwrites it later
    is not told from it.
    """
    if connection.dialect.name == "postgresql":
        return str(connection.scalar(POSTGRESQL_COPY))
    file = Path(connection.engine.url.database or "")
    return f"{file.stat().st_ino}/{connection.scalar(text('PRAGMA schema_version'))}"
