"""Who asks for help."""

from datetime import datetime
from typing import Any, Self

from sqlalchemy import Boolean, Index, Select, String, or_, select
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, Versioned, utcnow
from omnidesk.sql import Contains


class Client(Versioned, Base):
    """A customer of the desk."""

    __tablename__ = "client"

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
    def matching(cls, q: Any = None, **filters: object) -> Select[Self]:
        """Select the clients with these values, and with q in a name or address, as they came."""
        clients = select(cls).filter_by(**filters).order_by(cls.client_id)
        if q is None:
            return clients
        texts = (cls.full_name, cls.email, cls.phone, cls.external_id)
        return clients.where(or_(*(Contains(text, q) for text in texts)))
