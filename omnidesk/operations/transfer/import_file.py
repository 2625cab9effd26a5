"""Rows of another system's file brought into the desk, each once."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, tzinfo
from itertools import islice
from pathlib import Path
from time import sleep
from typing import Any, NamedTuple, Self
from zoneinfo import ZoneInfo

import click
from marshmallow import ValidationError
from sqlalchemy import text

from omnidesk.db import db
from omnidesk.http.schemas import unknown_fields
from omnidesk.imports.kinds import KINDS, ImportKind
from omnidesk.imports.request_schemas import SourceField
from omnidesk.imports.rows import STATUSES, Row
from omnidesk.imports.storing import store_rows
from omnidesk.operations.transfer.other_desks import SYSTEMS, rows_of
from omnidesk.operations.transfer.records import Record, RecordFile, encoding_of
from omnidesk.operations.transfer.refused_rows import delete_list, list_refused
from omnidesk.operations.transfer.texts import typed

FORMATS = ("csv", "ndjson", *SYSTEMS)
BATCH = 200  # rows of a transaction
ANALYZED_AFTER = (2, 10, 50, 250, 1250, 6250)  # batches
PAUSE = {"sqlite": 0.01, "postgresql": 0}  # seconds between two, where others wait to write


class Import(NamedTuple):
    """A file, and how its records are read."""

    file: RecordFile
    format: str
    entity: str
    source: str
    names: dict[str, str | None]  # what their columns are called here; None for what is left out
    zone: tzinfo = UTC
    dry_run: bool = False

    @classmethod
    def of(cls, path: Path, names: Path | None, encoding: str | None, **options: Any) -> Self:
        """Return what a command asks for; raise UsageError where it does not say enough."""
        if not all(options[name] for name in ("format", "entity", "source")):
            raise click.UsageError("For a file, say --from, --entity and --source.")
        return cls(RecordFile(path, encoding), names=names_from(names), **options)

    @property
    def kind(self) -> ImportKind:
        """What is imported."""
        return KINDS[self.entity]

    def records(self) -> Iterator[Record]:
        """Yield the records of the file, one for each row; raise UsageError for bad columns."""
        if self.format == "ndjson":
            return (self.renamed(record) for record in self.file.json_lines())
        is_foreign = self.format in SYSTEMS
        if is_foreign and self.file.is_json:
            return self.translated(self.file.json_items())
        columns, records = self.file.csv()
        if is_foreign:
            return self.translated(records)
        self.check_names(self.names.get(column, column) for column in columns)
        return (self.renamed(record) for record in records)

    def check_names(self, names: Iterator[str | None]) -> None:
        """Raise UsageError for a name that is no field."""
        known = [*self.kind.schema.load_fields]
        if unknown := [name for name in names if name is not None and name not in known]:
            errors = unknown_fields(unknown, known)
            listed = "; ".join(f"{name}: {' '.join(why)}" for name, why in errors.items())
            raise click.UsageError(f"{self.file.path}: {listed} Name the columns with --map.")

    def renamed(self, record: Record) -> Record:
        """Return a record with the names of our fields."""
        named = [(self.names.get(name, name), value) for name, value in record.values.items()]
        counts = Counter(name for name, _ in named if name is not None)
        twice = ", ".join(name for name, count in counts.items() if count > 1)
        return record._replace(
            values={name: value for name, value in named if name is not None},
            fault=record.fault or (twice and f"Several columns are {twice}."),
        )

    def translated(self, records: Iterator[Record]) -> Iterator[Record]:
        """Yield the rows that the records of another system have."""
        for record in records:
            chosen = self.renamed(record) if self.names else record
            if chosen.fault:
                yield chosen
                continue
            for values in rows_of(self.format, self.entity, chosen.values):
                yield record._replace(values=values)


def names_from(path: Path | None) -> dict[str, str | None]:
    """Return the names that a JSON file gives to columns; raise UsageError."""
    if path is None:
        return {}
    try:
        names = json.loads(path.read_text(encoding=encoding_of(path)))
        if all(isinstance(name, str | None) for name in names.values()):
            return dict(names)
    except (AttributeError, ValueError, RecursionError):
        pass
    raise click.UsageError(f'{path}: must be a JSON object such as {{"Their column": "our_field"}}')


def time_zone(_: Any, __: Any, name: str) -> tzinfo:
    """Return a time zone, for click; raise BadParameter."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise click.BadParameter(f"{name!r} is no time zone such as America/Bogota.") from None


