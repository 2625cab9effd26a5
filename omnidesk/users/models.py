"""Members of staff."""

from datetime import datetime
from typing import Any, Self

from sqlalchemy import (
    Boolean,
    ForeignKey,
    Index,
    Select,
    String,
    Text,
    select,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import (
    Base,
    Filters,
    RuleViolation,
    Versioned,
    bytewise_text,
    db,
    enum_type,
    unique_where_given,
    utcnow,
)
from omnidesk.db.folding import derived, email_key, user_search_text
from omnidesk.db.json_sql import Contains
from omnidesk.db.postgresql import advisory_lock

FOUND_BY = ("full_name", "username", "email")
ROLES = ("admin", "empleado")


class User(Versioned, Base):
    """A member of staff."""

    __tablename__ = "app_user"
    logged_as = "user"

    user_id: Mapped[int] = mapped_column(primary_key=True)
    full_name: Mapped[str] = mapped_column(String(120))
    username: Mapped[str] = mapped_column(bytewise_text(64))
    email: Mapped[str | None] = mapped_column(bytewise_text(254))
    role: Mapped[str] = mapped_column(enum_type("role", *ROLES))
    active: Mapped[bool] = mapped_column(Boolean(create_constraint=True, name="active"))
    last_login_at: Mapped[datetime | None]
    password_changed_at: Mapped[datetime | None]
    password_hash: Mapped[str] = mapped_column(String(255))
    email_key: Mapped[str | None] = derived(email_key, ("email",), type_=Text, sort_order=101)
    search_text: Mapped[str] = derived(
        user_search_text, FOUND_BY, type_=Text, server_default="", sort_order=102
    )

    __table_args__ = (
        Index(
            "uq_app_user_username",
            text("lower(username)"),
            unique=True,
            info={"field": "username"},
        ),
        unique_where_given("app_user", "email_key", "email"),
        Index(None, "active", "user_id"),
        Index(None, "role", "user_id"),
        Index(None, "role", "active", "user_id"),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def new(cls, *, password_hash: str, role: str = "empleado", **fields: str | None) -> Self:
        """Return a new active user."""
        return cls(
            role=role,
            active=True,
            password_hash=password_hash,
            password_changed_at=utcnow(),
            **fields,
        )

    @classmethod
    def matching(cls, filters: Filters) -> Select[Self]:
        """Select the users that meet the filters, oldest first; all words of `q` are in one."""
        users = select(cls).where(*filters.conditions(cls, "q")).order_by(cls.user_id)
        return users.where(*(Contains(cls.search_text, word) for word in filters.items("q")))

    def change(self, **fields: Any) -> None:
        """Set these fields; raise RuleViolation where no active admin would be left."""
        if "password_hash" in fields:  # a trigger then ends sessions and tokens
            fields["password_changed_at"] = utcnow()
        super().change(**fields)
        if fields.keys() & {"role", "active"}:
            db.session.flush()
            require_an_admin("role" if fields.get("role", "admin") != "admin" else "active")


def require_an_admin(field: str) -> None:
    """Raise RuleViolation on the field unless there is an active admin."""
    # Two admins who leave at the same time must not count each other.
    advisory_lock("last admin")
    if db.session.scalar(select(User.user_id).where(User.role == "admin", User.active).limit(1)):
        return
    raise RuleViolation(field, "Nobody would be left who is an admin.", conflict=True)


def require_active_user(user_id: int | None, field: str) -> None:
    """Raise RuleViolation on the field unless this is None or an active user, who then stays so."""
    if user_id is None:
        return
    active = select(User.user_id).where(User.user_id == user_id, User.active)
    if not db.session.scalar(active.with_for_update(read=True)):
        raise RuleViolation(field, "No active user has this id.")


class Assignable:
    """The part of a row that a user can have."""

    assigned_to: Mapped[int | None] = mapped_column(ForeignKey("app_user.user_id"))

    def assign(self, user_id: int | None) -> None:
        """Assign it to a user or nobody; raise RuleViolation unless the user is active.

        Whoever has it already keeps it, active or not.
        """
        if user_id != self.assigned_to:
            require_active_user(user_id, "assigned_to")
        self.assigned_to = user_id
