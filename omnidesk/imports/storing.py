"""Rows of a source stored once each, however they come: over HTTP or from a file."""

from collections.abc import Iterable, Sequence

from sqlalchemy.exc import IntegrityError

from omnidesk.db import db
from omnidesk.db.constraints import rule_violation
from omnidesk.db.postgresql import advisory_lock
from omnidesk.db.session import logging_as
from omnidesk.imports.kinds import ImportKind
from omnidesk.imports.models import SourceRow
from omnidesk.imports.references import resolve
from omnidesk.imports.rows import CREATED, UNCHANGED, Row


def store_rows(kind: ImportKind, source: str, rows: Iterable[Row]) -> None:
    """Store the loaded rows of a source, and note what has become of each.

    The caller commits. Others who import rows of the same source wait until then.
    """
    loaded = [row for row in rows if not row.errors]
    if loaded:
        with logging_as("imported"):
            advisory_lock(f"import {source}")
            store(kind, source, loaded)


def store(kind: ImportKind, source: str, rows: Sequence[Row]) -> None:
    """Store those rows that are not yet there, and note what has become of each."""
    known = SourceRow.ids(source, kind.entity, (names := [str(row.external_id) for row in rows]))
    new: dict[str, Row] = {}
    again = []
    for name, row in zip(names, rows, strict=True):
        if name in known:
            row.accept(UNCHANGED, known[name])
        elif new.setdefault(name, row) is not row:
            again.append(row)
    add(kind, source, sendable(kind, source, [*new.values()]))
    if again:
        store(kind, source, again)


def sendable(kind: ImportKind, source: str, rows: Sequence[Row]) -> list[Row]:
    """Return those rows whose references lead somewhere."""
    for reference in kind.schema.references:
        resolve(reference, source, rows)
    kind.check([row for row in rows if not row.errors])
    return [row for row in rows if not row.errors]


def add(kind: ImportKind, source: str, rows: Sequence[Row]) -> None:
    """Store new rows: all at once, or in smaller parts where the database refuses one of them."""
    if not rows:
        return
    try:
        with db.session.begin_nested():
            ids = kind.add(source, rows)
            names = [str(row.external_id) for row in rows]
            SourceRow.note(source, kind.entity, dict(zip(names, ids, strict=True)))
    except IntegrityError as error:
        if len(rows) == 1:
            rule = rule_violation(error)
            rows[0].refuse(rule.errors if rule else {"_schema": ["Not allowed."]})
            return
        half = len(rows) // 2
        for part in (rows[:half], rows[half:]):
            store(kind, source, part)
        return
    for row, row_id in zip(rows, ids, strict=True):
        row.accept(CREATED, row_id)
