"""The file that lists the rows which an import has refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from omnidesk.http.csv_export import cell, csv_lines
from omnidesk.imports.rows import Row
from omnidesk.operations.transfer.records import CHUNK, Record

REFUSED = ("line", "external_id", "field", "reason")  # its columns


def list_refused(path: Path, results: Iterator[tuple[Record, Row]]) -> None:
    """Add the refused rows to their file, which only its owner can read: a line for each field."""
    lines = [
        (str(record.line), *(cell(text, ()) for text in (row.external_id, name, reason(errors))))
        for record, row in results
        for name, errors in row.errors.items()
    ]
    if not lines:
        return
    is_new = not path.exists()
    path.touch(mode=0o600)
    with path.open("a", encoding="utf-8", newline="") as file:
        file.write(csv_lines([REFUSED, *lines] if is_new else lines))


def delete_list(path: Path) -> None:
    """Delete the list of an earlier import, if there is one; raise UsageError for another file."""
    if not path.exists():
        return
    if path.is_file():
        with path.open("rb") as file:
            if file.readline(CHUNK) in (b"", csv_lines([REFUSED]).encode()):
                path.unlink()
                return
    raise click.UsageError(f"{path} is there already, and is no list of refused rows.")


def reason(errors: Any) -> str:
    """Return messages in one line, those on items of a list by their positions."""
    if isinstance(errors, dict):
        return " ".join(f"{name}: {reason(each)}" for name, each in errors.items())
    return " ".join(map(str, errors)) if isinstance(errors, list) else str(errors)
