"""What changed, and who changed it: triggers write it in the transaction of the change itself.

Followers read the changes in an order that never changes, whatever commits meanwhile. On SQLite
that is `seq`, since one transaction writes at a time. On PostgreSQL a lower `seq` can be committed
after a higher one, so there the order is (`transaction_id`, `seq`), and it is read only up to the
oldest transaction that is still running:

- `transaction_id` is the newest transaction that a change can depend on: its own, or a later one
  that had ended when the change was made. So a change comes after all that it depends on, such as
  earlier changes of the same row. (A transaction's own number alone would not do: it may have been
  assigned long before the change was made.)
- It is never below its own transaction. So when all transactions below some number have ended,
  no change can be added below that number any more.

A transaction that writes for long, in any database of the same server, holds followers up.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    ForeignKey,
    Index,
    Select,
    Text,
    bindparam,
    func,
    literal_column,
    select,
    true,
    tuple_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import NullType

from omnidesk.db.base import Base, partial_index
from omnidesk.db.database_id import DatabaseId
from omnidesk.db.filters import Filters
from omnidesk.db.types import enum_type

ENTITIES = (
    *("user", "client", "ticket", "event", "conversation", "message", "comment"),
    "identity",
)
ALL_ENTITIES = "all"
OPERATIONS = ("created", "updated", "deleted", "imported", "erased")


class ByDialect(FunctionElement[Any]):
    """An expression on PostgreSQL, and another one on SQLite."""

    inherit_cache = True

    def __init__(self, *, postgresql: Any, sqlite: Any) -> None:
        super().__init__(postgresql, sqlite)
        # SQLAlchemy would compare a Boolean with 1 on SQLite, and no index serves that.
        is_condition = isinstance(postgresql.type, Boolean)
        self.type = NullType() if is_condition else postgresql.type

    def self_group(self, against: OperatorType | None = None) -> "ByDialect":
        """Return it with each expression in parentheses where the operator around it needs them."""
        postgresql, sqlite = (each.self_group(against) for each in self.clauses)
        return ByDialect(postgresql=postgresql, sqlite=sqlite)


@compiles(ByDialect, "postgresql")
def by_postgresql(element: ByDialect, compiler: Any, **kwargs: Any) -> str:
    """Compile the first."""
    return str(compiler.process(element.clauses.clauses[0], **kwargs))


@compiles(ByDialect, "sqlite")
def by_sqlite(element: ByDialect, compiler: Any, **kwargs: Any) -> str:
    """Compile the second."""
    return str(compiler.process(element.clauses.clauses[1], **kwargs))


# Literals, since a prepared statement has no parameters but those of its request.
ONE = literal_column("1", BigInteger())
BELOW_ALL = literal_column(str(1 - 2**63), BigInteger())
OLDEST_RUNNING = literal_column(
    "pg_snapshot_xmin(pg_current_snapshot())::text::bigint", BigInteger()
)
# The `transaction_id` of a change that is made now.
NEWEST_TRANSACTION = ByDialect(
    postgresql=literal_column(
        "greatest(pg_current_xact_id()::text::bigint,"
        " pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)",
        BigInteger(),
    ),
    sqlite=literal_column("0"),
)
# Which transactions are running. While one is, another with a lower seq can be committed after it,
# and two moments may differ in no more than which ones have ended.
RUNNING = literal_column(
    "CASE WHEN pg_snapshot_xmin(pg_current_snapshot()) < pg_snapshot_xmax(pg_current_snapshot())"
    " THEN '.' || left(md5(pg_current_snapshot()::text), 12) ELSE '' END",
    Text(),
)


class Change(Base):
    """One change of one row."""

    __tablename__ = "change"
    logged_as = ALL_ENTITIES

    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[int | None] = mapped_column(ForeignKey("app_user.user_id"))
    entity: Mapped[str] = mapped_column(enum_type("entity", *ENTITIES))
    entity_id: Mapped[int]
    op: Mapped[str] = mapped_column(enum_type("op", *OPERATIONS))
    before: Mapped[str | None] = mapped_column(Text)
    after: Mapped[str | None] = mapped_column(Text)
    transaction_id: Mapped[int] = mapped_column(BigInteger, server_default=NEWEST_TRANSACTION)

    __table_args__ = (
        Index(None, "entity", "seq").ddl_if(dialect="sqlite"),
        Index(None, "transaction_id", "seq").ddl_if(dialect="postgresql"),
        Index(None, "entity", "transaction_id", "seq").ddl_if(dialect="postgresql"),
        Index(None, "entity", "entity_id", "seq"),
        Index(None, "actor", "entity", "seq").ddl_if(dialect="sqlite"),
        Index(None, "actor", "entity", "transaction_id", "seq").ddl_if(dialect="postgresql"),
        Index(None, "at"),
        partial_index("op = 'deleted'", "ix_change_deleted", "entity", "entity_id"),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def feed(
        cls, filters: Filters, *, hidden: tuple[str, ...], from_start: bool = False
    ) -> Select[Self]:
        """Select the changes that meet the filters, in the order they were committed.

        `after` is the seq of the change that they follow, `since` the time from which on they were
        made; `from_start` leaves out those from before the start of the feed. Changes of hidden
        entities are left out.
        """
        order = CommitOrder.of(cls)
        changes = (
            select(cls)
            .where(cls.is_settled(), *filters.conditions(cls, "after", "since"))
            .order_by(order, cls.seq)
        )
        if "since" in filters:
            changes = changes.where(cls.at >= bindparam("since", type_=cls.at.type))
        for entity in hidden:  # not IN, which would sort what it finds by the entities' index
            changes = changes.where(cls.entity != quoted(entity))
        after: ColumnElement[int]
        if "after" in filters:
            after = bindparam("after", type_=cls.seq.type)
        elif from_start:
            after = DatabaseId.feed_start()
        else:
            return changes
        return changes.where(tuple_(order, cls.seq) > tuple_(order.at(after), after))

    @classmethod
    def is_settled(cls) -> ByDialect:
        """Return the condition that no change can be added before this one any more."""
        return ByDialect(postgresql=cls.transaction_id < OLDEST_RUNNING, sqlite=true())

    @classmethod
    def history(cls, filters: Filters, *, entity: str) -> Select[Self]:
        """Select the changes of an entity's rows that meet the filters, newest first.

        Whoever changes a row holds its lock until the commit, so `seq` is their order.
        """
        return cls.of(entity).where(*filters.conditions(cls)).order_by(cls.seq.desc())

    @classmethod
    def last(
        cls, *entities: type[Base], only: Sequence[ColumnElement[str]] = ()
    ) -> Select[str] | None:
        """Select a text that differs whenever other changes of the entities' rows are committed.

        It is the database's id, the number of erasures, which are not logged row by row, and for
        each entity the seq of the last in the order of commits, or where the feed starts, if there
        is none any more; while transactions run on PostgreSQL, a digest of which ones follows. That
        of changes themselves tells which are there: the start of the feed, see `feed_start_in`, and
        the oldest; and of the entities that `only` names, where it names some, the newest. None
        where rows change that are not logged.
        """
        names = [entity.logged_as for entity in entities]
        if None in names:
            return None
        start = DatabaseId.feed_start()
        every = [None if name == ALL_ENTITIES else quoted(str(name)) for name in names]
        newest: list[Any] = [
            func.coalesce(cls.newest(name).scalar_subquery(), start) for name in only or every
        ]
        if ALL_ENTITIES in names:
            oldest = select(func.min(cls.seq)).scalar_subquery()
            newest = [start, func.coalesce(oldest, 0), *newest]
        last = DatabaseId.and_erasures_joined_to(*newest)
        return select(ByDialect(postgresql=last + RUNNING, sqlite=last))

    @staticmethod
    def feed_start_in(last: str) -> int:
        """Return the seq that the changes of the feed come after, which the last change tells."""
        return int(last.split("-")[2])

    @classmethod
    def newest(cls, named: ColumnElement[str] | None) -> Select[int]:
        """Select the seq of the last change, of an entity or of all, in the order of commits."""
        newest, order = select(cls.seq), [CommitOrder.of(cls).desc(), cls.seq.desc()]
        if named is not None:
            # Ordered by the entity, too, or PostgreSQL would walk the changes of all entities.
            newest = newest.where(cls.entity.between(named, named))
            order = [cls.entity.desc(), *order]
        return newest.order_by(*order).limit(ONE)

    @classmethod
    def of(cls, entity: str) -> Select[Self]:
        """Select the changes of all rows of an entity, by a name that is no parameter."""
        return select(cls).where(cls.entity == quoted(entity))


def quoted(entity: str) -> ColumnElement[str]:
    """Return the name of an entity as SQL."""
    return literal_column(f"'{entity}'")


class CommitOrder(ByDialect):
    """What changes are ordered by before their seq: on SQLite nothing else, the seq itself.

    A cursor is the seq alone: a change's place in the order is looked up by it.
    """

    inherit_cache = True

    @classmethod
    def of(cls, change: type[Change]) -> Self:
        """Return the order of changes."""
        return cls(postgresql=change.transaction_id, sqlite=change.seq)

    def at(self, seq: Any) -> ByDialect:
        """Return the value for the change of a seq, or the nearest before it."""
        nearest = select(Change.transaction_id).where(Change.seq <= seq)
        nearest = nearest.order_by(Change.seq.desc()).limit(ONE).correlate(None)
        found = func.coalesce(nearest.scalar_subquery(), BELOW_ALL)
        return ByDialect(postgresql=found, sqlite=seq)
