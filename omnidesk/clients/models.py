"""Who asks for help."""

from datetime import datetime
from typing import Self

from sqlalchemy import Boolean, Select, String, select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, utcnow


class Client(Base):
    """A customer of the desk."""

    __tablename__ = "client"

    client_id: Mapped[int] = mapped_column(primary_key=True)
    full_name: Mapped[str] = mapped_column(String(120))
    email: Mapped[str | None] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(32))
    external_id: Mapped[str | None] = mapped_column(String(128))
    active: Mapped[bool] = mapped_column(Boolean(create_constraint=True, name="active"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = {"sqlite_autoincrement": True}

    @classmethod
    def matching(cls, **filters: object) -> Select[Self]:
        """Select the clients with these values, in the order they came."""
        return select(cls).filter_by(**filters).order_by(cls.client_id)
