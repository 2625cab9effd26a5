"""The records of people's files: CSV as spreadsheets write it, JSON by the line or as a whole."""

import codecs
import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NamedTuple, Self

import click

MAX_CELL = 1_000_000  # code points: of an unclosed quote, the rest of the file would be one cell
CHUNK = 1_000_000  # bytes
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
DELIMITERS = ",;\t|"


class Record(NamedTuple):
    """What stands at a line of a file, or what is wrong with it."""

    line: int
    values: dict[str, Any]
    fault: str = ""


class RecordFile:
    """A file of records; the encoding is found out unless it is given.

    Raises UsageError for a pipe, of which nothing is left when its encoding is known.
    """

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        if not path.is_file():
            raise click.UsageError(f"{path} is no file, but a pipe or a device: store it in one.")
        self.path, self.size = path, path.stat().st_size
        self.is_read = False
        self.encoding = encoding or encoding_of(path)

    def __enter__(self) -> Self:
        self.raw = self.path.open("rb")
        self.text = TextIOWrapper(self.raw, self.encoding, newline="")
        return self

    def __exit__(self, *_: object) -> None:
        self.text.close()

    @property
    def position(self) -> int:
        """How many bytes have been read."""
        return self.raw.tell()

    @property
    def is_json(self) -> bool:
        """Whether it begins as JSON does."""
        with self.path.open(encoding=self.encoding, errors="replace") as text:
            return text.read(CHUNK).lstrip()[:1] in ("{", "[")

    def csv(self) -> tuple[list[str], Iterator[Record]]:
        """Return the names of the columns and the records; raise UsageError for bad names."""
        csv.field_size_limit(MAX_CELL)
        lines = self.lines()
        first = next(lines, "")
        reader = csv.reader(chained(first, lines), delimiter=delimiter_of(first))
        try:
            names = [name.strip() for name in next(reader, [])]
        except csv.Error as error:
            raise click.UsageError(f"{self.path}: the first line is not CSV: {error}.") from None
        while names and not names[-1]:  # of a spreadsheet's empty columns
            names.pop()
        if not names:
            raise click.UsageError(f"{self.path}: the first line must name the columns.")
        wrong = [name or "(no name)" for name, count in Counter(names).items() if count > 1]
        if wrong or "" in names:
            listed = ", ".join(wrong) or "(no name)"
            raise click.UsageError(f"{self.path}: columns without a name of their own: {listed}")
        return names, self.csv_records(reader, names)

    def lines(self) -> Iterator[str]:
        """Yield the lines, and note when there are no more."""
        yield from self.text
        self.is_read = True

    def csv_records(self, reader: Any, names: list[str]) -> Iterator[Record]:
        """Yield the rows of a CSV file by their first lines; what is empty is left out."""
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                yield Record(line, {}, f"Not CSV, as far as can be read: {error}.")
                return
            if cells is None:
                return
            values = {name: cell for name, cell in zip(names, cells, strict=False) if cell.strip()}
            more = any(cell.strip() for cell in cells[len(names) :])
            if self.is_read:  # although no line has ended the row
                yield Record(line, values, "A quote is not closed before the end of the file.")
            elif values or more:
                yield Record(line, values, "There are more values than columns." if more else "")

    def json_lines(self) -> Iterator[Record]:
        """Yield the record of each line that is not empty."""
        self.text.reconfigure(newline="\n")
        for number, line in enumerate(self.text, start=1):
            if line.strip():
                yield json_record(number, line)

    def json_items(self) -> Iterator[Record]:
        """Yield the records of JSON that has one in each line, or is a list of them.

        A list can be in an object, such as `{"tickets": [...]}`. A list is in memory as a whole.
        """
        first = json_record(1, self.text.readline())
        self.text.seek(0)
        if first.fault or listed(first.values) is not None:
            yield from self.json_list()
        else:
            yield from self.json_lines()

    def json_list(self) -> Iterator[Record]:
        """Yield the records of a list, with their numbers in it."""
        try:
            items = listed(json.loads(self.text.read()))
        except (ValueError, RecursionError):
            items = None
        if items is None:
            yield Record(1, {}, "Neither lines of JSON nor a list of objects.")
        for number, item in enumerate(items or (), start=1):
            yield record(number, item)


def listed(value: Any) -> list[Any] | None:
    """Return a list, or the one in an object that is no record itself; else None."""
    if isinstance(value, dict) and "id" not in value:
        value = next((each for each in value.values() if isinstance(each, list)), None)
    return value if isinstance(value, list) else None


def chained(first: str, lines: Iterator[str]) -> Iterator[str]:
    """Yield a line and those after it."""
    yield first
    yield from lines


def encoding_of(path: Path) -> str:
    """Return the encoding of a text: by its mark, UTF-8 where it is that, or else Windows-1252."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        beginning = file.read(4)
        for mark, name in BOMS:
            if beginning.startswith(mark):
                return name
        try:
            decoder.decode(beginning)
            while chunk := file.read(CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def delimiter_of(header: str) -> str:
    """Return what stands between the columns of a header: the most frequent outside quotes."""
    outside = re.sub('"[^"]*"', "", header)
    return max(DELIMITERS, key=outside.count)


def json_record(line: int, text: str) -> Record:
    """Return the record that a line has."""
    try:
        return record(line, json.loads(text))
    except (ValueError, RecursionError):
        return Record(line, {}, "Not JSON.")


def record(line: int, value: Any) -> Record:
    """Return a JSON value as a record."""
    if isinstance(value, dict):
        return Record(line, value)
    return Record(line, {}, "Not a JSON object.")
