"""What a broken constraint means to a client: the field to blame, and why."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ForeignKeyConstraint, select, text
from sqlalchemy.exc import IntegrityError

from omnidesk.db.base import Base
from omnidesk.db.session import db


class RuleViolation(Exception):  # noqa: N818 - the rule is violated, nothing has failed
    """A rule of the desk refuses a request: `errors` by field, and the HTTP status 400 or 409.

    `current` are the rows that are in the way, for whoever may read them.
    """

    def __init__(
        self, field: str, message: str, *, conflict: bool = False, current: Sequence[Base] = ()
    ) -> None:
        super().__init__(f"{field}: {message}")
        self.errors: dict[str, Any] = {field: [message]}
        self.status = 409 if conflict else 400
        self.current = current


def rule_violation(error: IntegrityError) -> RuleViolation | None:
    """Return the rule that a broken constraint stands for; None for a constraint without one."""
    constraint = broken_constraint(error)
    if isinstance(constraint, ForeignKeyConstraint) or "field" in getattr(constraint, "info", ()):
        return violated(constraint, error.statement or "")
    return None


def broken_constraint(error: IntegrityError) -> Any:
    """Return the constraint or the unique index that an error names; None where it names none."""
    diagnosis: Any = getattr(error.orig, "diag", error.orig)
    name = getattr(diagnosis, "constraint_name", None)
    for table in Base.metadata.tables.values():
        constraints: list[Any] = [*table.constraints, *table.indexes]
        for constraint in constraints:
            if name and constraint.name == name:
                return constraint
    return None


def taken_by_others(error: IntegrityError, row: Base) -> RuleViolation | None:
    """Return the rule of a partial unique index that is `shown`, with the rows in the way of a row.

    None for all other constraints. The transaction, which has failed, is rolled back.
    """
    index = broken_constraint(error)
    if index is None or "shown" not in index.info:
        return None
    db.session.rollback()
    same = (column == getattr(row, column.key) for column in index.columns)
    others = select(type(row)).where(*same, index.dialect_options[db.engine.name]["where"])
    violation = violated(index, "")
    violation.current = db.session.scalars(others).all()
    return violation


def violated(constraint: Any, statement: str) -> RuleViolation:
    """Return the rule that a constraint or a unique index holds, and that a statement broke."""
    if isinstance(constraint, ForeignKeyConstraint):
        return broken_reference(constraint, statement)
    unique = str(constraint.name).startswith("uq_")
    message = constraint.info.get("message", "Already taken." if unique else "Not allowed.")
    conflict = unique or constraint.info.get("conflict", False)
    return RuleViolation(constraint.info["field"], message, conflict=conflict)


def broken_reference(key: ForeignKeyConstraint, statement: str) -> RuleViolation:
    """Return the rule that a foreign key holds: of the row that refers, or of the other one."""
    if statement.startswith(f"UPDATE {key.referred_table.name} "):
        return RuleViolation(
            key.elements[-1].column.name, "Other rows refer to this one.", conflict=True
        )
    return RuleViolation(key.column_keys[0], key.info.get("message", "No such row."))


def defer_constraints() -> None:
    """Check foreign keys that can be deferred only when the transaction is committed."""
    postgresql, sqlite = "SET CONSTRAINTS ALL DEFERRED", "PRAGMA defer_foreign_keys=ON"
    db.session.execute(text(postgresql if db.engine.name == "postgresql" else sqlite))


def error_message(error: Exception) -> str:
    """Return the first line of what the driver said of an error."""
    return str(getattr(error, "orig", error)).strip().partition("\n")[0]
