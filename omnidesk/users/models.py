"""Who works at the desk."""

from datetime import datetime
from typing import Any, Self

from sqlalchemy import Boolean, Index, Select, String, bindparam, func, select, text
from sqlalchemy.orm import Mapped, mapped_column

from omnidesk.db import Base, Refused, Versioned, choice, db, utcnow
from omnidesk.prepared import Prepared
from omnidesk.users import passwords

ROLES = ("admin", "empleado")
LAST_ADMIN_LOCK = 7_401_057  # any number that nothing else of ours uses


class User(Versioned, Base):
    """A member of staff."""

    __tablename__ = "app_user"

    user_id: Mapped[int] = mapped_column(primary_key=True)
    full_name: Mapped[str] = mapped_column(String(120))
    username: Mapped[str] = mapped_column(String(64))
    email: Mapped[str | None] = mapped_column(String(254))
    role: Mapped[str] = mapped_column(choice("role", *ROLES))
    active: Mapped[bool] = mapped_column(Boolean(create_constraint=True, name="active"))
    last_login_at: Mapped[datetime | None]
    password_changed_at: Mapped[datetime | None]
    password_hash: Mapped[str] = mapped_column(String(255))

    __table_args__ = (
        Index(
            "uq_app_user_username",
            text("lower(username)"),
            unique=True,
            info={"field": "username"},
        ),
        Index("uq_app_user_email", text("lower(email)"), unique=True, info={"field": "email"}),
        Index(None, "active", "user_id"),
        Index(None, "role", "user_id"),
        Index(None, "role", "active", "user_id"),
        {"sqlite_autoincrement": True},
    )

    @classmethod
    def create(cls, *, password: str, role: str = "empleado", **fields: str | None) -> Self:
        """Give a new active user with this password."""
        user = cls(role=role, active=True, **fields)
        user.set_password(password)
        return user

    @classmethod
    def matching(cls, **filters: object) -> Select[Self]:
        """Select the users with these values, in the order they came."""
        return select(cls).filter_by(**filters).order_by(cls.user_id)

    @classmethod
    def log_in(cls, username: str, password: str) -> Self | None:
        """Give the active user whom these credentials name, noting the time; else None."""
        found = HASH(username=username.lower())
        user_id, stored = found[0] if found else (0, passwords.unknown())
        user = cls.proven(user_id, stored, password)
        if user is not None:
            user.last_login_at = utcnow()
        return user

    @classmethod
    def known(cls, user_id: int, password: str) -> Self | None:
        """Give the active user of a number if this is their password; else None."""
        ((stored,),) = OWN_HASH(user_id=user_id)
        return cls.proven(user_id, stored, password)

    @classmethod
    def proven(cls, user_id: int, stored: str, password: str) -> Self | None:
        """Give the active user of a number, locked, if this is the password now; else None."""
        # Before the transaction begins: hashing takes a while, and nobody should wait for it.
        if not passwords.verify(stored, password):
            return None
        renewed = passwords.renewed(stored, password)
        user = db.session.get(cls, user_id, with_for_update={"key_share": True})
        if user and user.password_hash == stored:
            user.password_hash = renewed
        elif user and not passwords.verify(user.password_hash, password):
            user = None
        if user is None or not user.active:
            db.session.rollback()
            return None
        return user

    def change(self, *, password: str | None = None, **fields: Any) -> None:
        """Change these fields; raises Refused where no admin would be left."""
        if password is not None:
            self.set_password(password)
        super().change(**fields)
        if fields.keys() & {"role", "active"}:
            db.session.flush()
            lock_last_admin_check()
            admins = select(User.user_id).where(User.role == "admin", User.active).limit(1)
            if db.session.scalar(admins) is None:
                field = "role" if fields.get("role", "admin") != "admin" else "active"
                raise Refused(field, "Nobody would be left who is an admin.", conflict=True)

    def set_password(self, password: str) -> None:
        """Store the hash of a new password; a trigger ends the sessions that the old one began."""
        self.password_hash = passwords.hashed(password)
        self.password_changed_at = utcnow()


def lock_last_admin_check() -> None:
    """Keep others from counting the admins until the transaction ends.

    Otherwise two admins who leave at once would each count the other. On SQLite they cannot: the
    first to write keeps others from beginning.
    """
    if db.engine.name == "postgresql":
        db.session.execute(select(func.pg_advisory_xact_lock(LAST_ADMIN_LOCK)))


HASH = Prepared(
    select(User.user_id, User.password_hash).where(
        func.lower(User.username) == bindparam("username"), User.active
    )
)
OWN_HASH = Prepared(select(User.password_hash).where(User.user_id == bindparam("user_id")))