def check_encoding(_: Any, __: Any, name: str | None) -> str | None:
    """Return the name of an encoding of text, for click; raise BadParameter."""
    try:
        return name and str("".encode(name), name) + name
    except (LookupError, UnicodeError):
        raise click.BadParameter(f"{name!r} is no encoding such as windows-1252.") from None


def check_source(_: Any, __: Any, text: str | None) -> str | None:
    """Return the name of a source, for click; raise BadParameter."""
    try:
        return text and str(SourceField().deserialize(text))
    except ValidationError as error:
        raise click.BadParameter(" ".join(error.messages)) from None


def import_file(work: Import, refused: Path) -> Counter[str]:
    """Store the rows of a file; return how many there are of each status.

    Those that are refused are listed in a file, which is made only for them.
    """
    counts = Counter(dict.fromkeys(STATUSES, 0))
    delete_list(refused)
    showing = click.progressbar(length=work.file.size, label=work.entity, file=sys.stderr)
    with work.file, showing as bar:
        for number, batch in enumerate(ahead(batches(work)), start=1):
            store_batch(work, batch)
            if number in ANALYZED_AFTER:
                analyze()
            counts.update(row.status for row in batch.rows)
            list_refused(refused, zip(batch.records, batch.rows, strict=True))
            bar.update(batch.end - bar.pos)
    return counts


def analyze() -> None:
    """Let PostgreSQL know that the table of imported rows has grown, before it notices by itself.

    Until then it would read the whole table for each batch.
    """
    if db.engine.name == "postgresql":
        db.session.execute(text("ANALYZE source_row"))
        db.session.commit()
        db.session.remove()


class RecordBatch(NamedTuple):
    """The records of a transaction, the rows that they are, and where in the file they end."""

    records: list[Record]
    rows: list[Row]
    end: int


def batches(work: Import) -> Iterator[RecordBatch]:
    """Yield the records for each transaction; raise ClickException for another encoding."""
    try:
        records = work.records()
        while batch := [*islice(records, BATCH)]:
            yield RecordBatch(batch, [load(work, record) for record in batch], work.file.position)
    except UnicodeError:
        file = work.file
        why = f"{file.path} is not in {file.encoding}: name its --encoding."
        raise click.ClickException(why) from None


def ahead(found: Iterator[RecordBatch]) -> Iterator[RecordBatch]:
    """Yield batches, each of which is read while the database stores the one before."""
    with ThreadPoolExecutor(1) as reader:
        following = reader.submit(next, found, None)
        while batch := following.result():
            following = reader.submit(next, found, None)
            yield batch


def store_batch(work: Import, batch: RecordBatch) -> None:
    """Store rows in one transaction, and note what has become of each."""
    store_rows(work.kind, work.source, batch.rows)
    if work.dry_run:
        db.session.rollback()
    else:
        db.session.commit()
    db.session.remove()
    sleep(PAUSE[db.engine.name])


def load(work: Import, record: Record) -> Row:
    """Return the row that a record is; a refused one where it has no values."""
    if not record.fault:
        schema = work.kind.schema
        return Row.load(schema, typed(schema, record.values, zone=work.zone))
    name = record.values.get("external_id")
    row = Row(name if isinstance(name, str) else None)
    row.refuse({"_schema": [record.fault]})
    return row


def report(counts: Counter[str], refused: Path, *, as_json: bool) -> None:
    """Say how many rows there are of each status, and where the refused ones are listed."""
    listed = str(refused) if counts["refused"] else None
    if as_json:
        click.echo(json.dumps({**counts, "refused_file": listed}))
        return
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    click.echo(f"{said}: see {click.format_filename(listed)}." if listed else f"{said}.")
