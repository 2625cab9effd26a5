"""Clients: the customers of the desk."""

from datetime import datetime
from typing import Self

from sqlalchemy import Boolean, Index, Select, String, bindparam, or_, select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, Filters, Versioned, utcnow
from omnidesk.db.json_sql import Contains


class Client(Versioned, Base):
    """A customer of the desk."""

    __tablename__ = "client"
    logged_as = "client"

    client_id: Mapped[int] = mapped_column(primary_key=True)
    full_name: Mapped[str] = mapped_column(String(120))
    email: Mapped[str | None] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(32))
    external_id: Mapped[str | None] = mapped_column(String(128))
    active: Mapped[bool] = mapped_column(Boolean(create_constraint=True, name="active"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)

    __table_args__ = (
        Index(None, "active", "client_id"),
        Index(None, "external_id", "client_id"),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def matching(cls, filters: Filters) -> Select[Self]:
        """Select the clients that meet the filters, oldest first; `q` is in a name or address."""
        clients = select(cls).where(*filters.conditions(cls, "q")).order_by(cls.client_id)
        if "q" not in filters:
            return clients
        texts, q = (
            (cls.full_name, cls.email, cls.phone, cls.external_id),
            bindparam("q", type_=String),
        )
        return clients.where(or_(*(Contains(text, q) for text in texts)))
