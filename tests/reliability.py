"""Writes the figures of test runs into docs/reliability.md."""

import fcntl
from typing import TextIO

from tests.servers import ROOT

PAGE = ROOT / "docs/reliability.md"


def record(table: str, *cells: str) -> None:
    """Write a row into the table whose first column has this name, in place of one named alike."""
    with PAGE.open("r+") as page:
        fcntl.flock(page, fcntl.LOCK_EX)  # other tests write at the same time
        lines = with_row(page.read().splitlines(), table, cells)
        write(page, "\n".join(lines) + "\n")


def with_row(lines: list[str], table: str, cells: tuple[str, ...]) -> list[str]:
    """Return the lines of a page with the row."""
    first = next(n for n, line in enumerate(lines) if line.startswith(f"| {table} |")) + 2
    end = next((n for n in range(first, len(lines)) if not lines[n].startswith("|")), len(lines))
    rows = [row for row in lines[first:end] if not row.startswith(f"| {cells[0]} |")]
    return [*lines[:first], *sorted([*rows, f"| {' | '.join(cells)} |"]), *lines[end:]]


def write(page: TextIO, text: str) -> None:
    """Write a text in place of what a file has."""
    page.seek(0)
    page.write(text)
    page.truncate()
