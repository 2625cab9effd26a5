"""Clients: the customers of the desk."""

from datetime import datetime
from typing import Self

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Select,
    String,
    Text,
    bindparam,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, Filters, Versioned, db, unique_where_given, utcnow
from omnidesk.db.base import partial_index
from omnidesk.db.folding import derived, email_key, phone_key
from omnidesk.db.scans import Scan, few, matching_all
from omnidesk.db.search import QUERY, by_words, text_index
from omnidesk.db.statements import Statement
from omnidesk.db.words import client_words, words_of

KEYS = ("email", "phone")  # compared in a form of their own
ERASED = "***"  # what a text that cannot be null is after an erasure; it has no words
WAS_ERASED = "The client was erased."
FOUND_BY = ("full_name", "email", "phone", "external_id")


class Client(Versioned, Base):
    """A customer of the desk."""

    __tablename__ = "client"
    logged_as = "client"

    client_id: Mapped[int] = mapped_column(primary_key=True)
    full_name: Mapped[str] = mapped_column(String(120))
    email: Mapped[str | None] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(32))
    external_id: Mapped[str | None] = mapped_column(String(255))
    active: Mapped[bool] = mapped_column(Boolean(create_constraint=True, name="active"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    merged_into: Mapped[int | None] = mapped_column(ForeignKey("client.client_id"), sort_order=104)
    email_key: Mapped[str | None] = derived(email_key, ("email",), type_=Text, sort_order=102)
    phone_key: Mapped[str | None] = derived(phone_key, ("phone",), type_=Text, sort_order=103)
    words: Mapped[str] = words_of(*FOUND_BY, made_by=client_words)
    # How far the erasure of the client has come; null where there is none.
    erasure: Mapped[str | None] = mapped_column(String(64), sort_order=111)

    __table_args__ = (
        Index(None, "active", "client_id"),
        Index(None, "email_key", "client_id"),
        Index(None, "phone_key", "client_id"),
        partial_index("merged_into IS NOT NULL", None, "merged_into"),
        unique_where_given("client", "external_id", "external_id"),
        text_index("client"),
        CheckConstraint(
            "merged_into IS NULL OR NOT active",
            name="inactive_when_merged",
            info={"field": "active", "message": "The client was merged into another one."},
        ),
        # Triggers of the tables that refer to clients keep this rule. It is not created as a check,
        # but declared here for its name and its error.
        CheckConstraint(
            "merged_into IS NULL",
            name="not_merged",
            info={"field": "client_id", "message": "The client was merged into another one."},
        ).ddl_if(callable_=lambda *_, **__: False),
        CheckConstraint(
            f"erasure IS NULL OR (NOT active AND full_name = '{ERASED}'"
            " AND coalesce(email, phone, external_id) IS NULL)",
            name="emptied_when_erased",
            info={"field": "client_id", "message": WAS_ERASED, "conflict": True},
        ),
        # Triggers of all tables with texts of clients keep this one.
        CheckConstraint(
            "erasure IS NULL",
            name="not_erased",
            info={"field": "client_id", "message": WAS_ERASED, "conflict": True},
        ).ddl_if(callable_=lambda *_, **__: False),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def matching(cls, filters: Filters) -> Select[Self] | Scan:
        """Select the clients that meet the filters, oldest first."""
        compared = (*KEYS, *QUERY)
        clients = select(cls).where(*filters.conditions(cls, *compared)).order_by(cls.client_id)
        for name in KEYS:
            if name in filters:
                clients = clients.where(few(filters.condition(name, getattr(cls, f"{name}_key"))))
        return matching_all(cls, clients, [by_words(cls, filters)])


def lock_client(client_id: int) -> None:
    """Lock a client who gets rows of others, before these rows: as whoever merges or erases them.

    Others can have the same lock at the same time. What was refused since is refused then: a
    trigger that checks it may not wait for the client.
    """
    found = select(Client.client_id).where(Client.client_id == client_id)
    db.session.execute(found.with_for_update(read=True, key_share=True))


CLIENT_EXISTS = Statement(
    select(Client.client_id).where(Client.client_id == bindparam("client_id"))
)
