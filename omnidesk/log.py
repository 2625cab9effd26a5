"""What changed, and who changed it: triggers write it in the transaction of the change itself."""

from datetime import datetime
from typing import Self

from sqlalchemy import ForeignKey, Index, Select, Text, func, literal_column, select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, choice

ENTITIES = ("user", "client", "ticket", "event", "conversation", "message", "comment")
OPS = ("created", "updated", "deleted")


class Change(Base):
    """One change of one row. Their numbers are in the order in which they were committed."""

    __tablename__ = "change"

    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[int | None] = mapped_column(ForeignKey("app_user.user_id"))
    entity: Mapped[str] = mapped_column(choice("entity", *ENTITIES))
    entity_id: Mapped[int]
    op: Mapped[str] = mapped_column(choice("op", *OPS))
    before: Mapped[str | None] = mapped_column(Text)
    after: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        Index(None, "entity", "seq"),
        Index(None, "entity", "entity_id", "seq"),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def following(cls, after: int | None = None, **filters: object) -> Select[Self]:
        """Select the changes after one, in the order in which they were committed."""
        changes = select(cls).filter_by(**filters).order_by(cls.seq)
        return changes if after is None else changes.where(cls.seq > after)

    @classmethod
    def history(cls, entity: str, **filters: object) -> Select[Self]:
        """Select the changes of an entity's row, newest first."""
        return cls.of(entity).filter_by(**filters).order_by(cls.seq.desc())

    @classmethod
    def last(cls, entity: type[Base]) -> Select[int] | None:
        """Select the number of the last change that rows of an entity might show, 0 before any.

        None where rows change that are not in the log.
        """
        (key,) = entity.__table__.primary_key
        name = {"seq": "", "tag": "ticket"}.get(key.name, key.name.removesuffix("_id"))
        last = select(func.coalesce(func.max(cls.seq), 0))
        if name in ENTITIES:
            last = last.where(cls.entity == literal_column(f"'{name}'"))
        return last if name in ("", *ENTITIES) else None

    @classmethod
    def of(cls, entity: str) -> Select[Self]:
        """Select the changes of all rows of an entity, by a name that is no parameter."""
        return select(cls).where(cls.entity == literal_column(f"'{entity}'"))
