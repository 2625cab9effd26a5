"""The database: one session, one base class, one clock, and SQLite taught PostgreSQL's manners."""

import re
import sqlite3
from datetime import UTC, datetime
from functools import cache
from typing import Any, ClassVar

from flask import g, has_app_context
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    CheckConstraint,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Enum,
    ForeignKeyConstraint,
    MetaData,
    String,
    Table,
    bindparam,
    event,
    func,
    select,
)
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column
from sqlalchemy.types import TypeDecorator

LARGEST_ID = 2**31 - 1


class Refused(Exception):  # noqa: N818 - it is what happened, not a fault
    """A rule of the desk said no: the field to blame, and why."""

    def __init__(self, field: str, why: str, *, conflict: bool = False) -> None:
        super().__init__(f"{field}: {why}")
        self.errors = {field: [why]}
        self.status = 409 if conflict else 400


def utcnow() -> datetime:
    """Give the time now, aware, in UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC: timestamptz on PostgreSQL, text that sorts on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Store UTC; an aware time is asked for, since a naive one would be taken for local."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Give an aware time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def choice(name: str, *values: str) -> Enum:
    """Give a text type that a check constraint holds to the given values."""
    return Enum(*values, name=name, native_enum=False, create_constraint=True, length=16)


class Base(DeclarativeBase):
    """Every table: named constraints, and text no longer than its column on either database."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime()}
    __table__: ClassVar[Table]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for column in cls.__table__.columns:
            if type(column.type) is String:
                length = func.length(column).between(int(not column.nullable), column.type.length)
                cls.__table__.append_constraint(
                    CheckConstraint(
                        length, name=f"{column.name}_length", info={"field": column.name}
                    )
                )


class Versioned:
    """A row that can be changed: its version moves with every change."""

    version: Mapped[int] = mapped_column(server_default="1", sort_order=99)

    @declared_attr.directive
    @classmethod
    def __mapper_args__(cls) -> dict[str, Any]:
        """Let no change be made to a row that is no longer as it was read."""
        return {"version_id_col": cls.__dict__["__table__"].c.version}

    def differs(self, **fields: Any) -> bool:
        """Tell whether any of these fields is another."""
        return any(getattr(self, name) != value for name, value in fields.items())

    def change(self, **fields: Any) -> None:
        """Change these fields; raises Refused where a rule of the desk forbids it."""
        for name, value in fields.items():
            setattr(self, name, value)


db = SQLAlchemy(metadata=Base.metadata, session_options={"expire_on_commit": False})


def begun() -> bool:
    """Tell whether this request has begun a transaction."""
    return db.session.registry.has() and db.session().in_transaction()


def follow_ids(model: type[Base]) -> None:
    """Let PostgreSQL number new rows after the ones that brought their own ids."""
    if db.engine.name == "postgresql":
        (key,) = model.__table__.primary_key
        sequence = func.pg_get_serial_sequence(model.__tablename__, key.name)
        db.session.execute(select(func.setval(sequence, select(func.max(key)).scalar_subquery())))


def take_time(connection: Connection) -> None:
    """Lift PostgreSQL's limits until the transaction ends: an operator's command may be long."""
    if connection.dialect.name == "postgresql":
        for limit in ("statement_timeout", "lock_timeout"):
            connection.execute(select(func.set_config(limit, "0", True)))


def acting_user() -> int | None:
    """Give the user whose request this is; the change log asks."""
    user = g.get("user") if has_app_context() else None
    return user and int(user.user_id)


@event.listens_for(Engine, "connect")
def prepare_sqlite(connection: Any, _record: Any) -> None:
    """Make SQLite durable, patient and strict about references."""
    if not isinstance(connection, sqlite3.Connection):
        return
    connection.isolation_level = None
    connection.create_function("acting_user", 0, acting_user)
    for pragma in (
        "busy_timeout=5000",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")


# Tells PostgreSQL who is acting, until the transaction ends: SQLite asks `acting_user` itself.
ACTING = func.set_config(
    "omnidesk.actor",
    bindparam("acting", type_=String(), callable_=lambda: str(acting_user() or "")),
    True,
)


@event.listens_for(Engine, "begin")
def begin(connection: Connection) -> None:
    """Take SQLite's write lock at once, to lose no update; let PostgreSQL know who is acting."""
    if connection.get_execution_options().get("alone"):
        return
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif acting_user():
        connection.execute(select(ACTING))


@cache
def alone(engine: Engine) -> Engine:
    """Give the engine, on the same connections, for statements that are transactions themselves."""
    if engine.name == "sqlite":
        return engine.execution_options(alone=True)
    return engine.execution_options(isolation_level="AUTOCOMMIT", alone=True)


# Read-only after a failover, or shutting down: such a connection still answers, but is of no use.
LOST = frozenset({"25006", "57P01", "57P02", "57P03"})


@event.listens_for(Engine, "handle_error")
def know_the_error(context: ExceptionContext) -> None:
    """Drop connections to a server that is going, and give SQLite's refusals their names."""
    error: Any = context.original_exception
    if getattr(error, "sqlstate", None) in LOST:
        context.is_disconnect = True
    if isinstance(error, sqlite3.IntegrityError):
        vars(error)["constraint_name"] = sqlite_constraint(str(error), context)


def sqlite_constraint(message: str, context: ExceptionContext) -> str | None:
    """Give the name of the constraint that SQLite's message means, where it can be known."""
    if "FOREIGN KEY" in message:
        return broken_reference(context)
    if columns := re.findall(r"(\w+)\.(\w+)", message):
        return "_".join(["uq", columns[0][0], *(column for _, column in columns)])
    return message.rpartition(": ")[2].removeprefix("index ").strip("'")


def broken_reference(context: ExceptionContext) -> str | None:
    """Give the name of the foreign key whose row is missing: SQLite does not say it."""
    execution: Any = context.execution_context
    table, connection = execution.compiled.statement.table, execution.root_connection
    for key in table.foreign_key_constraints:
        (reference,) = key.elements
        for row in execution.compiled_parameters:
            value = row.get(reference.parent.name)
            target = select(reference.column).where(reference.column == value)
            if value is not None and connection.execute(target).first() is None:
                return str(key.name)
    return None


def reason(error: SQLAlchemyError) -> str:
    """Give what the driver said of an error, in one line."""
    return str(getattr(error, "orig", error)).strip().partition("\n")[0]


def refusal(error: IntegrityError) -> Refused | None:
    """Give what a broken constraint means to the client; None where that is not known."""
    diagnosis: Any = getattr(error.orig, "diag", error.orig)
    for table in Base.metadata.tables.values():
        rules: list[Any] = [*table.constraints, *table.indexes]
        for rule in rules:
            if rule.name == diagnosis.constraint_name:
                if isinstance(rule, ForeignKeyConstraint):
                    return Refused(rule.column_keys[0], "No such row.")
                conflict = str(rule.name).startswith("uq_")
                why = "Already taken." if conflict else "Not allowed."
                why = rule.info.get("message", why)
                return Refused(rule.info["field"], why, conflict=conflict)
    return None
